"""Drain, SIGTERM, and what a service manager hears."""
import os
import signal
import socket
import struct
import subprocess
import time

import pytest

from fixtures import build
from fixtures.clients import Pop3, Smtp, message, pop3, smtp
from fixtures.processes import exists, title_of
from fixtures.scripted import Gate
from fixtures.waiting import PATIENCE, until


# ---- drain ----

def test_a_draining_gateway_serves_new_clients_for_drain_delay(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), drain_delay="1h")
    gateway.ctl("drain")
    with smtp(gateway) as client:
        client.mail(message())
    assert gateway.status()["state"] == "draining"
    gateway.wait_event("draining")


def test_after_drain_delay_new_clients_get_421_4_3_2(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3(), drain_delay="300ms", workers=1)  # each refuses by a clock of its own
    gateway.ctl("drain")

    def is_refused():
        with Smtp(gateway.port("submission"), tls=None) as client:
            return client.reply().startswith("421 4.3.2 ")

    until(is_refused)
    with Smtp(gateway.port("submission"), tls=None) as client:
        client.expect("421 4.3.2 ")
        assert client.is_closed()
    with Pop3(gateway.port("pop3"), tls=None) as client:
        client.expect("-ERR [SYS/TEMP] ")
        assert client.is_closed()
    for door in ("submissions", "pop3s"):  # closed without a word: it couldn't be said in clear
        with Smtp(gateway.port(door), tls=None) as client:
            assert client.is_closed()


def test_sessions_end_between_transactions(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3([message()]), drain_delay="200ms")
    with smtp(gateway) as idle, smtp(gateway) as busy, pop3(gateway) as reader, pop3(gateway, user=None) as guest:
        busy.envelope()
        gateway.ctl("drain")
        idle.expect("421 4.3.2 ")
        assert idle.is_closed()
        reader.expect("-ERR [SYS/TEMP] ")
        assert reader.is_closed()
        guest.expect("-ERR [SYS/TEMP] ")
        until(lambda: gateway.status()["sessions"] == 1)  # what is left is counted
        busy.text(message())
        busy.expect("421 4.3.2 ")
        assert busy.is_closed()
    until(lambda: gateway.status()["sessions"] == 0)


def test_a_draining_mailbox_session_deletes_nothing(new_gateway, new_pop3):
    server = new_pop3([message()])
    gateway = new_gateway(pop3=server, drain_delay="100ms")
    with pop3(gateway) as client:
        client.ask("DELE 1", "+OK")
        gateway.ctl("drain")
        client.expect("-ERR ")
    server.wait_connections(0)
    assert server.deleted == []


def test_drain_wait_returns_when_no_session_is_left(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), drain_delay="100ms")
    with smtp(gateway) as client:
        client.envelope()
        waiting = subprocess.Popen(
            [build.PORTEIROCTL, "-s", gateway.config["control"], "drain", "--wait", "60s"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        gateway.wait_event("draining")
        time.sleep(0.5)  # it must not return while there is one: nothing can be awaited for that
        assert waiting.poll() is None
        client.text(message())
        client.expect("421 4.3.2 ")
    out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0, out + err


def test_drain_wait_fails_with_what_is_left_when_its_time_is_over(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), drain_delay="100ms")
    with smtp(gateway) as client:
        client.envelope()
        assert "1 session" in gateway.ctl("drain", "--wait", "500ms", status=1).stderr


def test_undrain_serves_new_clients_again(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), drain_delay="0s")
    gateway.ctl("drain")
    with Smtp(gateway.port("submission"), tls=None) as client:
        client.expect("421 4.3.2 ")
    gateway.ctl("undrain")

    def is_served():
        with Smtp(gateway.port("submission"), tls=None) as client:
            return client.reply().startswith("220 ")

    until(is_served)
    for _ in range(6):
        with smtp(gateway) as client:
            client.mail(message())
    assert gateway.status()["state"] == "serving"
    gateway.wait_event("undrained")
    assert not [pid for pid in gateway.pids("worker") if "(" in title_of(pid)]


