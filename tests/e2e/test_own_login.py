"""Identity password for SMTP: the user's own login is repeated at the server behind."""
import base64

import pytest

from fixtures.clients import PASSWORDS, message, plain_response, smtp, token
from fixtures.scripted import CLOSE, EXTENSIONS, Gate

PLAIN_TOO = (*EXTENSIONS, "AUTH PLAIN LOGIN")


@pytest.fixture
def behind(new_gateway, new_smtp):
    """behind(extensions, KEY=VALUE ...): a gateway, and the scripted server that it logs in at."""
    def make(extensions=PLAIN_TOO, start=True, **upstream):
        server = new_smtp(extensions=extensions)
        return new_gateway(server, start=start, upstream={"identity": "password", **upstream}), server
    yield make


def log_in(client, expected, user="alice", password=None):
    password = password or PASSWORDS[user]
    return client.ask(f"AUTH PLAIN {plain_response(f'{user}@example.com', password)}", expected)


def test_postfix_lets_the_user_in_with_his_own_password(new_gateway, postfix_sasl):
    recipient = f"{token()}@dest.example"
    gateway = new_gateway(postfix_sasl, upstream={"identity": "password", "tls": "require"})
    with smtp(gateway) as client:
        client.mail(message(recipient=recipient), recipients=[recipient])
        client.quit()
    content, = postfix_sasl.delivered(recipient)
    assert b"(Authenticated sender: alice@example.com)" in content.replace(b"\n\t", b" ")


@pytest.mark.parametrize("offer", ["PLAIN LOGIN", "LOGIN"])
def test_the_login_is_made_at_auth_on_the_connection_that_the_mail_takes(behind, offer):
    gateway, server = behind((*EXTENSIONS, f"AUTH {offer}"))
    with smtp(gateway) as client:
        connection, = server.used("AUTH")
        for _ in range(2):
            client.mail(message())
        client.quit()
    user, password = ("alice@example.com", PASSWORDS["alice"])
    if offer == "LOGIN":
        assert connection.login == ["LOGIN", user, password]
    else:
        assert connection.login == ["PLAIN", f"\0{user}\0{password}"]
    assert connection.messages == 2 and len(server.used("AUTH")) == 1


def test_users_never_share_a_connection(behind):
    gateway, server = behind()
    for user in ("alice", "bob"):
        with smtp(gateway, user=user) as client:
            client.mail(message(), sender=f"{user}@example.com")
            client.quit()
    assert sorted(c.login[1].split("\0")[1] for c in server.used("MAIL")) == [
        "alice@example.com", "bob@example.com"]


@pytest.mark.parametrize("refusal, expected", [
    ("535 5.7.8 no", "535 5.7.8 "), ("525 5.7.13 disabled", "535 5.7.8 "), ("454 4.7.0 later", "454 4.7.0 "),
    ("530 5.7.0 TLS first", "454 4.7.0 "), ("421 4.3.2 full", "454 4.7.0 "), (CLOSE, "454 4.7.0 ")],
    ids=["wrong", "disabled", "later", "TLS", "full", "lost"])
def test_what_the_server_behind_says_is_the_answer_to_auth(behind, refusal, expected):
    gateway, server = behind()
    server.on("AUTH", refusal)
    with smtp(gateway, user=None) as client:
        log_in(client, expected)
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")
    assert gateway.wait_event("mailbox_refused", upstream="smtp")
    assert not gateway.events("login")


def test_a_refused_login_can_be_tried_again_and_the_third_ends_the_session(behind):
    gateway, server = behind()
    server.on("AUTH", "535 5.7.8 no", None)
    with smtp(gateway, user=None) as client:
        log_in(client, "535 5.7.8 ")
        log_in(client, "235 2.7.0 ")
    server.on("AUTH", "535 5.7.8 no")
    with smtp(gateway, user=None) as client:
        for _ in range(3):
            log_in(client, "535 5.7.8 ")
        client.expect("421 4.7.0 ")
        assert client.is_closed()


def test_a_password_that_is_wrong_here_never_reaches_the_server_behind(behind):
    gateway, server = behind()
    with smtp(gateway, user=None) as client:
        log_in(client, "535 5.7.8 ", password="wrong")
    assert not server.used("AUTH")


def test_a_connection_that_is_lost_between_messages_is_made_anew_with_the_same_login(behind):
    gateway, server = behind(idle_timeout="200ms")
    with smtp(gateway) as client:
        server.wait_for(lambda: not server.used("AUTH")[0].is_open)
        client.mail(message())
        first = len(server.used("AUTH"))
        assert first == 2 and server.used("AUTH")[1].messages == 1


def test_a_login_that_is_refused_later_is_the_gateways_trouble(behind):
    gateway, server = behind(idle_timeout="200ms")
    server.on("AUTH", None, "535 5.7.8 changed")
    with smtp(gateway) as client:
        server.wait_for(lambda: not server.used("AUTH")[0].is_open)
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<someone@dest.example>", "451 4.3.5 ")


def test_a_server_that_offers_no_login_is_the_admins_to_mend(behind):
    gateway, server = behind(EXTENSIONS)
    with smtp(gateway, user=None) as client:
        log_in(client, "454 4.7.0 ")
    gateway.wait_event("upstream_refuses", upstream="smtp/a", reason="AUTH with PLAIN or LOGIN is not offered")


def test_a_client_that_leaves_while_he_is_logged_in_takes_his_connection_with_him(behind):
    gateway, server = behind()
    gate = Gate()
    server.on("AUTH", gate)
    with smtp(gateway, user=None) as client:
        client.send(f"AUTH PLAIN {plain_response('alice@example.com', PASSWORDS['alice'])}")
        gate.wait_reached()
        client.drop()
    gate.open()
    gateway.wait_event("session_ended")
    server.wait_for(lambda: not server.used("AUTH")[0].is_open)


def test_only_mechanisms_that_bring_the_password_are_offered(behind):
    gateway, _ = behind()
    with smtp(gateway, user=None) as client:
        client.send("EHLO x")
        said = client.expect("250 ")
    assert "AUTH PLAIN LOGIN" in said.replace("250-", "").replace("250 ", "").split("\n")


def test_a_password_in_clear_must_be_asked_for(behind):
    gateway, _ = behind(start=False, tls="opportunistic")
    said = gateway.check()
    assert said.returncode == 1 and "may send a password in clear" in said.stderr


@pytest.mark.parametrize("offer", ["PLAIN", "LOGIN"])
def test_a_password_that_the_server_repeats_reaches_neither_log_nor_client(behind, offer):
    """As it is, in base 64, in what AUTH said, and in a part of that, as Sendmail does."""
    password = PASSWORDS["alice"]
    encoded = base64.b64encode(password.encode()).decode()
    gateway, server = behind((*EXTENSIONS, f"AUTH {offer}"))
    server.on("AUTH", lambda line: f"535 5.7.8 {line}, ...{line[-12:]}, {password} or {encoded}?")
    with smtp(gateway, user=None) as client:
        said = log_in(client, "535 5.7.8 ")
    reason = gateway.wait_event("mailbox_refused")["reason"]
    assert f": 535 AUTH {offer} " in reason and reason.endswith("***, ...***, *** or ***?"), reason
    word = plain_response("alice@example.com", password)
    for secret in (word, word[-12:], password, encoded):
        assert secret not in gateway.log_text() and secret not in said
