"""The admin, or whoever is an account's contact, is told of what happens."""
import json
import os
import signal
import time

import pytest

from fixtures.clients import smtp
from fixtures.processes import children_of, exists
from fixtures.waiting import until


@pytest.fixture
def contacts(folder):
    path = folder / "contacts"
    path.write_text("# who is to be told\nalice: owner@private.example\n@example.net: it@agency.example\n")
    return path


def write(path, text):
    """Taken whole, or not at all."""
    new = path.with_name("new")
    new.write_text(text)
    new.rename(path)


# ---- contacts ----

def test_contacts_that_are_wrong_are_told_with_their_lines(new_gateway, new_smtp, contacts):
    contacts.write_text("alice: owner@private.example\n\nbob: Bob <bob@private.example>\nalice\n")
    gateway = new_gateway(new_smtp(), contacts=str(contacts), start=False)
    said = gateway.check()
    assert said.returncode == 1
    assert f'{contacts}:3: "Bob <bob@private.example>" is no address to write to' in said.stderr
    assert f"{contacts}:4: write it as" in said.stderr


def test_a_change_of_the_contacts_counts_without_a_reload(new_told, command, contacts):
    gateway = new_told("limit", contacts=str(contacts))
    write(contacts, "alice: somebody-else@private.example\n")
    assert gateway.wait_event("list_taken", file=str(contacts))["count"] == "1"
    refused(gateway)
    assert command.wait_told()["contact"] == "somebody-else@private.example"


# ---- commands ----

class Command:
    """A command of notify, that writes down what it is told; `script` is run then."""

    def __init__(self, folder):
        self.folder = folder / "notify"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.program = self.folder / "tell"
        self.write("")

    def write(self, script):
        """What it is told is taken whole: one line of it."""
        self.program.write_text(f'#!/bin/sh\nhere={self.folder}\nIFS= read -r line\n{script}\n'
                                'printf "%s\\n" "$line" >> "$here/told"\n')
        self.program.chmod(0o755)
        return self

    def told(self, **wanted):
        file = self.folder / "told"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        return [m for m in map(json.loads, lines) if all(m.get(k) == v for k, v in wanted.items())]

    def wait_told(self, count=1, **wanted):
        """Until there are `count` such messages; returns the last."""
        def found():
            messages = self.told(**wanted)
            return messages[-1] if len(messages) >= count else None
        return until(found, f"{count} messages {wanted}")


@pytest.fixture
def command(folder):
    return Command(folder)


HOUR = {"key": ["account"], "count": "recipients", "rate": "1/1h", "burst": 3, "action": "defer"}


@pytest.fixture
def new_told(new_gateway, new_smtp, command):
    """new_told(EVENT, ..., every="1h"): a gateway that tells `command` of these events, where an account may
    write to three recipients at once."""
    def make(*events, every="1h", rule=None, most=None, **changes):
        panel = {"command": str(command.program), "events": list(events), "every": every}
        policies = {"out": {"limits": {"hour": {**HOUR, **(rule or {})}}}}
        if most:
            policies["out"]["max_suspensions"] = most
        return new_gateway(new_smtp(), workers=1, notify={"panel": panel}, auth={"realm": "example.com"},
                           policies=policies, listener={"policy": "out"}, **changes)
    return make


def refused(gateway, count=1, user="alice", **who):
    """Three recipients pass, and so many more don't."""
    with smtp(gateway, user=user, **who) as client:
        client.envelope(sender=f"{user}@example.com", recipients=())
        for n in range(3 + count):
            client.ask(f"RCPT TO:<r{n}@dest.example>", "250 " if n < 3 else "451 4.7.1 hour: ")
        client.ask("RSET", "250 ")


def test_a_command_is_told_of_a_limit_with_what_is_known_of_it(new_told, command, contacts):
    gateway = new_told("limit", contacts=str(contacts))
    smtp(gateway, source="127.0.1.1").quit()
    refused(gateway, source="127.0.2.2")
    told = command.wait_told()
    assert told["time"] == gateway.wait_event("decision")["time"]
    assert (told["event"], told["notify"], told["gateway"]) == ("limit", "panel", "mail.example.com")
    assert (told["account"], told["contact"]) == ("alice@example.com", "owner@private.example")
    assert (told["rule"], told["verdict"], told["used"], told["left"]) == ("hour", "defer", 3, 0)
    assert told["limit"] == "at most 1 recipients in 1h, 3 at once" and 3590 < told["wait"] <= 3600
    assert told["addresses"] == ["127.0.2.2", "127.0.1.1"] and told["recipients"] == ["r3@dest.example"]
    assert told["folded"] == 0 and "level" not in told and "process" not in told
    event = gateway.wait_event("notified")
    assert (event["notify"], event["notice"], event["account"]) == ("panel", "limit", "alice@example.com")
    assert event["process"] == "helper" and "reason" not in event


