"""auth.backend = "upstream": a server behind checks the passwords."""
import base64

import pytest

from fixtures.clients import PASSWORDS, message, plain_response, pop3, smtp, token
from fixtures.scripted import CLOSE, EXTENSIONS, Gate
from fixtures.waiting import readable

ALICE = "alice@example.com"
PLAIN_TOO = (*EXTENSIONS, "AUTH PLAIN LOGIN")


@pytest.fixture
def asking(new_gateway):
    """asking(smtp=SERVER, pop3=SERVER, upstream=NAME ...): a gateway without a password store."""
    def make(upstream="", identity=None, start=True, cache="5min", **servers):
        gateway = new_gateway(**servers, start=False, workers=1, auth={
            "backend": "upstream", "upstream": upstream, "sasldb": "/nowhere", "cache": cache})
        if identity:
            gateway.write_config(upstreams={"smtp": {"identity": identity}})
        return gateway.start() if start else gateway
    yield make


def read_as(client, user=ALICE, password=None, expected="+OK"):
    client.ask(f"USER {user}", "+OK")
    return client.ask(f"PASS {password or PASSWORDS[user.partition('@')[0]]}", expected)


def send_as(client, expected, user=ALICE, password=None):
    return client.ask(f"AUTH PLAIN {plain_response(user, password or PASSWORDS['alice'])}", expected)


# ---- POP3: one login at the server behind ----

def test_dovecot_lets_a_user_in_and_has_the_last_word(asking, dovecot):
    dovecot.fill(ALICE, [message()])
    gateway = asking(pop3=dovecot)
    with pop3(gateway, user=None) as client:
        read_as(client, password="wrong", expected="-ERR [AUTH] ")
        read_as(client)
        client.ask("STAT", "+OK 1 ")
        assert gateway.session(client)["account"] == ALICE
        client.quit()
    with pop3(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response(ALICE, PASSWORDS['alice'])}", "+OK")
        client.ask("STAT", "+OK 1 ")
    gateway.wait_event("login", count=2, account=ALICE)
    assert len(gateway.events("login_failed")) == 1


def test_the_connection_that_let_the_user_in_is_the_sessions(asking, new_pop3):
    server = new_pop3([message()])
    gateway = asking(pop3=server)
    with pop3(gateway, user=None) as client:
        read_as(client)
        client.retrieve(1)
    connection, = server.used("USER")
    assert connection.commands == [f"USER {ALICE}", f"PASS {PASSWORDS['alice']}", "RETR 1"]


@pytest.mark.parametrize("said, heard", [
    ("-ERR [AUTH] no", "-ERR [AUTH] "), ("-ERR no", "-ERR [AUTH] "), ("-ERR [IN-USE] x", "-ERR [IN-USE] x"),
    ("-ERR [SYS/TEMP] x", "-ERR [SYS/TEMP] x"), (CLOSE, "-ERR [SYS/TEMP] ")],
    ids=["wrong", "no code", "in use", "away", "lost"])
def test_what_it_says_is_the_answer_to_the_login(asking, new_pop3, said, heard):
    server = new_pop3().on("PASS", said)
    gateway = asking(pop3=server)
    with pop3(gateway, user=None) as client:
        read_as(client, expected=heard)
        server.on("PASS", None)
        read_as(client)  # at once: what became of one login is not the server's state
    gateway.wait_event("login")
    assert gateway.events("upstream_down") == []
    assert len(gateway.events("login")) == 1
    assert len(gateway.events("login_failed")) == (heard == "-ERR [AUTH] ")


def test_the_third_wrong_password_ends_the_session(asking, new_pop3):
    gateway = asking(pop3=new_pop3().on("PASS", "-ERR [AUTH] no"))
    with pop3(gateway, user=None) as client:
        for _ in range(3):
            read_as(client, expected="-ERR [AUTH] ")
        assert client.is_closed()


