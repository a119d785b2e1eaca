"""What the upstream sees is what was judged: one message in is one message out, normalised."""
import re
import ssl

import pytest

from fixtures import build
from fixtures.clients import message, smtp, stuffed, token
from fixtures.postfix import parts
from fixtures.processes import resident_kib
from fixtures.scripted import Gate
from fixtures.waiting import PATIENCE, settled

SMUGGLED = b"MAIL FROM:<admin@example.com>\r\nRCPT TO:<victim@dest.example>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n"

# What some server somewhere has taken for the end of a text (RFC 5321 knows <CRLF>.<CRLF> alone).
ENDINGS = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "LF.CR": b"\n.\r",
    "CR.LF": b"\r.\n",
    "CRLF.CRCRLF": b"\r\n.\r\r\n",
    "CRCRLF.CRCRLF": b"\r\r\n.\r\r\n",
    "CRCRLF.CRLF": b"x\r\r\n.\r\n x",
    "LFLF.LF": b"\n\n.\n",
    "LF.LFCRLF": b"\n.\n\r\n",
    "CRLF..CRLF": b"\r\n..\r\n",
    "CRLF.SPCRLF": b"\r\n. \r\n",
    "CRLF.TABCRLF": b"\r\n.\t\r\n",
}


def first_end(data):
    """Where CRLF.CRLF ends the text that begins here; -1: nowhere."""
    at = (b"\r\n" + data).find(b"\r\n.\r\n")
    return at


def normalised(raw):
    """The message behind what stands on the line between DATA and the final dot: dots of lines
    that CRLF begins are taken away, then a lone CR becomes a space and a lone LF a line's end."""
    lines = [line[1:] if line.startswith(b".") else line for line in raw.split(b"\r\n")]
    return b"\r\n".join(line.replace(b"\r", b" ").replace(b"\n", b"\r\n") for line in lines)


def meanings(raw):
    """What may arrive. A dot between CRLF and a lone LF may also be kept as the text that its
    sender took it for."""
    return {normalised(raw), normalised((b"\r\n" + raw).replace(b"\r\n.\n", b"\r\n..\n")[2:])}


def send_raw(client, raw, in_parts=False):
    """The text as it stands, and CRLF.CRLF behind it."""
    client.envelope()
    client.ask("DATA", "354 ")
    if in_parts:
        for octet in raw + b".\r\n":
            client.send_bytes(bytes([octet]))
    else:
        client.send_bytes(raw + b".\r\n")
    return client.expect("250 2.0.0 Ok: queued as ")


def without_received(data):
    """The message below our Received field."""
    found = re.match(rb"Received: [^\r\n]+\r\n(\t[^\r\n]+\r\n){2}", data)
    assert found, data[:300]
    return data[found.end():]


@pytest.fixture
def server(new_smtp):
    return new_smtp()


@pytest.fixture
def gate(new_gateway, server):
    """It adds nothing but Received."""
    return new_gateway(server, workers=1, listener={"complete_headers": False})


@pytest.mark.parametrize("name", ENDINGS)
def test_smuggled_endings_stay_within_one_message(gate, server, name):
    """CVE-2023-51764 and its kin."""
    raw = message(body=b"before" + ENDINGS[name] + SMUGGLED)
    cut = first_end(raw)
    if cut >= 0:  # CRCRLF.CRLF: a real end, whatever stands before it
        raw = raw[:cut]
    with smtp(gate) as client:
        send_raw(client, raw)
        send_raw(client, raw, in_parts=True)
        client.ask("NOOP", "250 ")
    assert len(server.messages) == 2
    for sent in server.messages:
        assert without_received(sent.data) in meanings(raw)
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", sent.raw), "a lone CR or LF has travelled on"
        assert b"\r\n.\r\n" not in b"\r\n" + sent.raw


REFUSED = "550 5.6.11 "


def refuse_raw(client, raw):
    client.envelope()
    client.ask("DATA", "354 ")
    client.send_bytes(raw + b"\r\n.\r\n")
    client.expect(REFUSED)


@pytest.mark.parametrize("raw", [
    b"\0", b"a\0b", b"\r\n.\0\r\n", b"\r\n\0.\r\n", b"\n\0",
    pytest.param(b"x" * 200000 + b"\0" + b"y" * 200000, id="within 400 KB")])
def test_a_nul_is_refused_and_the_message_reaches_nobody(gate, server, raw):
    with smtp(gate) as client:
        refuse_raw(client, message(body=raw))
        client.mail(message())
    assert len(server.messages) == 1


@pytest.mark.parametrize("raw", [b"\n", b"\r", b"a\nb", b"a\rb", b"\r\r\n", b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"a\n\r\n"])
def test_with_bare_newline_reject_a_lone_cr_or_lf_is_refused(new_gateway, server, raw):
    gateway = new_gateway(server, listeners={"submissions": {"bare_newline": "reject"}})
    with smtp(gateway) as client:
        refuse_raw(client, message(body=b"before" + raw + b"after"))
        client.mail(message(body=b"what is\r\n.. as it should be\r\n"))
    assert len(server.messages) == 1


def test_a_lone_dot_between_bare_line_feeds_does_not_end_the_body(gate, server):
    with smtp(gate) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(b"hello\n.\nMAIL FROM:<x@example.com>\r\n")
        assert client.is_silent()
        client.send_bytes(b".\r\n")
        client.expect("250 2.0.0 ")
    assert server.messages[0].raw.endswith(b"hello\r\n..\r\nMAIL FROM:<x@example.com>\r\n")


