"""Every wait has a time-out, every buffer a bound; and role refuse."""
import re
import signal
import threading
import time

import pytest

from fixtures import build
from fixtures.clients import Closed, Pop3, Session, Smtp, message, pop3, smtp, stuffed
from fixtures.processes import descriptors_of, free_port, resident_kib
from fixtures.scripted import Gate


# ---- time ----

def test_an_idle_client_gets_421_4_4_2(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener={"idle_timeout": "1s"})
    with smtp(gateway) as after_login, smtp(gateway, user=None) as before, \
            Smtp(gateway.port("submission"), tls=None) as without_tls:
        without_tls.expect("220 ")
        begin = time.monotonic()
        for client in (after_login, before, without_tls):
            client.expect("421 4.4.2 ")
            assert client.is_closed()
        assert 0.5 < time.monotonic() - begin < (15 if build.IS_ASAN else 3)


def test_an_idle_reader_gets_err(new_gateway, new_pop3):
    gateway = new_gateway(pop3=new_pop3(), listener={"idle_timeout": "1s"})
    with pop3(gateway) as inside, pop3(gateway, user=None) as before, \
            Pop3(gateway.port("pop3"), tls=None) as without_tls:
        without_tls.expect("+OK ")
        for client in (inside, before, without_tls):
            client.expect("-ERR ")
            assert client.is_closed()


@pytest.mark.parametrize("where", ["AUTH", "envelope", "text"])
def test_a_client_that_falls_silent_in_the_middle_gets_421_4_4_2(new_gateway, new_smtp, where):
    server = new_smtp()
    gateway = new_gateway(server, listener={"idle_timeout": "1s"})
    with smtp(gateway, user=None if where == "AUTH" else "alice") as client:
        if where == "AUTH":
            client.ask("AUTH LOGIN", "334 ")
        else:
            client.envelope()
        if where == "text":
            client.ask("DATA", "354 ")
            client.send_bytes(b"Subject: half\r\n")
        client.expect("421 4.4.2 ")
        assert client.is_closed()
    assert not server.messages


def test_a_slow_client_is_no_idle_one(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener={"idle_timeout": "1s"})
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        for octet in b"Subject: s\r\n":
            time.sleep(0.15)  # slowness is what is tested
            client.send_bytes(bytes([octet]))
        client.send_bytes(b".\r\n")
        client.expect("250 2.0.0 Ok: queued as ")


def trickle(client, octets, seconds=0.1, limit=600):
    """One octet at a time, without end, until something is said, or the other closes."""
    for at in range(limit):
        try:
            client.send_bytes(octets[at % len(octets)].to_bytes(1, "big"))
            if not client.is_silent(seconds):
                return
        except (OSError, Closed):
            return
    raise AssertionError("an endless line is listened to without end")


@pytest.mark.parametrize("where", ["before TLS", "before AUTH", "AUTH", "logged in", "envelope"])
def test_a_command_that_comes_octet_by_octet_must_come_within_idle_timeout(new_gateway, new_smtp, where):
    gateway = new_gateway(new_smtp(), listener={"idle_timeout": "1s"})
    if where == "before TLS":
        client = Smtp(gateway.port("submission"), tls=None)
        client.expect("220 ")
    else:
        client = smtp(gateway, user="alice" if where in ("logged in", "envelope") else None)
    with client:
        if where == "AUTH":
            client.ask("AUTH PLAIN", "334 ")
        elif where == "envelope":
            client.ask("MAIL FROM:<alice@example.com>", "250 ")
        trickle(client, b"A")
        client.expect("421 4.4.2 ")
        assert client.is_closed()


@pytest.mark.parametrize("where", ["before TLS", "before the login", "AUTH"])
def test_a_pop3_command_must_come_within_idle_timeout(new_gateway, new_pop3, where):
    gateway = new_gateway(pop3=new_pop3(), listener={"idle_timeout": "1s"})
    if where == "before TLS":
        client = Pop3(gateway.port("pop3"), tls=None)
        client.expect("+OK ")
    else:
        client = pop3(gateway, user=None)
    with client:
        if where == "AUTH":
            client.ask("AUTH PLAIN", "+")
        trickle(client, b"A")
        client.expect("-ERR ")
        assert client.is_closed()


