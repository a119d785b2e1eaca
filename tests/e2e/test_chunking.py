"""Messages in chunks (RFC 3030): what DATA promises holds for BDAT too."""
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from fixtures.clients import PASSWORDS, Closed, Smtp, message, smtp, token
from fixtures.postfix import parts
from fixtures.scripted import CLOSE, Gate
from fixtures.waiting import readable, until
from test_body import ENDINGS, SMUGGLED, without_received

TAKEN, QUEUED = "250 2.0.0 Ok: {} octets taken", "250 2.0.0 Ok: queued as "


@pytest.fixture
def server(new_smtp):
    return new_smtp()


@pytest.fixture
def gate(new_gateway, server):
    """It adds nothing but Received."""
    return new_gateway(server, workers=1, listener={"complete_headers": False})


def bdat(*chunks, last=True):
    """The chunks behind their commands, as they are sent."""
    said = b""
    for number, chunk in enumerate(chunks, 1):
        said += b"BDAT %d%s\r\n%s" % (len(chunk), b" LAST" if last and number == len(chunks) else b"", chunk)
    return said


def send_chunks(client, *chunks):
    """One at a time, each reply awaited. Returns the last."""
    for chunk in chunks[:-1]:
        client.send_bytes(bdat(chunk, last=False))
        client.expect(TAKEN.format(len(chunk)))
    client.send_bytes(bdat(chunks[-1]))
    return client.expect(QUEUED)


def arrived(server):
    return [without_received(m.data) for m in server.messages]


# ---- taking ----

def test_chunking_is_offered_and_binarymime_is_not(gate):
    with smtp(gate) as client:
        offered = client.hello()
        assert "CHUNKING" in offered and "BINARYMIME" not in offered
        client.ask("MAIL FROM:<alice@example.com> BODY=BINARYMIME", "501 5.5.4 ")


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by octet"])
def test_a_message_in_one_chunk_arrives(gate, server, whole):
    text = message(body=b"..two\r\n.one\r\n.\r\nlast\r\n")
    with smtp(gate) as client:
        client.envelope()
        for piece in [bdat(text)] if whole else [bytes([octet]) for octet in bdat(text)]:
            client.send_bytes(piece)
        client.expect(QUEUED)
        client.quit()
    assert arrived(server) == [text]
    assert not server.connections[0].saw("BDAT")
    gate.wait_event("message_accepted", bytes=len(text))


def test_wherever_a_message_is_cut_into_chunks_the_same_arrives(gate, server):
    text = b"X: y\r\n\r\n.\r\n..\r\na\r\n.b\r\n"
    with smtp(gate) as client:
        for cut in range(len(text) + 1):
            client.envelope()
            send_chunks(client, text[:cut], text[cut:])
        client.envelope()
        send_chunks(client, *[bytes([octet]) for octet in text])
    assert arrived(server) == [text] * (len(text) + 2)


@pytest.mark.parametrize("size, lines", [(1, 20), (100, 2000), (16384, 15000), (65536, 15000), (200000, 15000)])
def test_a_long_message_arrives_in_chunks_of_any_size(gate, server, size, lines):
    text = message(body=(b"." * 7 + b"x" * 61 + b"\r\n") * lines)
    with smtp(gate) as client:
        client.envelope()
        chunks = [text[at:at + size] for at in range(0, len(text), size)]
        client.send_bytes(bdat(*chunks))
        for chunk in chunks[:-1]:
            client.expect(TAKEN.format(len(chunk)))
        client.expect(QUEUED)
    assert arrived(server) == [text]


def test_everything_may_be_pipelined(gate, server):
    envelope = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<a@dest.example>\r\n"
    with smtp(gate) as client:
        client.send_bytes(envelope + bdat(b"X: 1\r\n", b"", b"\r\none\r\n") + envelope + bdat(b"X: 2\r\n\r\n")
                          + b"NOOP\r\nQUIT\r\n")
        for reply in ("250 2.1.0 ", "250 2.1.5 ", TAKEN.format(6), TAKEN.format(0), QUEUED,
                      "250 2.1.0 ", "250 2.1.5 ", QUEUED, "250 2.0.0 ", "221 "):
            client.expect(reply)
        assert client.is_closed()
    assert arrived(server) == [b"X: 1\r\n\r\none\r\n", b"X: 2\r\n\r\n"]