def test_undrain_within_drain_delay_ends_no_session(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), drain_delay="500ms")
    with smtp(gateway) as client:
        gateway.ctl("drain")
        gateway.ctl("undrain")
        assert client.is_silent(0.8)
        client.mail(message())


def test_titles_and_status_say_draining(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), drain_delay="1h")
    gateway.ctl("drain")
    workers = gateway.pids("worker")
    until(lambda: all(title_of(pid).endswith("(draining)") for pid in workers))
    assert title_of(gateway.master) == "porteirod: master (draining)"
    assert {title_of(pid) for pid in workers} == {"porteirod: worker 1 (draining)", "porteirod: worker 2 (draining)"}


def test_a_drain_holds_over_a_reload_and_over_a_killed_worker(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), drain_delay="0s")
    gateway.may_lose = {"process_died"}
    gateway.ctl("drain")

    def is_refused():
        with Smtp(gateway.port("submission"), tls=None) as client:
            return client.reply().startswith("421 4.3.2 ")

    until(is_refused)
    gateway.reload()
    until(lambda: all(is_refused() for _ in range(5)))
    old = gateway.pids("worker")
    os.kill(old[0], signal.SIGKILL)
    until(lambda: [p for p in gateway.processes("worker")
                   if p["generation"] == 2 and p["pid"] not in old and p["state"] == "draining"])
    assert all(is_refused() for _ in range(10))


# ---- SIGTERM ----

def test_sigterm_ends_idle_sessions_with_421_4_3_2(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3())
    with smtp(gateway) as idle, smtp(gateway, user=None) as without_login, pop3(gateway) as reader, \
            Smtp(gateway.port("submission"), tls=None) as without_tls:
        without_tls.expect("220 ")
        gateway.signal(signal.SIGTERM)
        for client in (idle, without_login, without_tls):
            client.expect("421 4.3.2 ")
            assert client.is_closed()
        reader.expect("-ERR [SYS/TEMP] ")
        assert reader.is_closed()
    assert gateway.wait() == 0


def test_clients_that_are_just_talking_read_their_421_and_an_end_in_good_order(new_gateway, new_smtp):
    """A worker that ends while its clients still send must not reset them."""
    gateway = new_gateway(new_smtp(), workers=1)
    clients = [smtp(gateway) for _ in range(10)]
    for client in clients:
        client.send(["NOOP"] * 90)  # a hundred would be too many
    gateway.signal(signal.SIGTERM)
    for client in clients:
        while (reply := client.reply()).startswith("250 "):
            pass
        assert reply.startswith(("421 4.3.2 ", "421 4.7.0 "))  # or it has chatted too long before
        assert client.is_closed()
        client.drop()
    assert gateway.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_transaction_in_progress_finishes(new_gateway, new_smtp, number):
    server = new_smtp()
    gateway = new_gateway(server, shutdown_grace="30s")
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        gateway.signal(number)
        gateway.wait_event("stopping")
        client.send_bytes(message() + b".\r\n")
        client.expect("250 2.0.0 Ok: queued as ")
        client.expect("421 4.3.2 ")
        assert client.is_closed()
    assert gateway.wait() == 0
    assert len(server.messages) == 1


def test_the_answer_to_the_dot_is_awaited_within_shutdown_grace(new_gateway, new_smtp):
    server = new_smtp().on("DOT", gate := Gate())
    gateway = new_gateway(server, shutdown_grace="30s")
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(message() + b".\r\n")
        gate.wait_reached()
        gateway.signal(signal.SIGTERM)
        gateway.wait_event("stopping")
        gate.open()
        client.expect("250 2.0.0 Ok: queued as ")
    assert gateway.wait() == 0


def test_shutdown_grace_bounds_what_is_waited_for(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, shutdown_grace="1s")
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(b"Subject: never ended\r\n")
        begin = time.monotonic()
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
        assert 0.5 < time.monotonic() - begin < (20 if build.IS_ASAN else 5)
    assert not server.messages


def test_new_clients_get_421_4_3_2_while_others_finish(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), shutdown_grace="30s")
    with smtp(gateway) as client:
        client.envelope()
        gateway.signal(signal.SIGTERM)
        gateway.wait_event("stopping")

        def is_refused():
            with Smtp(gateway.port("submission"), tls=None) as other:
                return other.reply().startswith("421 4.3.2 ")

        until(is_refused)
        client.text(message())
    assert gateway.wait() == 0