@pytest.mark.long
@pytest.mark.parametrize("door", ["submissions", "submission"])
def test_a_tls_handshake_that_comes_octet_by_octet_is_closed(gateway, door):
    """A ClientHello of 16,000 octets, as its head has it."""
    with Smtp(gateway.port(door), tls=None, timeout=60) as client:
        if door == "submission":
            client.expect("220 ")
            client.hello()
            client.ask("STARTTLS", "220 ")
        begin = time.monotonic()
        client.send_bytes(b"\x16\x03\x01\x3e\x80\x01\x00\x3e\x7c\x03\x03")
        trickle(client, b"\0", seconds=0.5)
        assert 25 < time.monotonic() - begin < 40


@pytest.mark.long
@pytest.mark.parametrize("is_refused", [False, True], ids=["taken", "refused already"])
def test_a_message_slower_than_min_data_rate_ends_the_session(new_gateway, new_smtp, is_refused):
    """Of a minute, at 20 octets a second, which is far from being silent."""
    server = new_smtp()
    gateway = new_gateway(server, listener={"max_message_size": "64K"})
    with smtp(gateway, timeout=90) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        if is_refused:
            client.send_bytes(b"x" * 65537)
        begin = time.monotonic()
        trickle(client, b"xy\r\n", seconds=0.05, limit=5000)
        client.expect("421 4.4.2 The message comes too slowly")
        assert client.is_closed()
        assert time.monotonic() - begin > 50
    gateway.wait_event("message_abandoned")
    assert not server.messages


@pytest.mark.long
def test_a_client_that_the_server_behind_holds_back_is_not_slow(new_gateway, new_smtp):
    server, slow = new_smtp(text_limit=1), Gate()
    server.on("TEXT", slow)
    text = (b"x" * 1022 + b"\r\n") * 16 * 1024
    with smtp(new_gateway(server), timeout=90) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        opener = threading.Timer(65, slow.open)
        opener.start()
        client.send_bytes(text + b".\r\n")
        client.expect("250 2.0.0 Ok: queued as ")
        opener.join()


@pytest.mark.long
def test_min_data_rate_0_asks_for_none(new_gateway, new_smtp):
    with smtp(new_gateway(new_smtp(), listener={"min_data_rate": 0}), timeout=90) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        begin = time.monotonic()
        while time.monotonic() - begin < 65:
            client.send_bytes(b"x\r\n")
            assert client.is_silent(0.5)
        client.send_bytes(b".\r\n")
        client.expect("250 2.0.0 Ok: queued as ")


def test_waiting_for_the_server_behind_is_no_idling(new_gateway, new_smtp):
    server = new_smtp().on("DOT", gate := Gate())
    gateway = new_gateway(server, listener={"idle_timeout": "1s"})
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(message() + b".\r\n")
        gate.wait_reached()
        assert client.is_silent(1.5)
        gate.open()
        client.expect("250 2.0.0 Ok: queued as ")


def test_a_slow_client_disturbs_nobody(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1)
    with smtp(gateway) as slow, smtp(gateway) as other:
        slow.envelope()
        slow.ask("DATA", "354 ")
        for octet in b"Subject: s\r\n":
            slow.send_bytes(bytes([octet]))
            other.mail(message())


@pytest.mark.long
@pytest.mark.parametrize("door", ["submissions", "pop3s"])
def test_a_client_that_begins_no_handshake_is_closed(gateway, door):
    with Session(gateway.port(door), tls=None, timeout=60) as client:
        begin = time.monotonic()
        assert client.is_closed()
        assert 25 < time.monotonic() - begin < 40


def test_a_client_that_never_stops_sending_what_is_too_large_is_closed(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, listener={"max_message_size": "64K"})
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes((b"x" * 998 + b"\r\n") * 300)  # and never a dot
        client.expect("552 5.3.4 ")
        assert client.is_closed()
    gateway.wait_event("message_refused", code=552)
    gateway.wait_sessions(0)
    assert not server.messages


