"""Identity xforward: the log of the server behind is told whose each message is; connections stay shared."""
import re

import pytest

from fixtures.clients import message, smtp, token
from fixtures.scripted import CLOSE, EXTENSIONS
from fixtures.waiting import until

OFFER = (*EXTENSIONS, "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT")


def forwarded(connection):
    """The values that were said before each MAIL."""
    found, now = [], {}
    for command in connection.commands:
        if command.startswith("XFORWARD "):
            assert len(command) <= 510
            now.update(re.findall(r"(\w+)=(\S+)", command))
        elif command.startswith("MAIL "):
            found.append(now)
            now = {}
    return found


def test_the_log_of_postfix_has_the_client_of_each_message(new_gateway, postfix_xforward):
    recipient = f"{token()}@dest.example"
    gateway = new_gateway(postfix_xforward, workers=1, upstream={"identity": "xforward"})
    for source in ("127.0.0.71", "127.0.0.72"):
        with smtp(gateway, source=source) as client:
            number = client.mail(message(), recipients=[recipient])
            line = until(lambda: re.search(rf"client=.*orig_queue_id={number}, orig_client=\S*\[{source}\].*",
                                           postfix_xforward.log()))
            assert line
            client.quit()
    assert len(postfix_xforward.delivered(recipient, 2)) == 2


def test_what_xforward_says(new_gateway, new_smtp):
    server = new_smtp(extensions=OFFER)
    gateway = new_gateway(server, upstream={"identity": "xforward"})
    with smtp(gateway, source="127.0.0.73") as client:
        number = client.mail(message())
        port = client.local_port
    assert forwarded(server.used()[0]) == [{
        "NAME": "[UNAVAILABLE]", "ADDR": "127.0.0.73", "PORT": str(port), "PROTO": "ESMTP",
        "HELO": "client.example.net", "IDENT": number, "SOURCE": "REMOTE"}]


def test_connections_stay_shared_and_each_message_has_its_own_client(new_gateway, new_smtp):
    server = new_smtp(extensions=OFFER)
    gateway = new_gateway(server, workers=1, upstream={"identity": "xforward"})
    for source in ("127.0.0.74", "127.0.0.75"):
        with smtp(gateway, source=source) as client:
            client.mail(message())
            client.mail(message())
            client.quit()
    connection, = server.used()
    assert [values["ADDR"] for values in forwarded(connection)] == 2 * ["127.0.0.74"] + 2 * ["127.0.0.75"]


def test_it_goes_in_one_write_with_mail_and_rcpt(new_gateway, new_smtp):
    server = new_smtp(extensions=OFFER)
    with smtp(new_gateway(server, upstream={"identity": "xforward"})) as client:
        client.mail(message())
    assert server.used()[0].hears_ahead


def test_without_pipelining_it_waits_for_each_reply(new_gateway, new_smtp):
    server = new_smtp(extensions=OFFER[1:])
    with smtp(new_gateway(server, upstream={"identity": "xforward"})) as client:
        client.mail(message())
    assert len(forwarded(server.used()[0])[0]) == 7 and not server.used()[0].hears_ahead


def test_only_the_names_that_the_server_lists_are_said(new_gateway, new_smtp):
    server = new_smtp(extensions=(*EXTENSIONS, "XFORWARD ADDR HELO LOGIN"))
    with smtp(new_gateway(server, upstream={"identity": "xforward"})) as client:
        client.mail(message())
    assert set(forwarded(server.used()[0])[0]) == {"ADDR", "HELO"}


def test_where_it_is_not_offered_mail_goes_without(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, upstream={"identity": "xforward"})) as client:
        client.mail(message())
    assert not server.used("XFORWARD")


@pytest.mark.parametrize("reply", ["550 5.7.1 insufficient authorization", "501 5.5.4 what?", "450 later"])
def test_where_it_is_refused_mail_goes_all_the_same(new_gateway, new_smtp, reply):
    server = new_smtp(extensions=OFFER).on("XFORWARD", reply)
    with smtp(new_gateway(server, upstream={"identity": "xforward"})) as client:
        client.mail(message())


@pytest.mark.parametrize("death", [CLOSE, "421 4.4.2 idle"])
def test_a_shared_connection_that_died_meanwhile_is_replaced_unseen(new_gateway, new_smtp, death):
    server = new_smtp(extensions=OFFER)
    gateway = new_gateway(server, workers=1, upstream={"identity": "xforward"})
    with smtp(gateway) as client:
        client.mail(message())
        server.on("XFORWARD", death, None)
        client.mail(message())
    assert len(server.used()) + (death == CLOSE) >= 2 and len(server.messages) == 2
