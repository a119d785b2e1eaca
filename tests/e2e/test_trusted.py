"""Who sends without a login because of where it comes from, and who sends for others."""
import pytest

from fixtures.clients import Smtp, message, smtp
from fixtures.scripted import EXTENSIONS, XCLIENT

PRINTERS = {"printers": {"networks": ["127.0.0.2/32"], "account": "Printers@Example.com"}}
WEB = {"web": {"logins": ["alice@example.com"], "account_from": "mail-auth"}}


def from_printer(gateway, door="submission", **options):
    session = Smtp(gateway.port(door), tls="implicit" if gateway.is_implicit(door) else None, source="127.0.0.2",
                   **options)
    session.expect("220 ")
    session.extensions = session.hello()
    return session


def test_a_trusted_network_sends_without_tls_and_without_a_login_as_its_account(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, listener={"trusted": PRINTERS})
    with from_printer(gateway) as client:
        client.mail(message())
        client.quit()
    assert len(server.messages) == 1 and b" with ESMTP id " in server.messages[0].data
    accepted = gateway.wait_event("message_accepted")
    assert accepted["account"] == "printers@example.com" and "login" not in accepted


@pytest.mark.parametrize("door", ["submissions", "submission"])
def test_it_may_use_tls_and_log_in_all_the_same(new_gateway, new_smtp, door):
    gateway = new_gateway(new_smtp(), listener={"trusted": PRINTERS})
    with from_printer(gateway, door) as client:
        if door == "submission":
            assert "STARTTLS" in client.extensions and not any(e.startswith("AUTH") for e in client.extensions)
            client.starttls()
            client.extensions = client.hello()
        assert any(e.startswith("AUTH ") and "PLAIN" in e for e in client.extensions)
        client.mail(message())
        client.login("bob")
        client.mail(message())
    gateway.wait_event("message_accepted", count=2)
    assert [e["account"] for e in gateway.events("message_accepted")] == ["printers@example.com", "bob@example.com"]


def test_without_tls_it_may_not_log_in(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener={"trusted": PRINTERS})
    with from_printer(gateway) as client:
        client.ask("AUTH PLAIN AGJvYgBib2I=", "538 5.7.11 ")


def test_everybody_else_needs_both(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener={"trusted": PRINTERS})
    with Smtp(gateway.port("submission"), tls=None) as client:
        client.expect("220 ")
        client.hello()
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 Must issue a STARTTLS command first")
        client.starttls()
        client.hello()
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 Authentication required")


def test_who_comes_by_xclient_is_not_of_the_network(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener={"trusted": PRINTERS, "xclient_from": ["127.0.0.0/8"]})
    with Smtp(gateway.port("submissions")) as webmail:
        webmail.expect("220 ")
        webmail.hello()
        webmail.ask("XCLIENT ADDR=127.0.0.2", "220 ")
        webmail.hello()
        webmail.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 Authentication required")
    with from_printer(gateway, "submissions") as client:
        client.ask("XCLIENT ADDR=192.0.2.7", "220 ")
        client.hello()
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 Authentication required")


def test_received_tells_of_whom_the_webmail_speaks_for(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, listener={"xclient_from": ["127.0.0.0/8"], "received": "full"})
    with Smtp(gateway.port("submissions")) as webmail:
        webmail.expect("220 ")
        webmail.hello()
        webmail.ask("XCLIENT ADDR=192.0.2.7 HELO=laptop.example", "220 ")
        webmail.hello("webmail.example")
        webmail.login()
        webmail.mail(message())
    assert server.messages[0].data.startswith(b"Received: from laptop.example ([192.0.2.7])")


def test_a_trusted_login_names_the_account_of_each_message(new_gateway, new_smtp):
    server = new_smtp(extensions=(*EXTENSIONS, XCLIENT))
    gateway = new_gateway(server, listener={"trusted": WEB}, upstream={"identity": "xclient"})
    with smtp(gateway) as client:
        for account in ("shop@example.com", "Blog", "news+2Bweekly@Example.org"):
            client.ask(f"MAIL FROM:<a@example.net> AUTH={account}", "250 ")
            client.ask("RCPT TO:<b@example.net>", "250 ")
            client.text(message())
    gateway.wait_event("message_accepted", count=3)
    accepted = gateway.events("message_accepted")
    assert [e["account"] for e in accepted] == ["shop@example.com", "blog@example.com", "news+weekly@example.org"]
    assert {e["login"] for e in accepted} == {"alice@example.com"}
    told = [c for connection in server.connections for c in connection.commands if c.startswith("XCLIENT")]
    assert sorted(c.split("LOGIN=")[1].split()[0] for c in told if "LOGIN=" in c) == [
        "blog@example.com", "news+2Bweekly@example.org", "shop@example.com"]


