"""What comes of each answer of a filter, at each stage; of each edit; and what a filter is told."""
import re

import pytest

from fixtures.clients import Smtp, smtp, stuffed, token
from fixtures.milter import LEADING_SPACE, NO, NO_REPLY, REJECTED_TOO, SKIP, word
from fixtures.postfix import Postfix

STAGES = ["connect", "helo", "mail", "rcpt", "data", "header", "eoh", "body", "eom"]

# A refusal, and the reply that it becomes.
REFUSALS = {
    "tempfail": "451 4.7.1 ",
    "reject": "550 5.7.1 ",
    "reply 450 4.7.9 come\\slater": "450 4.7.9 come later",
    "reply 554 5.7.8 one two\\sof\\stwo": "554-5.7.8 one\n554 5.7.8 two of two",
    "reply 553 - without\\senhanced\\scode": "553 without enhanced code",  # the gateway adds one
    "reply 550 5.7.9 100%%\\ssure": "550 5.7.9 100% sure",
}

# The command that gets a stage's refusal, where it isn't the stage's own.
ANSWERED_AT = {"connect": "mail", "helo": "mail", "header": "dot", "eoh": "dot", "body": "dot", "eom": "dot"}

HEAD = b"X-One: 1\nX-Two:2\nX-Three:   three\n  folded\nX-One: one again\nSubject: s\nFrom: alice@example.com\n" \
       b"Date: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-ID: <1@example.com>\n"
TEXT = HEAD + b"\nhello\n.dot\n"

ADDS, ADDED = "eom addheader X-New 1", b"Received: here\n" + HEAD + b"X-New: 1\n\nhello\n.dot\n"


class Front:
    """A server with the filter, as a client sees it. `here`: the Received field that it adds."""
    here = rb"Received: from [^\n]*\n\tby legacy\.example [^\n]*\n\tfor [^\n]*\n"
    added_code = "", ""
    tells_ahead = False

    def __init__(self, server, filter):
        self.server, self.filter = server, filter

    def client(self):
        client = Smtp(self.server.port, tls=None)
        client.reply()
        client.hello()
        return client

    def delivered(self, recipient):
        """What has become of a message: the server's Received field cut to "Received: here"."""
        content = self.server.delivered(recipient)[0].split(b"Delivered-To: ", 1)[1].split(b"\n", 1)[1]
        return re.sub(self.here, b"Received: here\n", content, count=1)

    def below_received(self, expected):
        return expected

    def is_lost(self, recipient, client):
        """Is it so that nothing arrives, where the next message of the session does?"""
        self.filter.script()
        after = f"{token()}@dest.example"
        assert say_message(client, after)[-1].startswith("250 2.0.0 Ok: queued as ")
        self.server.delivered(after)
        return self.server.count(recipient) == 0


class GatewayFront(Front):
    """The gateway with the filter, before a Postfix without."""
    here = rb"Received: by mail\.example\.com [^\n]*\n(?:\t[^\n]*\n)+"
    added_code = " 5.7.1 without", " without"
    tells_ahead = True

    def __init__(self, server, filter, gateway):
        super().__init__(server, filter)
        self.gateway = gateway

    def client(self):
        return smtp(self.gateway)

    def below_received(self, expected):
        """Its Received field always stands first: what says by whom all below was sent."""
        top, _, rest = expected.partition(b"Received: here\n")
        return b"Received: here\n" + top + rest

    def delivered(self, recipient):
        return re.sub(Front.here, b"", super().delivered(recipient), count=1)


@pytest.fixture(scope="session")
def postfix_filtered(base_folder, shared_filter):
    server = Postfix(base_folder / "postfix-filtered", f"smtpd_milters = {shared_filter.address}").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def gateway_filtered(long_gateway, postfix, shared_filter):
    with long_gateway("gateway-filtered", postfix, milters={"test": {"address": shared_filter.address}},
                      listeners={"submissions": {"milters": ["test"]}}) as gateway:
        yield gateway


@pytest.fixture
def postfix_front(postfix_filtered, filter):
    return Front(postfix_filtered, filter)


@pytest.fixture
def gateway_front(gateway_filtered, postfix, filter):
    yield GatewayFront(postfix, filter, gateway_filtered)
    gateway_filtered.inspect()


@pytest.fixture(params=["postfix", "gateway"])
def front(request):
    return request.getfixturevalue(f"{request.param}_front")


