"""A filter that is away, hangs or speaks nonsense costs the message at hand, and nothing else."""
import re

import pytest

from fixtures import build, clients
from fixtures.clients import message, smtp, stuffed
from fixtures.milter import milter_doors
from fixtures.milter_peer import STAGES, Drip, MilterPeer, options, packet
from fixtures.processes import resident_kib
from fixtures.scripted import CLOSE, HANG, RESET, Gate, SmtpServer
from fixtures.waiting import until

TEXT = message("one")

# Breaks off, hangs, or can't be understood.
BROKEN = {
    "hangs": HANG,
    "closes": CLOSE,
    "resets": RESET,
    "closes within a packet": [b"\0\0\0\5c", CLOSE],
    "closes within a length": [b"\0\0", CLOSE],
    "stops within a packet": [b"\0\0\0\5c", HANG],
    "an answer that there isn't": packet(b"Z"),
    "an answer without a letter": b"\0\0\0\0",
    "an answer too large": b"\x7f\xff\xff\xff" + b"c" * 100,
    "a negative length": b"\xff\xff\xff\xfc" + b"c" * 100,
    "text": b"220 mail.example ESMTP\r\n",
    "options too late": packet(b"O") + options(),
}

# What is wrong at one stage alone.
NONSENSE = {
    "options of version 1": ("negotiate", options(version=1)),
    "options of a version to come": ("negotiate", options(version=7)),
    "options cut short": ("negotiate", packet(b"O\0\0\0\6")),
    "edits that weren't offered": ("negotiate", options(edits=0x7fffffff)),
    "steps that weren't offered": ("negotiate", options(steps=0x08000000)),
    "another answer than options": ("negotiate", packet(b"c")),
    "an edit before the end": ("mail", packet(b"hX-New\0value\0")),
    "a body at DATA": ("data", packet(b"bnew body")),
    "own text without a code": ("mail", packet(b"yhello there\0")),
    "own text with a code that accepts": ("mail", packet(b"y250 2.0.0 Ok\0")),
    "own text that is empty": ("mail", packet(b"y\0")),
    "a header without a value": ("eom", packet(b"hX-New\0") + packet(b"c")),
    "a header without a name": ("eom", packet(b"h\0value\0") + packet(b"c")),
    "a header with a colon in its name": ("eom", packet(b"hX-New: a\r\nX-Evil\0value\0") + packet(b"c")),
    "a change cut short": ("eom", packet(b"m\0\0") + packet(b"c")),
    "a recipient without an end": ("eom", packet(b"+<someone@dest.example>") + packet(b"c")),
    "a recipient that is a command": ("eom", packet(b"+<a@dest.example>\r\nRCPT TO:<b@dest.example>\0") + packet(b"c")),
    "a recipient's parameter that is a command": ("eom", packet(b"2<a@dest.example>\0X\r\nDATA\0") + packet(b"c")),
    "a sender that is a command": ("eom", packet(b"e<a@dest.example>\r\nRSET\0") + packet(b"c")),
    "options at the end": ("eom", options()),
}

# Does the message stand or fall at that stage's own command, or before?
ANSWERED_AT = {"negotiate": "MAIL", "connect": "MAIL", "helo": "MAIL", "mail": "MAIL", "rcpt": "RCPT", "data": "DATA"}


SOON = "1s" if build.IS_ASAN else "500ms"
TIMEOUTS = {"connect_timeout": SOON, "reply_timeout": SOON}


class Rig:
    """A gateway that asks a scripted filter, by three doors named after what a failure is there, and a
    scripted server behind it."""

    def __init__(self, gateway, upstream, peer):
        self.gateway, self.upstream, self.peer = gateway, upstream, peer

    def client(self, on_failure="tempfail"):
        return smtp(self.gateway, door=on_failure)


@pytest.fixture(scope="module")
def shared_rig(long_gateway):
    upstream, peer = SmtpServer(), MilterPeer()
    milters = {name: {"address": peer.address, "on_failure": name, **TIMEOUTS}
               for name in ("tempfail", "accept", "reject")}
    with long_gateway("gateway-failures", upstream, **milter_doors(milters)) as gateway:
        yield Rig(gateway, upstream, peer)
    for server in (upstream, peer):
        server.stop()


