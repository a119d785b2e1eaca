"""SCRAM-SHA-256, and -PLUS where it is asked for, against sasldb; with the clients that people have."""
import os
import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from OpenSSL import SSL

from fixtures import scram
from fixtures.clients import PASSWORDS, Smtp, message, smtp, tls_context
from fixtures.scram import Scram, encoded
from fixtures.waiting import readable

ALICE = "alice@example.com"
PLUS = {"mechanisms": ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]}


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def client(gateway):
    """A session on TLS that hasn't logged in."""
    with smtp(gateway, user=None) as session:
        yield session


def offered(session):
    return next(line for line in session.hello() if line.startswith("AUTH ")).split()[1:]


# ---- exchanges ----

def test_the_model_agrees_with_the_example_of_rfc_7677():
    scram.test_vector()


def test_scram_is_offered_and_logs_in(gateway, client):
    assert offered(client) == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
    assert scram.exchange(client, Scram(ALICE, PASSWORDS["alice"])).startswith("235 2.7.0 ")
    row = gateway.session(client)
    assert row["account"] == ALICE
    gateway.wait_event("login", session=row["session"], account=ALICE, mechanism="SCRAM-SHA-256")
    client.mail(message())


def test_without_an_initial_response_the_first_message_is_asked_for(client):
    reply = scram.exchange(client, Scram(ALICE, PASSWORDS["alice"]), is_initial=False)
    assert reply.startswith("235 2.7.0 ")


def test_an_empty_initial_response_is_asked_for_more(client):
    client.ask("AUTH SCRAM-SHA-256 =", "334 ")
    client.ask("*", "501 5.7.0 ")


@pytest.mark.parametrize("name", ["alice", "ALICE", "Alice@EXAMPLE.com", "carol"])
def test_an_account_is_found_however_its_name_is_written(gateway, client, name):
    user = name.partition("@")[0].lower()
    assert scram.exchange(client, Scram(name, PASSWORDS[user])).startswith("235 2.7.0 ")
    assert gateway.session(client)["account"] == f"{user}@example.com"


def test_the_own_name_as_identity_is_no_other(client):
    """mutt sends it."""
    reply = scram.exchange(client, Scram(ALICE, PASSWORDS["alice"], identity="alice"))
    assert reply.startswith("235 2.7.0 ")


def test_nobody_speaks_for_somebody_else(client):
    reply = scram.exchange(client, Scram(ALICE, PASSWORDS["alice"], identity="bob@example.com"))
    assert reply.startswith("535 5.7.8 ")
    client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")


def test_keys_that_saslpasswd2_has_stored_are_used(new_gateway, new_smtp, folder):
    """Without a password in clear: so PLAIN can't log in, and SCRAM can."""
    gateway = new_gateway(new_smtp())
    conf = folder / "sasl"
    conf.mkdir()
    (conf / "keys.conf").write_text("scram_secret_generate: yes\nmech_list: SCRAM-SHA-256\n")
    subprocess.run(["saslpasswd2", "-p", "-c", "-n", "-a", "keys", "-f", gateway.folder / "sasldb2", "-u",
                    "example.com", "stored"], input=b"stored-secret", check=True,
                   env={**os.environ, "SASL_CONF_PATH": str(conf)})
    with smtp(gateway, user=None) as client:
        assert scram.exchange(client, Scram("stored", "stored-secret")).startswith("235 2.7.0 ")
    with smtp(gateway, user=None) as client:
        assert scram.exchange(client, Scram("stored", "wrong")).startswith("535 5.7.8 ")


# ---- refusals ----

def without_id(reply):
    return reply.rpartition(" (")[0]


def test_an_unknown_user_is_not_told_apart_from_a_wrong_password(gateway):
    """Neither by the reply nor by the shape of the exchange nor by what a second try gets."""
    def tried(name):
        with smtp(gateway, user=None) as client:
            attempt = Scram(name, "wrong")
            last = scram.exchange(client, attempt)
            return (len(attempt.salt), attempt.iterations, without_id(last)), (name, attempt.salt)

    seen, names = {}, ["alice", "nobody", "nobody@elsewhere.example", "no body"] * 4  # both workers, both auth processes
    with ThreadPoolExecutor(4) as pool:  # each answer is held back
        for found, salt in pool.map(tried, names):
            seen.setdefault(found, set()).add(salt)
    assert [reply for _, _, reply in seen] == ["535 5.7.8 User name or password is wrong"]
    salts = seen.popitem()[1]
    assert len(salts) == len({salt for _, salt in salts}) == 4  # each name has one, always the same


