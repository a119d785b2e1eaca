"""Processes: kept apart, replaced when they die, none missed by those who are served."""
import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path
from pwd import getpwnam

import pytest

from fixtures import build, scram
from fixtures.clients import PASSWORDS, Smtp, message, plain_response, pop3, smtp
from fixtures.load import Load
from fixtures.processes import descriptors_of, exists, has_in_memory, is_stopped, status_of, title_of
from fixtures.waiting import until

OWNERS = {"worker": "porteiro", "auth": "porteiro-auth", "control": "porteiro"}


def stop_process(pid):
    """SIGSTOP, in force when this returns."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid))


def one_client_a_worker(gateway, **options):
    """A session with each worker: pid, client."""
    found, kept = {}, []
    workers = set(gateway.pids("worker"))
    while set(found) != workers:
        client = smtp(gateway, **options)
        kept.append(client)
        found.setdefault(gateway.session(client)["pid"], client)
        assert len(kept) < 200, "one worker gets all clients"
    return found


# ---- kept apart ----

@pytest.mark.parametrize("role", OWNERS)
def test_a_process_runs_as_its_user_without_new_privileges_or_groups(gateway, role):
    """But auth has the groups of its user, which may open a password backend to it."""
    owner = getpwnam(OWNERS[role])
    groups = set(os.getgrouplist(OWNERS[role], owner.pw_gid)) - {owner.pw_gid} if role == "auth" else set()
    for pid in gateway.pids(role):
        status = status_of(pid)
        assert status["Uid"].split() == [str(owner.pw_uid)] * 4
        assert status["Gid"].split() == [str(owner.pw_gid)] * 4
        assert {int(group) for group in status["Groups"].split()} == groups
        assert status["NoNewPrivs"] == "1"
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


@pytest.mark.parametrize("role", ["master", *OWNERS])
def test_a_process_writes_no_core(gateway, role):
    for pid in gateway.pids(role):
        limits = Path(f"/proc/{pid}/limits").read_text()
        line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"]


@pytest.mark.release
@pytest.mark.parametrize("role", OWNERS)
def test_a_process_is_not_dumpable(gateway, role):
    """What belongs to a process that isn't dumpable is root's in /proc (proc(5))."""
    for pid in gateway.pids(role):
        assert os.stat(f"/proc/{pid}/status").st_uid == 0


@pytest.mark.release
@pytest.mark.parametrize("role", OWNERS)
def test_a_process_may_make_the_system_calls_of_its_role_alone(gateway, role):
    """A filter of seccomp(2) is in force; which calls it takes, unit tests say."""
    for pid in gateway.pids(role):
        assert status_of(pid)["Seccomp"] == "2"


@pytest.mark.release
@pytest.mark.parametrize("role", ["worker", "control"])
def test_the_root_of_a_process_is_empty(gateway, role):
    for pid in gateway.pids(role):
        assert os.listdir(f"/proc/{pid}/root") == []
        assert os.listdir(f"/proc/{pid}/cwd") == []
        assert os.readlink(f"/proc/{pid}/root") != "/"


def test_a_worker_can_read_neither_the_password_store_nor_keys(gateway, certificates):
    """By owner and mode, even if it left its root."""
    user = getpwnam("porteiro")
    for path in (gateway.folder / "sasldb2", certificates.ecdsa.key, certificates.rsa.key):
        found = path.stat()
        assert found.st_uid != user.pw_uid and found.st_gid != user.pw_gid
        assert not found.st_mode & stat.S_IROTH


def test_workers_hold_no_descriptor_of_a_file(gateway):
    """Keys, certificates, the password store, the configuration and the log are not open there."""
    with smtp(gateway) as client, pop3(gateway) as reader:
        client.envelope()
        reader.ask("STAT", "+OK")
        for pid in gateway.pids("worker"):
            files = [to for to in descriptors_of(pid).values()
                     if not to.startswith(("socket:", "anon_inode:", "pipe:", "/dev/null"))]
            assert files == []


def test_auth_processes_hold_no_descriptor_of_a_client_or_listener(gateway):
    """Nothing of the network: their sockets are those to master, workers and control."""
    inodes = {line.split()[9] for name in ("tcp", "tcp6") for line in
              Path(f"/proc/net/{name}").read_text().splitlines()[1:]}
    with smtp(gateway):
        for pid in gateway.pids("auth") + gateway.pids("control"):
            mine = {to[8:-1] for to in descriptors_of(pid).values() if to.startswith("socket:")}
            if pid in gateway.pids("auth"):
                assert not mine & inodes


def test_control_holds_the_log_and_no_listener(gateway):
    pid, = gateway.pids("control")
    until(lambda: str(gateway.log_file) in descriptors_of(pid).values(), "the log in control")
    for worker in gateway.pids("worker") + gateway.pids("auth"):
        assert str(gateway.log_file) not in descriptors_of(worker).values()


def test_titles_say_role_and_number(gateway):
    assert title_of(gateway.master) == "porteirod: master"
    assert {title_of(pid) for pid in gateway.pids("worker")} == {"porteirod: worker 1", "porteirod: worker 2"}
    assert {title_of(pid) for pid in gateway.pids("auth")} == {"porteirod: auth 1", "porteirod: auth 2"}
    assert [title_of(pid) for pid in gateway.pids("control")] == ["porteirod: control"]


def test_passwords_stand_in_no_command_line_environment_or_log(gateway):
    with smtp(gateway) as client, pop3(gateway), smtp(gateway, user=None) as other:
        other.ask(f"AUTH PLAIN {plain_response('alice', 'a-wrong-one')}", "535 ")
        client.mail(message())
        texts = gateway.log_text() + gateway.stderr_text()
        for process in gateway.processes():
            for name in ("cmdline", "environ"):
                texts += Path(f"/proc/{process['pid']}/{name}").read_bytes().decode("latin-1")
    for password in [*PASSWORDS.values(), "a-wrong-one"]:
        assert password not in texts


def test_the_environment_survives_the_title(new_gateway, new_smtp):
    """Titles are written over it; the copy is what getenv finds."""
    gateway = new_gateway(new_smtp(), environment={"TZ": "Pacific/Kiritimati"})
    with smtp(gateway) as client:
        client.mail(message())


def test_workers_0_is_one_for_each_cpu(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=0)
    assert len(gateway.pids("worker")) == len(os.sched_getaffinity(0))


# ---- killed under load ----

@pytest.mark.parametrize("role", ["worker", "auth", "control"])
def test_kill_9_under_load_loses_no_acknowledged_message_and_the_process_is_replaced(
        new_gateway, new_smtp, role):
    server = new_smtp()
    gateway = new_gateway(server)
    gateway.may_lose = {"process_died"}
    with Load(gateway) as load:
        load.more(20)
        for _ in range(2):
            old = gateway.pids(role)[:1]
            os.kill(old[0], signal.SIGKILL)
            gateway.wait_replaced(role, old)
            load.more(20)
    load.is_in(server)
    if role == "worker":
        allowed = ("Closed", "Connection", "SSL", "BrokenPipe")
        assert all(failure.startswith(allowed) for failure in load.failures), load.failures
    elif role == "auth":
        assert all("454 4.7.0" in failure for failure in load.failures), load.failures
    else:
        assert load.failures == []
    assert len(gateway.wait_event("process_died", count=2)["reason"]) > 0
    assert "signal 9" in gateway.events("process_died")[0]["reason"]


def test_a_process_that_made_a_forbidden_system_call_is_told_in_plain_words(new_gateway, new_smtp):
    """By the signal with which the kernel ends it."""
    gateway = new_gateway(new_smtp())
    gateway.may_lose = {"process_died"}
    old = gateway.pids("worker")[:1]
    os.kill(old[0], signal.SIGSYS)
    gateway.wait_replaced("worker", old)
    reason = gateway.wait_event("process_died", pid=old[0])["reason"]
    assert "a system call that its role may not" in reason


def test_sessions_of_other_workers_do_not_notice_a_killed_one(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=3)
    gateway.may_lose = {"process_died"}
    clients = one_client_a_worker(gateway)
    victim = next(iter(clients))
    for client in clients.values():
        client.envelope()
    os.kill(victim, signal.SIGKILL)
    assert clients.pop(victim).socket.recv(1) == b""
    for client in clients.values():
        client.text(message())


def test_what_a_killed_worker_had_to_say_is_in_the_log(new_gateway, new_smtp):
    """Lines wait a moment for others; the last ones before a crash are those that are looked for."""
    gateway = new_gateway(new_smtp(), workers=1)
    gateway.may_lose = {"process_died"}
    worker, = gateway.pids("worker")
    client = smtp(gateway).envelope()
    client.text(message())
    os.kill(worker, signal.SIGKILL)
    gateway.wait_event("message_accepted", sender="alice@example.com")
    gateway.wait_event("process_died", pid=worker)


def test_sessions_of_a_killed_worker_are_listed_no_more(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1)
    gateway.may_lose = {"process_died"}
    kept = [smtp(gateway) for _ in range(5)]
    gateway.wait_sessions(5)
    old = gateway.pids("worker")
    os.kill(old[0], signal.SIGKILL)
    gateway.wait_replaced("worker", old)
    gateway.wait_sessions(0)
    assert kept


def test_exchanges_of_a_killed_auth_process_are_454(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3(), auth={"processes": 1})
    gateway.may_lose = {"process_died"}
    with smtp(gateway, user=None) as client, pop3(gateway, user=None) as reader:
        scram.begin(client, scram.Scram("alice", PASSWORDS["alice"]))
        old = gateway.pids("auth")
        os.kill(old[0], signal.SIGKILL)
        client.expect("454 4.7.0 ")
        gateway.wait_replaced("auth", old)
        client.login()
        reader.login()


def test_logins_while_every_auth_process_is_away_are_454_and_work_again_after(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3())
    gateway.may_lose = {"process_died"}
    old = gateway.pids("auth")
    for pid in old:
        stop_process(pid)
    with smtp(gateway, user=None) as client, pop3(gateway, user=None) as reader:
        client.send(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}")
        reader.ask("USER alice", "+OK")
        reader.send(f"PASS {PASSWORDS['alice']}")
        assert client.is_silent(0.2)
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        client.expect("454 4.7.0 ")
        reader.expect("-ERR [SYS/TEMP] ")
        gateway.wait_replaced("auth", old)
        client.login()


def test_a_killed_control_is_replaced_and_no_log_line_is_lost(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server)
    gateway.may_lose = {"process_died"}
    old = gateway.pids("control")
    stop_process(old[0])
    ids = []
    with smtp(gateway) as client:
        for _ in range(20):
            ids.append(client.mail(message()))
        os.kill(old[0], signal.SIGKILL)
        for _ in range(20):
            ids.append(client.mail(message()))
    gateway.wait_replaced("control", old)
    for message_id in ids:
        gateway.wait_event("message_accepted", message=message_id)


def test_a_process_that_dies_again_and_again_is_started_with_a_growing_pause(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=2)
    gateway.may_lose = {"process_died"}
    times = []
    for _ in range(4):
        old = [p["pid"] for p in gateway.processes("worker") if p["index"] == 1 and p["state"] == "serving"]
        begin = time.monotonic()
        os.kill(old[0], signal.SIGKILL)
        until(lambda: [p for p in gateway.processes("worker")
                       if p["index"] == 1 and p["state"] == "serving" and p["pid"] not in old])
        times.append(time.monotonic() - begin)
    assert times[0] < 0.5 * (4 if build.IS_ASAN else 1)  # at once the first time
    assert times[3] > times[2] > times[1] > 0.4
    with smtp(gateway) as client:  # the other serves meanwhile
        client.mail(message())


# ---- backlog ----

def test_connections_in_the_backlog_are_served_by_the_successors_of_killed_workers(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    gateway.may_lose = {"process_died"}
    workers = gateway.pids("worker")
    for pid in workers:
        stop_process(pid)
    waiting = [Smtp(gateway.port("submission"), tls=None) for _ in range(50)]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    for client in waiting:
        client.expect("220 ")
    for client in waiting[:5]:
        client.hello()
        client.starttls()
        client.hello()
        client.login().mail(message())


def test_a_stopped_worker_does_not_keep_new_clients_waiting(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    stopped = gateway.pids("worker")[0]
    stop_process(stopped)
    begin = time.monotonic()
    for _ in range(20):
        with smtp(gateway) as client:
            client.mail(message())
    assert time.monotonic() - begin < (20 if build.IS_ASAN else 5)
    os.kill(stopped, signal.SIGCONT)


@pytest.mark.long
@pytest.mark.parametrize("role, seconds", [("worker", 10), ("auth", 30), ("control", 30)])
def test_a_hung_process_is_killed_and_replaced(new_gateway, new_smtp, role, seconds):
    gateway = new_gateway(new_smtp())
    gateway.may_lose = {"process_died", "process_hung"}
    old = gateway.pids(role)[:1]
    begin = time.monotonic()
    stop_process(old[0])
    until(lambda: not exists(old[0]), "the hung process is killed", seconds + 10)
    assert seconds - 2 <= time.monotonic() - begin <= seconds + 5
    gateway.wait_replaced(role, old)
    assert gateway.wait_event("process_hung", pid=old[0])["state"] == role
    with smtp(gateway) as client:
        client.mail(message())


@pytest.mark.long
@pytest.mark.timeout(240)
def test_what_a_hung_worker_holds_comes_back_and_what_a_live_one_holds_stays(new_gateway, new_smtp, new_redis):
    """A lease is renewed each minute, and dies two after the last time; in memory the master gives it back before that."""
    limits = {"places": {"key": ["account"], "count": "sessions", "max": 2}}
    options = {"workers": 2, "policies": {"out": {"limits": limits}}, "listener": {"policy": "out"}}
    shared = {"redis": {"address": [f"127.0.0.1:{new_redis().port}"]}}
    server, lease, held = new_smtp(), 120, []
    gateways = [new_gateway(server, **options), new_gateway(server, **options, **shared)]

    def gets_in(gateway):
        client = smtp(gateway, user=None)
        client.send(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}")
        if client.reply().startswith("235 "):
            held.append(client)
            return True
        client.quit()
        time.sleep(0.5)  # it comes back by time alone
        return False

    begin = time.monotonic()
    for gateway in gateways:
        gateway.may_lose = {"process_died", "process_hung"}
        workers = one_client_a_worker(gateway, user=None)
        held.extend(client.login() for client in workers.values())
        assert not gets_in(gateway)
        stop_process(next(iter(workers)))
    for gateway, patience in zip(gateways, (30, lease + 30)):
        until(lambda g=gateway: gets_in(g), "the place of the hung one is free", patience)
    until(lambda: time.monotonic() > begin + lease + 10, "longer than an unrenewed lease lasts", lease + 20)
    assert not any(gets_in(gateway) for gateway in gateways)


# ---- the master dies ----

def test_when_the_master_dies_the_others_finish_their_sessions_and_end(new_gateway, new_smtp, new_pop3):
    server = new_smtp()
    gateway = new_gateway(server, new_pop3([message()]))
    gateway.exit_status = -signal.SIGKILL
    pids = [p["pid"] for p in gateway.processes() if p["role"] != "master"]
    with smtp(gateway) as sender, pop3(gateway) as reader, smtp(gateway, user=None) as newcomer:
        sender.envelope()
        gateway.signal(signal.SIGKILL)
        gateway.wait()
        sender.text(message())
        sender.mail(message())
        reader.retrieve(1)
        newcomer.login().mail(message())
        for client in (sender, reader, newcomer):
            client.quit()
    until(lambda: not [pid for pid in pids if exists(pid)], "the others end")
    assert len(server.messages) == 3
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", gateway.port("submissions")), 1)


def test_a_gateway_whose_master_was_killed_can_be_started_again_while_old_sessions_last(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server)
    control, = gateway.pids("control")
    with smtp(gateway) as client:  # its worker stays
        gateway.signal(signal.SIGKILL)
        gateway.wait()
        until(lambda: not exists(control), "control ends at once")
        old, gateway.process = gateway.process, None
        gateway.start()
        with smtp(gateway) as another:
            another.mail(message())
        client.mail(message())
        client.quit()
    assert old.returncode == -signal.SIGKILL and len(server.messages) == 2


def prime_of(key):
    """A number that only the private key has, as it lies in memory."""
    shown = subprocess.run(["openssl", "rsa", "-in", key, "-noout", "-text"], capture_output=True, text=True, check=True)
    digits = re.search(r"prime1:\n((?:\s+[0-9a-f:]+\n)+)", shown.stdout)[1]
    return bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0")[::-1]


def test_workers_alone_hold_private_keys_and_only_their_own(new_gateway, new_smtp, certificates):
    gateway = new_gateway(new_smtp(), workers=1, auth={"processes": 1})
    secret = prime_of(certificates.rsa.key)
    client = smtp(gateway)  # keeps the first generation
    for _ in range(2):
        for process in gateway.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                has_it = has_in_memory(process["pid"], secret)
                assert has_it == (process["role"] in ("worker", "master")), process
        gateway.reload()
    client.quit()