def test_a_server_that_is_away_never_makes_a_password_wrong(asking, new_pop3):
    server = new_pop3()
    gateway = asking(pop3=server)
    server.kill()
    with pop3(gateway, user=None) as client:
        read_as(client, expected="-ERR [SYS/TEMP] ")
    assert not gateway.events("login_failed")


# ---- SMTP: by a login at the mailboxes ----

def test_dovecot_checks_the_passwords_of_senders(asking, postfix, dovecot):
    recipient = f"{token()}@dest.example"
    gateway = asking(smtp=postfix, pop3=dovecot, upstream="pop3")
    with smtp(gateway, user=None) as client:
        send_as(client, "535 5.7.8 ", password="wrong")
        send_as(client, "235 2.7.0 ")
        client.mail(message(recipient=recipient), recipients=[recipient])
        client.quit()
    postfix.delivered(recipient)
    gateway.wait_event("login", account=ALICE)


@pytest.mark.parametrize("name, account", [(ALICE, ALICE), ("alice", ALICE), ("Alice@Example.com", ALICE)])
def test_it_is_told_the_name_as_it_was_typed(asking, new_smtp, new_pop3, name, account):
    server = new_pop3()
    gateway = asking(smtp=new_smtp(), pop3=server, upstream="pop3")
    with smtp(gateway, user=None) as client:
        send_as(client, "235 2.7.0 ", user=name)
        assert gateway.session(client)["account"] == account
    server.wait_for(lambda: server.used("QUIT") and not server.used("USER")[0].is_open)
    assert server.used("USER")[0].commands == [f"USER {name}", f"PASS {PASSWORDS['alice']}", "QUIT"]


def test_a_password_that_was_right_is_not_asked_for_again(asking, new_smtp, new_pop3):
    server = new_pop3()
    gateway = asking(smtp=new_smtp(), pop3=server, upstream="pop3")
    for _ in range(3):
        with smtp(gateway, user=None) as client:
            send_as(client, "235 2.7.0 ")
    assert len(server.used("USER")) == 1
    server.on("PASS", "-ERR [AUTH] no")
    with smtp(gateway, user=None) as client:
        send_as(client, "535 5.7.8 ", password="another")
    assert len(server.used("USER")) == 2


@pytest.mark.parametrize("said, heard", [
    ("-ERR [AUTH] no", "535 5.7.8 "), ("-ERR no", "535 5.7.8 "), ("-ERR [SYS/TEMP] x", "454 4.7.0 "),
    ("-ERR [IN-USE] x", "454 4.7.0 "), (CLOSE, "454 4.7.0 ")],
    ids=["wrong", "no code", "away", "in use", "lost"])
def test_what_the_mailboxes_say_of_a_senders_password(asking, new_smtp, new_pop3, said, heard):
    gateway = asking(smtp=new_smtp(), pop3=new_pop3().on("PASS", said), upstream="pop3")
    with smtp(gateway, user=None) as client:
        send_as(client, heard)


def test_waiting_for_a_connection_to_ask_on_is_bounded(asking, new_smtp, new_pop3):
    gateway = asking(smtp=new_smtp(), pop3=new_pop3(), upstream="pop3", start=False)
    gateway.write_config(upstreams={"pop3": {"max_connections": 1, "wait_timeout": "300ms"}}).start()
    with pop3(gateway), smtp(gateway, user=None) as client:
        send_as(client, "454 4.7.0 ", user="bob@example.com", password=PASSWORDS["bob"])


# ---- SMTP: by AUTH ----

def test_a_submission_server_checks_the_passwords(asking, new_smtp):
    server = new_smtp(extensions=PLAIN_TOO)
    gateway = asking(smtp=server)
    server.on("AUTH", "535 5.7.8 no", "454 4.7.0 later", None)
    with smtp(gateway, user=None) as client:
        send_as(client, "535 5.7.8 ")
        send_as(client, "454 4.7.0 ")
        send_as(client, "235 2.7.0 ")
        client.mail(message())
    sent, = server.used("MAIL")
    assert not sent.saw("AUTH")  # whom it was asked for never shares a connection


