"""EXTERNAL: who logs in is whom a verified certificate names."""
import subprocess

import pytest

from fixtures.clients import PASSWORDS, Smtp, message, plain_response, smtp, tls_context
from fixtures.scram import encoded

ALICE = "alice@example.com"


def showing(certificate):
    context = tls_context()
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


def door(authority, asked="optional"):
    return {"client_certificate": asked, "client_ca": authority.certificate, "client_crl": authority.crl}


@pytest.fixture
def gateway(new_gateway, new_smtp, new_pop3, authority):
    return new_gateway(new_smtp(), new_pop3(), listener=door(authority))


def connect(gateway, certificate=None, **options):
    return smtp(gateway, user=None, context=showing(certificate) if certificate else None, **options)


def offered(session):
    return next(line for line in session.hello() if line.startswith("AUTH ")).split()[1:]


def test_it_works_behind_starttls(gateway, authority):
    with Smtp(gateway.port("submission"), tls=None) as client:
        client.expect("220 ")
        client.hello()
        client.starttls(context=showing(authority.ana))
        assert "EXTERNAL" in offered(client)
        client.ask("AUTH EXTERNAL =", "235 2.7.0 ")


def test_a_verified_certificate_logs_in_as_its_address(gateway, authority):
    client = connect(gateway, authority.ana)
    assert offered(client) == ["PLAIN", "LOGIN", "SCRAM-SHA-256", "EXTERNAL"]
    client.ask("AUTH EXTERNAL =", "235 2.7.0 ")
    row = gateway.session(client)
    assert row["account"] == ALICE
    gateway.wait_event("login", session=row["session"], account=ALICE, mechanism="EXTERNAL", certificate=ALICE)
    client.mail(message())


def test_without_an_address_the_common_name_is_the_account(gateway, authority):
    with connect(gateway, authority.bruno) as client:
        client.ask("AUTH EXTERNAL =", "235 2.7.0 ")
        assert gateway.session(client)["account"] == "bruno@example.com"


def test_without_an_initial_response_it_is_asked_for(gateway, authority):
    with connect(gateway, authority.ana) as client:
        assert client.ask("AUTH EXTERNAL", "334 ") == "334 "
        client.ask("", "235 2.7.0 ")


@pytest.mark.parametrize("identity", [ALICE, "alice", "ALICE@Example.COM"])
def test_the_own_name_as_identity_is_no_other(gateway, authority, identity):
    with connect(gateway, authority.ana) as client:
        client.ask(f"AUTH EXTERNAL {encoded(identity)}", "235 2.7.0 ")


@pytest.mark.parametrize("identity", ["bob", "bob@example.com", "alice@elsewhere.example", "alice\0", "\0", "x" * 9000, " "])
def test_nobody_speaks_for_somebody_else(gateway, authority, identity):
    with connect(gateway, authority.ana) as client:
        client.ask("AUTH EXTERNAL", "334 ")
        client.ask(encoded(identity), "535 5.7.8 ")
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")
    gateway.wait_event("login_failed", mechanism="EXTERNAL", code=535)


def test_three_wrong_identities_end_the_session(gateway, authority):
    with connect(gateway, authority.ana) as client:
        for _ in range(3):
            client.ask(f"AUTH EXTERNAL {encoded('bob')}", "535 5.7.8 ")
        client.expect("421 4.7.0 ")
        assert client.is_closed()


@pytest.mark.parametrize("line, reply", [("*", "501 5.7.0 "), ("!!!", "501 5.5.2 "), ("A" * 20000, "500 5.5.6 ")])
def test_cancelling_and_nonsense_are_answered_as_for_every_mechanism(gateway, authority, line, reply):
    with connect(gateway, authority.ana) as client:
        client.ask("AUTH EXTERNAL", "334 ")
        client.ask(line, reply)
        client.ask(f"AUTH PLAIN {plain_response('bob', PASSWORDS['bob'])}", "235 2.7.0 ")
        assert gateway.session(client)["account"] == "bob@example.com"


def test_a_certificate_that_names_no_account_offers_nothing(gateway, authority):
    named = authority.issue("spaced", common_name="Ana Costa")
    with connect(gateway, named) as client:
        assert "EXTERNAL" not in offered(client)
        client.ask("AUTH EXTERNAL =", "504 5.5.4 ")


def test_who_has_none_or_one_that_nobody_asked_for_has_no_external(gateway, new_gateway, new_smtp, authority):
    with connect(gateway) as client:
        assert "EXTERNAL" not in offered(client)
        client.ask("AUTH EXTERNAL =", "504 5.5.4 ")
    silent = new_gateway(new_smtp())
    with connect(silent, authority.ana) as client:
        assert "EXTERNAL" not in offered(client)
        client.ask("AUTH EXTERNAL =", "504 5.5.4 ")
    assert "listeners.submissions: no EXTERNAL: no client is asked for a certificate" in silent.check().stdout


def test_it_may_be_the_only_way_in(new_gateway, new_smtp, authority):
    gateway = new_gateway(new_smtp(), listener=door(authority, "required"), auth={"mechanisms": ["EXTERNAL"]})
    with connect(gateway, authority.ana) as client:
        assert offered(client) == ["EXTERNAL"]
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}", "504 5.5.4 ")
        client.ask("AUTH EXTERNAL =", "235 2.7.0 ")


def test_where_nothing_can_succeed_no_auth_is_announced(new_gateway, new_smtp, authority):
    gateway = new_gateway(new_smtp(), listener=door(authority), auth={"mechanisms": ["EXTERNAL"]})
    with connect(gateway) as client:
        assert not [line for line in client.hello() if line.startswith("AUTH")]
        client.ask("AUTH EXTERNAL =", "504 5.5.4 ")


def test_it_needs_no_password_store(new_gateway, new_smtp, authority):
    gateway = new_gateway(new_smtp(), listener=door(authority))
    (gateway.folder / "sasldb2").unlink()
    with connect(gateway, authority.ana) as client:
        client.ask("AUTH EXTERNAL =", "235 2.7.0 ")


# ---- real clients ----

def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_curl_sends_with_its_certificate(gateway, authority, folder):
    text = folder / "message"
    text.write_bytes(message())
    run("curl", "-sS", "-k", "--ssl-reqd", "--url", f"smtps://127.0.0.1:{gateway.port('submissions')}",
        "--cert", authority.ana.certificate, "--key", authority.ana.key, "--user", f"{ALICE}:",
        "--login-options", "AUTH=EXTERNAL", "--mail-from", ALICE, "--mail-rcpt", "someone@dest.example",
        "--upload-file", text)
    gateway.wait_event("login", account=ALICE, mechanism="EXTERNAL")
    gateway.wait_event("message_accepted")


def test_msmtp_sends_with_its_certificate(gateway, authority, folder):
    config = folder / "msmtprc"
    config.write_text(f"""account default
host 127.0.0.1
port {gateway.port('submissions')}
from {ALICE}
tls on
tls_starttls off
tls_certcheck off
tls_cert_file {authority.ana.certificate}
tls_key_file {authority.ana.key}
auth external
user {ALICE}
""")
    config.chmod(0o600)
    run("msmtp", "-C", config, "someone@dest.example", input=message().decode().replace("\r\n", "\n"))
    gateway.wait_event("login", account=ALICE, mechanism="EXTERNAL")