def test_a_command_is_told_of_who_comes_near_to_a_limit(new_told, command):
    gateway = new_told("near", rule={"warn_at": 60})
    refused(gateway)
    told = command.wait_told(event="near")
    assert (told["account"], told["rule"], told["used"]) == ("alice@example.com", "hour", 2)
    assert told["limit"] == "at most 1 recipients in 1h, 3 at once" and "contact" not in told
    gateway.wait_event("notified", notice="near")
    assert not command.told(event="limit"), "it is told of what it has named"


def test_a_command_is_told_of_a_ban_and_of_a_certificate_that_ends(new_told, command, certificates):
    gateway = new_told("ban", "expiry", start=False, log={"level": "error"}, tls={"second": {
        "certificate": [certificates.ending.certificate], "key": [certificates.ending.key]}})
    gateway.start(is_awaited=False)
    told = command.wait_told(event="expiry")
    assert told["file"] == str(certificates.ending.certificate) and 0 < told["days"] < 14
    gateway.ctl("ban", "192.0.2.0/24", "--for", "1h", "--reason", "they guess")
    told = command.wait_told(event="ban")
    assert (told["network"], told["reason"]) == ("192.0.2.0/24", "they guess") and told["until"] > told["time"]
    assert not gateway.log_text(), "what is below the log's level is heard all the same"


def test_a_command_is_told_of_a_suspension(new_told, command, contacts):
    gateway = new_told("suspend", contacts=str(contacts))
    gateway.ctl("suspend", "alice", "--scope", "all", "--for", "1h", "--reason", "it sends spam")
    told = command.wait_told(event="suspend")
    assert (told["account"], told["contact"]) == ("alice@example.com", "owner@private.example")
    assert (told["scope"], told["reason"]) == ("all", "it sends spam") and told["until"] > told["time"]
    gateway.ctl("resume", "alice")
    gateway.ctl("suspend", "bob", "--until-resumed")
    assert command.wait_told(count=2)["until"] == "resumed", "of who is let go nobody is told"


def test_a_command_is_told_of_whom_a_rule_suspends_and_when_it_does_so_no_more(new_told, command):
    gateway = new_told("suspend", "flood", rule={"action": "suspend", "duration": "1d"}, most="1/10min")
    for user in ("alice", "bob"):
        with smtp(gateway, user=user) as client:
            client.envelope(sender=f"{user}@example.com", recipients=[f"r{n}@dest.example" for n in range(3)])
            client.ask("RCPT TO:<r3@dest.example>", "550 " if user == "alice" else "451 ")
    told = command.wait_told(event="suspend")
    assert (told["account"], told["rule"], told["scope"]) == ("alice@example.com", "hour", "sending")
    assert told["reason"] == "at most 1 recipients in 1h, 3 at once" and told["until"] > told["time"]
    assert command.wait_told(event="flood")["account"] == "bob@example.com"
    assert len(command.told()) == 2


def test_what_repeats_itself_is_told_once_in_its_time_and_counted(new_told, command):
    gateway = new_told("limit", every="1s")
    refused(gateway, count=4)
    began = time.monotonic()
    assert command.wait_told(count=2)["folded"] == 3
    assert time.monotonic() - began > 0.8
    first, second = command.told()
    assert first["folded"] == 0 and first["recipients"] == ["r3@dest.example"]
    assert second["recipients"][:2] == ["r6@dest.example", "r5@dest.example"]
    assert gateway.wait_event("notified", count=2)


def test_accounts_are_told_of_one_by_one(new_told, command):
    gateway = new_told("limit")
    for user in ("alice", "bob", "carol"):
        refused(gateway, count=2, user=user)
    command.wait_told(count=3)
    assert {(m["account"], m["folded"]) for m in command.told()} == {
        (f"{user}@example.com", 0) for user in ("alice", "bob", "carol")}


def test_a_reload_tells_nothing_twice_and_forgets_nothing(new_told, command):
    gateway = new_told("limit", every="3s")
    refused(gateway, count=3)
    command.wait_told()
    gateway.reload()
    refused(gateway)
    assert command.wait_told(count=2)["folded"] == 3
    assert len(command.told()) == 2


