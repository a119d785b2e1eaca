"""XOAUTH2: a command of the admin's prints the tokens that the gateway logs in with."""
import base64
import json
import os
import signal

import pytest

from fixtures.clients import message, smtp
from fixtures.processes import children_of, exists, has_in_memory, status_of
from fixtures.scripted import EXTENSIONS
from fixtures.waiting import until

OFFER = (*EXTENSIONS, "AUTH PLAIN LOGIN XOAUTH2")


class Command:
    """A token_command: `folder` is where it may write. It prints the file "token", and notes that it ran."""

    def __init__(self, folder):
        self.folder = folder / "helper"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.program = self.folder / "print-token"
        self.write('cat "$here/token"')
        self.says("first-token")

    def write(self, script):
        self.program.write_text(f'#!/bin/sh\nhere={self.folder}\necho run >> "$here/runs"\n{script}\n')
        self.program.chmod(0o755)
        return self

    def says(self, text):
        """Taken whole, or not at all."""
        new = self.folder / "new"
        new.write_text(text)
        new.rename(self.folder / "token")
        return self

    def runs(self):
        file = self.folder / "runs"
        return file.read_text().count("run") if file.exists() else 0


@pytest.fixture
def command(folder):
    return Command(folder)


@pytest.fixture
def new_gateway_with(new_gateway, command):
    def make(server, line=None, workers=2, start=True, **upstream):
        return new_gateway(server, workers=workers, start=start, upstream={
            "identity": "auth", "username": "gw@example.com", "token_command": line or str(command.program),
            **upstream})
    return make


def tokens(server):
    return [c.login[1].split("Bearer ")[1].rstrip("\1") for c in server.used("AUTH")]


def test_the_gateway_logs_in_with_the_token_that_its_command_prints(new_gateway_with, new_smtp, command):
    server = new_smtp(extensions=OFFER)
    gateway = new_gateway_with(server, f"{command.program} one two")
    with smtp(gateway) as client:
        client.mail(message())
    assert server.messages[0].connection.login == ["XOAUTH2", "user=gw@example.com\1auth=Bearer first-token\1\1"]
    assert gateway.wait_event("token_taken", upstream="smtp")["process"] == "helper"
    assert command.runs() == 1  # once for the gateway, not once a worker


def test_a_token_may_be_json_with_its_lifetime(new_gateway_with, new_smtp, command):
    command.says(json.dumps({"access_token": "from-json", "expires_in": 3599, "token_type": "Bearer"}))
    server = new_smtp(extensions=OFFER)
    gateway = new_gateway_with(server)
    with smtp(gateway) as client:
        client.mail(message())
    assert tokens(server) == ["from-json"]
    assert float(gateway.wait_event("token_taken")["duration"]) == 3599


def test_who_comes_before_the_first_token_waits_for_it(new_gateway_with, new_smtp, command):
    command.write('while [ ! -e "$here/go" ]; do sleep 0.05; done; cat "$here/token"')
    server = new_smtp(extensions=OFFER)
    with smtp(new_gateway_with(server)) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.send("RCPT TO:<x@dest.example>")
        client.is_silent()
        (command.folder / "go").touch()
        client.expect("250 ")


def test_without_any_token_a_session_waits_for_wait_timeout_alone(new_gateway_with, new_smtp, command):
    command.write("echo no refresh token >&2; exit 3")
    server = new_smtp(extensions=OFFER)
    gateway = new_gateway_with(server, wait_timeout="300ms")
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.3.2 ")
    event = gateway.wait_event("command_failed", upstream="smtp")
    assert event["reason"] == "exit status 3: no refresh token" and event["command"] == str(command.program)
    assert not server.used("AUTH")


@pytest.mark.long
def test_a_token_is_renewed_before_it_expires(new_gateway_with, new_smtp, command):
    command.says(json.dumps({"access_token": "short-lived", "expires_in": 14}))
    server = new_smtp(extensions=OFFER)
    gateway = new_gateway_with(server, workers=1, idle_timeout="100ms")
    gateway.wait_event("token_taken")
    command.says("second-token")
    gateway.wait_event("token_taken", count=2)
    with smtp(gateway) as client:
        client.mail(message())
    assert tokens(server) == ["second-token"]


@pytest.mark.long
def test_a_token_that_is_refused_is_replaced(new_gateway_with, new_smtp, command):
    server = new_smtp(extensions=OFFER).on(
        "AUTH", lambda line: "535 5.7.8 expired" if b"first-token" in base64.b64decode(line.split()[2]) else None)
    gateway = new_gateway_with(server, workers=1)
    gateway.wait_event("token_taken")
    command.says("better-token")
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.3.5 ")
        client.ask("RSET", "250 ")
        gateway.wait_event("token_taken", count=2)
        client.mail(message())
    assert tokens(server) == ["first-token", "better-token"]
    gateway.wait_event("upstream_accepts", upstream="smtp/a")


def test_a_worker_that_is_started_anew_gets_the_token_without_another_run(new_gateway_with, new_smtp, command):
    server = new_smtp(extensions=OFFER)
    gateway = new_gateway_with(server, workers=1)
    gateway.wait_event("token_taken")
    gateway.may_lose.add("process_died")
    old = gateway.pids("worker")
    os.kill(old[0], signal.SIGKILL)
    gateway.wait_replaced("worker", old)
    with smtp(gateway) as client:
        client.mail(message())
    assert tokens(server) == ["first-token"] and command.runs() == 1


