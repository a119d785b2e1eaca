"""Filters before the server behind: what is the gateway's own, and Postfix has no like of."""
import os
import re
import signal
import threading
from collections import deque

import pytest

from fixtures import build
from fixtures.clients import close_all, message, smtp, stuffed
from fixtures.milter import REJECTED_TOO, milter_doors, word
from fixtures.milter_peer import packet
from fixtures.processes import resident_kib, status_of
from fixtures.scripted import SmtpServer

TEXT = message("one")


class Rig:
    """A gateway that asks the filter, before a scripted server."""

    def __init__(self, gateway, upstream, filter):
        self.gateway, self.upstream, self.filter = gateway, upstream, filter


@pytest.fixture(scope="module")
def shared_rig(long_gateway, shared_filter):
    upstream = SmtpServer()
    settings = {"test": {}, "bob": {"when": {"accounts": ["bob@example.com"]}}, "strict": {"quarantine": "tempfail"},
                "hurried": {"reply_timeout": "700ms", "message_timeout": "1200ms"}}
    changes = milter_doors({name: {"address": shared_filter.address, **more} for name, more in settings.items()})
    with long_gateway("gateway-milters", upstream, **changes) as gateway:
        yield Rig(gateway, upstream, shared_filter)
    upstream.stop()


@pytest.fixture
def rig(shared_rig, filter):
    shared_rig.upstream.rules.clear()
    shared_rig.upstream.messages.clear()
    yield shared_rig
    close_all()
    shared_rig.gateway.inspect()


@pytest.fixture
def client(rig):
    with smtp(rig.gateway, door="test") as client:
        yield client


@pytest.fixture
def behind(new_gateway, new_smtp, filter):
    """behind(milter={...}, listener={...}, KEY=VALUE ...): a rig of this test's own."""
    def make(milter=None, listener=None, **changes):
        upstream = new_smtp()
        gateway = new_gateway(upstream, milters={"test": {"address": filter.address, **(milter or {})}},
                              listener={"milters": ["test"], **(listener or {})}, **changes)
        return Rig(gateway, upstream, filter)
    return make


def without_received(data):
    return re.sub(rb"^Received: [^\r\n]+\r\n(\t[^\r\n]+\r\n)+", b"", data, count=1)


# ---- the envelope ----

def test_a_changed_envelope_is_said_anew(rig, client):
    rig.filter.script("eom chgfrom <bounces@example.com>", f"eom addrcpt <new@dest.example> {word('NOTIFY=NEVER')}",
                      "eom delrcpt <gone@dest.example>")
    client.mail(TEXT, recipients=["gone@dest.example", "kept@dest.example"])
    sent = rig.upstream.messages[0]
    assert sent.sender.startswith("MAIL FROM:<bounces@example.com>")
    assert sent.recipients == ["RCPT TO:<kept@dest.example>", "RCPT TO:<new@dest.example> NOTIFY=NEVER"]
    assert without_received(sent.data) == TEXT


@pytest.mark.parametrize("refusal, reply", [("550 5.1.1 no such user", "550 5."), ("451 4.2.1 not now", "451 4.")])
def test_an_added_recipient_that_is_refused_refuses_the_message(rig, client, refusal, reply):
    rig.filter.script("eom addrcpt <new@dest.example>")
    rig.upstream.on("RCPT", lambda line: refusal if "new@" in line else None)
    client.envelope()
    assert client.text(TEXT, "")[:1] in "45"
    assert rig.upstream.messages == []


def test_a_message_for_nobody_is_discarded(rig, client):
    rig.filter.script("eom delrcpt <someone@dest.example>")
    client.envelope()
    client.text(TEXT, "250 2.0.0 Ok: discarded as ")
    rig.filter.script()
    client.mail(TEXT)
    assert len(rig.upstream.messages) == 1


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "header", "eoh", "body", "eom"])
def test_what_is_discarded_never_goes_up(rig, client, stage):
    rig.filter.script(f"{stage} discard")
    client.envelope()
    identity = client.text(TEXT, "250 2.0.0 Ok: discarded as ").split()[-1]
    rig.filter.script()
    client.mail(TEXT)
    assert len(rig.upstream.messages) == 1
    rig.gateway.wait_event("filtered", message=identity, milter="test", verdict="discard")


# ---- quarantine ----