# ---- connections ----

def test_past_max_connections_a_new_client_gets_421_4_3_2_and_service_comes_back(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3(), max_connections=3)
    kept = [smtp(gateway), smtp(gateway, door="submission"), pop3(gateway)]
    for _ in range(5):
        with Smtp(gateway.port("submission"), tls=None) as client:
            client.expect("421 4.3.2 ")
            assert client.is_closed()
    with Pop3(gateway.port("pop3"), tls=None) as client:
        client.expect("-ERR [SYS/TEMP] ")
        assert client.is_closed()
    for door in ("submissions", "pop3s"):
        with Session(gateway.port(door), tls=None) as client:
            assert client.is_closed()
    gateway.wait_event("refused_full", count=8)
    kept[0].mail(message())  # nobody else notices
    kept.pop().quit()
    gateway.wait_sessions(2)
    with smtp(gateway) as client:
        client.mail(message())


def test_no_place_is_lost_by_clients_that_come_and_go(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), max_connections=20)
    for turn in range(10):
        clients = [Smtp(gateway.port("submission"), tls=None) for _ in range(20)]
        for client in clients:
            client.expect("220 ")
        for number, client in enumerate(clients):
            client.drop(reset=(number + turn) % 2 == 0)
        gateway.wait_sessions(0)


def test_two_thousand_clients_at_once_are_served(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    clients = [Smtp(gateway.port("submission"), tls=None) for _ in range(2000)]
    for client in clients:
        client.expect("220 ")
    for client in clients[::100]:
        client.hello()
        client.starttls()
        client.hello()
        client.login().mail(message())
    assert gateway.status()["sessions"] == 2000


def test_an_idle_client_costs_little_memory(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1)
    worker, = gateway.pids("worker")
    with smtp(gateway) as first:
        first.mail(message())
    warm = [smtp(gateway) for _ in range(50)]
    before = resident_kib(worker)
    more = [smtp(gateway) for _ in range(200)]
    grown = (resident_kib(worker) - before) / 200
    assert warm and more
    assert grown < (400 if build.IS_ASAN else 40), f"{grown:.1f} KiB for an idle TLS session"


def test_without_descriptors_new_clients_wait_or_get_421_and_nobody_else_notices(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1, auth={"processes": 1}, max_connections=1000)
    used = max(len(descriptors_of(p["pid"])) for p in gateway.processes()) + 3
    gateway.signal(signal.SIGTERM)
    gateway.wait()
    gateway.wrapper = ["prlimit", f"--nofile={used + 12}"]
    gateway.start()
    with smtp(gateway) as inside:
        inside.mail(message())
        clients, served, refused, waiting = [], 0, 0, 0
        for _ in range(30):
            client = Smtp(gateway.port("submission"), tls=None)
            clients.append(client)
            if client.is_silent(0.3):
                waiting += 1
                break
            reply = client.reply()
            served += reply.startswith("220 ")
            refused += reply.startswith("421 4.3.2 ")
            assert reply.startswith(("220 ", "421 4.3.2 ")), reply
        assert served < 30 and refused + waiting > 0
        gateway.wait_event("accept_paused")
        inside.mail(message())
        for client in clients:
            client.drop()
        gateway.wait_sessions(1)
        with smtp(gateway) as client:
            client.mail(message())


# ---- a client that is lost ----

@pytest.mark.parametrize("reset", [False, True], ids=["ends its stream", "resets it"])
def test_a_client_lost_before_the_dot_has_sent_nothing(new_gateway, new_smtp, reset):
    server = new_smtp()
    gateway = new_gateway(server)
    text = stuffed(message(body="x" * 70 + "\r\n" * 1000))
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(text)
        client.drop(reset=reset)
    gateway.wait_event("message_abandoned")
    server.wait_for(lambda: server.used("DATA") and not server.used("DATA")[0].is_open)
    assert not server.messages
    sent = server.used("DATA")[0]
    assert sent.commands[-1] == "DATA"  # abandoned by closing: never by a dot, RSET or QUIT
    assert not sent.abandoned.endswith(b"\r\n.\r\n")


@pytest.mark.parametrize("reset", [False, True], ids=["ends its stream", "resets it"])
def test_a_client_lost_after_the_dot_has_sent_and_the_answer_is_logged(new_gateway, new_smtp, reset):
    server = new_smtp().on("DOT", gate := Gate())
    gateway = new_gateway(server)
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(message() + b".\r\n")
        gate.wait_reached()
        client.drop(reset=reset)
    time.sleep(0.2)  # so that the gateway may notice that the client is gone
    gate.open()
    accepted = gateway.wait_event("message_accepted")
    server.wait_messages(1)
    assert f" id {accepted['message']}\r\n".encode() in server.messages[0].data
    gateway.wait_sessions(0)


@pytest.mark.parametrize("last", ["AUTH LOGIN", "MAIL FROM:<alice@example.com>", "RCPT TO:<x@dest.example>", "DATA"])
def test_a_client_lost_anywhere_leaves_nothing_behind(new_gateway, new_smtp, last):
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    for _ in range(10):
        with smtp(gateway, user=None if last.startswith("AUTH") else "alice") as client:
            for line, reply in (("MAIL FROM:<alice@example.com>", "250 "), ("RCPT TO:<x@dest.example>", "250 ")):
                if last.startswith(("RCPT", "DATA")) and line != last:
                    client.ask(line, reply)
            client.send(last)
            client.drop(reset=True)
    gateway.wait_sessions(0)
    with smtp(gateway) as client:
        client.mail(message())
    assert len(server.messages) == 1


# ---- role refuse ----

@pytest.fixture
def refusing(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), start=False)
    return gateway.write_config(listeners={"smtp": {"bind": [f"127.0.0.1:{free_port()}"], "role": "refuse"}}).start()


