"""Several servers behind, and how many connections to each."""
import os
import signal
import threading

import pytest

from fixtures.clients import message, smtp
from fixtures.scripted import EXTENSIONS, XCLIENT, Gate
from fixtures.waiting import PATIENCE, readable

XCLIENT_TOO = (*EXTENSIONS, XCLIENT)


# ---- several servers ----

def test_the_next_server_is_tried_when_one_is_down(new_gateway, new_smtp):
    first, second = new_smtp(), new_smtp()
    gateway = new_gateway([first, second])
    first.kill()
    with smtp(gateway) as client:
        for _ in range(6):
            client.mail(message())
    assert len(second.messages) == 6


def test_the_next_server_is_tried_when_one_does_not_answer(new_gateway, new_smtp):
    first, second = new_smtp(), new_smtp()
    gateway = new_gateway([first, second], upstream={"command_timeout": "500ms"})
    first.on("EHLO", Gate())
    with smtp(gateway) as client:
        for _ in range(4):
            client.mail(message())
            client.ask("RSET", "250 ")
    assert len(first.messages) + len(second.messages) == 4 and len(second.messages) >= 3


def test_servers_take_turns(new_gateway, new_smtp):
    first, second = new_smtp(), new_smtp()
    gateway = new_gateway([first, second], workers=1)
    clients = [smtp(gateway) for _ in range(10)]
    for client in clients:
        client.envelope()
    for client in clients:
        client.text(message())
    assert len(first.messages) == len(second.messages) == 5


def test_a_server_that_was_down_is_used_again_when_a_probe_finds_it_well(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server)
    server.kill()
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.4.1 ")
        gateway.wait_event("upstream_down", upstream="smtp/a")
        server.listen()
        gateway.wait_event("upstream_up", count=2, upstream="smtp/a")
        client.ask("RCPT TO:<x@dest.example>", "250 2.1.5 ")
        client.text(message())


def test_probes_speak_as_a_session_would_and_quit(new_gateway, new_smtp, server_tls):
    server = new_smtp(tls=server_tls)
    new_gateway(server, upstream={"tls": "opportunistic", "health_check": "200ms"})
    server.wait_for(lambda: len(server.connections) >= 4 and not server.connections[2].is_open)
    for probe in server.connections[:3]:
        assert probe.commands == ["EHLO mail.example.com", "STARTTLS", "EHLO mail.example.com", "QUIT"]


def test_servers_of_the_status_say_what_is_up(new_gateway, new_smtp):
    first, second = new_smtp(), new_smtp()
    gateway = new_gateway([first, second], start=False)
    second.kill()
    gateway.start()
    states = {s["name"]: s["state"] for s in gateway.status()["servers"]}
    assert states == {"smtp/a": "up", "smtp/b": "down"}


# ---- max_connections ----

def test_max_connections_is_kept_over_all_workers(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=4, upstream={
        "max_connections": 3, "wait_timeout": "20s", "health_check": "1h"})
    server.wait_connections(0)
    server.peak = 0

    def send():
        with smtp(gateway) as client:
            for _ in range(5):
                client.mail(message())

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.messages) == 60
    assert server.peak == 3


def test_max_connections_is_kept_with_identity_xclient_too(new_gateway, new_smtp):
    server = new_smtp(extensions=XCLIENT_TOO)
    gateway = new_gateway(server, workers=3, upstream={
        "identity": "xclient", "max_connections": 5, "wait_timeout": "20s", "health_check": "1h"})
    server.wait_connections(0)
    server.peak = 0

    def send():
        for _ in range(4):
            with smtp(gateway) as client:
                client.mail(message())
                client.quit()

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.messages) == 40
    assert server.peak <= 5


def test_waiting_for_a_connection_is_bounded_by_wait_timeout(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1, upstream={"max_connections": 1, "wait_timeout": "500ms"})
    with smtp(gateway) as first, smtp(gateway) as second:
        first.envelope()
        second.ask("MAIL FROM:<alice@example.com>", "250 ")
        second.ask("RCPT TO:<x@dest.example>", "451 4.3.2 ")
        first.text(message())
        second.ask("RCPT TO:<x@dest.example>", "250 2.1.5 ")
        second.text(message())
    gateway.wait_event("upstream_busy", upstream="smtp")