def test_quarantine_is_a_header(rig, client):
    rig.filter.script(f"eom quarantine {word('looks bad')}")
    client.mail(TEXT)
    data = without_received(rig.upstream.messages[0].data)
    assert data == b"X-Porteiro-Quarantine: test: looks bad\r\n" + TEXT


def test_quarantine_can_be_a_refusal(rig):
    rig.filter.script("eom quarantine bad")
    with smtp(rig.gateway, door="strict") as client:
        client.envelope()
        client.text(TEXT, "451 4.7.1 ")
    assert rig.upstream.messages == []


# ---- what filters are told ----

def test_a_filter_is_told_who_has_logged_in(rig):
    rig.filter.script()
    with smtp(rig.gateway, door="test", source="127.0.0.9") as client:
        identity = client.mail(TEXT)
        port = str(client.local_port)
    macros = rig.filter.wait_told("mail")[0]["macros"]
    told = {"i": identity, "j": "mail.example.com", "{auth_authen}": "alice@example.com", "{auth_type}": "PLAIN",
            "{daemon_name}": "test", "{mail_addr}": "alice@example.com"}
    assert {key: macros.get(key) for key in told} == told
    assert macros["{tls_version}"].startswith("TLSv1.") and macros["{cipher}"]
    assert rig.filter.told("connect")[-1]["args"][1:] == ["127.0.0.9", port]