def say_message(client, recipient, data=TEXT, sender="alice@example.com"):
    """MAIL, RCPT, DATA, dot, up to the first that is refused. Returns the replies."""
    replies = []
    for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA", None):
        if command:
            client.send(command)
        else:
            client.send_bytes(stuffed(data.replace(b"\n", b"\r\n")) + b".\r\n")
        replies.append(client.reply())
        if replies[-1][0] not in "23":
            break
    return replies


def pass_through(front, *script, data=TEXT):
    """What arrives of a message when the filter does so."""
    front.filter.script(*script)
    recipient = f"{token()}@dest.example"
    with front.client() as client:
        assert say_message(client, recipient, data)[-1].startswith("250 2.0.0 Ok: queued as ")
    return front.delivered(recipient)


def stages_told(filter):
    """Of the last session, in their order: those of a header once."""
    stages = [(r["session"], r["stage"]) for r in filter.told() if r["stage"] in STAGES]
    told = [stage for session, stage in stages if session == stages[-1][0]]
    return [s for i, s in enumerate(told) if told[i - 1:i] != [s]]


# ---- answers ----

@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_refusal_is_answered(front, stage, refusal):
    front.filter.script(f"{stage} {refusal}")
    recipient = f"{token()}@dest.example"
    steps = ["mail", "rcpt", "data", "dot"]
    with front.client() as client:
        for _ in range(2):  # the session goes on, and the next message is judged anew
            replies = say_message(client, recipient)
            assert steps[len(replies) - 1] == ANSWERED_AT.get(stage, stage), replies
            assert replies[-1].replace(*front.added_code).startswith(REFUSALS[refusal])
            if len(replies) < 4:
                client.ask("RSET", "250 ")
    assert front.server.count(recipient) == 0


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_accepted_passes_and_isnt_asked_again(front, stage):
    assert b"hello\n" in pass_through(front, f"{stage} accept", *["eom reject"] * (stage != "eom"))
    told = stages_told(front.filter)
    if front.tells_ahead and stage in ("connect", "helo"):
        assert told[:3] == told == STAGES[:len(told)]  # MAIL went with what says who the client is
    else:
        assert told == STAGES[:STAGES.index(stage) + 1]


@pytest.mark.parametrize("stage", STAGES[2:])
def test_what_is_discarded_is_taken_and_doesnt_arrive(front, stage):
    front.filter.script(f"{stage} discard")
    recipient = f"{token()}@dest.example"
    with front.client() as client:
        assert say_message(client, recipient)[-1].startswith("250 2.0.0 Ok: ")
        assert stages_told(front.filter) == STAGES[:STAGES.index(stage) + 1]
        assert front.is_lost(recipient, client)


@pytest.mark.parametrize("stage", STAGES[:2])
def test_no_connection_can_be_discarded(front, stage):
    assert pass_through(front, f"{stage} discard").endswith(TEXT)


def test_one_recipient_of_several_is_refused(front):
    front.filter.script("rcpt/bob@ reject", "rcpt/carol@ reply 452 4.2.2 full")
    mark = token()
    with front.client() as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        for name, reply in (("ann", "250 "), ("bob", "550 5.7.1 "), ("carol", "452 4.2.2 full"), ("dave", "250 ")):
            client.ask(f"RCPT TO:<{mark}{name}@dest.example>", reply)
        client.text(TEXT.replace(b"\n", b"\r\n"))
    for name in ("ann", "dave"):
        assert front.delivered(f"{mark}{name}@dest.example").endswith(TEXT)
    assert front.server.count(f"{mark}bob@dest.example") == 0


def test_with_no_recipient_left_there_is_no_text(front):
    front.filter.script("rcpt reject")
    with front.client() as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<someone@dest.example>", "550 5.7.1 ")
        client.ask("DATA", "554 5.5.1 ")


@pytest.mark.parametrize("stage, is_left", [("header", ["eoh", "body", "eom"]), ("body", ["eom"])])
def test_what_is_skipped_isnt_sent(front, stage, is_left):
    """The gateway has sent more ahead of the answer."""
    data = HEAD + b"\n" + b"hello\n" * 30000  # three chunks
    assert pass_through(front, f"{stage} skip", data=data).endswith(data)
    assert front.tells_ahead or len(front.filter.told(stage)) == 1
    assert stages_told(front.filter)[-len(is_left) - 1:] == [stage, *is_left]


# ---- edits ----