def test_a_second_sigterm_stops_at_once(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, shutdown_grace="10min")
    pids = [p["pid"] for p in gateway.processes()]
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        gateway.signal(signal.SIGTERM)
        gateway.wait_event("stopping")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait(5) == 0
    assert not [pid for pid in pids if exists(pid)] and not server.messages


def test_the_end_is_in_the_log_and_the_socket_is_gone(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    with smtp(gateway) as client:
        client.mail(message())
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    names = [event["event"] for event in gateway.events()]
    assert "started" in names and "session_ended" in names
    assert names.index("stopping") > names.index("started") and names[-1] == "stopped"
    assert not os.path.exists(gateway.config["control"])


def test_it_ends_too_when_a_server_behind_hangs(new_gateway, new_smtp):
    server = new_smtp().on("DOT", Gate())
    gateway = new_gateway(server, shutdown_grace="1s")
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(message() + b".\r\n")
        gateway.signal(signal.SIGTERM)
        assert client.is_closed()  # without an answer: nobody knows it
    assert gateway.wait() == 0


def test_it_is_started_again_on_the_same_ports_at_once(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server)
    for _ in range(3):
        with smtp(gateway) as client:
            client.mail(message())
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
        gateway.start()
    assert len(server.messages) == 3


def test_a_second_gateway_on_the_same_control_socket_is_refused(new_gateway, new_smtp):
    first = new_gateway(new_smtp())
    second = new_gateway(new_smtp(), start=False, control=first.config["control"])
    second.start(is_awaited=False)
    assert second.wait() == 1
    second.exit_status = 1
    assert "another porteirod answers there" in second.stderr_text()
    with smtp(first) as client:
        client.mail(message())


# ---- service manager ----

class Manager:
    """What systemd would be: the socket of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = folder / "notify.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(str(self.path))
        self.socket.settimeout(PATIENCE)

    def hear(self):
        """The next notification: sender's pid, assignments."""
        data, control, _, _ = self.socket.recvmsg(4096, 512)
        pid = next(struct.unpack("3i", value)[0] for level, kind, value in control
                   if kind == socket.SCM_CREDENTIALS)
        return pid, dict(line.split("=", 1) for line in data.decode().splitlines())


def test_systemd_hears_ready_reloading_and_stopping(new_gateway, new_smtp, folder):
    if "libsystemd" not in subprocess.run(["ldd", build.PORTEIROD], capture_output=True, text=True).stdout:
        pytest.skip("built without libsystemd")
    manager = Manager(folder)
    gateway = new_gateway(new_smtp(), environment={"NOTIFY_SOCKET": str(manager.path)}, start=False)
    gateway.start(is_awaited=False)
    pid, said = manager.hear()
    assert said["READY"] == "1" and pid == gateway.master
    with smtp(gateway) as client:  # READY means it
        client.ask("NOOP", "250 ")
    gateway.signal(signal.SIGHUP)
    pid, said = manager.hear()
    assert said["RELOADING"] == "1" and int(said["MONOTONIC_USEC"]) > 0
    assert manager.hear()[1]["READY"] == "1"
    gateway.signal(signal.SIGTERM)
    assert manager.hear()[1]["STOPPING"] == "1"
    assert gateway.wait() == 0


def test_systemd_hears_ready_again_after_a_reload_that_failed(new_gateway, new_smtp, folder):
    if "libsystemd" not in subprocess.run(["ldd", build.PORTEIROD], capture_output=True, text=True).stdout:
        pytest.skip("built without libsystemd")
    manager = Manager(folder)
    gateway = new_gateway(new_smtp(), environment={"NOTIFY_SOCKET": str(manager.path)})
    assert manager.hear()[1]["READY"] == "1"
    gateway.config_file.write_text("bogus\n")
    gateway.signal(signal.SIGHUP)
    assert manager.hear()[1]["RELOADING"] == "1"
    assert manager.hear()[1]["READY"] == "1"
