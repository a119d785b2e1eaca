"""Identity none: connections to a server behind are shared, and used again while that is sure."""
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fixtures.clients import message, smtp
from fixtures.scripted import CLOSE, RESET, Gate
from fixtures.waiting import until


def test_a_connection_is_used_again_by_the_next_client(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    for _ in range(5):
        with smtp(gateway) as client:
            client.mail(message())
            client.quit()
    assert len(server.used()) == 1 and server.used()[0].messages == 5


def test_a_connection_is_used_again_within_a_session(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        for _ in range(5):
            client.mail(message())
    assert len(server.used()) == 1


def test_two_messages_at_once_use_two_connections(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    with smtp(gateway) as one, smtp(gateway) as two:
        one.envelope()
        two.envelope()
        one.text(message())
        two.text(message())
    assert [c.messages for c in server.used()] == [1, 1]


def test_a_connection_goes_back_after_rset_and_serves_another_client(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    with smtp(gateway) as client:
        client.envelope(recipients=["first@dest.example"])
        client.ask("RSET", "250 ")
    with smtp(gateway) as client:
        client.mail(message())
    connection, = server.used()
    verbs = [command.split()[0] for command in connection.commands]
    assert verbs == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]


def test_a_rset_that_is_not_answered_250_closes_the_connection(new_gateway, new_smtp):
    server = new_smtp().on("RSET", "500 what?")
    gateway = new_gateway(server, workers=1)
    with smtp(gateway) as client:
        client.envelope()
        client.ask("RSET", "250 ")
        client.mail(message())
    assert [c.messages for c in server.used()] == [0, 1]


def test_a_connection_is_closed_after_more_than_5_errors(new_gateway, new_smtp):
    """Postfix slows and then cuts a connection for the errors on it, whoever made them."""
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "no-" in line else None)
    gateway = new_gateway(server, workers=1)
    for errors in (5, 6, 0):
        with smtp(gateway) as client:
            client.ask("MAIL FROM:<alice@example.com>", "250 ")
            for n in range(errors):
                client.ask(f"RCPT TO:<no-{n}@dest.example>", "550 5.1.1 ")
            client.quit()
    with smtp(gateway) as client:
        client.mail(message())
    first, second = server.used()
    assert len(first.saw("RCPT")) == 11 and len(second.saw("RCPT")) == 1


def test_a_message_that_was_taken_makes_errors_forgotten(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "no-" in line else None)
    gateway = new_gateway(server, workers=1)
    for _ in range(4):
        with smtp(gateway) as client:
            client.ask("MAIL FROM:<alice@example.com>", "250 ")
            for n in range(5):
                client.ask(f"RCPT TO:<no-{n}@dest.example>", "550 5.1.1 ")
            client.ask("RCPT TO:<yes@dest.example>", "250 ")
            client.text(message())
            client.quit()
    assert len(server.used()) == 1


def test_a_connection_is_closed_after_100_messages(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, workers=1)) as client:
        for _ in range(101):
            client.mail(message())
    assert [c.messages for c in server.used()] == [100, 1]
    assert server.used()[0].commands[-1] == "QUIT"


def test_a_connection_that_nobody_uses_is_closed_after_idle_timeout(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1, upstream={"idle_timeout": "300ms"})
    with smtp(gateway) as client:
        client.mail(message())
        server.wait_connections(0)
        client.mail(message())
    assert len(server.used()) == 2


@pytest.mark.parametrize("trouble", [CLOSE, RESET], ids=["closed", "reset"])
def test_a_pooled_connection_that_died_meanwhile_is_replaced_unseen(new_gateway, new_smtp, trouble):
    """It dies as its first command comes: nobody could have known."""
    server = new_smtp().on("MAIL", None, trouble, None)
    with smtp(new_gateway(server, workers=1)) as client:
        client.mail(message())
        client.mail(message())
    assert [c.messages for c in server.used()] == [1, 1]
    assert len(server.used()[0].saw("MAIL")) == 2


def test_pooled_connections_that_the_server_has_closed_are_not_used(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    with smtp(gateway) as client:
        client.mail(message())
        server.kill()
        server.listen()
        client.mail(message())
    assert len(server.messages) == 2


@pytest.mark.parametrize("surplus", ["250 2.0.0 Ok: queued as X\n250 2.0.0 more", "250 2.0.0 Ok: queued as X\ngarbage"])
def test_a_connection_with_bytes_that_nobody_asked_for_is_not_used_again(new_gateway, new_smtp, surplus):
    server = new_smtp().on("DOT", surplus, None)
    with smtp(new_gateway(server, workers=1)) as client:
        client.mail(message())
        client.mail(message())
    assert [c.messages for c in server.used()] == [1, 1]


def test_bytes_that_come_while_a_connection_idles_close_it(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, workers=1)) as client:
        client.mail(message())
        server.used()[0].socket.sendall(b"250 2.0.0 surprise\r\n")
        server.wait_connections(0)
        client.mail(message())
    assert len(server.used()) == 2


def test_surplus_replies_never_answer_what_is_asked_later(new_gateway, new_smtp):
    """Taken for answers to DATA and the dot, these would acknowledge a message that nobody has."""
    server = new_smtp().on("RCPT", "250 2.1.5 Ok\n354 go\n250 2.0.0 Ok: queued as LIE", None)
    with smtp(new_gateway(server, workers=1)) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "250 2.1.5 ")
        client.text(message())
    assert [c.messages for c in server.used()] == [0, 1]


