"""Headers, while they go by: what is wrong with them refuses the message, what is right goes up as it is."""
import email
import email.policy
import email.utils
import re
import subprocess

import pytest

from fixtures.clients import PASSWORDS, message, smtp, stuffed, token
from fixtures.postfix import parts
from fixtures.waiting import until


@pytest.fixture
def server(new_smtp):
    return new_smtp()


@pytest.fixture
def gate(new_gateway, server):
    return new_gateway(server, workers=1)


def hops(count, field="Received: from a.example by b.example;\r\n\tThu, 1 Jan 2026 00:00:00 +0000\r\n"):
    return (field * count).encode()


def refused(gateway, server, text, reply):
    """The refusal answers the dot, and what has gone up is given up without one."""
    with smtp(gateway) as client:
        client.envelope()
        client.text(text, reply)
        assert server.messages == []
        used, = server.used()
        until(lambda: not used.is_open, "the connection to be closed")
        client.mail(message())
    assert len(server.messages) == 1
    gateway.wait_event("message_refused", code=reply[:3])


LOOP = "554 5.4.6 "


def test_a_message_that_goes_round_in_a_circle_is_refused(gate, server):
    refused(gate, server, hops(51) + message(), LOOP)


@pytest.mark.parametrize("field", ["RECEIVED: x\r\n", "received :\r\n \r\n x\r\n", ".Received: x\r\n"])
def test_received_lines_are_counted_however_they_are_written(gate, server, field):
    """A dot at a line's beginning that is not doubled is taken away by who receives it."""
    raw = hops(51, field) + message()
    with smtp(gate) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(raw + b".\r\n")
        client.expect(LOOP)
    assert server.messages == []


def test_fifty_received_lines_are_no_circle_and_a_body_may_have_more(gate, server):
    text = hops(50) + message(body=hops(60).decode())
    with smtp(gate) as client:
        client.mail(text)
    assert server.messages[0].data.endswith(text)


def test_headers_past_max_header_size_are_refused(new_gateway, server):
    gateway = new_gateway(server, listener={"max_header_size": "8K"})
    refused(gateway, server, b"X-Long: " + b"a" * 8192 + b"\r\n" + message(), "552 5.3.4 Headers")


def test_headers_past_max_header_size_are_refused_in_many_lines(new_gateway, server):
    gateway = new_gateway(server, listener={"max_header_size": "8K"})
    refused(gateway, server, b"X-Many: a\r\n b\r\n" * 600 + message(body=b"y" * 300000 + b"\r\n"), "552 5.3.4 Headers")


def test_headers_up_to_max_header_size_pass_and_bodies_do_not_count(new_gateway, server):
    gateway = new_gateway(server, listener={"max_header_size": "8K"})
    head = message(body="")
    text = b"X-Long: " + b"a" * (8192 - len(head) + 2 - 10) + b"\r\n" + message(body=b"y" * 300000 + b"\r\n")
    with smtp(gateway) as client:
        client.mail(text)
    assert server.messages[0].data.endswith(text)


def test_the_default_of_max_header_size_is_256_k(gate, server):
    refused(gate, server, b"X: y\r\n" * 43700 + message(), "552 5.3.4 Headers are too big; at most 262144 bytes")


def test_a_refusal_found_midway_answers_the_dot_and_not_before(gate, server):
    with smtp(gate) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(hops(51))
        server.wait_for(lambda: not server.used()[0].is_open, "the connection to be closed")
        assert client.is_silent()
        client.send_bytes(stuffed(message(token(), body="x" * 200000 + "\r\n")) + b".\r\n")
        client.expect(LOOP)
        client.ask("NOOP", "250 ")
    assert server.messages == []


# ---- what is missing ----

def without_trace(data):
    """What stands below our Received field, which is whole."""
    found = re.match(rb"Received: [^\r\n]+\r\n(\t[^\r\n]+\r\n){2,3}", data)
    assert found, data[:300]
    return data[found.end():]


DATE = rb"Date: \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n"
ID = rb"Message-ID: <[0-9a-z]{12}@mail\.example\.com>\r\n"