def test_a_last_chunk_may_be_empty(gate, server):
    with smtp(gate) as client:
        client.envelope()
        send_chunks(client, message(), b"")
        client.envelope()
        send_chunks(client, b"")
    assert arrived(server)[1] == b"" and len(server.messages) == 2


@pytest.mark.parametrize("chunk", [b"", b"X: y\r\n"])
def test_a_chunk_waits_for_the_servers_354(gate, server, chunk):
    server.on("DATA", held := Gate())
    with smtp(gate) as client:
        client.envelope()
        client.send_bytes(bdat(chunk, b""))
        held.wait_reached()
        assert client.is_silent()
        held.open()
        client.expect(TAKEN.format(len(chunk)))
        client.expect(QUEUED)
    assert arrived(server) == [chunk]


def test_a_message_without_a_last_line_end_gets_one(gate, server):
    with smtp(gate) as client:
        for text in (b"X: y\r\n\r\nbody", b"X: y\r\n\r\nbody\r", b"X: y\r\n\r\n.", b"\r"):
            client.envelope()
            send_chunks(client, text)
    assert arrived(server) == [b"X: y\r\n\r\nbody\r\n", b"X: y\r\n\r\nbody \r\n", b"X: y\r\n\r\n.\r\n", b" \r\n"]


def test_headers_are_completed_in_chunks_too(new_gateway, server):
    gateway = new_gateway(server)
    with smtp(gateway) as client:
        client.envelope()
        send_chunks(client, b"Subj", b"ect: a\r", b"\nhel", b"lo\r\n")
    assert re.fullmatch(rb"Subject: a\r\nDate: [^\r\n]+\r\nMessage-ID: <[^\r\n]+>\r\n\r\nhello\r\n", arrived(server)[0])


# ---- smuggling ----

def mended(raw):
    """Dots mean nothing in a chunk; a lone CR becomes a space and a lone LF a line's end."""
    return b"\r\n".join(line.replace(b"\r", b" ").replace(b"\n", b"\r\n") for line in raw.split(b"\r\n"))


@pytest.mark.parametrize("name", [*ENDINGS, "CRLF.CRLF"])
def test_smuggled_endings_stay_within_one_message(gate, server, name):
    ending = ENDINGS.get(name, b"\r\n.\r\n")
    raw = message(body=b"before" + ending + SMUGGLED)
    at = raw.index(b"before") + 6
    with smtp(gate) as client:
        for cut in range(at - 1, at + len(ending) + 2):
            client.envelope()
            send_chunks(client, raw[:cut], raw[cut:])
        client.envelope()
        send_chunks(client, raw[:at], *[bytes([octet]) for octet in ending], raw[at + len(ending):])
        client.ask("NOOP", "250 ")
    assert set(arrived(server)) == {mended(raw)} and len(server.messages) == len(ending) + 4
    for sent in server.messages:
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", sent.raw), "a lone CR or LF has travelled on"
        assert b"\r\n.\r\n" not in b"\r\n" + sent.raw


def test_smuggling_sequences_in_chunks_arrive_as_one_message_at_a_real_postfix(gateway, postfix):
    recipient, sent = f"{token()}@dest.example", set()
    endings = [*ENDINGS.values(), b"\r\n.\r\n"]
    with smtp(gateway) as client:
        for ending in endings:
            raw = message(body=b"before" + ending + SMUGGLED)
            at = raw.index(b"before") + 7
            client.envelope(recipients=[recipient])
            send_chunks(client, raw[:at], raw[at:])
            sent.add(mended(raw).replace(b"\r\n", b"\n"))
    contents = postfix.delivered(recipient, len(endings))
    assert {parts(content)[1] for content in contents} == sent and len(contents) == len(endings)
    assert postfix.count("victim@dest.example") == 0