def test_a_command_under_way_is_not_ended_by_a_reload(new_told, command):
    command.write('until [ -e "$here/go" ]; do sleep 0.05; done')
    gateway = new_told("limit")
    refused(gateway)
    old = gateway.pids("helper")[0]
    until(lambda: children_of(old), "the command to run")
    gateway.reload()
    assert exists(old)
    (command.folder / "go").touch()
    command.wait_told()
    until(lambda: not exists(old), "the old helper to end")


def test_a_command_that_hangs_is_in_nobodys_way(new_told, command):
    command.write('while [ ! -e "$here/go" ]; do sleep 0.05; done')
    gateway = new_told("limit", every="1s")
    helper = gateway.pids("helper")[0]
    for _ in range(2):  # three are told of at once, and again a second later
        for user in ("alice", "bob", "carol"):
            refused(gateway, user=user)
    until(lambda: len(children_of(helper)) == 4, "so many at once")
    (command.folder / "go").touch()
    until(lambda: sum(m["folded"] or 1 for m in command.told()) == 6, "all to be told")


def test_a_command_under_way_ends_with_the_gateway(new_told, command):
    command.write("sleep 1000")
    gateway = new_told("limit")
    refused(gateway)
    (pid,) = until(lambda: children_of(gateway.pids("helper")[0]), "the command to run")
    gateway.signal(signal.SIGTERM)
    gateway.wait()
    assert not exists(pid)


def test_a_helper_that_dies_is_replaced_and_told_what_came_meanwhile(new_told, command):
    gateway = new_told("limit")
    gateway.may_lose.add("process_died")
    old = gateway.pids("helper")
    os.kill(old[0], signal.SIGKILL)
    refused(gateway)
    gateway.wait_replaced("helper", old)
    assert command.wait_told()["folded"] == 0


def test_a_control_that_dies_loses_nothing_and_tells_nothing_twice(new_told, command):
    gateway = new_told("limit", every="2s")
    gateway.may_lose.add("process_died")
    refused(gateway, count=3)
    command.wait_told()
    old = gateway.pids("control")
    os.kill(old[0], signal.SIGKILL)
    refused(gateway)
    gateway.wait_replaced("control", old)
    assert command.wait_told(count=2)["folded"] == 3


@pytest.mark.parametrize("script, event, reason", [
    ("echo one >&2; echo no way >&2; exit 3", "command_failed", "exit status 3: no way"),
    ("kill -9 $$", "command_failed", "signal 9 (Killed)"),
    ("head -c 100000 /dev/zero; sleep 10", "command_failed", "it says more than is read"),
    ("echo done but >&2", "notified", "done but"),
])
def test_how_a_command_ends_is_logged(new_told, command, script, event, reason):
    command.write(script)
    gateway = new_told("limit")
    refused(gateway)
    found = gateway.wait_event(event, notify="panel", notice="limit", account="alice@example.com", rule="hour")
    assert found["reason"] == reason and "secret" not in gateway.log_text()


@pytest.mark.long
def test_a_command_that_takes_too_long_is_killed(new_told, command):
    command.write("sleep 1000")
    gateway = new_told("limit")
    refused(gateway)
    (pid,) = until(lambda: children_of(gateway.pids("helper")[0]), "the command to run")
    assert gateway.wait_event("command_failed", timeout=45)["reason"] == "it takes too long"
    assert not exists(pid)


def test_what_is_wrong_with_a_command_is_told_before_the_start(new_gateway, new_smtp, command, folder):
    gateway = new_gateway(new_smtp(), start=False)

    def said(**panel):
        gateway.write_config(notify={"panel": {"command": str(command.program), "events": ["limit"], **panel}})
        done = gateway.check()
        assert done.returncode == (1 if "porteiro.conf:" in done.stderr else 0), done.stderr
        return done.stderr
    assert "notify" not in said()
    assert 'notify.panel.command: /nowhere/tell: No such file' in said(command="/nowhere/tell")
    assert '"limits" is unknown here; write "suspend" or "ban" or "limit"' in said(events=["limits"])
    command.program.chmod(0o700)
    assert f"notify.panel.command: {command.program}: Permission denied; helper_user must be able to run it" in said()


def test_without_commands_nobody_is_told_and_there_is_no_helper(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), notify={})
    gateway.ctl("ban", "192.0.2.0/24", "--for", "1h", "--reason", "they guess")
    assert not gateway.processes("helper")
