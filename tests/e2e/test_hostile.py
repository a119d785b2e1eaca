"""What no honest client does: lines without end, wires that are cut, texts that want to be two, many of them at once."""
import ssl
import threading
import time

import pytest

from fixtures import build
from fixtures.clients import Closed, Pop3, Smtp, message, plain_response, pop3, smtp, token
from fixtures.postfix import parts
from fixtures.processes import resident_kib
from fixtures.relay import Relay
from fixtures.scripted import Gate
from fixtures.waiting import PATIENCE

from test_body import ENDINGS, SMUGGLED, first_end, meanings

LOST = (Closed, AssertionError, OSError, ssl.SSLError)


# ---- a text that wants to be two ----

def sends_in_two(client, raw, at, recipient):
    client.envelope(recipients=[recipient])
    client.ask("DATA", "354 ")
    client.send_bytes(raw[:at])
    time.sleep(0.002)  # else both are read at once; which of the two happens is all the same
    client.send_bytes(raw[at:] + b".\r\n")
    client.expect("250 2.0.0 Ok: queued as ")


@pytest.mark.parametrize("name", [name for name in ENDINGS if first_end(ENDINGS[name]) < 0])
def test_a_smuggled_ending_is_one_message_at_a_real_postfix_wherever_it_is_cut(gateway, postfix, name):
    recipient = f"{token()}@dest.example"
    ending, body = ENDINGS[name], b"before" + ENDINGS[name] + SMUGGLED
    raw = message(body=body)
    start = raw.index(body) + len(b"before")
    cuts = range(start, start + len(ending) + 1)
    with smtp(gateway) as client:
        for at in cuts:
            sends_in_two(client, raw, at, recipient)
        client.ask("NOOP", "250 ")
    allowed = {text.replace(b"\r\n", b"\n") for text in meanings(raw)}
    arrived = postfix.delivered(recipient, len(cuts))
    assert len(arrived) == len(cuts) and all(parts(content)[1] in allowed for content in arrived)
    assert postfix.count("victim@dest.example") == 0


# ---- a wire that is cut ----

def whole_session(relay, door):
    """STARTTLS or not, AUTH, two messages, QUIT; ends wherever the wire does."""
    client = Smtp(relay.port, tls=None, timeout=PATIENCE)
    try:
        if door == "submissions":
            client.secure()
        client.expect("220 ")
        client.hello()
        if door == "submission":
            client.starttls()
            client.hello()
        client.login()
        client.mail(message(mark="first", body="one\r\n"))
        client.mail(message(mark="second", body="two\r\n"))
        client.quit()
    except LOST:
        pass
    finally:
        client.drop()
        relay.wait()


def octets_of(gateway, door):
    """How many octets a whole session has on the wire."""
    relay = Relay(gateway.port(door))
    whole_session(relay, door)
    return relay.sent


def cut_everywhere(gateway, server, door, step):
    """Of two messages those arrive that were whole, and those are whole."""
    length = octets_of(gateway, door)
    assert len(server.messages) == 2
    for number, cut in enumerate(range(0, length, step)):
        before = len(server.messages)
        whole_session(Relay(gateway.port(door), cut, is_reset=number % 2 == 0), door)
        gateway.wait_sessions(0)
        arrived = server.messages[before:]
        assert [m.data.rpartition(b"\r\n\r\n")[2] for m in arrived] == [b"one\r\n", b"two\r\n"][:len(arrived)], cut
    with smtp(gateway) as client:
        client.mail(message())
    assert length > 1000


@pytest.mark.parametrize("door", ["submissions", "submission"])
def test_a_wire_cut_anywhere_delivers_whole_messages_or_none(new_gateway, new_smtp, door):
    server = new_smtp()
    cut_everywhere(new_gateway(server, workers=1), server, door, step=17)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("door", ["submissions", "submission"])
def test_a_wire_cut_at_every_octet_delivers_whole_messages_or_none(new_gateway, new_smtp, door):
    server = new_smtp()
    cut_everywhere(new_gateway(server, workers=1), server, door, step=1)


# ---- lines that are too long ----

LONG = "x" * 100_000


@pytest.mark.parametrize("line", [
    LONG, f"EHLO {LONG}", f"AUTH PLAIN {LONG}", f"MAIL FROM:<{LONG}@example.com>", f"MAIL FROM:<a@example.com> ENVID={LONG}",
    f"RCPT TO:<x@dest.example> ORCPT=rfc822;{LONG}", f"DATA {LONG}", f"XCLIENT NAME={LONG}", f"VRFY {LONG}",
    f"STARTTLS {LONG}", f"{LONG} MAIL FROM:<a@example.com>", f"QUIT{' ' * 100_000}"], ids=lambda line: line[:20])
def test_an_overlong_line_is_refused_whole_and_the_next_is_heard(gateway, line):
    for user in (None, "alice"):
        with smtp(gateway, user=user) as client:
            client.ask(line, "500 5.5.")  # 5.5.6 is that of AUTH
            client.ask("NOOP", "250 ")


def test_an_overlong_response_ends_the_exchange(gateway):
    with smtp(gateway, user=None) as client:
        client.ask("AUTH PLAIN", "334 ")
        client.ask(LONG, "500 5.5.6 ")
        client.login().mail(message())