def test_what_stands_behind_a_refused_bdat_is_no_command(gate, server):
    """In every state: its octets are dropped, and then it is refused (RFC 3030 section 2)."""
    evil = b"RSET\r\nMAIL FROM:<alice@example.com>\r\nQUIT\r\n"
    with smtp(gate, user=None, door="submission") as client:
        client.send_bytes(bdat(evil))
        client.expect("530 5.7.0 ")
        client.login()
        client.send_bytes(bdat(evil, evil))
        client.expect("503 5.5.1 ")
        client.expect("503 5.5.1 ")
        client.envelope()
        send_chunks(client, b"X: y\r\n\r\n")
        client.send_bytes(bdat(evil) + b"NOOP\r\n")
        client.expect("503 5.5.1 ")
        client.ask("NOOP", "250 ")
        client.expect("250 ")
    assert len(server.messages) == 1


def test_before_starttls_too(gate):
    with Smtp(gate.port("submission"), tls=None) as client:
        client.expect("220 ")
        client.send_bytes(bdat(b"QUIT\r\n"))
        client.expect("503 5.5.1 ")
        client.hello()
        client.send_bytes(bdat(b"QUIT\r\n"))
        client.expect("530 5.7.0 ")


@pytest.mark.parametrize("line", ["BDAT", "BDAT x", "BDAT -1", "BDAT 5 FIRST", "BDAT 99999999999999999999"])
def test_a_bdat_whose_size_cannot_be_read_ends_the_session(gate, server, line):
    with smtp(gate) as client:
        client.envelope()
        client.send([line, "NOOP"])
        client.expect("421 4.5.4 ")
        assert client.is_closed()
    assert server.messages == []


# ---- order ----

def test_data_and_bdat_do_not_mix(gate, server):
    with smtp(gate) as client:
        client.envelope()
        client.send_bytes(bdat(b"X: y\r\n", last=False))
        client.expect(TAKEN.format(6))
        for line in ("DATA", "RCPT TO:<other@dest.example>", "MAIL FROM:<alice@example.com>"):
            client.ask(line, "503 5.5.1 ")
        client.ask("NOOP", "250 ")
        send_chunks(client, b"\r\nend\r\n")
        client.mail(message())
    assert arrived(server)[0] == b"X: y\r\n\r\nend\r\n" and len(server.messages) == 2
    assert len(server.messages[0].recipients) == 1


@pytest.mark.parametrize("command", ["RSET", "EHLO client.example.net"])
def test_a_message_is_given_up_between_chunks(gate, server, command):
    with smtp(gate) as client:
        client.envelope()
        client.send_bytes(bdat(b"X: y\r\n", last=False))
        client.expect(TAKEN.format(6))
        client.ask(command, "250 ")
        until(lambda: not server.used()[0].is_open, "the connection to be closed")
        client.mail(message())
    assert len(server.messages) == 1 and server.used()[0].abandoned.endswith(b"X: y\r\n")


@pytest.mark.parametrize("last", [b"BDAT 6\r\nX: y\r\n", b"BDAT 100 LAST\r\nX: y\r\n", b"BDAT 6\r\nX: y\r\nBDAT"])
def test_a_client_that_is_lost_between_or_in_chunks_sends_nothing(gate, server, last):
    client = smtp(gate)
    client.envelope()
    client.send_bytes(last)
    server.wait_for(lambda: server.used()[0].saw("DATA"), "DATA")
    client.drop()
    gate.wait_event("message_abandoned")
    until(lambda: not server.used()[0].is_open, "the connection to be closed")
    assert server.messages == []


# ---- refusals ----

def test_a_chunk_past_max_message_size_is_refused_behind_its_octets(new_gateway, server):
    gateway = new_gateway(server, listener={"max_message_size": "64K"})
    with smtp(gateway) as client:
        client.envelope()
        client.send_bytes(b"BDAT 65537\r\n" + b"x" * 65536)
        assert client.is_silent()
        client.send_bytes(b"x")
        client.expect("552 5.3.4 ")
        client.envelope()
        client.send_bytes(bdat(message(), last=False))
        client.expect(TAKEN.format(len(message())))
        client.send_bytes(bdat(b"QUIT\r\n" * 12000, b"QUIT\r\n"))
        client.expect("552 5.3.4 ")
        client.expect("503 5.5.1 ")
        client.mail(message())
    assert len(server.messages) == 1
    gateway.wait_event("message_refused", count=2, code=552)


