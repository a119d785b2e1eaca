"""What the client is told when a server behind fails, hangs or refuses, phase by phase; and that
nothing that was acknowledged is lost."""
import os
import re
import signal
import socket

import pytest

from fixtures.clients import id_of, message, pop3, smtp
from fixtures.load import Load
from fixtures.postfix import Postfix
from fixtures.scripted import CLOSE, HANG, RESET, Gate
from fixtures.waiting import until

QUICK = {"connect_timeout": "1s", "command_timeout": "1s", "final_timeout": "1s", "health_check": "1h"}
LOST = {"closes": CLOSE, "resets": RESET, "hangs": HANG, "talks nonsense": "HTTP/1.1 400 Bad Request"}


def send(client, text=None):
    """A message, step by step, until one is refused: that step and the reply."""
    client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
    for step, line in (("RCPT", "RCPT TO:<someone@dest.example>"), ("DATA", "DATA")):
        reply = client.ask(line, "")
        if not reply.startswith(("25", "354")):
            return step, reply
    client.send_bytes((text or message()) + b".\r\n")
    return "DOT", client.expect("")


def check(new_gateway, new_smtp, verb, step, where, reply):
    """A server that was well when it was probed does `step` at `verb`."""
    server = new_smtp(text_limit=1)
    gateway = new_gateway(server, workers=1, upstream=QUICK)
    server.on(verb, step)
    with smtp(gateway) as client:
        at, said = send(client)
        assert at == where and re.match(reply, said), (at, said)
        assert len(server.messages) == said.startswith("250 ")
        client.ask("RSET", "250 2.0.0 ")  # the session goes on
        client.ask("NOOP", "250 2.0.0 ")
    return gateway, server


# ---- lost and hung ----

@pytest.mark.parametrize("trouble", LOST)
@pytest.mark.parametrize("verb, where, reply", [
    ("CONNECT", "RCPT", "451 4.4.1 "),
    ("EHLO", "RCPT", "451 4.4.1 "),
    ("MAIL", "RCPT", "451 4.4.2 "),
    ("RCPT", "RCPT", "451 4.4.2 "),
    ("DATA", "DOT", "451 4.4.2 "),
    ("TEXT", "DOT", "451 4.4.2 "),
    ("DOT", "DOT", "451 4.4.2 "),
])
def test_a_server_behind_that_is_lost(new_gateway, new_smtp, verb, where, reply, trouble):
    if (verb, trouble) == ("TEXT", "talks nonsense"):
        pytest.skip("the scripted server says nothing there")
    check(new_gateway, new_smtp, verb, LOST[trouble], where, reply)


def test_a_server_behind_that_refuses_connections_is_451_4_4_1(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, upstream=QUICK)
    server.refuse()
    with smtp(gateway) as client:
        at, said = send(client)
        assert at == "RCPT" and said.startswith("451 4.4.1 ")
    assert "refused" in gateway.wait_event("upstream_down", upstream="smtp/a")["reason"]


def test_a_server_behind_to_which_connecting_hangs_is_451_4_4_1(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, upstream=QUICK)
    server.refuse()
    with socket.socket() as deaf:  # its queue of one is full
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("127.0.0.1", server.port))
        deaf.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", server.port))
            fillers.append(filler)
        with smtp(gateway) as client:
            at, said = send(client)
            assert at == "RCPT" and said.startswith("451 4.4.1 ")
        for filler in fillers:
            filler.close()


def test_a_server_behind_that_stops_reading_a_large_text_is_451_4_4_2(new_gateway, new_smtp):
    server = new_smtp(text_limit=1).on("TEXT", HANG)
    gateway = new_gateway(server, upstream=QUICK)
    with smtp(gateway) as client:
        at, said = send(client, message(body="x" * 998 + "\r\n" + ("y" * 998 + "\r\n") * 20000))
        assert at == "DOT" and said.startswith("451 4.4.2 ")
        client.ask("NOOP", "250 ")


def test_a_server_behind_that_is_lost_in_the_middle_of_a_large_text(new_gateway, new_smtp):
    """The rest is read and dropped; a body that has begun is never ended by a dot of ours."""
    server = new_smtp(text_limit=1_000_000).on("TEXT", RESET)
    gateway = new_gateway(server, upstream=QUICK)
    with smtp(gateway) as client:
        at, said = send(client, message(body=("y" * 998 + "\r\n") * 8000))
        assert at == "DOT" and said.startswith("451 4.4.2 ")
        server.on("TEXT", None)
        client.mail(message())
    assert len(server.messages) == 1


def test_the_message_that_a_lost_server_may_have_taken_is_sent_again_by_the_client(new_gateway, new_smtp):
    """After the dot a duplicate is possible, a loss never."""
    server = new_smtp().on("DOT", RESET, None)
    with smtp(new_gateway(server, upstream=QUICK)) as client:
        at, said = send(client)
        assert said.startswith("451 4.4.2 ")
        at, said = send(client)
        assert at == "DOT" and id_of(said)
    assert len(server.messages) == 1