@pytest.fixture
def rig(shared_rig):
    """Without a connection that was kept from the test before."""
    shared_rig.peer.kill()
    shared_rig.peer.rules.clear()
    shared_rig.peer.listen()
    shared_rig.upstream.messages.clear()
    yield shared_rig
    if shared_rig.peer.listener is None:
        shared_rig.peer.listen()
    clients.close_all()
    shared_rig.gateway.inspect()


@pytest.fixture
def behind(new_gateway, new_smtp, new_peer):
    """behind(milter={...}, KEY=VALUE ...): a rig of this test's own."""
    def make(milter=None, **changes):
        upstream, peer = new_smtp(), new_peer()
        gateway = new_gateway(upstream, milters={"test": {"address": peer.address, **(milter or {})}},
                              listener={"milters": ["test"]}, **changes)
        return gateway, upstream, peer
    return make


def say(client):
    """A message, up to what is refused; returns the command that was, and the reply."""
    for command in ("MAIL FROM:<alice@example.com>", "RCPT TO:<someone@dest.example>", "DATA"):
        client.send(command)
        reply = client.reply()
        if reply[0] not in "23":
            return command.split(" ")[0], reply
    client.send_bytes(stuffed(TEXT) + b".\r\n")
    return "dot", client.reply()


def check_message_passes(rig, client):
    rig.upstream.messages.clear()
    assert say(client)[1].startswith("250 2.0.0 Ok: queued as ")
    assert len(rig.upstream.messages) == 1


def check_costs_one_message(rig, stage):
    """What is broken is answered with 451, and the session's next message passes."""
    with rig.client() as client:
        where, reply = say(client)
        assert where == ANSWERED_AT.get(stage, "dot"), reply
        assert reply.startswith("451 4.7.1 ")
        if where != "dot":
            client.ask("RSET", "250 ")
        assert rig.upstream.messages == []
        rig.peer.rules.clear()
        check_message_passes(rig, client)


# ---- broken ----

@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("stage", STAGES)
def test_what_breaks_costs_one_message(rig, stage, how):
    if how == "stops within a packet" and stage not in ("connect", "rcpt", "eom"):
        how = "closes within a packet"
    rig.peer.on(STAGES[stage], BROKEN[how])
    check_costs_one_message(rig, stage)


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_costs_one_message(rig, what):
    stage, answer = NONSENSE[what]
    rig.peer.on(STAGES[stage], answer)
    check_costs_one_message(rig, stage)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("on_failure, reply", [("accept", "250 2.0.0 Ok: queued as "), ("reject", "550 5.7.1 ")])
def test_an_admin_says_what_a_failure_is(rig, stage, on_failure, reply):
    rig.peer.on(STAGES[stage], CLOSE)
    with rig.client(on_failure) as client:
        where, said = say(client)
        assert said.startswith(reply)
        assert where == ("dot" if on_failure == "accept" else ANSWERED_AT.get(stage, "dot"))
    assert len(rig.upstream.messages) == (on_failure == "accept")


@pytest.mark.parametrize("on_failure, reply", [("tempfail", "451 4.7.1 "), ("accept", "250 2.0.0 Ok: queued as "),
                                               ("reject", "550 5.7.1 ")])
def test_a_filter_that_is_away(rig, on_failure, reply):
    rig.peer.kill()
    with rig.client(on_failure) as client:
        assert say(client)[1].startswith(reply)
        rig.peer.listen()
        if on_failure != "accept":
            client.ask("RSET", "250 ")
        check_message_passes(rig, client)  # it is asked again at once
        assert rig.peer.told("E")


def test_a_filter_killed_between_two_messages_isnt_noticed(rig):
    with rig.client() as client:
        check_message_passes(rig, client)
        rig.peer.kill()
        rig.peer.listen()
        check_message_passes(rig, client)


def test_a_filter_killed_in_the_text_costs_that_message(rig):
    with rig.client() as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(message("large", "0123456789\r\n" * 20000))
        until(lambda: rig.peer.told("B"), "the text")
        rig.peer.kill()
        client.send_bytes(b".\r\n")
        client.expect("451 4.7.1 ")
        rig.peer.listen()
        check_message_passes(rig, client)


# ---- slow, and much ----

