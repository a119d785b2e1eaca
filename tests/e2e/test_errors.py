"""Who speaks something else, only errs, or only chats, is sent away."""
import pytest

from fixtures.clients import Smtp, message, smtp

TOO_MANY_ERRORS = "421 4.7.0 Too many errors"
TOO_MANY_COMMANDS = "421 4.7.0 Too many commands without a message"


def sent_away_after(client, command, reply, count):
    """So often is that the answer; then the session is ended. Returns the last word."""
    for _ in range(count):
        client.ask(command, reply)
    last = client.expect("421 4.7.0 ")
    assert client.is_closed()
    return last


# ---- other languages ----

@pytest.mark.parametrize("line", [
    "GET / HTTP/1.1", "POST /mail HTTP/1.1", "CONNECT mail.example.com:25 HTTP/1.1", "OPTIONS * HTTP/1.0", "put /",
    "PRI * HTTP/2.0", "Host: mail.example.com", "Subject: hello", "From: <alice@example.com>"])
@pytest.mark.parametrize("where", ["before TLS", "before AUTH", "logged in"])
def test_http_and_header_lines_end_the_session(gateway, line, where):
    if where == "before TLS":
        client = Smtp(gateway.port("submission"), tls=None)
        client.expect("220 ")
    else:
        client = smtp(gateway, user="alice" if where == "logged in" else None)
    with client:
        client.send([line, "EHLO client.example.net", "MAIL FROM:<alice@example.com>"])
        client.expect("421 4.7.0 ")
        assert client.is_closed()


def test_commands_in_the_body_of_a_browsers_form_are_never_read(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server)
    with Smtp(gateway.port("submissions")) as client:
        client.expect("220 ")
        client.send(["POST / HTTP/1.1", "Host: mail.example.com:465", "Content-Length: 99", "", "EHLO x",
                     "AUTH PLAIN AGFsaWNlAHNlY3JldC1vZi1hbGljZQ==", "MAIL FROM:<alice@example.com>",
                     "RCPT TO:<x@dest.example>", "DATA", "", "evil", "."])
        client.expect("421 4.7.0 ")
        assert client.is_closed()
    gateway.wait_event("command_refused", command="POST", code=421)
    assert not gateway.events("login") and not server.used()


# ---- errors ----

@pytest.mark.parametrize("command, reply", [
    ("FOO", "500 "), ("DATA", "503 "), ("MAIL FROM:<wrong", "501 "), ("MAIL FROM:<alice@example.com> FOO=1", "555 "),
    ("MAIL FROM:<alice@example.com> SIZE=99999999999", "552 "), ("EHLO <x>", "501 "), ("NOOP\0", "500 ")])
def test_the_twentieth_error_ends_the_session(gateway, command, reply):
    with smtp(gateway) as client:
        assert sent_away_after(client, command, reply, 20).startswith(TOO_MANY_ERRORS)


@pytest.mark.parametrize("command, reply", [
    ("AUTH FOO", "504 "), ("AUTH PLAIN !", "501 "), ("MAIL FROM:<alice@example.com>", "530 ")])
def test_errors_before_the_login_end_the_session_too(gateway, command, reply):
    with smtp(gateway, user=None) as client:
        assert sent_away_after(client, command, reply, 20).startswith(TOO_MANY_ERRORS)


def test_errors_in_one_segment_are_not_all_answered(gateway):
    with smtp(gateway) as client:
        client.send(["FOO"] * 1000)
        for _ in range(20):
            client.expect("500 ")
        client.expect(TOO_MANY_ERRORS)
        assert client.is_closed()
    gateway.wait_event("command_refused", code=421)


def test_a_message_that_is_taken_forgives_the_errors_before_it(gateway):
    with smtp(gateway) as client:
        for _ in range(3):
            for _ in range(19):
                client.ask("FOO", "500 ")
            client.mail(message())


def test_refused_recipients_count_when_their_message_is_given_up(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", lambda line: None if "good@" in line else "550 5.1.1 no")
    gateway = new_gateway(server)
    with smtp(gateway) as client:  # a list with many dead addresses goes through
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        for n in range(50):
            client.ask(f"RCPT TO:<dead{n}@dest.example>", "550 5.1.1 ")
        client.ask("RCPT TO:<good@dest.example>", "250 ")
        client.text(message())
    with smtp(gateway) as client:  # who tries addresses out doesn't
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        for n in range(50):
            client.ask(f"RCPT TO:<dead{n}@dest.example>", "550 5.1.1 ")
        client.ask("RSET", "250 ")
        client.expect(TOO_MANY_ERRORS)
        assert client.is_closed()
    assert len(server.messages) == 1


def test_recipients_refused_for_now_are_no_errors(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", lambda line: "450 4.2.0 later")
    with smtp(new_gateway(server, listener={"max_recipients": 30})) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        for n in range(30):
            client.ask(f"RCPT TO:<r{n}@dest.example>", "450 4.2.0 ")
        for n in range(30):
            client.ask(f"RCPT TO:<more{n}@dest.example>", "452 4.5.3 ")
        client.ask("RSET", "250 ")
        client.ask("NOOP", "250 ")


def test_a_client_that_ignores_max_recipients_by_thousands_is_sent_away(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, listener={"max_recipients": 5})) as client:
        client.send(["MAIL FROM:<alice@example.com>"] + [f"RCPT TO:<r{n}@dest.example>" for n in range(10000)])
        client.expect("250 ")
        for _ in range(5):
            client.expect("250 ")
        for _ in range(1000 + 20):
            client.expect("452 4.5.3 ")
        client.expect(TOO_MANY_ERRORS)
        assert client.is_closed()
    assert not server.messages


# ---- commands that lead nowhere ----

@pytest.mark.parametrize("command, reply", [
    ("NOOP", "250 "), ("RSET", "250 "), ("VRFY x", "252 "), ("HELP", "214 "), ("EHLO x", "250 "), ("HELO x", "250 ")])
def test_a_client_that_only_chats_is_sent_away(gateway, command, reply):
    with smtp(gateway) as client:  # its EHLO was the first
        assert sent_away_after(client, command, reply, 99).startswith(TOO_MANY_COMMANDS)


def test_envelopes_without_a_message_end(gateway):
    with smtp(gateway) as client:
        for _ in range(99):
            client.ask("MAIL FROM:<alice@example.com>", "250 ")
            client.ask("RSET", "250 ")
        client.expect(TOO_MANY_COMMANDS)
        assert client.is_closed()


def test_a_client_may_send_messages_and_rset_without_end(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        for _ in range(150):
            client.ask("RSET", "250 ")
            client.ask("NOOP", "250 ")
            client.mail(message())
    assert len(server.messages) == 150


def test_before_tls_nobody_chats_without_end(gateway):
    with Smtp(gateway.port("submission"), tls=None) as client:
        client.expect("220 ")
        assert sent_away_after(client, "EHLO x", "250 ", 100).startswith(TOO_MANY_COMMANDS)