def test_no_other_server_gets_a_message_whose_text_has_begun(new_gateway, new_smtp):
    first, second = new_smtp().on("DOT", CLOSE), new_smtp().on("DOT", CLOSE)
    gateway = new_gateway([first, second], upstream=QUICK)
    with smtp(gateway) as client:
        at, said = send(client)
        assert at == "DOT" and said.startswith("451 4.4.2 ")
    assert len(first.used("DATA")) + len(second.used("DATA")) == 1


# ---- refusals that pass ----

@pytest.mark.parametrize("said, heard", [
    ("450 4.2.0 greylisted, come back", "450 4.2.0 greylisted, come back"),
    ("452 4.2.2 mailbox full", "452 4.2.2 mailbox full"),
    ("550 5.1.1 no such user", "550 5.1.1 no such user"),
    ("552 5.2.2 over quota", "552 5.2.2 over quota"),
    ("554 5.7.1 you are listed", "554 5.7.1 you are listed"),
    ("550 no code here", "550 5.0.0 no code here"),
    ("450 nor here", "450 4.0.0 nor here"),
    ("550-5.7.1 in several\n550-5.7.1 lines of\n550 5.7.1 text", "550 5.7.1 in several lines of text"),
])
@pytest.mark.parametrize("verb, where", [("MAIL", "RCPT"), ("RCPT", "RCPT"), ("DATA", "DOT"), ("DOT", "DOT")])
def test_refusals_pass_with_their_text(new_gateway, new_smtp, verb, where, said, heard):
    check(new_gateway, new_smtp, verb, said, where, re.escape(heard) + "$")


@pytest.mark.parametrize("said", ["251 2.1.5 User not local; will forward", "252 2.1.5 Can't verify, will try"])
def test_other_acceptances_of_a_recipient_pass(new_gateway, new_smtp, said):
    server = new_smtp().on("RCPT", said)
    with smtp(new_gateway(server)) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        assert client.ask("RCPT TO:<x@dest.example>", "25") == said
        client.text(message())


def test_a_long_refusal_is_cut_to_510_octets_and_cleaned(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", "550 5.7.1 " + "\x1b[31m" + "long \xe4\x07 " * 180)
    with smtp(new_gateway(server)) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.send("RCPT TO:<x@dest.example>")
        line = client.line()
    assert line.startswith(b"550 5.7.1 ?[31mlong ") and len(line) <= 510
    assert not re.search(rb"[^ -~]", line)


def test_the_servers_own_text_of_an_acceptance_is_in_the_log_alone(new_gateway, new_smtp):
    server = new_smtp().on("DOT", "250 2.6.0 <secret@inside> [InternalId=12] Queued mail")
    gateway = new_gateway(server)
    with smtp(gateway) as client:
        client.envelope()
        reply = client.text(message())
    assert "InternalId" not in reply
    accepted = gateway.wait_event("message_accepted", message=id_of(reply))
    assert "InternalId=12" in accepted["reply"]


# ---- refusals that are changed ----

@pytest.mark.parametrize("verb, where", [("MAIL", "RCPT"), ("RCPT", "RCPT"), ("DATA", "DOT"), ("DOT", "DOT")])
@pytest.mark.parametrize("code", ["503 5.5.1", "530 5.7.0", "534 5.7.9", "535 5.7.8", "538 5.7.11"])
def test_what_is_the_admins_to_mend_is_451_4_3_5_and_logged(new_gateway, new_smtp, verb, where, code):
    gateway, _ = check(new_gateway, new_smtp, verb, f"{code} about the gateway", where, "451 4.3.5 ")
    refused = gateway.wait_event("upstream_refuses", upstream="smtp/a", code=code[:3])
    assert refused["level"] == "error" and "about the gateway" in refused["reply"]


@pytest.mark.parametrize("verb, where, said", [
    ("MAIL", "RCPT", "354 go"), ("MAIL", "RCPT", "220 hello"), ("RCPT", "RCPT", "354 go"),
    ("RCPT", "RCPT", "221 bye"), ("DATA", "DOT", "250 ok"), ("DOT", "DOT", "354 go on")])
def test_unexpected_replies_are_451_4_3_5(new_gateway, new_smtp, verb, where, said):
    check(new_gateway, new_smtp, verb, said, where, "451 4.3.5 ")


@pytest.mark.parametrize("verb, where", [
    ("CONNECT", "RCPT"), ("EHLO", "RCPT"), ("MAIL", "RCPT"), ("RCPT", "RCPT"), ("DATA", "DOT"), ("DOT", "DOT")])
def test_421_is_451_4_3_2_since_it_is_not_we_who_close(new_gateway, new_smtp, verb, where):
    check(new_gateway, new_smtp, verb, "421 4.3.2 going down", where, "451 4.3.2 ")


def test_a_greeting_that_refuses_is_451_4_4_1(new_gateway, new_smtp):
    check(new_gateway, new_smtp, "CONNECT", "554 5.3.2 not you", "RCPT", "451 4.4.1 ")


@pytest.mark.parametrize("nonsense", [
    "250-" + "x" * 100 + "\n250-y\n" * 200 + "250 end",
    "250 " + "x" * 10000,
    "250-one\n251 two",
    "999 what",
    "25",
    "\n",
], ids=["too many lines", "too long a line", "codes that differ", "no such code", "cut off", "empty"])
def test_a_hostile_reply_is_no_reply(new_gateway, new_smtp, nonsense):
    """CVE-2020-8794 and its kin: what the server behind says isn't trusted either."""
    check(new_gateway, new_smtp, "RCPT", nonsense, "RCPT", "451 4.4.2 ")


def test_a_reply_that_never_ends_is_bounded(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, upstream=QUICK)
    server.on("RCPT", "\n".join("250-" + "x" * 500 for _ in range(20000)))
    with smtp(gateway) as client:
        at, said = send(client)
        assert at == "RCPT" and said.startswith("451 4.4.2 ")


# ---- the envelope, repeated ----

def drop_connections(server):
    """The server restarts."""
    server.kill()
    server.listen()


def test_the_envelope_is_repeated_when_its_connection_is_lost_before_data(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, workers=1)) as client:
        client.envelope(recipients=["x@dest.example", "y@dest.example"])
        drop_connections(server)
        client.text(message())
    first, second = server.used()
    assert second.saw("RCPT") == ["RCPT TO:<x@dest.example>", "RCPT TO:<y@dest.example>"]
    assert server.messages[0].recipients == second.saw("RCPT")


def test_the_envelope_is_repeated_when_its_connection_is_lost_before_the_next_recipient(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "bad" in line else None)
    with smtp(new_gateway(server, workers=1)) as client:
        client.envelope(recipients=["x@dest.example"])
        client.ask("RCPT TO:<bad@dest.example>", "550 5.1.1 ")
        drop_connections(server)
        client.ask("RCPT TO:<y@dest.example>", "250 2.1.5 ")
        client.text(message())
    assert server.used()[-1].saw("RCPT") == ["RCPT TO:<x@dest.example>", "RCPT TO:<y@dest.example>"]


def test_a_recipient_refused_when_the_envelope_is_repeated_makes_the_message_451_4_4_2(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, workers=1)) as client:
        client.envelope(recipients=["x@dest.example", "y@dest.example"])
        drop_connections(server)
        server.on("RCPT", lambda line: "550 5.1.1 gone" if "x@" in line else None)
        client.ask("DATA", "451 4.4.2 ")
        client.ask("NOOP", "250 ")
    assert not server.messages


