"""Nobody in without a key: what can be said before TLS, and before AUTH."""
import pytest

from fixtures.clients import Smtp, message, plain_response, smtp

ALICE = plain_response("alice", "secret-of-alice")


@pytest.fixture
def clear(gateway):
    """A session on 587 that hasn't begun TLS, greeted."""
    with Smtp(gateway.port("submission"), tls=None) as client:
        client.expect("220 mail.example.com ESMTP")
        yield client


# ---- before TLS ----

@pytest.mark.parametrize("command, reply", [
    ("MAIL FROM:<alice@example.com>", "530 5.7.0 Must issue a STARTTLS command first"),
    ("RCPT TO:<x@dest.example>", "530 5.7.0 "),
    ("DATA", "530 5.7.0 "),
    ("RSET", "530 5.7.0 "),
    ("VRFY alice", "530 5.7.0 "),
    ("HELP", "530 5.7.0 "),
    (f"AUTH PLAIN {ALICE}", "538 5.7.11 "),
    ("AUTH LOGIN", "538 5.7.11 "),
    ("AUTH CRAM-MD5", "538 5.7.11 "),
    ("BDAT 0 LAST", "530 5.7.0 "),
    ("EXPN list", "500 5.5.2 "),
    ("XCLIENT ADDR=192.0.2.1", "550 5.7.0 "),
    ("NOOP", "250 2.0.0 "),
    ("EHLO again", "250 "),
    ("HELO again", "250 "),
])
def test_before_tls_nothing_goes_but_ehlo_starttls_noop_and_quit(clear, command, reply):
    clear.hello()
    clear.ask(command, reply)
    clear.ask("QUIT", "221 2.0.0 ")


def test_a_command_before_ehlo_is_out_of_sequence(clear):
    clear.ask("MAIL FROM:<alice@example.com>", "503 5.5.1 ")
    clear.ask("AUTH PLAIN", "503 5.5.1 ")
    clear.ask("NOOP", "250 ")


def test_auth_is_never_offered_before_tls(clear):
    offered = clear.hello()
    assert not [line for line in offered if line.upper().startswith("AUTH")]
    assert "STARTTLS" in offered


@pytest.mark.parametrize("door", ["submissions", "submission"])
def test_auth_is_offered_after_tls_and_starttls_no_more(gateway, door):
    with smtp(gateway, user=None, door=door) as client:
        offered = client.hello()
    assert "AUTH PLAIN LOGIN SCRAM-SHA-256" in offered and "STARTTLS" not in offered


def test_auth_is_not_offered_to_who_has_logged_in(gateway):
    with smtp(gateway) as client:
        assert not [line for line in client.hello() if line.startswith("AUTH")]


def test_commands_pipelined_behind_starttls_are_discarded(clear):
    """CVE-2011-0411: what was sent in clear must not be taken as if it had come by TLS."""
    clear.hello()
    clear.send(["STARTTLS", "EHLO evil.example", f"AUTH PLAIN {ALICE}", "MAIL FROM:<evil@example.com>"])
    clear.expect("220 2.0.0 ")
    clear.secure()
    assert clear.is_silent()
    clear.ask("MAIL FROM:<alice@example.com>", "503 5.5.1 ")  # even the EHLO is to be said again
    clear.hello()
    clear.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")


def test_half_a_command_behind_starttls_is_no_beginning_of_one_in_tls(clear):
    clear.hello()
    clear.send_bytes(b"STARTTLS\r\nNO")
    clear.expect("220 2.0.0 ")
    clear.secure()
    clear.ask("OP", "500 5.5.2 ")


def test_what_was_said_before_starttls_is_forgotten(clear):
    clear.hello()
    clear.starttls()
    clear.ask("AUTH PLAIN", "503 5.5.1 Send EHLO first")


def test_starttls_twice_is_refused(gateway):
    with smtp(gateway, user=None, door="submission") as client:
        client.ask("STARTTLS", "554 5.5.1 ")


def test_starttls_is_refused_where_tls_was_there_from_the_start(gateway):
    with smtp(gateway, user=None) as client:
        client.ask("STARTTLS", "554 5.5.1 ")


def test_starttls_takes_no_argument(clear):
    clear.hello()
    clear.ask("STARTTLS now", "501 5.5.4 ")
    clear.starttls()


# ---- before AUTH ----

@pytest.mark.parametrize("command, reply", [
    ("MAIL FROM:<alice@example.com>", "530 5.7.0 Authentication required"),
    ("RCPT TO:<x@dest.example>", "530 5.7.0 "),
    ("DATA", "530 5.7.0 "),
    ("VRFY alice", "530 5.7.0 "),
    ("RSET", "250 2.0.0 "),
    ("NOOP", "250 2.0.0 "),
    ("HELP", "214 2.0.0 "),
])
@pytest.mark.parametrize("door", ["submissions", "submission"])
def test_no_mail_before_auth(gateway, door, command, reply):
    with smtp(gateway, user=None, door=door) as client:
        client.ask(command, reply)


def test_mail_pipelined_behind_a_failed_auth_is_not_taken(gateway):
    with smtp(gateway, user=None) as client:
        client.send([f"AUTH PLAIN {plain_response('alice', 'wrong')}", "MAIL FROM:<alice@example.com>",
                     "RCPT TO:<x@dest.example>", "DATA"])
        client.expect("535 5.7.8 ")
        client.expect("530 5.7.0 ")
        client.expect("530 5.7.0 ")
        client.expect("530 5.7.0 ")


def test_mail_pipelined_behind_a_good_auth_is_taken(gateway):
    with smtp(gateway, user=None) as client:
        client.send([f"AUTH PLAIN {ALICE}", "MAIL FROM:<alice@example.com>", "RCPT TO:<x@dest.example>", "DATA"])
        client.expect("235 2.7.0 ")
        client.expect("250 2.1.0 ")
        client.expect("250 2.1.5 ")
        client.expect("354 ")
        client.send_bytes(message() + b".\r\n")
        client.expect("250 2.0.0 Ok: queued as ")
