"""A reload drops nobody."""
import contextlib
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fixtures.clients import Smtp, message, pop3, smtp, stuffed
from fixtures.load import Load
from fixtures.processes import accepts, children_of, exists, free_port, title_of
from fixtures.scripted import Gate
from fixtures.waiting import until


def by_signal(gateway):
    count = len(gateway.events("reloaded"))
    gateway.signal(signal.SIGHUP)
    gateway.wait_event("reloaded", count=count + 1)
    gateway.wait_reloaded()


def by_porteiroctl(gateway):
    assert "serves" in gateway.reload()


WAYS = pytest.mark.parametrize("reload", [by_signal, by_porteiroctl])


@WAYS
def test_a_reload_under_load_loses_nothing_and_drops_no_session(new_gateway, new_smtp, reload):
    server = new_smtp()
    gateway = new_gateway(server)
    with Load(gateway, a_session=20) as load:
        for _ in range(4):
            load.more(15)
            reload(gateway)
        load.more(15)
    assert load.failures == []
    load.is_in(server)


@WAYS
def test_a_session_in_data_survives_a_reload(new_gateway, new_smtp, reload):
    server = new_smtp()
    gateway = new_gateway(server)
    text = stuffed(message(body="line\r\n" * 20000))
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(text[:50000])
        reload(gateway)
        client.send_bytes(text[50000:] + b".\r\n")
        client.expect("250 2.0.0 Ok: queued as ")
        client.mail(message())  # and goes on
    assert server.messages[0].data.endswith(text)


def test_a_session_that_waits_for_the_answer_to_its_dot_survives_a_reload(new_gateway, new_smtp):
    server = new_smtp().on("DOT", gate := Gate(), None)
    gateway = new_gateway(server)
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(message() + b".\r\n")
        gate.wait_reached()
        gateway.reload()
        gate.open()
        client.expect("250 2.0.0 Ok: queued as ")


def test_every_kind_of_session_survives_a_reload(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3([message()]))
    with smtp(gateway) as idle, smtp(gateway) as in_envelope, smtp(gateway, user=None) as without_login, \
            Smtp(gateway.port("submission"), tls=None) as without_tls, pop3(gateway) as mailbox, \
            pop3(gateway, user=None) as reader:
        in_envelope.envelope()
        without_tls.expect("220 ")
        mailbox.ask("STAT", "+OK 1 ")
        gateway.reload()
        idle.mail(message())
        in_envelope.text(message())
        without_login.login().mail(message())
        without_tls.hello()
        without_tls.starttls()
        without_tls.hello()
        without_tls.login().mail(message())
        assert len(mailbox.retrieve(1)) > 0
        reader.login()
        reader.ask("STAT", "+OK 1 ")