@pytest.mark.parametrize("workers", [1, 2])
def test_who_waits_gets_the_connection_that_becomes_free(new_gateway, new_smtp, workers):
    gateway = new_gateway(new_smtp(), workers=workers, upstream={"max_connections": 1, "wait_timeout": "15s"})
    with smtp(gateway) as first:
        first.envelope()
        waiting = [smtp(gateway) for _ in range(4)]
        for client in waiting:
            client.ask("MAIL FROM:<alice@example.com>", "250 ")
            client.send("RCPT TO:<x@dest.example>")
        assert all(client.is_silent(0.05) for client in waiting)
        first.text(message())
        while waiting:  # whoever comes first holds it until his message is sent
            ready = readable([client.socket for client in waiting], PATIENCE)
            client = next(client for client in waiting if client.socket in ready)
            client.expect("250 2.1.5 ")
            client.text(message())
            waiting.remove(client)


def test_a_client_that_leaves_while_it_waits_gives_its_place_away(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1, upstream={"max_connections": 1, "wait_timeout": "15s"})
    with smtp(gateway) as first, smtp(gateway) as second, smtp(gateway) as third:
        first.envelope()
        for client in (second, third):
            client.ask("MAIL FROM:<alice@example.com>", "250 ")
            client.send("RCPT TO:<x@dest.example>")
        second.drop(reset=True)
        first.text(message())
        third.expect("250 2.1.5 ")
        third.text(message())
    assert len(server.messages) == 2


def test_a_client_that_leaves_while_its_recipient_is_asked_leaves_nothing_behind(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1, upstream={"max_connections": 1, "wait_timeout": "15s"})
    for verb in ("MAIL", "RCPT", "DATA", "DOT"):
        server.on(verb, gate := Gate(), None)
        with smtp(gateway) as client:
            client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<x@dest.example>", "DATA"])
            if verb == "DOT":
                for reply in ("250 ", "250 ", "354 "):
                    client.expect(reply)
                client.send_bytes(message() + b".\r\n")
            gate.wait_reached()
            client.drop(reset=True)
        gate.open()
        with smtp(gateway) as client:
            client.mail(message())
    gateway.wait_sessions(0)
    assert len(server.messages) in (4, 5)  # the one with its dot may have been taken


def test_connections_of_a_killed_worker_are_counted_no_more(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1, upstream={"max_connections": 1, "wait_timeout": "500ms"})
    gateway.may_lose = {"process_died"}
    with smtp(gateway) as client:
        client.envelope()
        old = gateway.pids("worker")
        os.kill(old[0], signal.SIGKILL)
        gateway.wait_replaced("worker", old)
    with smtp(gateway) as client:
        client.mail(message())


def test_a_connection_is_given_back_to_whoever_waits_in_another_worker(new_gateway, new_smtp):
    """One that idles in the pool of one worker is no reason to refuse a client of the other."""
    gateway = new_gateway(new_smtp(), workers=2, upstream={"max_connections": 1, "wait_timeout": "10s"})
    kept, pids = [], set()
    while len(pids) < 2:
        kept.append(smtp(gateway))
        pids.add(gateway.session(kept[-1])["pid"])
    for _ in range(3):
        for client in kept:
            client.mail(message())


def test_a_421_greeting_lowers_the_number_of_connections(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1, upstream={"max_connections": 5, "wait_timeout": "300ms",
                                                       "health_check": "1h"})
    clients = [smtp(gateway) for _ in range(4)]
    for client in clients[:2]:
        client.envelope()
    server.on("CONNECT", "421 4.7.0 too many connections from you", None)
    clients[2].ask("MAIL FROM:<alice@example.com>", "250 ")
    clients[2].ask("RCPT TO:<x@dest.example>", "451 4.3.2 ")
    clients[3].ask("MAIL FROM:<alice@example.com>", "250 ")
    clients[3].ask("RCPT TO:<x@dest.example>", "451 4.3.2 ")  # no third one for a minute
    clients[0].text(message())
    clients[3].ask("RCPT TO:<x@dest.example>", "250 2.1.5 ")
    clients[3].text(message())