def test_who_is_refused_by_policy_is_told_to_who_asks_for_it(behind):
    few = {"key": ["account"], "count": "recipients", "rate": "1/1h", "action": "reject"}
    rig = behind(policies={"strict": {"limits": {"few": few}}}, listener={"policy": "strict"})
    rig.filter.script(f"negotiate steps {REJECTED_TOO:x}")
    with smtp(rig.gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<one@dest.example>", "250 ")
        client.ask("RCPT TO:<two@dest.example>", "550 5.7.1 ")
        told = rig.filter.wait_told("rcpt", 2)
    assert [r["args"][0] for r in told] == ["<one@dest.example>", "<two@dest.example>"]
    assert told[1]["macros"]["{rcpt_mailer}"] == "error"


def test_of_a_batch_everything_is_told_and_answered(rig, client):
    rig.filter.script("rcpt/two@ reject", "rcpt/three@ reply 452 4.2.2 full")
    client.send(["MAIL FROM:<alice@example.com>"] + [f"RCPT TO:<{n}@dest.example>" for n in ("one", "two", "three")]
                + ["DATA"])
    for reply in ("250 ", "250 ", "550 5.7.1 ", "452 4.2.2 full", "354 "):
        client.expect(reply)
    client.send_bytes(stuffed(TEXT) + b".\r\n")
    client.expect("250 2.0.0 Ok: queued as ")
    assert rig.upstream.messages[0].recipients == ["RCPT TO:<one@dest.example>"]
    told = [r["stage"] for r in rig.filter.told() if r["stage"] in ("mail", "rcpt", "data")]
    assert told == ["mail", "rcpt", "rcpt", "rcpt", "data"]


def test_messages_in_one_write_are_judged_one_by_one(rig, client):
    rig.filter.script("mail/bad@ reject")
    for sender in ("alice@example.com", "bad@example.com", "alice@example.com"):
        client.send([f"MAIL FROM:<{sender}>", "RCPT TO:<someone@dest.example>", "RSET"])
    for reply in ("250 ", "250 ", "250 ", "550 5.7.1 ", "5", "250 ", "250 ", "250 ", "250 "):
        client.expect(reply)
    client.mail(TEXT)


@pytest.mark.parametrize("cut", [1, 40, 150, len(TEXT) - 1])
def test_chunks_are_one_message(rig, client, cut):
    rig.filter.script("eom addheader X-New 1")
    client.envelope()
    for chunk, last in ((TEXT[:cut], ""), (TEXT[cut:], " LAST")):
        client.send_bytes(f"BDAT {len(chunk)}{last}\r\n".encode() + chunk)
        client.expect("250 2.0.0 ")
    arrived = without_received(rig.upstream.messages[0].data)
    assert arrived == TEXT.replace(b"\r\n\r\n", b"\r\nX-New: 1\r\n\r\n")
    assert [r["text"] for r in rig.filter.told("body")] == ["hello\r\n"]


@pytest.mark.parametrize("stage", ["data", "header", "body", "eom"])
def test_chunks_are_refused_by_the_last_at_the_latest(rig, client, stage):
    rig.filter.script(f"{stage} reject")
    client.envelope()
    client.send_bytes(f"BDAT {len(TEXT)}\r\n".encode() + TEXT)
    replies = [client.reply()]
    client.send_bytes(b"BDAT 0 LAST\r\n")
    replies.append(client.reply())
    assert replies[-1].startswith("550 5.7.1 ") or replies[0].startswith("550 5.7.1 "), replies
    assert rig.upstream.messages == []
    rig.filter.script()
    client.ask("RSET", "250 ")
    client.mail(TEXT)


def test_a_session_tells_its_connection_once(rig, client):
    rig.filter.script()
    for _ in range(3):
        client.mail(TEXT)
    assert len(rig.filter.told("connect")) == len(rig.filter.told("helo")) == 1
    assert len(rig.filter.told("eom")) == 3


def test_a_client_that_goes_away_is_an_abort(rig):
    rig.filter.script()
    with smtp(rig.gateway, door="test") as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(TEXT)
        rig.filter.wait_told("header")
    rig.filter.wait_told("close")
    with smtp(rig.gateway, door="test") as client:
        client.mail(TEXT)
    assert len(rig.upstream.messages) == 1


def test_nobody_is_told_of_a_session_without_mail(rig, client):
    rig.filter.script()
    client.quit()
    rig.gateway.wait_event("session_ended", session=rig.gateway.events("connected")[-1]["session"])
    assert rig.filter.told() == []


# ---- for whom ----

def test_a_filter_is_for_whom_it_says(rig):
    rig.filter.script("eom addheader X-New 1")
    for user in ("alice", "bob"):
        with smtp(rig.gateway, user=user, door="bob") as client:
            client.mail(TEXT, sender=f"{user}@example.com")
    first, second = rig.upstream.messages
    assert without_received(first.data) == TEXT
    assert b"\r\nX-New: 1\r\n\r\n" in second.data


@pytest.fixture
def two_filters(new_gateway, new_smtp, new_filter):
    made = {"first": new_filter(), "second": new_filter()}
    upstream = new_smtp()
    gateway = new_gateway(upstream, milters={name: {"address": one.address} for name, one in made.items()},
                          listener={"milters": ["first", "second"]})
    with smtp(gateway) as client:
        yield client, upstream, made["first"], made["second"]


def test_several_filters_see_what_those_before_have_changed(two_filters):
    client, upstream, first, second = two_filters
    first.script("eom addheader X-First 1", "eom chgheader 1 Subject changed", "eom body new\\r\\n")
    second.script("header/X-First reply 550 5.7.1 seen")
    client.envelope()
    client.text(TEXT, "550 5.7.1 seen")
    second.script("eom addheader X-Second 2")
    client.mail(TEXT)
    assert [r["text"] for r in second.told("body")] == ["new\r\n"]
    assert ["Subject", "changed"] in [r["args"] for r in second.told("header")]
    assert upstream.messages[0].data.endswith(b"\r\nX-First: 1\r\nX-Second: 2\r\n\r\nnew\r\n")


def test_who_is_refused_by_the_first_isnt_told_to_the_second(two_filters):
    client, _, first, second = two_filters
    first.script("rcpt/two@ reject")
    second.script()
    client.ask("MAIL FROM:<alice@example.com>", "250 ")
    client.ask("RCPT TO:<one@dest.example>", "250 ")
    client.ask("RCPT TO:<two@dest.example>", "550 5.7.1 ")
    client.text(TEXT)
    assert [r["args"] for r in second.told("rcpt")] == [["<one@dest.example>"]]


# ---- what counts ----

@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "header", "eom"])
def test_what_a_filter_refuses_does_not_count(behind, stage):
    few = {"key": ["account"], "count": "recipients", "rate": "2/1h", "action": "reject"}
    rig = behind(policies={"strict": {"limits": {"few": few}}}, listener={"policy": "strict"})
    rig.filter.script(f"{stage} reject")
    with smtp(rig.gateway) as client:
        for _ in range(4):
            client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<someone@dest.example>", "DATA"])
            replies = [client.reply() for _ in range(3)]
            if replies[-1].startswith("354 "):
                client.send_bytes(TEXT + b".\r\n")
                replies.append(client.reply())
            assert any(reply.startswith("550 5.7.1 ") for reply in replies), replies
            client.ask("RSET", "250 ")
        rig.filter.script()
        for _ in range(2):
            client.mail(TEXT)
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<someone@dest.example>", "550 5.7.1 ")