def test_port_25_refuses_and_names_the_ports_to_use(refusing):
    with Smtp(refusing.port("smtp"), tls=None) as client:
        greeting = client.expect("554 5.7.1 mail.example.com ")
        numbers = set(re.findall(r"\b\d{5}\b", greeting))
        assert numbers == {str(refusing.port(door)) for door in ("submissions", "submission")}


def test_port_25_answers_503_until_quit(refusing):
    with Smtp(refusing.port("smtp"), tls=None) as client:
        client.expect("554 5.7.1 ")
        for command in ("EHLO x", "MAIL FROM:<x@example.com>", "STARTTLS", "AUTH PLAIN", "DATA", "NOOP"):
            client.ask(command, "503 5.5.1 ")
        client.quit()


def test_port_25_answers_pipelined_commands_and_long_lines(refusing):
    with Smtp(refusing.port("smtp"), tls=None) as client:
        client.send(["EHLO x", "MAIL FROM:<x@example.com>", "x" * 50000, "QUIT"])
        client.expect("554 5.7.1 ")
        for _ in range(3):
            client.expect("503 5.5.1 ")
        client.expect("221 2.0.0 ")
        assert client.is_closed()


def test_port_25_does_not_talk_for_ever(refusing):
    with Smtp(refusing.port("smtp"), tls=None) as client:
        client.expect("554 5.7.1 ")
        client.send(["NOOP"] * 1000)
        replies = 0
        try:
            while client.line().startswith(b"503 "):
                replies += 1
        except AssertionError:  # closed
            pass
        assert 10 <= replies < 1000


@pytest.mark.long
def test_port_25_closes_after_10_s(refusing):
    with Smtp(refusing.port("smtp"), tls=None, timeout=30) as client:
        begin = time.monotonic()
        client.expect("554 5.7.1 ")
        assert client.is_closed()
        assert 8 < time.monotonic() - begin < 15


def test_a_gateway_that_only_refuses_needs_no_upstream_and_no_certificate(new_gateway):
    gateway = new_gateway(start=False, tls=None)
    gateway.write_config(listeners={"smtp": {"bind": [f"127.0.0.1:{free_port()}"], "role": "refuse"}}).start()
    with Smtp(gateway.port("smtp"), tls=None) as client:
        client.expect("554 5.7.1 mail.example.com ")
        client.quit()