@pytest.mark.parametrize("parameter", ["", " AUTH=<>", " AUTH=a+20b@example.com", " AUTH=a@b@c"])
def test_a_message_that_names_nobody_is_refused_or_the_fallbacks(new_gateway, new_smtp, parameter):
    server = new_smtp()
    gateway = new_gateway(server, listener={"trusted": WEB})
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<a@example.net>{parameter}", "550 5.7.1 Name the account that sends this message")
        client.ask("RCPT TO:<b@example.net>", "503 5.5.1 ")
    gateway.reload(listeners={door: {"trusted": {"web": {**WEB["web"], "fallback": "web"}}}
                              for door in ("submissions", "submission")})
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<a@example.net>{parameter}", "250 ")
        client.ask("RCPT TO:<b@example.net>", "250 ")
        client.text(message())
    assert gateway.wait_event("message_accepted")["account"] == "web@example.com"


def test_other_logins_name_nobody(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener={"trusted": WEB})
    with smtp(gateway, "bob") as client:
        client.ask("MAIL FROM:<a@example.net> AUTH=shop@example.com", "250 ")
        client.ask("RCPT TO:<b@example.net>", "250 ")
        client.text(message())
    accepted = gateway.wait_event("message_accepted")
    assert accepted["account"] == "bob@example.com" and "login" not in accepted


@pytest.mark.parametrize("trusted, said", [
    ({"networks": ["127.0.0.2/32"]}, "write either networks"),
    ({"networks": ["127.0.0.2/32"], "account": "a@b.example", "logins": ["c"]}, "write either networks"),
    ({"logins": ["c@b.example"]}, "write either networks"),
    ({"logins": ["c@b.example"], "account_from": "header"}, "must be mail-auth"),
    ({"networks": ["127.0.0.2/32"], "account": "a/b@b.example"}, '"a/b@b.example" is no name of an account'),
    ({"networks": ["127.0.0.2/99"], "account": "a@b.example"}, "127.0.0.2/99"),
])
def test_what_makes_no_sense_is_refused(new_gateway, new_smtp, trusted, said):
    gateway = new_gateway(new_smtp(), listener={"trusted": {"x": trusted}}, start=False)
    done = gateway.check()
    assert done.returncode == 1 and said in done.stderr and f"{gateway.config_file}:" in done.stderr


def test_a_network_that_is_wide_or_a_door_that_is_open_is_warned_of(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener={"trusted": {"x": {"networks": ["10.0.0.0/8"], "account": "a@b.example"}}},
                          start=False)
    assert "10.0.0.0/8 is wide" in gateway.check().stdout
    gateway.write_config(listeners={"submission": {"bind": ["*:" + str(gateway.port("submission"))]}})
    assert "strangers reach this listener too" in gateway.check().stdout


def test_a_wide_network_that_may_speak_for_others_is_warned_of(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener={"xclient_from": ["10.0.0.0/8"]}, start=False)
    assert "xclient_from: 10.0.0.0/8 is wide" in gateway.check().stdout


def test_the_default_router_is_never_trusted(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener={"trusted": {"x": {"networks": ["0.0.0.0/0"], "account": "a@b.example"}}},
                          start=False)
    done = gateway.check()
    with open("/proc/net/route") as routes:
        has_router = any(line.split()[1] == "00000000" and int(line.split()[3], 16) & 2 for line in list(routes)[1:])
    assert not has_router or (done.returncode == 1 and "an open relay" in done.stderr)


@pytest.mark.parametrize("key, value", [("trusted", PRINTERS), ("xclient_login_from", ["192.0.2.8"])])
def test_a_server_that_wants_passwords_of_those_who_have_none_is_warned_of(new_gateway, new_smtp, key, value):
    gateway = new_gateway(new_smtp(), listener={key: value}, upstream={"identity": "password"}, start=False)
    done = gateway.check()
    assert f'{key}: upstream "smtp" has identity = "password"' in done.stdout


def test_a_network_names_nobody_else_even_where_its_account_might(new_gateway, new_smtp):
    trusted = {**PRINTERS, "mta": {"logins": ["printers@example.com"], "account_from": "mail-auth"}}
    gateway = new_gateway(new_smtp(), listener={"trusted": trusted})
    with from_printer(gateway) as client:
        for _ in range(2):
            client.ask("MAIL FROM:<a@example.net> AUTH=boss@example.com", "250 ")
            client.ask("RCPT TO:<b@example.net>", "250 ")
            client.text(message())
    gateway.wait_event("message_accepted", count=2)
    assert {e["account"] for e in gateway.events("message_accepted")} == {"printers@example.com"}


def test_who_logs_in_after_all_is_told_as_himself_to_the_server_behind(new_gateway, new_smtp):
    server = new_smtp(extensions=(*EXTENSIONS, XCLIENT))
    gateway = new_gateway(server, listener={"trusted": PRINTERS}, upstream={"identity": "xclient"})
    with from_printer(gateway, "submissions") as client:
        client.mail(message())
        client.login("bob")
        client.mail(message())
    sent = {m.connection.number: m for m in server.messages}
    assert len(sent) == 2
    told = [next(c for c in m.connection.commands if "LOGIN=" in c) for m in server.messages]
    assert ["printers" in told[0], "bob" in told[1]] == [True, True]