def test_a_message_counts_once_however_many_calls_its_recipients_take(behind):
    """A call of the store has room for 1,024 counters: MAIL is in the first of a batch alone, though
    its answer waits for the filter, which waits for all of them."""
    many = {f"r{n}": {"key": ["account"], "count": "recipients", "rate": "1000/1h"} for n in range(12)}
    twice = {"key": ["account"], "count": "messages", "rate": "2/1h", "action": "reject"}
    rig = behind(policies={"strict": {"limits": {**many, "twice": twice}}},
                 listener={"policy": "strict", "max_recipients": 200})
    recipients = [f"r{n}@dest.example" for n in range(120)]
    with smtp(rig.gateway) as client:
        for _ in range(2):
            client.send(["MAIL FROM:<alice@example.com>"] + [f"RCPT TO:<{r}>" for r in recipients])
            for _ in range(121):
                client.expect("250 ")
            client.ask("DATA", "354 ")
            client.send_bytes(TEXT + b".\r\n")
            client.expect("250 ")
        client.ask("MAIL FROM:<alice@example.com>", "550 5.7.1 ")
    assert len(rig.filter.told("mail")) == 2 and len(rig.filter.told("rcpt")) == 240


# ---- what a filter can't be shown, or not be followed in ----

def test_a_field_that_a_filter_cannot_be_shown_does_not_pass_it(behind):
    """Whatever its on_failure says: it has not failed, and would have had a word to say."""
    rig = behind(milter={"on_failure": "accept"})
    rig.filter.script("eom reject")
    long = b"X-Long: " + b"\r\n ".join([b"a" * 70] * 1000) + b"\r\n"
    with smtp(rig.gateway) as client:
        client.envelope()
        client.text(long + TEXT, "550 5.6.0 ")
        client.envelope()
        client.text(TEXT, "550 5.7.1 ")
    assert rig.upstream.messages == []


def test_an_edit_for_which_there_is_no_room_lets_nothing_pass(behind):
    rig = behind(milter={"on_failure": "accept"}, listener={"max_message_size": 100000})
    rig.filter.script("eom bigbody 200000", "eom reject")
    with smtp(rig.gateway) as client:
        client.envelope()
        client.text(TEXT, "451 4.3.1 ")
    assert rig.upstream.messages == []


def test_large_headers_go_up_in_pieces(behind):
    rig = behind(listener={"max_header_size": "16M"})
    rig.filter.script()
    text = (b"X-A: " + b"a" * 9000 + b"\r\n") * 800 + TEXT
    with smtp(rig.gateway) as client:
        client.mail(text)
    assert without_received(rig.upstream.messages[0].data) == text


def test_fields_without_end_are_refused(rig, client):
    rig.filter.script()
    client.envelope()
    client.text(b"a:\r\n" * 8200 + TEXT, "552 5.3.4 Headers have too many fields")
    client.mail(TEXT)


def test_a_nul_that_a_filter_has_put_in_goes_no_further(new_gateway, new_smtp, new_peer):
    upstream, peer = new_smtp(), new_peer()
    gateway = new_gateway(upstream, milters={"test": {"address": peer.address}}, listener={"milters": ["test"]})
    peer.on("E", [packet(b"bone\r\n\0.\r\ntwo\r\n") + packet(b"c")])
    with smtp(gateway) as client:
        client.envelope()
        client.text(TEXT, "550 5.6.11 ")
    assert upstream.messages == []


def test_what_is_discarded_is_nothing_to_the_server_behind(behind):
    rig = behind()
    rig.filter.script("mail discard")
    rig.upstream.on("RCPT", "550 5.1.1 no such user")
    with smtp(rig.gateway) as client:
        client.envelope()
        client.text(TEXT, "250 2.0.0 Ok: discarded as ")
    assert not rig.upstream.used("RCPT")


# ---- time ----

def lent(rig):
    """Others may have the connection behind: its envelope is given up."""
    rig.upstream.wait_for(lambda: any(c.saw("RSET") for c in rig.upstream.connections), "RSET")