def test_smuggling_sequences_arrive_as_one_message_at_a_real_postfix(gateway, postfix):
    recipient = f"{token()}@dest.example"
    names = [name for name in ENDINGS if first_end(ENDINGS[name]) < 0]
    sent = []
    with smtp(gateway) as client:
        for name in names:
            raw = message(body=b"before" + ENDINGS[name] + SMUGGLED)
            client.envelope(recipients=[recipient])
            client.ask("DATA", "354 ")
            client.send_bytes(raw + b".\r\n")
            client.expect("250 2.0.0 ")
            sent.append({text.replace(b"\r\n", b"\n") for text in meanings(raw)})
        client.ask("NOOP", "250 ")
    arrived = [parts(content)[1] for content in postfix.delivered(recipient, len(names))]
    assert len(arrived) == len(names)
    assert all(any(text in allowed for text in arrived) for allowed in sent)
    assert postfix.count("victim@dest.example") == 0


@pytest.mark.parametrize("raw, seen", [
    (b"a\nb\r\n", b"a\r\nb\r\n"),
    (b"a\rb\r\n", b"a b\r\n"),
    (b"\n\n\n\r\n", b"\r\n\r\n\r\n\r\n"),
    (b"\r\r\r\r\n", b"   \r\n"),
    (b"a\r\n\rb\r\n", b"a\r\n b\r\n"),
    (b"a\n\rb\r\n", b"a\r\n b\r\n"),
    (b"\n.b\r\n", b"\r\n.b\r\n"),
    (b"\n..b\r\n", b"\r\n..b\r\n"),
    (b"..b\r\n", b".b\r\n"),
    (b".b\r\n", b"b\r\n"),
    (b"\xff\xfe\x80\r\n", b"\xff\xfe\x80\r\n"),
    (b"\t \x0b\x0c\x1b\x7f\r\n", b"\t \x0b\x0c\x1b\x7f\r\n"),
])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by octet"])
def test_bare_cr_and_lf_are_normalised(gate, server, raw, seen, whole):
    with smtp(gate) as client:
        send_raw(client, raw, in_parts=not whole)
    assert without_received(server.messages[0].data) == seen


def test_a_body_of_line_feeds_alone_grows_and_arrives(gate, server):
    """Every octet becomes two: what has to grow takes another path."""
    raw = b"\n" * 300_000 + b"\r\n"
    with smtp(gate) as client:
        send_raw(client, raw)
    assert without_received(server.messages[0].data) == b"\r\n" * 300_001


def test_a_body_of_dots_and_awkward_lines_arrives(gate, server):
    text = b"".join(b"." * n + b"\r\n" for n in range(200)) * 20 + b"x" * 200_000 + b"\r\n"
    with smtp(gate) as client:
        client.mail(text)
    assert without_received(server.messages[0].data) == text


@pytest.mark.parametrize("size", [1, 2, 16383, 16384, 16385, 65535, 65536, 65537, 131072])
def test_texts_of_awkward_sizes_arrive(gate, server, size):
    text = (b"0123456789.\r\n" * (size // 13 + 1))[:size]
    text = text if text.endswith(b"\r\n") else text.rstrip(b"\r\n") + b"\r\n"
    with smtp(gate) as client:
        client.mail(text)
    assert without_received(server.messages[0].data) == text


def test_the_received_line_stands_on_top(gate, server):
    with smtp(gate) as client:
        message_id = client.mail(b"Received: from elsewhere\r\n\r\nx\r\n")
    data = server.messages[0].data
    assert data.startswith(b"Received: by mail.example.com (Porteiro) with ESMTPSA id " + message_id.encode())
    assert without_received(data) == b"Received: from elsewhere\r\n\r\nx\r\n"


def test_commands_behind_the_final_dot_are_commands(gate, server):
    text = stuffed(message())
    with smtp(gate) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(text + b".\r\nNOOP\r\nRSET\r\n")
        client.expect("250 2.0.0 Ok: queued as ")
        client.expect("250 2.0.0 Ok")
        client.expect("250 2.0.0 Ok")
    assert len(server.messages) == 1


def test_a_text_may_come_octet_by_octet(gate, server):
    text = message(body=".\r\n.x\r\ny\n.\nz\r\n")
    with smtp(gate) as client:
        send_raw(client, stuffed(text), in_parts=True)
    assert without_received(server.messages[0].data) == normalised(stuffed(text))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by octet"])
def test_a_dot_between_crlf_and_a_bare_lf_never_becomes_an_end(gate, server, whole):
    with smtp(gate) as client:
        send_raw(client, b"a\r\n.\nb\r\n", in_parts=not whole)
        client.ask("NOOP", "250 ")
    assert without_received(server.messages[0].data) in (b"a\r\n\r\nb\r\n", b"a\r\n.\r\nb\r\n")


def test_a_server_behind_that_reads_slowly_holds_the_client_back(new_gateway, new_smtp):
    """At most one buffer is kept for it."""
    server, slow = new_smtp(text_limit=1), Gate()
    server.on("TEXT", slow)
    gateway = new_gateway(server, workers=1)
    worker, = gateway.pids("worker")
    text = message(body=(b"x" * 1022 + b"\r\n") * 32 * 1024)
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        before = resident_kib(worker)
        left = memoryview(text + b".\r\n")

        def push():
            nonlocal left
            try:
                while left:
                    left = left[client.socket.send(left[:65536]):]
            except (ssl.SSLWantWriteError, BlockingIOError):
                pass
            return len(left)

        client.socket.settimeout(0)
        assert settled(push) > 0
        grown = resident_kib(worker) - before
        assert grown < (8192 if build.IS_ASAN else 1024), f"{grown} KiB for one message"
        slow.open()
        client.socket.settimeout(PATIENCE)
        push()
        client.expect("250 2.0.0 Ok: queued as ")
    assert without_received(server.messages[0].data) == text