INCOMPLETE = {
    "both": (b"Subject: a\r\n\r\nb\r\n", rb"Subject: a\r\n" + DATE + ID + rb"\r\nb\r\n"),
    "Date": (b"message-id: <a@b>\r\n\r\nb\r\n", rb"message-id: <a@b>\r\n" + DATE + rb"\r\nb\r\n"),
    "Message-ID": (b"X: a\r\n b\r\nDATE : c\r\n\r\n", rb"X: a\r\n b\r\nDATE : c\r\n" + ID + rb"\r\n"),
    "a folded line is no field": (b"X: a\r\n Date: b\r\n\r\n", rb"X: a\r\n Date: b\r\n" + DATE + ID + rb"\r\n"),
    "no headers": (b"\r\nDate: a\r\n", DATE + ID + rb"\r\nDate: a\r\n"),
    "no empty line": (b"Subject: a\r\nhello world\r\n", rb"Subject: a\r\n" + DATE + ID + rb"\r\nhello world\r\n"),
    "a body alone": (b"hello\r\n..dot\r\n", DATE + ID + rb"\r\nhello\r\n\.dot\r\n"),
    "white space in front": (b" Bcc: a\r\n\r\n", DATE + ID + rb"\r\n Bcc: a\r\n\r\n"),
    "headers alone": (b"Subject: a\r\n", rb"Subject: a\r\n" + DATE + ID),
    "nothing": (b"", DATE + ID),
    "line feeds": (b"Subject: a\n\nb\r\n", rb"Subject: a\r\n" + DATE + ID + rb"\r\nb\r\n"),
}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by octet"])
@pytest.mark.parametrize("name", INCOMPLETE)
def test_what_is_missing_is_added_behind_the_headers(gate, server, name, whole):
    """RFC 6409 section 8."""
    raw, expected = INCOMPLETE[name]
    with smtp(gate) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        for piece in [raw + b".\r\n"] if whole else [bytes([octet]) for octet in raw + b".\r\n"]:
            client.send_bytes(piece)
        client.expect("250 2.0.0 Ok: queued as ")
    assert re.fullmatch(expected, without_trace(server.messages[0].data)), server.messages[0].data


@pytest.mark.parametrize("size", [16383, 16384, 16385, 65535, 65536, 70000])
def test_headers_may_end_anywhere(gate, server, size):
    head = b"Subject: a\r\nX-Long: " + b"x" * (size - 22) + b"\r\n"
    with smtp(gate) as client:
        client.mail(head + b"\r\nbody\r\n")
    found = re.fullmatch(re.escape(head) + DATE + ID + rb"\r\nbody\r\n", without_trace(server.messages[0].data))
    assert found


def test_the_id_that_is_added_is_that_of_the_message_and_the_date_is_now(gate, server):
    with smtp(gate) as client:
        message_id = client.mail(b"Subject: a\r\n\r\nb\r\n")
    arrived = email.message_from_bytes(server.messages[0].data)
    assert arrived["Message-ID"] == f"<{message_id}@mail.example.com>"
    added = email.utils.parsedate_to_datetime(arrived["Date"])
    received = email.utils.parsedate_to_datetime(arrived["Received"].rpartition(";")[2].strip())
    assert 0 <= (added - received).total_seconds() < 120


def test_a_message_that_has_all_goes_up_to_the_octet(gate, server):
    text = message(body="Date: b\r\n")
    with smtp(gate) as client:
        client.mail(text)
    assert without_trace(server.messages[0].data) == text


@pytest.mark.parametrize("raw", [b"Subject: a\r\n\r\nb\r\n", b"hello\r\n", b""])
def test_complete_headers_can_be_turned_off(new_gateway, server, raw):
    gateway = new_gateway(server, listener={"complete_headers": False})
    with smtp(gateway) as client:
        client.mail(raw)
    assert without_trace(server.messages[0].data) == raw


def test_a_real_postfix_finds_a_message_of_a_body_alone_complete(gateway, postfix):
    recipient = f"{token()}@dest.example"
    with smtp(gateway) as client:
        message_id = client.mail(b"hello, you\r\nSubject: none\r\n", recipients=[recipient])
    content, = postfix.delivered(recipient)
    arrived = email.message_from_bytes(content, policy=email.policy.default)
    assert arrived["Message-ID"] == f"<{message_id}@mail.example.com>" and arrived["Date"].datetime
    assert arrived["Subject"] is None
    assert arrived.get_content() == "hello, you\nSubject: none\n"


# ---- our Received ----

def test_by_default_received_tells_nothing_of_the_client(gate, server):
    with smtp(gate) as client:
        client.hello("laptop.example.net")
        client.mail(message())
    received = email.message_from_bytes(server.messages[0].data)["Received"]
    assert "laptop" not in received and "127.0.0.1" not in received and "from" not in received


def test_received_full_tells_name_address_and_how(new_gateway, server):
    gateway = new_gateway(server, listener={"received": "full"})
    with smtp(gateway, door="submission") as client:
        client.hello("laptop.example.net")
        message_id = client.mail(message())
    assert re.match(
        rb"Received: from laptop\.example\.net \(\[127\.0\.0\.1\]\)\r\n"
        rb"\tby mail\.example\.com \(Porteiro\) with ESMTPSA id " + message_id.encode() +
        rb"\r\n\t\(using TLSv1\.3 with cipher TLS_\w+\);\r\n\t[^\r\n]+\r\nFrom: ", server.messages[0].data)


def test_postfix_adds_its_own_above_received_full(new_gateway, postfix):
    gateway = new_gateway(postfix, listener={"received": "full"})
    recipient = f"{token()}@dest.example"
    done = subprocess.run(
        ["swaks", "--server", f"127.0.0.1:{gateway.port('submissions')}", "--tlsc", "--auth", "PLAIN",
         "--auth-user", "alice", "--auth-password", PASSWORDS["alice"], "--from", "alice@example.com",
         "--to", recipient, "--helo", "swaks.example.net"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    received = parts(postfix.delivered(recipient)[0])[0]
    assert len(received) == 2 and received[1].startswith("Received: from swaks.example.net ([127.0.0.1])")