def test_a_refused_text_that_takes_its_time_gets_its_answer(behind):
    rig = behind()
    rig.filter.script("eoh reject")
    with smtp(rig.gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(b"Subject: x\r\n\r\nhello\r\n")
        lent(rig)
        client.send_bytes(b"more\r\n.\r\n")
        client.expect("550 5.7.1 ")


def test_a_client_may_pause_between_chunks(behind):
    rig = behind()
    rig.filter.script()
    with smtp(rig.gateway) as client:
        client.envelope()
        client.send_bytes(f"BDAT {len(TEXT)}\r\n".encode() + TEXT)
        client.expect("250 2.0.0 ")
        lent(rig)
        client.send_bytes(b"BDAT 0 LAST\r\n")
        client.expect("250 2.0.0 Ok: queued as ")
    assert without_received(rig.upstream.messages[0].data) == TEXT



def test_a_client_that_goes_while_the_verdict_is_awaited_harms_nobody(behind):
    rig = behind()
    rig.filter.script("eom sleep 300")
    with smtp(rig.gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(TEXT + b".\r\n")
        rig.filter.wait_told("eom")
        client.drop(reset=True)
    rig.filter.script()
    with smtp(rig.gateway) as other:
        other.mail(TEXT)
    rig.gateway.wait_sessions(0)
    assert 1 <= len(rig.upstream.messages) <= 2


def test_progress_gives_a_filter_time(rig):
    rig.filter.script(*["eom sleep 300", "eom progress"] * 3)
    with smtp(rig.gateway, door="hurried") as client:
        client.mail(TEXT)
    assert len(rig.upstream.messages) == 1


def test_progress_doesnt_last_for_ever(rig):
    rig.filter.script(*["eom sleep 300", "eom progress"] * 6)
    with smtp(rig.gateway, door="hurried") as client:
        client.envelope()
        client.text(TEXT, "451 4.7.1 ")
    assert rig.upstream.messages == []


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "body", "eom"])
def test_a_filter_that_takes_its_time_holds_up_nobody_else(rig, client, stage):
    rig.filter.script(f"{stage} sleep 600")
    client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<slow@dest.example>", "DATA"])
    if stage in ("body", "eom"):
        for reply in ("250 ", "250 ", "354 "):
            client.expect(reply)
        client.send_bytes(stuffed(TEXT) + b".\r\n")
    rig.filter.wait_told(stage)
    rig.filter.script()
    with smtp(rig.gateway, door="test") as quick:
        quick.mail(TEXT)
    assert [m.recipients for m in rig.upstream.messages] == [["RCPT TO:<someone@dest.example>"]]


@pytest.mark.parametrize("stage", ["mail", "header", "eom"])
def test_a_filter_that_dies_is_back_for_the_next_message(behind, new_filter, stage):
    filter = new_filter()
    rig = behind(milter={"address": filter.address})
    filter.script(f"{stage} die")
    with smtp(rig.gateway) as client:
        client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<someone@dest.example>"])
        if stage == "mail":
            client.expect("451 4.7.1 ")
        else:
            client.expect("250 ")
            client.expect("250 ")
            client.text(TEXT, "451 4.7.1 ")
        filter.script()
        filter.start()
        client.send("RSET")
        while client.reply() != "250 2.0.0 Ok":
            pass
        client.mail(TEXT)
    assert len(rig.upstream.messages) == 1


def test_a_filter_that_is_stopped_is_given_up(behind, new_filter):
    filter = new_filter()
    rig = behind(milter={"address": filter.address, "reply_timeout": "500ms"})
    with smtp(rig.gateway) as client:
        client.mail(TEXT)
        os.kill(filter.process.pid, signal.SIGSTOP)
        client.ask("MAIL FROM:<alice@example.com>", "451 4.7.1 ")
        os.kill(filter.process.pid, signal.SIGCONT)
        client.mail(TEXT)
    assert len(rig.upstream.messages) == 2


# ---- room ----