def test_octets_that_come_one_by_one_are_an_answer(rig):
    rig.peer.on("O", Drip(options()))
    rig.peer.on("M", Drip(packet(b"c")))
    rig.peer.on("E", Drip(packet(b"hX-New\0value\0") + packet(b"c")))
    with rig.client() as client:
        check_message_passes(rig, client)
    assert b"\r\nX-New: value\r\n\r\n" in rig.upstream.messages[0].data


@pytest.mark.parametrize("edit", [packet(b"hX-New\0" + b"v" * 1000 + b"\0"), packet(b"b" + b"x" * 60000), packet(b"p"),
                                  packet(b"+<someone-new@dest.example>\0")],
                         ids=["headers", "body", "progress", "recipients"])
def test_edits_without_end_have_one(behind, edit):
    gateway, upstream, peer = behind({"message_timeout": "2s"}, spool_max="16M", workers=1)
    peer.on("E", [edit * 20] * 100000)
    worker = gateway.pids("worker")[0]
    before = resident_kib(worker)
    with smtp(gateway) as client:
        where, reply = say(client)
        assert where == "dot" and reply.startswith(("451 ", "452 ")), reply
        peer.rules.clear()
        check_message_passes(Rig(gateway, upstream, peer), client)
    assert resident_kib(worker) - before < 40000


def reply_to_mail(rig, text):
    rig.peer.on("M", packet(b"y" + text + b"\0"))
    with rig.client() as client:
        client.send("MAIL FROM:<alice@example.com>")
        return client.line()


def test_own_text_is_cut_where_a_reply_ends(rig):
    reply = reply_to_mail(rig, b"550 5.7.1 " + b"x" * 3000)
    assert reply.startswith(b"550 5.7.1 xxx") and len(reply) <= 510


@pytest.mark.parametrize("text", [b"550-5.7.1 one\r\n250 two", b"550 5.7.1 one\r\nMAIL FROM:<>", b"550 4.7.1 one",
                                  b"55x 5.7.1 one", b"550-5.7.1 one\r\n550-5.7.1 two\r\n551 5.7.1 three"])
def test_own_text_that_is_no_reply_refuses_all_the_same(rig, text):
    assert reply_to_mail(rig, text).startswith(b"550 5.7.1 ")


def test_own_text_has_no_control_characters(rig):
    reply = reply_to_mail(rig, b"550 5.7.1 a\x1b[31m\x07b\x80c")
    assert reply.startswith(b"550 5.7.1 a") and not any(c < 32 or c == 127 for c in reply)


@pytest.mark.parametrize("answer", [packet(b"4"), packet(b"f")], ids=["shutdown", "connection failure"])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "body", "eom"])
def test_a_filter_can_end_the_session(rig, stage, answer):
    rig.peer.on(STAGES[stage], answer)
    with rig.client() as client:
        where, reply = say(client)
        assert reply.startswith("421 4.7.0 ") and where == ANSWERED_AT.get(stage, "dot")
        assert client.is_closed()
    assert rig.upstream.messages == []


def test_a_field_never_ends_the_headers(rig):
    rig.peer.on("E", packet(b"hX-New\0one\r\n\r\nevil\r\n.\r\nMAIL FROM:<>\0") + packet(b"c"))
    with rig.client() as client:
        check_message_passes(rig, client)
    head, body = rig.upstream.messages[0].data.split(b"\r\n\r\n", 1)
    assert body == b"hello\r\n" and not re.search(rb"\r\n(evil|MAIL|\.)", head)


def test_one_that_hangs_holds_up_nobody_else(behind):
    gateway, upstream, peer = behind(workers=1)
    gate = Gate(packet(b"c"))
    peer.on("E", gate, None)
    with smtp(gateway) as first, smtp(gateway) as second:
        first.envelope()
        first.ask("DATA", "354 ")
        first.send_bytes(stuffed(TEXT) + b".\r\n")
        gate.wait_reached()
        check_message_passes(Rig(gateway, upstream, peer), second)
        gate.open()
        first.expect("250 2.0.0 Ok: queued as ")


def test_a_failure_is_logged_with_its_reason(rig):
    rig.peer.on("M", packet(b"Z"))
    with rig.client() as client:
        say(client)
    event = rig.gateway.wait_event("filtered", milter="tempfail", code=451)
    assert event["reason"]