def test_a_chunk_without_measure_is_not_read_to_its_end(new_gateway, server):
    gateway = new_gateway(server, listener={"max_message_size": "64K"})
    with smtp(gateway) as client:
        client.send_bytes(b"BDAT 9000000000000000000\r\n")
        client.expect("503 5.5.1 ")
        assert client.is_closed()
    with smtp(gateway) as client:
        client.envelope()
        client.send_bytes(b"BDAT 9000000000000000000\r\n" + b"x" * 70000)
        client.expect("552 5.3.4 ")
        with pytest.raises((Closed, OSError)):
            client.reply()


@pytest.mark.parametrize("pipelining", [True, False])
def test_with_no_recipient_left_the_chunk_is_dropped_first(new_gateway, new_smtp, pipelining):
    server = new_smtp(extensions=["PIPELINING"] if pipelining else []).on("RCPT", "550 5.1.1 no", None)
    gateway = new_gateway(server)
    with smtp(gateway) as client:
        client.send_bytes(b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<a@dest.example>\r\n" + bdat(b"QUIT\r\n"))
        client.expect("250 2.1.0 ")
        client.expect("550 5.1.1 ")
        client.expect("554 5.5.1 ")
        client.mail(message())
    assert len(server.messages) == 1


def test_a_server_that_says_354_for_nobody_gets_a_lone_dot(new_gateway, server):
    server.on("RCPT", "550 5.1.1 no", None).on("DATA", "354 go", None)
    gateway = new_gateway(server)
    with smtp(gateway) as client:
        client.send_bytes(b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<a@dest.example>\r\n" + bdat(b"QUIT\r\n", b"QUIT\r\n"))
        client.expect("250 2.1.0 ")
        client.expect("550 5.1.1 ")
        client.expect("554 5.5.1 ")
        client.expect("503 5.5.1 ")
        client.mail(message())
    assert len(server.messages) == 1


@pytest.mark.parametrize("verb", ["DATA", "DOT"])
@pytest.mark.parametrize("reply", ["451 4.2.0 later", "550 5.7.1 never"])
def test_a_refusal_of_the_server_behind_answers_the_chunk(gate, server, verb, reply):
    server.on(verb, reply, None)
    with smtp(gate) as client:
        client.envelope()
        client.send_bytes(bdat(message()))
        client.expect(reply)
        client.mail(message())
    assert len(server.messages) == 1


def test_a_server_that_is_lost_between_chunks_is_told_at_the_next(gate, server):
    with smtp(gate) as client:
        client.envelope()
        client.send_bytes(bdat(b"X: y\r\n", last=False))
        client.expect(TAKEN.format(6))
        server.kill()
        gate.wait_event("upstream_lost")
        assert client.is_silent()
        server.listen()
        client.send_bytes(bdat(b"QUIT\r\n", b"QUIT\r\n"))
        client.expect("451 4.4.2 ")
        client.expect("503 5.5.1 ")
        client.ask("NOOP", "250 ")


def test_a_server_that_closes_at_the_end_is_told(gate, server):
    server.on("DOT", CLOSE, None)
    with smtp(gate) as client:
        client.envelope()
        client.send_bytes(bdat(message()))
        client.expect("451 4.4.2 ")
        client.mail(message())


@pytest.mark.parametrize("text, reply", [
    (b"a\0b", "550 5.6.11 "),
    (b"Received: x\r\n" * 51, "554 5.4.6 "),
])
def test_what_is_wrong_with_a_message_refuses_its_chunk(gate, server, text, reply):
    with smtp(gate) as client:
        client.envelope()
        client.send_bytes(bdat(b"X: y\r\n", text, b"\r\nQUIT\r\n"))
        client.expect(TAKEN.format(6))
        client.expect(reply)
        client.expect("503 5.5.1 ")
        client.mail(message())
    assert len(server.messages) == 1


@pytest.mark.parametrize("chunks", [(b"a\n",), (b"a\r", b"b"), (b"a\r",)])
def test_with_bare_newline_reject_a_lone_cr_or_lf_refuses(new_gateway, server, chunks):
    gateway = new_gateway(server, listener={"bare_newline": "reject"})
    with smtp(gateway) as client:
        client.envelope()
        for chunk in chunks[:-1]:
            client.send_bytes(bdat(chunk, last=False))
            client.expect(TAKEN.format(len(chunk)))
        client.send_bytes(bdat(chunks[-1]))
        client.expect("550 5.6.11 ")
        client.envelope()
        send_chunks(client, message() + b"x\r", b"\n")
    assert len(server.messages) == 1


# ---- flow ----

def test_a_server_behind_that_reads_slowly_holds_the_client_back(new_gateway, new_smtp):
    server, slow = new_smtp(text_limit=1), Gate()
    server.on("TEXT", slow)
    gateway = new_gateway(server, workers=1, listener={"complete_headers": False})
    text = message(body=(b"x" * 1022 + b"\r\n") * 16 * 1024)
    chunks = [text[at:at + 10000] for at in range(0, len(text), 10000)]
    with smtp(gateway) as client:
        client.envelope()
        sender = threading.Thread(target=client.send_bytes, args=(bdat(*chunks),), daemon=True)
        sender.start()
        until(lambda: gateway.session(client)["state"] == "upstream: text", "a full pipe")
        slow.open()
        sender.join()  # one thread at a time may use a TLS connection
        for chunk in chunks[:-1]:
            client.expect(TAKEN.format(len(chunk)))
        client.expect(QUEUED)
    assert arrived(server) == [text]


@pytest.mark.long
def test_chunks_that_dribble_are_too_slow(new_gateway, server):
    gateway = new_gateway(server)
    with smtp(gateway, timeout=90) as client:
        client.envelope()
        with pytest.raises(AssertionError, match="421 4.4.2 The message comes too slowly"):
            while True:  # one octet each half second
                client.send_bytes(bdat(b"x", last=False))
                client.expect(TAKEN.format(1))
                readable([client.socket], 0.5)
    assert server.messages == []


def test_empty_chunks_without_end_end_the_session(gate):
    with smtp(gate) as client:
        client.envelope()
        client.send_bytes(b"BDAT 0\r\n" * 200)
        with pytest.raises(AssertionError, match="421 4.7.0 "):
            for _ in range(200):
                client.expect("250 ")


# ---- a client that has always done it ----

EXIM = """\
exim_path = {program}
spool_directory = {folder}
log_file_path = {folder}/log-%slog
exim_user = mail
exim_group = mail
primary_hostname = exim.example.net
keep_environment =
tls_advertise_hosts =
begin routers
all:
  driver = manualroute
  route_list = * "127.0.0.1::{port}"
  transport = gateway
  self = send
begin transports
gateway:
  driver = smtp
  protocol = smtps
  hosts_require_auth = *
  hosts_require_tls = *
  tls_verify_hosts =
  tls_try_verify_hosts =
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{user}^{password}
"""


@pytest.mark.skipif(shutil.which("exim4") is None, reason="no exim4: it and Postfix exclude each other as packages; "
                    "dpkg -x exim4-daemon-light's and exim4-base's into a folder of PATH will do")
def test_exim_sends_by_bdat(gateway, postfix, folder):
    recipient, place = f"{token()}@dest.example", folder / "exim"
    place.mkdir()
    shutil.chown(place, "mail", "mail")
    folder.chmod(0o755)
    for name, line in (("passwd", "Debian-exim:x:8:8::/:/bin/false\n"), ("group", "Debian-exim:x:8:\n")):
        (place / name).write_text(Path("/etc", name).read_text() + line)
    (place / "exim.conf").write_text(EXIM.format(program=shutil.which("exim4"), folder=place, port=gateway.port("submissions"), user="alice",
                                                 password=PASSWORDS["alice"]))
    text = message(body=".\r\n..dots\r\n" + "line of text\r\n" * 5000 + "end\r\n").replace(b"\r\n", b"\n")
    # It wants the user of its package, who is there for it alone.
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'for f in passwd group; do mount --bind {place}/$f /etc/$f; done; exec exim4 "$@"', "sh", "-C",
         place / "exim.conf", "-d+transport", "-odf", "-i", "-f", "alice@example.com", recipient],
        input=text, capture_output=True, timeout=60)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0 and re.search(r"BDAT \d+ LAST", said), said[-3000:]
    content, = postfix.delivered(recipient)
    assert parts(content)[1].partition(b"\n\n")[2] == text.partition(b"\n\n")[2]