def test_all_recipients_refused_for_good_when_the_envelope_is_repeated_is_5yz(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, workers=1)) as client:
        client.envelope(recipients=["x@dest.example", "y@dest.example"])
        drop_connections(server)
        server.on("RCPT", "550 5.1.1 gone")
        client.ask("DATA", "5")
    assert not server.messages


def test_no_server_when_the_envelope_is_to_be_repeated_is_451_4_4_1(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, workers=1)) as client:
        client.envelope()
        server.kill()
        client.ask("DATA", "451 4.4.1 ")
        client.ask("NOOP", "250 ")


# ---- under load ----

def test_a_server_that_is_killed_again_and_again_loses_no_acknowledged_message(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server)
    with Load(gateway) as load:
        for _ in range(3):
            load.more(20)
            server.kill()
            server.listen()
            gateway.wait_event("upstream_up", upstream="smtp/a")
        load.more(20)
    load.is_in(server)


@pytest.mark.long
def test_a_real_postfix_killed_under_load_loses_no_acknowledged_message(new_gateway, base_folder):
    postfix = Postfix(base_folder / "postfix-killed").start()
    recipient = "someone@dest.example"
    try:
        gateway = new_gateway(postfix, upstream={"health_check": "500ms"})
        with Load(gateway) as load:
            for _ in range(3):
                load.more(50)
                os.killpg(postfix.process.pid, signal.SIGKILL)
                postfix.process.wait()
                (postfix.folder / "data/master.lock").unlink(missing_ok=True)
                postfix.start()
            load.more(50)
        until(lambda: postfix.count(recipient) >= len(load.acknowledged))
        texts = b"".join(content for _, content in postfix.known.values())
        assert not [mark for mark in load.acknowledged if mark.encode() not in texts]
    finally:
        postfix.stop()


def test_clients_of_a_healthy_server_do_not_notice_a_sick_one(new_gateway, new_smtp, new_pop3):
    """Two upstreams: one hangs, the other serves."""
    sick, well = new_smtp(), new_pop3([message()])
    gateway = new_gateway(sick, well, workers=1, upstream={"command_timeout": "20s"})
    sick.on("RCPT", gate := Gate())
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.send("RCPT TO:<x@dest.example>")
        gate.wait_reached()
        with pop3(gateway) as reader:
            assert reader.retrieve(1) == well.messages[0]
        gate.open()
        client.expect("250 2.1.5 ")