def test_with_identity_password_one_login_is_both(asking, new_smtp):
    server = new_smtp(extensions=PLAIN_TOO)
    gateway = asking(smtp=server, identity="password")
    server.on("AUTH", "535 5.7.8 no", None)
    with smtp(gateway, user=None) as client:
        send_as(client, "535 5.7.8 ")
        send_as(client, "235 2.7.0 ")
        client.mail(message())
        client.quit()
    assert len(server.used("AUTH")) == 2 and server.used("AUTH")[1].messages == 1
    gateway.wait_event("login", account=ALICE)


def test_postfix_with_sasl_checks_the_passwords(asking, postfix_sasl):
    recipient = f"{token()}@dest.example"
    gateway = asking(smtp=postfix_sasl, identity="password", start=False)
    gateway.write_config(upstreams={"smtp": {"tls": "require"}}).start()
    with smtp(gateway, user=None) as client:
        send_as(client, "535 5.7.8 ", password="wrong")
        send_as(client, "235 2.7.0 ")
        client.mail(message(recipient=recipient), recipients=[recipient])
    postfix_sasl.delivered(recipient)


# ---- what can't be ----

def test_only_mechanisms_that_bring_the_password_are_offered(asking, new_smtp, new_pop3):
    gateway = asking(smtp=new_smtp(), pop3=new_pop3(), upstream="pop3")
    with smtp(gateway, user=None) as client:
        client.send("EHLO x")
        assert "AUTH PLAIN LOGIN" in client.expect("250 ").replace("250-", "").replace("250 ", "").split("\n")
    with pop3(gateway, user=None) as client:
        assert b"SASL PLAIN LOGIN" in client.ask_many("CAPA")


@pytest.mark.parametrize("response", ["", "x", "\0", "\0alice", "\0alice\0", "\0\0x", "bob\0alice\0x", "\0alice\0x\0y"])
def test_a_response_that_says_no_name_and_password_is_wrong(asking, new_smtp, new_pop3, response):
    server = new_pop3()
    gateway = asking(smtp=new_smtp(), pop3=server, upstream="pop3")
    encoded = base64.b64encode(response.encode()).decode() or "="
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {encoded}", "535 5.7.8 ")
    assert not server.used("USER")


@pytest.mark.parametrize("upstream, changes, said", [
    ("nobody", {}, 'auth.upstream: "nobody" is not in upstreams'),
    ("smtp", {"tls": "opportunistic"}, "upstreams.smtp.tls: \"opportunistic\" may send a password in clear"),
    ("", {"identity": "auth", "username": "x", "password_file": "/etc/hostname"}, "upstreams.smtp.identity: ")])
def test_a_configuration_that_can_not_ask_is_refused(asking, new_smtp, upstream, changes, said):
    gateway = asking(smtp=new_smtp(), upstream=upstream, start=False)
    gateway.write_config(upstreams={"smtp": changes})
    checked = gateway.check()
    assert checked.returncode == 1 and said in checked.stderr


def test_logins_that_a_server_behind_holds_are_four_of_an_address(new_gateway, new_smtp, new_pop3):
    gate = Gate()
    asked = new_pop3().on("PASS", gate)
    gateway = new_gateway(new_smtp(), asked, auth={"backend": "upstream", "upstream": "pop3"}, workers=1,
                          shared_networks=["192.0.2.0/24"])
    waiting = [smtp(gateway, user=None) for _ in range(5)]
    for client in waiting:
        client.send(f"AUTH PLAIN {plain_response('alice@example.com', PASSWORDS['alice'])}")
    said = [c.expect("454 4.7.0 ") for c in waiting if readable([c.socket], 1)]
    assert len(said) == 1
    assert "too many logins of this address wait" in gateway.wait_event("login_unavailable")["reason"]
    gate.open()
