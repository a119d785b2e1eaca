"""The envelope on its way to the server behind."""
import re
import threading

import pytest

from fixtures.clients import message, smtp


def test_mail_rcpt_and_data_of_a_batch_go_up_in_one_write(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<x@dest.example>", "RCPT TO:<y@dest.example>", "DATA"])
        for reply in ("250 2.1.0 ", "250 2.1.5 ", "250 2.1.5 ", "354 "):
            client.expect(reply)
        client.send_bytes(message() + b".\r\n")
        client.expect("250 ")
    assert server.used()[0].hears_ahead  # RCPT was there when MAIL was answered


def test_a_declared_size_goes_up_with_room_for_the_received_line(new_gateway, new_smtp):
    server = new_smtp().on("MAIL", lambda line: "552 5.3.4 too big" if "SIZE=5" in line else None)
    with smtp(new_gateway(server)) as client:
        client.ask("MAIL FROM:<alice@example.com> SIZE=100000", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "250 ")
        client.text(message())
        client.ask("MAIL FROM:<alice@example.com> SIZE=500000", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "552 5.3.4 too big")
    size = int(re.fullmatch(r"MAIL FROM:<alice@example.com> SIZE=(\d+)", server.messages[0].sender)[1])
    received = len(server.messages[0].data) - len(message())
    assert 100000 + received <= size <= 100000 + 2000


def test_a_server_without_pipelining_gets_one_command_at_a_time(new_gateway, new_smtp):
    server = new_smtp(extensions=["8BITMIME"]).on("RCPT", None, "550 5.1.1 no", None)
    with smtp(new_gateway(server)) as client:
        client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<x@dest.example>", "RCPT TO:<y@dest.example>",
                     "RCPT TO:<z@dest.example>", "DATA"])
        for reply in ("250 2.1.0 ", "250 2.1.5 ", "550 5.1.1 ", "250 2.1.5 ", "354 "):
            client.expect(reply)
        client.send_bytes(message() + b".\r\n")
        client.expect("250 ")
    assert not server.used()[0].hears_ahead and len(server.messages[0].recipients) == 2


def test_a_server_that_knows_only_helo_is_served(new_gateway, new_smtp):
    server = new_smtp().on("EHLO", "502 5.5.1 what?")
    with smtp(new_gateway(server)) as client:
        offered = client.hello()
        client.mail(message())
    assert not {"8BITMIME", "SMTPUTF8", "DSN"} & set(offered)
    assert server.used()[0].saw("HELO") == ["HELO mail.example.com"]


def test_partial_refusal_sends_to_those_who_were_accepted(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no such user" if "bad" in line else None)
    with smtp(new_gateway(server)) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<good1@dest.example>", "250 ")
        client.ask("RCPT TO:<bad@dest.example>", "550 5.1.1 no such user")
        client.ask("RCPT TO:<good2@dest.example>", "250 ")
        client.text(message())
    assert server.messages[0].recipients == ["RCPT TO:<good1@dest.example>", "RCPT TO:<good2@dest.example>"]


def test_all_recipients_refused_and_still_354_gets_a_lone_dot(new_gateway, new_smtp):
    """RFC 2920 section 3.1: the server may answer DATA with 354 all the same."""
    server = new_smtp().on("RCPT", "550 5.1.1 no", "550 5.1.1 no", None).on("DATA", "354 go")
    server.on("DOT", "554 5.5.1 no valid recipients", None)
    with smtp(new_gateway(server, workers=1)) as client:
        client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<x@dest.example>", "RCPT TO:<y@dest.example>", "DATA"])
        for reply in ("250 2.1.0 ", "550 5.1.1 ", "550 5.1.1 ", "554 5.5.1 "):
            client.expect(reply)
        client.mail(message())
    assert len(server.messages) == 1
    first = server.used()[0]
    assert len(first.saw("DATA")) in (1, 2) and not first.abandoned


def test_mail_that_the_server_refuses_is_the_answer_to_its_recipients(new_gateway, new_smtp):
    server = new_smtp().on("MAIL", "553 5.1.8 Sender address rejected", None)
    with smtp(new_gateway(server)) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
        client.ask("RCPT TO:<x@dest.example>", "553 5.1.8 Sender address rejected")
        client.ask("RCPT TO:<y@dest.example>", "250 2.1.5 ")  # it is asked again
        client.text(message())
    assert server.messages[0].recipients == ["RCPT TO:<y@dest.example>"]


def test_parameters_that_a_server_lacks_are_dropped_and_logged(new_gateway, new_smtp):
    """The probes have found them; the server that is asked then has forgotten them."""
    server = new_smtp().on("EHLO", None, "250-scripted.example\n250 PIPELINING")
    gateway = new_gateway(server)
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com> BODY=8BITMIME RET=FULL SIZE=1000", "250 ")
        client.ask("RCPT TO:<x@dest.example> NOTIFY=NEVER", "250 ")
        client.text(message())
    assert server.messages[0].sender == "MAIL FROM:<alice@example.com>"
    assert server.messages[0].recipients == ["RCPT TO:<x@dest.example>"]
    gateway.wait_event("parameter_dropped")


def test_smtputf8_at_a_server_that_lacks_it_now_is_451_4_4_1(new_gateway, new_smtp):
    server = new_smtp().on("EHLO", None, "250-scripted.example\n250 PIPELINING")
    with smtp(new_gateway(server)) as client:
        client.ask("MAIL FROM:<alice@example.com> SMTPUTF8", "250 ")
        client.ask("RCPT TO:<grüße@dest.example>", "451 4.4.1 ")


@pytest.mark.parametrize("another, expected", [(False, "550 5.6.7 "), (True, "451 4.4.1 ")], ids=["none has it", "one has it"])
def test_smtputf8_that_servers_have_lost_is_for_good_when_none_has_it(new_gateway, new_smtp, another, expected):
    """It was offered to the client; since then the probes have found that it is gone."""
    is_lost = threading.Event()
    server = new_smtp().on("EHLO", lambda line: "250 scripted.example" if is_lost.is_set() else None)
    servers = [server, new_smtp()] if another else [server]
    gateway = new_gateway(servers, workers=1, upstream={"health_check": "1s"})
    with smtp(gateway) as client:
        is_lost.set()
        seen = len(server.connections)
        server.wait_for(lambda: len(server.connections) >= seen + 2)
        answers = []
        while expected not in answers and len(answers) < 12:
            client.ask("MAIL FROM:<alice@example.com> SMTPUTF8", "250 ")
            client.send("RCPT TO:<grüße@dest.example>")
            answers.append(client.reply()[:10])
            client.ask("RSET", "250 ")
    assert expected in answers and set(answers) <= {expected, "250 2.1.5 "}