def test_the_answer_to_a_wrong_proof_waits_and_the_third_ends_the_session(gateway, client):
    session = gateway.session(client)["session"]
    for _ in range(3):
        assert scram.exchange(client, Scram(ALICE, "wrong")).startswith("535 5.7.8 ")
    client.expect("421 4.7.0 ")
    assert client.is_closed()
    gateway.wait_event("login_failed", count=3, session=session, mechanism="SCRAM-SHA-256", code=535)


@pytest.mark.parametrize("first", [
    "x", "n,,", "n,,n=alice", "n,,n=alice,r=", "n,,n=,r=abcdefgh", "q,,n=alice,r=abcdefgh", "p=,,n=alice,r=abcdefgh",
    "n,,m=x,n=alice,r=abcdefgh", "n,,n=alice\0,r=abcdefgh", "n,x=,n=alice,r=abcdefgh", "n" * 9000])
def test_a_first_message_that_is_none_is_wrong(client, first):
    client.send(f"AUTH SCRAM-SHA-256 {encoded(first)}" if len(first) < 1000 else "AUTH SCRAM-SHA-256")
    if len(first) >= 1000:
        client.expect("334 ")
        client.send(encoded(first))
    reply = client.reply()
    if reply.startswith("334 "):  # an empty nonce or name may be taken; nobody gets in by it
        client.send(encoded("c=biws,r=abcdefgh,p=AAAA"))
        reply = client.reply()
    assert reply.startswith("535 5.7.8 ")
    assert scram.exchange(client, Scram(ALICE, PASSWORDS["alice"])).startswith("235 2.7.0 ")


def test_a_nonce_that_no_reply_could_hold_is_wrong(client):
    reply = scram.begin(client, Scram(ALICE, PASSWORDS["alice"], nonce="n" * 1000), is_initial=False)
    assert reply.startswith("535 5.7.8 ")
    assert scram.exchange(client, Scram(ALICE, PASSWORDS["alice"])).startswith("235 2.7.0 ")


@pytest.mark.parametrize("spoil", [
    lambda text: text.replace(",p=", ",p=A"), lambda text: text.replace("r=", "r=x"), lambda text: text.replace("c=", "c=A"),
    lambda text: text[:-4] + "AAA=", lambda text: "", lambda text: text + ",x=y", lambda text: "c=biws"])
def test_a_final_message_that_is_none_is_wrong(client, spoil):
    attempt = Scram(ALICE, PASSWORDS["alice"])
    reply = scram.begin(client, attempt)
    client.ask(encoded(spoil(attempt.final(scram.challenge_of(reply)))), "535 5.7.8 ")
    client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")


@pytest.mark.parametrize("step", [1, 2, 3])
def test_an_exchange_may_be_cancelled_at_every_step(client, step):
    attempt = Scram(ALICE, PASSWORDS["alice"])
    if step == 1:
        client.ask("AUTH SCRAM-SHA-256", "334 ")
    else:
        reply = scram.begin(client, attempt)
    if step == 3:
        client.ask(encoded(attempt.final(scram.challenge_of(reply))), "334 ")
    client.ask("*", "501 5.7.0 ")
    client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")
    assert scram.exchange(client, Scram(ALICE, PASSWORDS["alice"])).startswith("235 2.7.0 ")


@pytest.mark.parametrize("is_first", [True, False])
def test_malformed_base64_is_501_5_5_2_at_every_step(client, is_first):
    if is_first:
        client.ask("AUTH SCRAM-SHA-256", "334 ")
    else:
        scram.begin(client, Scram(ALICE, PASSWORDS["alice"]))
    client.ask("!!!", "501 5.5.2 ")
    assert scram.exchange(client, Scram(ALICE, PASSWORDS["alice"])).startswith("235 2.7.0 ")