EDITS = {
    "nothing": ([], b"Received: here\n" + TEXT),
    "header added": (["eom addheader X-New one\\n\\ttwo", "eom addheader X-Next 2"],
                     b"Received: here\n" + HEAD + b"X-New: one\n\ttwo\nX-Next: 2\n\nhello\n.dot\n"),
    "header inserted above all": (["eom insheader 0 X-New 1"], b"X-New: 1\nReceived: here\n" + TEXT),
    "header inserted below Received": (["eom insheader 1 X-New 1"], b"Received: here\nX-New: 1\n" + TEXT),
    "header inserted in the middle": (["eom insheader 3 X-New 1"],
                                      b"Received: here\n" + TEXT.replace(b"X-Three", b"X-New: 1\nX-Three")),
    "header inserted past the end": (["eom insheader 99 X-New 1"],
                                     b"Received: here\n" + HEAD + b"X-New: 1\n\nhello\n.dot\n"),
    "header changed": (["eom chgheader 2 x-one new\\svalue"],
                       b"Received: here\n" + TEXT.replace(b"X-One: one again", b"X-One: new value")
                       .replace(b"X-One: new", b"x-one: new")),
    "header changed that isn't there": (["eom chgheader 1 X-New 1", "eom chgheader 3 X-One third"],
                                        b"Received: here\n" + HEAD + b"X-New: 1\nX-One: third\n\nhello\n.dot\n"),
    "header deleted": (["eom delheader 1 X-Three", "eom delheader 7 X-One"],
                       b"Received: here\n" + TEXT.replace(b"X-Three:   three\n  folded\n", b"")),
    "header that would bring another": (["eom addheader X-New one\\nX-Evil:\\stwo"],
                                        b"Received: here\n" + HEAD + b"X-New: one\n\tX-Evil: two\n\nhello\n.dot\n"),
    "body": (["eom body new\\r\\n.\\r\\n..\\r\\n", "eom body more\\r\\n"],
             b"Received: here\n" + HEAD + b"\nnew\n.\n..\nmore\n"),
    "body without an end of line": (["eom body new"], b"Received: here\n" + HEAD + b"\nnew\n"),
    "body of many chunks": (["eom bigbody 256000"],
                            b"Received: here\n" + HEAD + b"\n" + (b"x" * 78 + b"\n") * 3200),
    "all at once": (["eom delheader 1 X-Two", "eom insheader 0 X-Top t", "eom chgheader 1 Subject changed",
                     "eom addheader X-End e", "eom body b\\r\\n"],
                    b"X-Top: t\nReceived: here\n"
                    + HEAD.replace(b"X-Two:2\n", b"").replace(b"Subject: s", b"Subject: changed") + b"X-End: e\n\nb\n"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_arrives_to_the_octet(front, edit):
    script, expected = EDITS[edit]
    assert pass_through(front, *script) == front.below_received(expected)


def test_leading_space_is_kept_where_it_was_negotiated(front):
    arrived = pass_through(front, f"negotiate steps {SKIP | LEADING_SPACE:x}", "eom addheader X-Bare value",
                           "eom insheader 1 X-Blank \\s\\svalue", "eom chgheader 1 X-One \\tnew")
    assert arrived == b"Received: here\nX-Blank:  value\n" + HEAD.replace(b"X-One: 1", b"X-One:\tnew") \
        + b"X-Bare:value\n\nhello\n.dot\n"
    assert [r["args"] for r in front.filter.told("header")][:3] == [["X-One", " 1"], ["X-Two", "2"],
                                                                     ["X-Three", "   three\n  folded"]]


def test_sender_and_recipients_are_changed(front):
    mark = token()
    front.filter.script("eom chgfrom <bounces@other.example>", f"eom addrcpt <{mark}new@dest.example>",
                        f"eom delrcpt <{mark}gone@dest.example>")
    with front.client() as client:
        client.envelope(recipients=[f"{mark}gone@dest.example", f"{mark}kept@dest.example"])
        client.text(TEXT.replace(b"\n", b"\r\n"))
    for name in ("new", "kept"):
        content = front.server.delivered(f"{mark}{name}@dest.example")[0]
        assert content.startswith(b"Return-Path: <bounces@other.example>\n") and content.endswith(TEXT)
    assert front.server.count(f"{mark}gone@dest.example") == 0


def test_progress_is_no_answer(front):
    assert pass_through(front, "eom progress", "eom progress", ADDS) == ADDED


# ---- what a filter is told ----

def test_a_filter_is_told_all_of_a_message(front):
    pass_through(front)
    told = {s: [r["args"] for r in front.filter.told(s)] for s in ("helo", "data", "header", "eoh", "eom")}
    assert told["helo"] == [["client.example.net"]]
    assert told["data"] == told["eoh"] == told["eom"] == [[]]
    assert told["header"][:4] == [["X-One", "1"], ["X-Two", "2"], ["X-Three", "  three\n  folded"],
                                  ["X-One", "one again"]]
    assert len(told["header"]) == 8  # our own Received isn't shown
    assert front.filter.told("connect")[-1]["args"][1] == "127.0.0.1"
    assert [r["text"] for r in front.filter.told("body")] == ["hello\r\n.dot\r\n"]


def test_a_filter_is_told_the_envelope(front):
    front.filter.script()
    with front.client() as client:
        client.ask("MAIL FROM:<alice@example.com> SIZE=100 BODY=8BITMIME", "250 ")
        client.ask("RCPT TO:<someone@dest.example> NOTIFY=NEVER", "250 ")
        client.ask("RSET", "250 ")
        client.ask("MAIL FROM:<>", "250 ")
        front.filter.wait_told("mail", 2)
    first, second = front.filter.told("mail")
    assert first["args"] == ["<alice@example.com>", "SIZE=100", "BODY=8BITMIME"]
    assert first["macros"]["{mail_addr}"] == "alice@example.com"
    assert second["args"] == ["<>"]
    assert front.filter.told("rcpt")[0]["args"] == ["<someone@dest.example>", "NOTIFY=NEVER"]
    assert front.filter.told("rcpt")[0]["macros"]["{rcpt_addr}"] == "someone@dest.example"
    assert front.filter.told("abort")


def test_a_large_body_comes_in_chunks(front):
    data = HEAD + b"\n" + b"0123456789\n" * 20000
    pass_through(front, data=data)
    sizes = [r["size"] for r in front.filter.told("body")]
    assert sum(sizes) == 240000 and max(sizes) <= 65535


@pytest.mark.parametrize("data, text", [(b"Subject: x\n", []), (b"no header\n", ["no header\r\n"])])
def test_a_message_of_one_part_alone(front, data, text):
    pass_through(front, data=data)
    assert [r["text"] for r in front.filter.told("body")] == text
    assert front.filter.told("eoh") and front.filter.told("eom")


@pytest.mark.parametrize("stage", [s for s in STAGES if s in NO])
def test_what_a_filter_doesnt_want_isnt_sent(front, stage):
    assert pass_through(front, f"negotiate steps {NO[stage]:x}", ADDS) == ADDED
    assert stages_told(front.filter) == [s for s in STAGES if s != stage]


def test_a_filter_that_answers_at_the_end_alone(front):
    assert pass_through(front, f"negotiate steps {sum(NO_REPLY.values()):x}", ADDS) == ADDED
    assert stages_told(front.filter) == STAGES


def test_a_filter_that_wants_nothing_but_the_end(front):
    assert pass_through(front, f"negotiate steps {sum(NO.values()):x}", ADDS) == ADDED
    assert stages_told(front.filter) == ["eom"]


@pytest.mark.parametrize("is_wanted", [False, True])
def test_postfix_tells_of_a_refused_recipient_who_asks_for_it(postfix_front, is_wanted):
    filter = postfix_front.filter
    filter.script(f"negotiate steps {REJECTED_TOO if is_wanted else 0:x}")
    with postfix_front.client() as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<no-one@dest.example>", "550 5.1.1 ")
        client.ask("RCPT TO:<someone@dest.example>", "250 ")
        filter.wait_told("rcpt", 2 if is_wanted else 1)
    told = filter.told("rcpt")
    assert [r["args"][0] for r in told] == ["<no-one@dest.example>"] * is_wanted + ["<someone@dest.example>"]
    if is_wanted:
        assert told[0]["macros"]["{rcpt_mailer}"] == "error"
        assert told[0]["macros"]["{rcpt_host}"] == "5.1.1"


def test_a_filter_names_the_macros_that_it_wants(front):
    pass_through(front, f"negotiate macros 0 {word('{client_addr} {client_port}')}", "negotiate macros 2 {mail_addr}",
                 "negotiate macros 3 {rcpt_addr}")
    last = set(front.filter.told("eom")[-1]["macros"])
    assert {"{client_addr}", "{client_port}", "{mail_addr}", "{rcpt_addr}", "i"} <= last
    assert not {"j", "_", "{daemon_name}", "{mail_host}", "{rcpt_host}"} & last


def test_postfix_has_an_unknown_command_judged(postfix_front):
    postfix_front.filter.script("unknown/FOO reply 554 5.7.9 foo")
    with postfix_front.client() as client:
        client.ask("FOO bar", "554 5.7.9 foo")
        client.ask("BAR", "500 5.5.2 ")