def test_a_large_message_keeps_its_octets(rig, client):
    data = message("large", "".join(f"{i:07}.{'.' * (i % 70)}\r\n.{i}\r\n" for i in range(60000)))
    rig.filter.script("eom addheader X-New 1")
    client.mail(data)
    arrived = without_received(rig.upstream.messages[0].data)
    assert arrived == data.replace(b"\r\n\r\n", b"\r\nX-New: 1\r\n\r\n", 1)
    chunks = rig.filter.told("body")
    assert sum(r["size"] for r in chunks) == len(data.split(b"\r\n\r\n", 1)[1])
    assert max(r["size"] for r in chunks) <= 65535


@pytest.mark.parametrize("limits", [{"memory_max": "1M", "spool_max": "1M", "hold_in_memory": "4M"},
                                    {"spool_max": "1M", "hold_in_memory": "4K"}], ids=["memory", "spool"])
def test_without_room_a_message_is_put_off_and_the_session_goes_on(behind, limits):
    rig = behind(**limits)
    rig.filter.script()
    with smtp(rig.gateway) as client:
        client.envelope()
        client.text(message("large", "0123456789\r\n" * 300000), "452 4.3.1 ")
        client.mail(TEXT)
        rig.filter.script("eom bigbody 3000000")  # the room that another body needs
        client.envelope()
        client.text(TEXT, "45")
        rig.filter.script()
        client.mail(TEXT)
    assert len(rig.upstream.messages) == 2


def test_a_full_disk_puts_a_message_off(behind, folder):
    mount = f'mount -t tmpfs -o size=1m,mode=777 none {folder}/gateway0/spool && exec "$@"'
    rig = behind(wrapper=["unshare", "--mount", "sh", "-c", mount, "sh"], hold_in_memory="4K")
    rig.filter.script()
    with smtp(rig.gateway) as client:
        client.envelope()
        client.text(message("large", "0123456789\r\n" * 300000), "452 4.3.1 ")
        client.mail(TEXT)
    assert len(rig.upstream.messages) == 1


@pytest.mark.parametrize("largest", [65535, 262143, 1048575])
def test_a_filter_that_takes_more_at_once_gets_it(behind, new_filter, largest):
    filter = new_filter(largest=largest)
    rig = behind(milter={"address": filter.address})
    data = message("large", "0123456789\r\n" * 100000)
    with smtp(rig.gateway) as client:
        client.mail(data)
    sizes = [r["size"] for r in filter.told("body")]
    assert 60000 < max(sizes) <= largest and sum(sizes) == 1200000


def send_at_once(gateway, count, data):
    """So many messages, all of them under way before the first is complete; returns the replies."""
    sessions = [smtp(gateway, timeout=120) for _ in range(count)]
    for client in sessions:
        client.envelope()
        client.ask("DATA", "354 ")
    last = data[-1000:]

    def send(some):
        for client in some:
            client.send_bytes(data[:-1000])

    threads = [threading.Thread(target=send, args=(sessions[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in sessions:
        client.send_bytes(last + b".\r\n")
    replies = [client.reply() for client in sessions]
    for client in sessions:
        client.drop()
    return replies


@pytest.mark.timeout(300)
@pytest.mark.parametrize("count, size", [(20, 2 << 20), pytest.param(200, 10 << 20, marks=pytest.mark.long)])
def test_many_large_messages_at_once_take_bounded_memory(behind, count, size):
    rig = behind(spool_max="4G", upstream={"wait_timeout": "2min"})
    rig.upstream.messages = deque(maxlen=1)
    rig.filter.script("eom addheader X-New 1")
    workers = rig.gateway.pids("worker")
    before = sum(resident_kib(pid) for pid in workers)
    replies = send_at_once(rig.gateway, count, message("large", "0123456789abcd\r\n" * (size // 16)))
    assert all(reply.startswith("250 2.0.0 Ok: queued as ") for reply in replies), replies
    most = sum(int(status_of(pid)["VmHWM"].split()[0]) for pid in workers)
    assert build.IS_ASAN or most - before < 16 * 1024 + 200 * count


# ---- a new configuration ----

def test_a_reload_takes_another_filter(behind):
    rig = behind()
    rig.filter.script("eom addheader X-New 1")
    with smtp(rig.gateway) as client:
        client.mail(TEXT)
        rig.gateway.reload(listeners={door: {"milters": []} for door in ("submissions", "submission")})
        client.mail(TEXT)  # an old session has its old ones
    with smtp(rig.gateway) as client:
        client.mail(TEXT)
    assert [b"X-New: 1" in m.data for m in rig.upstream.messages] == [True, True, False]