def test_an_overlong_line_is_500_5_5_6_at_every_step(client):
    scram.begin(client, Scram(ALICE, PASSWORDS["alice"]))
    client.ask("A" * 20000, "500 5.5.6 ")
    assert scram.exchange(client, Scram(ALICE, PASSWORDS["alice"])).startswith("235 2.7.0 ")


def test_a_password_store_that_is_away_is_454_and_never_535(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    os.rename(gateway.folder / "sasldb2", gateway.folder / "away")
    with smtp(gateway, user=None) as client:
        for password in (PASSWORDS["alice"], "wrong"):
            assert scram.exchange(client, Scram(ALICE, password)).startswith("454 4.7.0 ")
        os.rename(gateway.folder / "away", gateway.folder / "sasldb2")
        assert scram.exchange(client, Scram(ALICE, PASSWORDS["alice"])).startswith("235 2.7.0 ")


# ---- channel binding ----

def test_plus_is_not_offered_unless_it_is_asked_for(client):
    assert "SCRAM-SHA-256-PLUS" not in offered(client)
    client.ask(f"AUTH SCRAM-SHA-256-PLUS {encoded('p=tls-unique,,n=alice,r=abcdefgh')}", "504 5.5.4 ")
    assert scram.begin(client, Scram(ALICE, PASSWORDS["alice"], flag="p=tls-unique")).startswith("535 5.7.8 ")


@pytest.fixture
def plus(new_gateway, new_smtp):
    return new_gateway(new_smtp(), auth=PLUS)


class Exporting:
    """A socket on TLS 1.3 that tells its keying material, which Python's own doesn't."""

    def __init__(self, raw):
        raw.settimeout(None)  # pyOpenSSL knows no time-out of a socket
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        self.tls = SSL.Connection(context, raw)
        self.tls.set_connect_state()
        self.tls.do_handshake()

    def __getattr__(self, name):
        return getattr(self.tls, name)


def on_tls_1_3(gateway, monkeypatch):
    """A session, and the octets of tls-exporter (RFC 9266)."""
    monkeypatch.setattr("fixtures.clients.Session.secure", lambda self, *_, **__: setattr(
        self, "socket", Exporting(self.socket)) or self)
    session = smtp(gateway, user=None)
    return session, session.socket.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32)


def on_tls_1_2(gateway, _=None):
    """A session, and the octets of tls-unique (RFC 5929)."""
    session = smtp(gateway, user=None, context=tls_context(maximum_version=ssl.TLSVersion.TLSv1_2))
    return session, session.socket.get_channel_binding("tls-unique")


VERSIONS = pytest.mark.parametrize("connect, name", [(on_tls_1_3, "tls-exporter"), (on_tls_1_2, "tls-unique")],
                                   ids=["1.3", "1.2"])


@VERSIONS
def test_plus_logs_in_with_the_binding_of_the_connection(plus, monkeypatch, connect, name):
    client, binding = connect(plus, monkeypatch)
    assert offered(client) == ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
    reply = scram.exchange(client, Scram(ALICE, PASSWORDS["alice"], f"p={name}", binding), "SCRAM-SHA-256-PLUS")
    assert reply.startswith("235 2.7.0 ")


@VERSIONS
def test_plus_with_the_binding_of_another_connection_is_wrong(plus, monkeypatch, connect, name):
    client, binding = connect(plus, monkeypatch)
    other = bytes([binding[0] ^ 1]) + binding[1:]
    reply = scram.exchange(client, Scram(ALICE, PASSWORDS["alice"], f"p={name}", other), "SCRAM-SHA-256-PLUS")
    assert reply.startswith("535 5.7.8 ")


def test_a_resumed_session_of_tls_1_2_has_its_own_binding(plus):
    first, _ = on_tls_1_2(plus)
    context = first.socket.context
    port = plus.port("submissions")
    second = type(first)(port, tls=None)
    second.secure(context, session=first.socket.session)
    second.expect("220 ")
    second.hello()
    assert second.socket.session_reused
    binding = second.socket.get_channel_binding("tls-unique")
    reply = scram.exchange(second, Scram(ALICE, PASSWORDS["alice"], "p=tls-unique", binding), "SCRAM-SHA-256-PLUS")
    assert reply.startswith("235 2.7.0 ")