def test_the_old_generation_ends_with_its_last_session(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    old = gateway.pids("worker") + gateway.pids("auth") + gateway.pids("control")
    with smtp(gateway) as client:
        mine = gateway.session(client)["pid"]
        gateway.reload()
        until(lambda: [pid for pid in old if exists(pid)] != old)
        assert exists(mine) and title_of(mine).endswith("(draining)")
        assert {p["state"] for p in gateway.processes() if p["pid"] == mine} == {"draining"}
        client.quit()
    until(lambda: not [pid for pid in old if exists(pid)])
    gateway.wait_event("generation_ended", generation=1)
    assert {p["generation"] for p in gateway.processes()} == {2}


def test_new_clients_are_served_by_the_new_generation(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    old = set(gateway.pids("worker"))
    with smtp(gateway):
        gateway.reload()
        for _ in range(10):
            with smtp(gateway) as client:
                assert gateway.session(client)["pid"] not in old


def test_new_clients_get_the_new_configuration_and_old_ones_keep_theirs(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    with smtp(gateway) as old:
        gateway.reload(hostname="new.example.com", listeners={"submissions": {"max_recipients": 1}})
        assert old.ask("EHLO x", "250 ").startswith("250-mail.example.com\n")
        old.envelope(recipients=["a@dest.example", "b@dest.example"])
        with Smtp(gateway.port("submissions")) as new:
            new.expect("220 new.example.com ESMTP")
            new.hello()
            new.login()
            new.envelope(recipients=["a@dest.example"])
            new.ask("RCPT TO:<b@dest.example>", "452 4.5.3 ")


def test_sessions_past_reload_grace_get_421_between_transactions(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), reload_grace="1s")
    with smtp(gateway) as idle, smtp(gateway) as busy:
        busy.envelope()
        gateway.reload()
        idle.expect("421 4.3.2 ")
        assert idle.is_closed()
        busy.text(message())
        busy.expect("421 4.3.2 ")
        assert busy.is_closed()
    gateway.wait_event("generation_ended", generation=1)


def test_a_ninth_generation_ends_the_oldest(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1)

    def client_of_newest():
        while True:
            client = smtp(gateway)
            if gateway.session(client)["pid"] in gateway.pids("worker"):
                return client
            client.quit()  # the old one was faster

    clients = []
    for generation in range(1, 9):
        clients.append(client_of_newest())
        gateway.reload()
        if generation < 8:  # with this one there are `generation` + 1
            clients[0].ask("NOOP", "250 ")
    clients[0].expect("421 4.3.2 ")
    for client in clients[1:]:
        client.ask("NOOP", "250 ")


# ---- a new configuration that is wrong ----

def test_a_wrong_configuration_leaves_the_old_in_force_and_porteiroctl_says_file_line(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    workers = gateway.pids("worker")
    text = gateway.config_file.read_text()
    gateway.config_file.write_text(text + "bogus = 1\nnonsense = 2\n")
    line = text.count("\n") + 1
    said = gateway.ctl("reload", status=1).stderr
    assert f"{gateway.config_file}:{line}: bogus: unknown key" in said
    assert f"{gateway.config_file}:{line + 1}: nonsense: unknown key" in said
    for number, word in ((line, "bogus"), (line + 1, "nonsense")):
        gateway.wait_event("configuration_error")
        assert [e for e in gateway.events("configuration_error")
                if e["reason"].startswith(f"{gateway.config_file}:{number}: {word}")]
    gateway.wait_event("reload_failed")
    assert gateway.pids("worker") == workers
    with smtp(gateway) as client:
        client.mail(message())
    gateway.config_file.write_text(text)
    gateway.reload()


def test_a_wrong_configuration_by_sighup_leaves_the_old_in_force_and_the_log_says_file_line(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    workers = gateway.pids("worker")
    gateway.config_file.write_text("workers = yes\n")
    gateway.signal(signal.SIGHUP)
    gateway.wait_event("reload_failed")
    assert f"{gateway.config_file}:1: " in gateway.events("configuration_error")[0]["reason"]
    assert gateway.pids("worker") == workers
    with smtp(gateway) as client:
        client.mail(message())


@pytest.mark.parametrize("changes, words", [
    ({"max_connections": 50000}, "needs a restart"),
    ({"control": "/tmp/another.sock"}, "needs a restart"),
    ({"tls": {"default": {"certificate": ["/nowhere.pem", "/nowhere2.pem"]}}}, "/nowhere.pem"),
])
def test_what_can_not_change_or_can_not_be_read_is_refused_with_file_line(new_gateway, new_smtp, changes, words):
    gateway = new_gateway(new_smtp())
    control = gateway.config["control"]
    gateway.write_config(**changes)
    gateway.config["control"] = control
    said = gateway.ctl("reload", status=1).stderr
    assert words in said and f"{gateway.config_file}:" in said
    with smtp(gateway) as client:
        client.mail(message())


def test_a_port_that_is_taken_refuses_the_reload_and_leaves_all_doors_open(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server)
    gateway.write_config(listeners={"third": {"bind": [f"127.0.0.1:{server.port}"], "upstream": "smtp"}})
    said = gateway.ctl("reload", status=1).stderr
    assert "listeners.third.bind" in said or "own listener" in said
    gateway.config["listeners"].pop("third")
    for door in ("submissions", "submission"):
        with smtp(gateway, door=door) as client:
            client.mail(message())


# ---- servers behind ----

def test_a_reload_moves_new_clients_to_another_server_and_old_ones_keep_theirs(new_gateway, new_smtp):
    first, second = new_smtp(), new_smtp()
    gateway = new_gateway(first)
    with smtp(gateway) as old:
        old.envelope()
        gateway.reload(upstreams={"smtp": {"servers": {"a": None, "b": {"address": f"127.0.0.1:{second.port}"}}}})
        with smtp(gateway) as new:
            new.mail(message())
        old.text(message())
        old.quit()
    assert (len(first.messages), len(second.messages)) == (1, 1)
    gateway.wait_event("generation_ended", generation=1)
    first.wait_connections(0)  # pooled ones end with their generation
    until(lambda: [s["name"] for s in gateway.status()["servers"]] == ["smtp/b"])


def test_max_connections_holds_over_generations(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=2, upstream={
        "max_connections": 3, "wait_timeout": "20s", "health_check": "1h"})
    with Load(gateway, count=6) as load:
        load.more(10)
        server.peak = 0
        for _ in range(3):
            gateway.reload()
            load.more(10)
    assert load.failures == []
    assert server.peak <= 3 + 1  # and the probe of the new control


# ---- the end of the gateway in the middle of it ----

def test_sigterm_right_behind_sighup_ends_the_gateway(new_gateway, new_smtp):
    for pause in (0, 0.01, 0.03, 0.06):
        gateway = new_gateway(new_smtp())
        with smtp(gateway) as client:
            client.mail(message())
        gateway.signal(signal.SIGHUP)
        time.sleep(pause)  # to meet the reload in different moments
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0


# ---- listeners ----

def test_a_reload_adds_a_listener(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    port = free_port()
    gateway.reload(listeners={"third": {"bind": [f"127.0.0.1:{port}"], "upstream": "smtp"}})
    with smtp(gateway, door="third") as client:
        client.mail(message())


def test_a_reload_takes_a_listener_away_and_its_sessions_go_on(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    port = gateway.port("submission")
    with smtp(gateway, door="submission") as client:
        gateway.reload(listeners={"submission": None})
        until(lambda: not accepts(port), "the port is closed")
        client.mail(message())
    with smtp(gateway, door="submissions") as client:
        client.mail(message())


def test_a_reload_never_closes_a_door_that_stays(new_gateway, new_smtp):
    """No connection is refused, none waits unanswered."""
    gateway = new_gateway(new_smtp())
    failures, is_over = [], threading.Event()

    def knock():
        while not is_over.is_set():
            try:
                with Smtp(gateway.port("submission"), tls=None, timeout=10) as client:
                    client.expect("220 ")
                    client.ask("QUIT", "221 ")
            except (OSError, AssertionError) as failure:
                failures.append(repr(failure))

    threads = [threading.Thread(target=knock) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        gateway.reload()
    is_over.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_fewer_and_more_workers_lose_no_waiting_connection(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=4)
    with Load(gateway, count=6, a_session=2) as load:
        for workers in (1, 4, 2):
            load.more(10)
            gateway.reload(workers=workers)
            assert len(gateway.pids("worker")) == workers
        load.more(10)
    assert load.failures == []


# ---- what is kept ----

def test_counters_and_uptime_are_kept(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    with smtp(gateway) as client:
        client.mail(message())

    def counted():
        status = gateway.status()
        return status, {l["name"]: l["messages"] for l in status["listeners"]}

    until(lambda: counted()[1]["submissions"] == 1)
    gateway.reload()
    status, messages = counted()
    assert messages["submissions"] == 1 and status["generation"] == 2
    assert status["pid"] == gateway.master


def test_a_generation_that_can_not_start_leaves_the_old_in_force(new_gateway, new_smtp):
    """Its workers are killed as they come: nobody is served by it."""
    gateway = new_gateway(new_smtp())
    gateway.may_lose = {"process_died"}
    os.rename(gateway.folder / "sasldb2", gateway.folder / "away")
    assert "auth.sasldb" in gateway.ctl("reload", status=1).stderr
    os.rename(gateway.folder / "away", gateway.folder / "sasldb2")
    with smtp(gateway) as client:
        client.mail(message())


def test_everybody_who_asks_for_a_reload_at_once_is_told_how_it_went(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    for _ in range(5):
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: gateway.ask("reload")[-1], range(4)))
        assert any(answer["ok"] for answer in answers)
        for answer in answers:
            assert answer["ok"] or "another reload is under way" in answer["error"]
    with smtp(gateway) as client:
        client.mail(message())


@pytest.mark.long
def test_reloads_without_end_leave_nothing_behind(new_gateway, new_smtp):
    """Descriptors, processes and memory of the master stay as they are."""
    gateway = new_gateway(new_smtp())

    def figures():
        return len(os.listdir(f"/proc/{gateway.master}/fd"))

    for _ in range(10):
        gateway.reload()
    until(lambda: {p["generation"] for p in gateway.processes()} == {11})
    before = figures()
    begin = time.monotonic()
    for _ in range(100):
        gateway.reload()
    assert time.monotonic() - begin < 100
    until(lambda: len({p["generation"] for p in gateway.processes()}) == 1)
    assert figures() <= before + 30  # of generations that overlap more than before; a leak has 100


def stop_a_new_auth_process(gateway, old):
    """Before it is ready; None when it was faster."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for pid in set(children_of(gateway.master)) - old:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one of those that end
                if not title_of(pid).startswith("porteirod: auth"):
                    continue
                os.kill(pid, signal.SIGSTOP)
                if "(starting)" in title_of(pid):
                    return pid
                os.kill(pid, signal.SIGCONT)
    return None


def begin_reload_that_hangs(gateway):
    """SIGHUP; one of the new auth processes is stopped before it is ready. Returns who was there before."""
    for _ in range(20):
        gateway.wait_reloaded()
        old = {process["pid"] for process in gateway.processes()}
        gateway.signal(signal.SIGHUP)
        if stop_a_new_auth_process(gateway, old):
            return old
    raise AssertionError("new processes are always faster")


@pytest.mark.long
def test_a_reload_whose_processes_do_not_start_takes_no_client(new_gateway, new_smtp):
    """After 20 s it is given up; until then and behind it the old ones serve everybody."""
    gateway = new_gateway(new_smtp(), workers=1)
    gateway.may_lose = {"process_died", "process_hung"}
    extra = free_port()
    gateway.write_config(listeners={"more": {"bind": [f"127.0.0.1:{extra}"], "role": "refuse"}})
    old = begin_reload_that_hangs(gateway)
    clients = [smtp(gateway) for _ in range(10)]
    assert {gateway.session(client)["pid"] for client in clients} <= old
    gateway.wait_event("reload_failed", timeout=40)
    for client in clients:
        client.mail(message())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", extra), 5)


def test_an_auth_process_that_was_replaced_ends_with_its_generation(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1, auth={"processes": 1})
    gateway.may_lose = {"process_died"}
    client = smtp(gateway)
    old, = gateway.pids("auth")
    gateway.reload()
    os.kill(old, signal.SIGKILL)
    gateway.wait_event("process_died")
    until(lambda: any(p["generation"] == 1 and p["role"] == "auth" for p in gateway.processes()), "another one")
    client.quit()
    gateway.wait_event("generation_ended", generation=1)


def test_sigterm_during_a_reload_lets_transactions_finish(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1, shutdown_grace="20s")
    client = smtp(gateway)
    client.envelope()
    client.ask("DATA", "354 ")
    gateway.signal(signal.SIGHUP)
    gateway.signal(signal.SIGTERM)
    gateway.wait_event("stopping")
    client.send_bytes(message() + b".\r\n")
    client.expect("250 ")
    client.drop()  # else its end is awaited
    assert gateway.wait() == 0