def test_a_helper_that_dies_is_replaced_and_sessions_go_on_meanwhile(new_gateway_with, new_smtp, command):
    server = new_smtp(extensions=OFFER)
    gateway = new_gateway_with(server)
    gateway.wait_event("token_taken")
    gateway.may_lose.add("process_died")
    old = gateway.pids("helper")
    with smtp(gateway) as client:
        os.kill(old[0], signal.SIGKILL)
        client.mail(message())
        gateway.wait_replaced("helper", old)
        client.mail(message())
    until(lambda: command.runs() == 2)


def test_the_old_generation_keeps_its_helper_until_its_last_session_ends(new_gateway_with, new_smtp, command):
    gateway = new_gateway_with(new_smtp(extensions=OFFER))
    gateway.wait_event("token_taken")
    old = gateway.pids("helper")[0]
    with smtp(gateway) as client:
        gateway.reload()
        assert exists(old) and gateway.pids("helper") != [old]
        client.mail(message())
        client.quit()
    until(lambda: not exists(old))


def test_without_a_command_there_is_no_helper(gateway):
    assert not gateway.processes("helper")


# ---- what the command sees ----

REPORT = """
id -un > "$here/user"
env > "$here/environment"
ls -l /proc/self/fd > "$here/descriptors"
pwd > "$here/folder"
wc -c > "$here/stdin"
ps -o ignored= -p $$ > "$here/ignored"
cat "$here/token"
"""


def test_a_command_runs_as_helper_user_with_nothing_of_ours(new_gateway_with, new_smtp, command):
    command.write(REPORT)
    gateway = new_gateway_with(new_smtp(extensions=OFFER))
    gateway.wait_event("token_taken")

    def said(name):
        return (command.folder / name).read_text().strip()
    assert said("user") == "porteiro-helper" and said("folder") == "/" and said("stdin") == "0"
    names = {line.partition("=")[0] for line in said("environment").splitlines()}
    assert names <= {"PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"}
    opened = [line.split()[-3] for line in said("descriptors").splitlines() if "->" in line]
    assert {int(fd) for fd in opened} <= {0, 1, 2, 3}  # 3: ls itself reads the folder
    assert "socket" not in said("descriptors") and "/dev/shm" not in said("descriptors")
    assert int(said("ignored"), 16) & 0x7fff == 0  # SIGTERM and its like end it
    status = status_of(gateway.pids("helper")[0])
    assert status["NoNewPrivs"] == "0" and status["Uid"].split()[0] != "0"


def test_what_a_command_leaves_behind_ends_with_it(new_gateway_with, new_smtp, command):
    command.write('sleep 1000 & echo $! > "$here/child"; cat "$here/token"')
    gateway = new_gateway_with(new_smtp(extensions=OFFER))
    gateway.wait_event("token_taken")
    child = int((command.folder / "child").read_text())
    until(lambda: not exists(child))


def test_a_command_under_way_ends_with_the_gateway(new_gateway_with, new_smtp, command):
    command.write('echo $$ > "$here/self"; sleep 1000')
    gateway = new_gateway_with(new_smtp(extensions=OFFER))
    until(lambda: (command.folder / "self").exists() and (command.folder / "self").read_text())
    pid = int((command.folder / "self").read_text())
    helper = gateway.pids("helper")[0]
    assert children_of(helper) == [pid]
    gateway.signal(signal.SIGTERM)
    gateway.wait()
    until(lambda: not exists(pid))


@pytest.mark.parametrize("script, reason", [
    ("kill -9 $$", "signal 9 (Killed)"),
    ("true", "it has printed no token"),
    ("echo two words", "what it has printed is no token"),
    ("echo '{}'", 'its JSON has no "access_token"'),
    ("echo '{'", "it has printed { but no JSON"),
    ("head -c 100000 /dev/zero", "it says more than is read"),
    ("exec /nowhere/program", "exit status 127: "),
])
def test_a_command_that_fails_says_why_in_the_log(new_gateway_with, new_smtp, command, script, reason):
    command.write(script)
    gateway = new_gateway_with(new_smtp(extensions=OFFER))
    assert gateway.wait_event("command_failed")["reason"].startswith(reason)


def test_tokens_are_in_no_log_and_in_no_memory_but_the_helpers_and_the_workers(new_gateway_with, new_smtp, command):
    command.says("Xyzzy-Plugh-8413")
    server = new_smtp(extensions=OFFER).on("AUTH", "535 5.7.8 no")
    gateway = new_gateway_with(server)
    gateway.wait_event("token_taken")
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.3.5 ")
    assert "Xyzzy-Plugh-8413" not in gateway.log_text() + gateway.stderr_text()
    for role in ("auth", "control"):
        assert not has_in_memory(gateway.pids(role)[0], b"Xyzzy-Plugh-8413")
    assert not has_in_memory(gateway.master, b"Xyzzy-Plugh-8413")


@pytest.mark.parametrize("line, words", [
    ("relative/path", "absolute path"),
    ("/nowhere/token", "/nowhere/token: No such file or directory"),
    ("/bin/sh -c 'echo token'", "write a script"),
])
def test_a_command_that_could_not_run_is_refused(new_gateway_with, line, words):
    done = new_gateway_with(1025, line, start=False).check()
    assert done.returncode == 1 and "upstreams.smtp.token_command: " in done.stderr and words in done.stderr


def test_a_command_that_helper_user_may_not_run_is_refused(new_gateway_with, command):
    command.program.chmod(0o700)
    done = new_gateway_with(1025, start=False).check()
    assert done.returncode == 1 and "Permission denied" in done.stderr and "helper_user" in done.stderr