def client_of_another_worker(gateway, client):
    """Somebody who is served by another process than `client`."""
    pid = gateway.session(client)["pid"]

    def other():
        found = smtp(gateway)
        return found if gateway.session(found)["pid"] != pid else None
    return until(other, "a client of another worker")


def test_a_421_on_a_reused_connection_is_no_answer_to_the_client(new_gateway, new_smtp):
    """It was about to close for idleness, and says so at its first command."""
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    with smtp(gateway) as client:
        client.mail(message())
        server.on("MAIL", "421 4.4.2 idle for too long", None)
        client.mail(message())
    assert len(server.messages) == 2


def test_a_421_on_a_new_connection_is_451_4_3_2(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp().on("MAIL", "421 4.3.2 closing"), workers=1)
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.3.2 ")


def test_who_waits_is_served_where_another_can_not_use_what_is_idle(new_gateway, new_smtp):
    """The first one's connection has died at its first command; he wants a new one, the only permit
    lies with an idle one, and others wait behind him."""
    gate = Gate(CLOSE)
    server = new_smtp()
    gateway = new_gateway(server, workers=1, upstream={"max_connections": 1, "wait_timeout": "30s"})
    with smtp(gateway) as client:
        client.mail(message())
    clients = [smtp(gateway) for _ in range(3)]
    server.on("MAIL", gate, None)
    for client in clients:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
    first, second, third = clients
    first.send("RCPT TO:<first@dest.example>")
    gate.wait_reached()
    second.send("RCPT TO:<second@dest.example>")
    until(lambda: gateway.session(second)["state"] == "upstream connection", "the second one waits")
    gate.open()
    second.expect("250 ")
    third.send("RCPT TO:<third@dest.example>")
    second.text(message())
    for client in (first, third):
        client.expect("250 ")
        client.text(message())
    assert len(server.messages) == 4


def test_a_killed_worker_leaves_its_connections_to_who_waits(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=2, upstream={"max_connections": 1, "wait_timeout": "60s"})
    gateway.may_lose = {"process_died"}
    first = smtp(gateway)
    first.envelope()
    second = client_of_another_worker(gateway, first)
    second.ask("MAIL FROM:<alice@example.com>", "250 ")
    second.send("RCPT TO:<y@dest.example>")
    until(lambda: gateway.session(second)["state"] == "upstream connection", "the second one waits")
    os.kill(gateway.session(first)["pid"], signal.SIGKILL)
    second.expect("250 ")


def test_a_busy_worker_does_not_starve_another(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=2, upstream={"max_connections": 2, "wait_timeout": "20s"})
    first = smtp(gateway)
    other = client_of_another_worker(gateway, first)
    pid = gateway.session(first)["pid"]
    busy = [first]
    while len(busy) < 6:
        client = smtp(gateway)
        if gateway.session(client)["pid"] == pid:
            busy.append(client)
    stop = threading.Event()

    def send(client):
        while not stop.is_set():
            client.mail(message())
    with ThreadPoolExecutor(len(busy)) as pool:
        jobs = [pool.submit(send, client) for client in busy]
        try:
            until(lambda: len(server.messages) > 20, "the others send")
            for _ in range(3):
                before = len(server.messages)
                other.mail(message())
                assert len(server.messages) - before < 200
        finally:
            stop.set()
        for job in jobs:
            job.result()


def limit_descriptors(pid, count):
    subprocess.run(["setpriv", "--reuid", "porteiro", "--regid", "porteiro", "--clear-groups", "prlimit",
                    f"--pid={pid}", f"--nofile={count}:"], check=True)


def test_out_of_descriptors_in_one_worker_the_others_do_not_notice(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=2, upstream={"health_check": "1h"})
    first = smtp(gateway)
    other = client_of_another_worker(gateway, first)
    limit_descriptors(gateway.session(first)["pid"], 3)
    first.ask("MAIL FROM:<alice@example.com>", "250 ")
    first.ask("RCPT TO:<x@dest.example>", "451 4.3.2 ")
    other.mail(message())
    assert gateway.events("upstream_down") == []
    limit_descriptors(gateway.session(first)["pid"], 1000)  # a sanitizer needs some at the end
