"""Identity none: connections to a server behind are shared, and used again while that is sure."""
import pytest

from fixtures.clients import message, smtp
from fixtures.scripted import CLOSE, RESET


def test_a_connection_is_used_again_by_the_next_client(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    for _ in range(5):
        with smtp(gateway) as client:
            client.mail(message())
            client.quit()
    assert len(server.used()) == 1 and server.used()[0].messages == 5


def test_a_connection_is_used_again_within_a_session(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        for _ in range(5):
            client.mail(message())
    assert len(server.used()) == 1


def test_two_messages_at_once_use_two_connections(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    with smtp(gateway) as one, smtp(gateway) as two:
        one.envelope()
        two.envelope()
        one.text(message())
        two.text(message())
    assert [c.messages for c in server.used()] == [1, 1]


def test_a_connection_goes_back_after_rset_and_serves_another_client(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    with smtp(gateway) as client:
        client.envelope(recipients=["first@dest.example"])
        client.ask("RSET", "250 ")
    with smtp(gateway) as client:
        client.mail(message())
    connection, = server.used()
    verbs = [command.split()[0] for command in connection.commands]
    assert verbs == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]


def test_a_rset_that_is_not_answered_250_closes_the_connection(new_gateway, new_smtp):
    server = new_smtp().on("RSET", "500 what?")
    gateway = new_gateway(server, workers=1)
    with smtp(gateway) as client:
        client.envelope()
        client.ask("RSET", "250 ")
        client.mail(message())
    assert [c.messages for c in server.used()] == [0, 1]


def test_a_connection_is_closed_after_more_than_5_errors(new_gateway, new_smtp):
    """Postfix slows and then cuts a connection for the errors on it, whoever made them."""
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "no-" in line else None)
    gateway = new_gateway(server, workers=1)
    for errors in (5, 6, 0):
        with smtp(gateway) as client:
            client.ask("MAIL FROM:<alice@example.com>", "250 ")
            for n in range(errors):
                client.ask(f"RCPT TO:<no-{n}@dest.example>", "550 5.1.1 ")
            client.quit()
    with smtp(gateway) as client:
        client.mail(message())
    first, second = server.used()
    assert len(first.saw("RCPT")) == 11 and len(second.saw("RCPT")) == 1


def test_a_message_that_was_taken_makes_errors_forgotten(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "no-" in line else None)
    gateway = new_gateway(server, workers=1)
    for _ in range(4):
        with smtp(gateway) as client:
            client.ask("MAIL FROM:<alice@example.com>", "250 ")
            for n in range(5):
                client.ask(f"RCPT TO:<no-{n}@dest.example>", "550 5.1.1 ")
            client.ask("RCPT TO:<yes@dest.example>", "250 ")
            client.text(message())
            client.quit()
    assert len(server.used()) == 1


def test_a_connection_is_closed_after_100_messages(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, workers=1)) as client:
        for _ in range(101):
            client.mail(message())
    assert [c.messages for c in server.used()] == [100, 1]
    assert server.used()[0].commands[-1] == "QUIT"


def test_a_connection_that_nobody_uses_is_closed_after_idle_timeout(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1, upstream={"idle_timeout": "300ms"})
    with smtp(gateway) as client:
        client.mail(message())
        server.wait_connections(0)
        client.mail(message())
    assert len(server.used()) == 2


@pytest.mark.parametrize("trouble", [CLOSE, RESET], ids=["closed", "reset"])
def test_a_pooled_connection_that_died_meanwhile_is_replaced_unseen(new_gateway, new_smtp, trouble):
    """It dies as its first command comes: nobody could have known."""
    server = new_smtp().on("MAIL", None, trouble, None)
    with smtp(new_gateway(server, workers=1)) as client:
        client.mail(message())
        client.mail(message())
    assert [c.messages for c in server.used()] == [1, 1]
    assert len(server.used()[0].saw("MAIL")) == 2


def test_pooled_connections_that_the_server_has_closed_are_not_used(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, workers=1)
    with smtp(gateway) as client:
        client.mail(message())
        server.kill()
        server.listen()
        client.mail(message())
    assert len(server.messages) == 2


@pytest.mark.parametrize("surplus", ["250 2.0.0 Ok: queued as X\n250 2.0.0 more", "250 2.0.0 Ok: queued as X\ngarbage"])
def test_a_connection_with_bytes_that_nobody_asked_for_is_not_used_again(new_gateway, new_smtp, surplus):
    server = new_smtp().on("DOT", surplus, None)
    with smtp(new_gateway(server, workers=1)) as client:
        client.mail(message())
        client.mail(message())
    assert [c.messages for c in server.used()] == [1, 1]


def test_bytes_that_come_while_a_connection_idles_close_it(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, workers=1)) as client:
        client.mail(message())
        server.used()[0].socket.sendall(b"250 2.0.0 surprise\r\n")
        server.wait_connections(0)
        client.mail(message())
    assert len(server.used()) == 2


def test_surplus_replies_never_answer_what_is_asked_later(new_gateway, new_smtp):
    """Taken for answers to DATA and the dot, these would acknowledge a message that nobody has."""
    server = new_smtp().on("RCPT", "250 2.1.5 Ok\n354 go\n250 2.0.0 Ok: queued as LIE", None)
    with smtp(new_gateway(server, workers=1)) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "250 2.1.5 ")
        client.text(message())
    assert [c.messages for c in server.used()] == [0, 1]