@pytest.mark.parametrize("line", [LONG, f"USER {LONG}", f"PASS {LONG}", f"AUTH PLAIN {LONG}", f"CAPA {LONG}"],
                         ids=lambda line: line[:12])
def test_an_overlong_line_of_pop3_is_refused(gateway, line):
    with pop3(gateway, user=None) as client:
        client.ask(line, "-ERR ")
        client.ask("CAPA", "+OK")


# ---- many at once ----

def endless_line(client):
    client.send_bytes(b"x" * 60_000)


def unread_replies(client):
    """Answers that nobody takes, to commands that keep coming."""
    client.send_bytes(b"MAIL FROM:<alice@example.com>\r\n" + b"RCPT TO:<x@dest.example>\r\n" * 100)
    client.send_bytes(b"RCPT TO:<" + b"x" * 300 + b"@dest.example>\r\n")


def blocked_text(client):
    """A text that the server behind doesn't take."""
    client.envelope(recipients=["blocked@dest.example"])
    client.ask("DATA", "354 ")
    client.socket.settimeout(0.01)
    try:
        while True:
            client.socket.send((b"x" * 998 + b"\r\n") * 16)
    except (TimeoutError, ssl.SSLError, OSError):
        client.socket.settimeout(PATIENCE)


def many_recipients(client):
    client.ask("MAIL FROM:<alice@example.com>", "250 ")
    client.send([f"RCPT TO:<{'x' * 60}{n}@{'d' * 60}.example> ORCPT=rfc822;{'y' * 400}" for n in range(100)])
    for _ in range(100):
        client.expect("250 ")


def half_a_response(client):
    client.send_bytes(b"AUTH PLAIN\r\n" + b"A" * 12000)


ATTACKS = [endless_line, unread_replies, blocked_text, many_recipients, half_a_response]


@pytest.mark.parametrize("attack", ATTACKS)
def test_memory_that_a_client_can_take_is_bounded(new_gateway, new_smtp, attack):
    """Of a worker, whatever clients do to it: less than 700 KiB each."""
    server, held = new_smtp(text_limit=1), Gate()
    server.on("TEXT", held)
    gateway = new_gateway(server, workers=1, upstream={"max_connections": 200})
    worker, = gateway.pids("worker")
    user = None if attack is half_a_response else "alice"
    with smtp(gateway, user=user) as first:
        attack(first)
        before = resident_kib(worker)
        clients = [smtp(gateway, user=user) for _ in range(40)]
        threads = [threading.Thread(target=attack, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        peak = resident_kib(worker)
        each = (peak - before) / len(clients)
        assert each < (4096 if build.IS_ASAN else 700), f"{each:.0f} KiB for a client"
        held.open()
        for client in clients:
            client.drop(reset=True)
    gateway.wait_sessions(0)
    with smtp(gateway) as client:
        client.mail(message())


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_worker_under_all_attacks_at_once_stays_small_and_serves(new_gateway, new_smtp, new_pop3):
    """What its places allow, and no more; what honest clients send meanwhile arrives."""
    server, places = new_smtp(), 100
    gateway = new_gateway(server, new_pop3(), workers=1, listener={"idle_timeout": "2s"}, max_connections=places)
    worker, = gateway.pids("worker")
    end = time.monotonic() + 15
    attacks = [*ATTACKS, "GET", "wrong password", "no TLS", "errors", "POP3"]

    def attack(kind):
        while time.monotonic() < end:
            try:
                if kind == "no TLS":
                    client = Smtp(gateway.port("submissions"), tls=None, timeout=10)
                    client.send_bytes(b"EHLO x\r\n" * 100)
                elif kind == "POP3":
                    client = Pop3(gateway.port("pop3s"), timeout=10)
                    client.send_bytes(b"USER x\r\nPASS y\r\n" * 50 + b"z" * 5000)
                elif kind == "GET":
                    client = Smtp(gateway.port("submissions"), timeout=10)
                    client.send("GET / HTTP/1.1")
                elif kind == "wrong password":
                    client = smtp(gateway, user=None, timeout=10)
                    client.send(f"AUTH PLAIN {plain_response('alice', token())}")
                elif kind == "errors":
                    client = smtp(gateway, timeout=10)
                    client.send(["RCPT TO:<wrong"] * 1000)
                else:
                    client = smtp(gateway, user=None if kind is half_a_response else "bob", timeout=10)
                    kind(client)
                client.drop(reset=True)
            except LOST:
                pass

    threads = [threading.Thread(target=attack, args=(kind,)) for kind in attacks]
    for thread in threads:
        thread.start()
    sizes, sent = [], 0
    while time.monotonic() < end:
        try:
            with smtp(gateway, timeout=60) as client:
                client.mail(message(), recipients=["honest@dest.example"])
                sent += 1
        except LOST:
            pass  # no place was free, or no connection to the server behind: it would come again
        sizes.append(resident_kib(worker))
    for thread in threads:
        thread.join(60)
    gateway.wait_sessions(0)
    honest = [m for m in server.messages if m.recipients == ["RCPT TO:<honest@dest.example>"]]
    assert len(honest) >= sent > 0
    assert max(sizes) < sizes[0] + places * (4096 if build.IS_ASAN else 700), sizes
    assert gateway.pids("worker") == [worker]