@pytest.mark.parametrize("mechanism, flag", [
    ("SCRAM-SHA-256", "y"),  # somebody has taken -PLUS out of what we offered
    ("SCRAM-SHA-256", "p=tls-unique"), ("SCRAM-SHA-256-PLUS", "n"), ("SCRAM-SHA-256-PLUS", "y"),
    ("SCRAM-SHA-256-PLUS", "p=tls-exporter"), ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point")])
def test_a_flag_that_doesnt_fit_what_was_offered_is_wrong(plus, mechanism, flag):
    client, binding = on_tls_1_2(plus)
    attempt = Scram(ALICE, PASSWORDS["alice"], flag, binding if flag[0] == "p" else b"")
    assert scram.exchange(client, attempt, mechanism).startswith("535 5.7.8 ")


def test_without_plus_nobody_is_held_to_it(plus):
    """A binding that libsasl2 calls critical would hide every other mechanism."""
    client, _ = on_tls_1_2(plus)
    assert scram.exchange(client, Scram(ALICE, PASSWORDS["alice"])).startswith("235 2.7.0 ")
    with smtp(plus) as other:
        other.mail(message())


def test_a_client_that_could_bind_where_plus_is_not_offered_logs_in(client):
    assert scram.exchange(client, Scram(ALICE, PASSWORDS["alice"], "y")).startswith("235 2.7.0 ")


# ---- real clients ----

def test_msmtp_sends_with_scram(gateway, folder, postfix):
    config = folder / "msmtprc"
    config.write_text(f"""account default
host 127.0.0.1
port {gateway.port('submissions')}
from alice@example.com
tls on
tls_starttls off
tls_certcheck off
auth scram-sha-256
user {ALICE}
password {PASSWORDS['alice']}
""")
    config.chmod(0o600)
    run("msmtp", "-C", config, "someone@dest.example", input=message().decode().replace("\r\n", "\n"))
    gateway.wait_event("login", account=ALICE, mechanism="SCRAM-SHA-256")


@pytest.mark.parametrize("mechanisms", [["PLAIN", "LOGIN", "SCRAM-SHA-256"], ["SCRAM-SHA-256"]])
def test_mutt_sends_with_scram(new_gateway, new_smtp, folder, mechanisms):
    server = new_smtp()
    gateway = new_gateway(server, auth={"mechanisms": mechanisms})
    config = folder / "muttrc"
    config.write_text(f"""set smtp_url="smtps://{ALICE.replace('@', '%40')}@127.0.0.1:{gateway.port('submissions')}"
set smtp_pass="{PASSWORDS['alice']}"
set from={ALICE} use_envelope_from=yes copy=no
set ssl_verify_host=no ssl_verify_dates=no ssl_force_tls=yes
set certificate_file={gateway.config['tls']['default']['certificate'][0]}
""")
    run("mutt", "-n", "-F", config, "-s", "hello", "someone@dest.example", input="hello\n", env={
        **os.environ, "HOME": str(folder), "TERM": "dumb"})
    gateway.wait_event("login", account=ALICE, mechanism="SCRAM-SHA-256")
    gateway.wait_event("message_accepted")


def greeting_behind_ehlo(port):
    """A port that leads to `port`, and says the EHLO that gsasl leaves out before STARTTLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        client, _ = listener.accept()
        with client, Smtp(port, tls=None) as server:
            greeting = server.expect("220 ")
            server.hello()
            client.sendall(f"{greeting}\r\n".encode())
            ends = {client: server.socket, server.socket: client}
            while ends:
                for end in readable(list(ends)):
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end].sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gsasl_logs_in_bound_to_its_connection(plus, version):
    port = greeting_behind_ehlo(plus.port("submission"))
    run("gsasl", "--smtp", "--connect", f"127.0.0.1:{port}", "--starttls", "--priority",
        f"NORMAL:-VERS-ALL:+VERS-TLS{version}", "--mechanism", "SCRAM-SHA-256-PLUS",
        "--authentication-id", ALICE, "--password", PASSWORDS["alice"], "--x509-ca-file", "", "--quiet", input="")
    plus.wait_event("login", account=ALICE, mechanism="SCRAM-SHA-256-PLUS", tls_version=f"TLSv{version}")
