"""What a POP3 server behind is told of the client, and how the gateway logs in there."""
import base64
import re
import subprocess

import pytest

from fixtures import dovecot as dovecot_server
from fixtures import scram
from fixtures.clients import PASSWORDS, message, pop3, tls_context
from fixtures.waiting import until

ALICE = "alice@example.com"


# ---- xclient ----

def test_dovecot_is_told_the_clients_address(new_gateway, dovecot_trusting):
    dovecot_trusting.fill(ALICE, [message()])
    gateway = new_gateway(pop3=dovecot_trusting, upstream={"identity": "xclient"})
    with pop3(gateway, source="127.0.0.99") as client:
        client.ask("STAT", "+OK 1 ")
        row, port = gateway.session(client), client.local_port
        client.quit()
    line = until(lambda: re.search(r"Login: user=<.*127\.0\.0\.99.*", dovecot_trusting.log()), "Dovecot's line")[0]
    assert f"user=<{ALICE}>, rip=127.0.0.99, rport={port}, " in line and f"session=<{row['session']}>" in line
    assert "forward_account=" + ALICE in dovecot_trusting.log()


def test_what_xclient_tells(new_gateway, new_pop3):
    server = new_pop3().on("CONNECT", "+OK [XCLIENT] scripted ready")
    gateway = new_gateway(pop3=server, upstream={"identity": "xclient"})
    with pop3(gateway) as client:
        session, port = gateway.session(client)["session"], client.local_port
    connection, = server.used("PASS")
    told, user, password = connection.commands[:3]
    verb, *pairs = told.split(" ")
    told = dict(pair.split("=", 1) for pair in pairs)
    forward = base64.b64decode(told.pop("FORWARD")).decode().split("\t")
    assert verb == "XCLIENT" and told == {
        "ADDR": "127.0.0.1", "PORT": str(port), "DESTADDR": "127.0.0.1", "DESTPORT": str(gateway.port("pop3s")),
        "SESSION": session, "TTL": "4", "CLIENT-TRANSPORT": "TLS"}
    assert forward == [f"account={ALICE}", "listener=pop3s"]
    assert (user, password) == (f"USER {ALICE}", f"PASS {PASSWORDS['alice']}")


def test_a_dovecot_that_does_not_trust_us_gets_no_login(new_gateway, dovecot):
    """It says +OK to XCLIENT all the same."""
    gateway = new_gateway(pop3=dovecot, upstream={"identity": "xclient"})
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] The mail server refuses the gateway")
    assert "login_trusted_networks" in gateway.wait_event("upstream_refuses", upstream="pop3/a")["reason"]


@pytest.mark.parametrize("reply", ["-ERR Invalid parameters", "-ERR [SYS/TEMP] not now"])
def test_a_refused_xclient_is_never_passed_over(new_gateway, new_pop3, reply):
    server = new_pop3().on("CONNECT", "+OK [XCLIENT] scripted ready").on("XCLIENT", reply)
    gateway = new_gateway(pop3=server, upstream={"identity": "xclient"})
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] The mail server refuses the gateway")
    assert not server.used("USER") and len(server.used("XCLIENT")) == 1
    assert reply in gateway.wait_event("upstream_refuses", upstream="pop3/a")["reason"]


# ---- master ----

@pytest.fixture
def as_master(new_gateway, folder):
    """as_master(server, KEY=VALUE ...): a gateway that logs in there as the master user."""
    user, password = dovecot_server.MASTER
    secret = folder / "master.password"
    secret.write_text(password + "\n")
    secret.chmod(0o600)

    def make(server, start=True, **upstream):
        return new_gateway(pop3=server, start=start, upstream={
            "identity": "master", "master_user": user, "master_password_file": secret, **upstream})
    yield make


def test_a_master_user_opens_the_mailbox_in_dovecot(as_master, dovecot_master):
    """The user's own password here is another than there."""
    dovecot_master.fill(ALICE, [message()])
    path = dovecot_master.folder / "passwd"
    path.write_text(path.read_text().replace(PASSWORDS["alice"], "another"))
    with pop3(as_master(dovecot_master)) as client:
        client.ask("STAT", "+OK 1 ")
        client.ask("DELE 1", "+OK")
        client.quit()
    until(lambda: dovecot_master.count(ALICE) == 0)


def test_the_users_own_password_stays_here(as_master, new_pop3):
    user, password = dovecot_server.MASTER
    server = new_pop3()
    gateway = as_master(server, master_separator="%%")
    with pop3(gateway) as client:
        client.ask("NOOP", "+OK")
    connection, = server.used("PASS")
    assert connection.commands[:2] == [f"USER {ALICE}%%{user}", f"PASS {password}"]
    assert password not in gateway.log_text()


def test_a_master_users_refusal_is_no_wrong_password_of_the_user(as_master, new_pop3):
    server = new_pop3().on("PASS", "-ERR [AUTH] no", "-ERR no", "-ERR [IN-USE] locked", None)
    gateway = as_master(server)
    with pop3(gateway, user=None) as client:
        for said in ("-ERR [SYS/TEMP] The mail server refuses", "-ERR [SYS/TEMP] The mail server refuses",
                     "-ERR [IN-USE] locked", "+OK"):
            client.ask(f"USER {ALICE}", "+OK")
            client.ask(f"PASS {PASSWORDS['alice']}", said)
    gateway.wait_event("upstream_refuses", count=2, upstream="pop3/a")


def test_a_wrong_password_never_reaches_the_master_user(as_master, new_pop3):
    server = new_pop3()
    with pop3(as_master(server), user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask("PASS wrong", "-ERR [AUTH] ")
    assert not server.used("USER")


def test_a_name_with_the_separator_in_it_is_nobody_elses(as_master, new_pop3):
    """alice@example.com, split at "ex", would be somebody else's login."""
    server = new_pop3()
    with pop3(as_master(server, master_separator="ex"), user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] ")
    assert not server.used("USER")


def test_a_password_file_that_is_not_there_is_said_with_its_line(as_master, new_pop3):
    gateway = as_master(new_pop3(), start=False, master_password_file="/nowhere/password")
    said = gateway.check()
    assert said.returncode == 1 and "upstreams.pop3.master_password_file: /nowhere/password" in said.stderr


# ---- logins that never show the password ----

def test_scram_opens_the_mailbox_of_a_master_user(as_master, new_pop3):
    server = new_pop3()
    gateway = as_master(server)
    for name in ("alice", "ALICE@example.com"):
        with pop3(gateway, user=None) as client:
            assert b"SASL PLAIN LOGIN SCRAM-SHA-256" in client.ask_many("CAPA")
            assert scram.exchange(client, scram.Scram(name, PASSWORDS["alice"])).startswith("+OK")
            client.ask("STAT", "+OK")
    assert [u.commands[0] for u in server.used("PASS")] == [f"USER {ALICE}*{dovecot_server.MASTER[0]}"] * 2
    gateway.wait_event("login", account="alice@example.com", mechanism="SCRAM-SHA-256")


def test_a_wrong_proof_is_err_auth_and_never_reaches_the_master_user(as_master, new_pop3):
    server = new_pop3()
    with pop3(as_master(server), user=None) as client:
        for name in ("alice", "nobody"):
            assert scram.exchange(client, scram.Scram(name, "wrong"), is_initial=False).startswith("-ERR [AUTH] ")
        client.send("AUTH SCRAM-SHA-256")
        assert client.line() == b"+ "
        client.ask("*", "-ERR Authentication cancelled")
    assert not server.used("PASS")


def test_mpop_reads_with_scram(as_master, new_pop3, folder):
    gateway = as_master(new_pop3([message()]))
    config, inbox = folder / "mpoprc", folder / "inbox"
    for name in ("cur", "new", "tmp"):
        (inbox / name).mkdir(parents=True)
    config.write_text(f"""account default
host 127.0.0.1
port {gateway.port('pop3s')}
tls on
tls_starttls off
tls_certcheck off
auth scram-sha-256
user alice@example.com
password {PASSWORDS['alice']}
delivery maildir {inbox}
uidls_file {folder}/uidls
""")
    config.chmod(0o600)
    done = subprocess.run(["mpop", "-C", config], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    gateway.wait_event("login", mechanism="SCRAM-SHA-256")
    assert len(list((inbox / "new").iterdir())) == 1


def test_external_opens_the_mailbox_of_a_master_user(as_master, new_pop3, authority):
    server = new_pop3()
    gateway = as_master(server, start=False).write_config(listeners={
        "pop3s": {"client_certificate": "optional", "client_ca": authority.certificate}}).start()
    context = tls_context()
    context.load_cert_chain(authority.ana.certificate, authority.ana.key)
    with pop3(gateway, user=None, context=context) as client:
        assert b"SASL PLAIN LOGIN SCRAM-SHA-256 EXTERNAL" in client.ask_many("CAPA")
        client.send("AUTH EXTERNAL")
        assert client.line() == b"+ "
        client.ask("", "+OK")
        client.ask("STAT", "+OK")
    assert server.used("PASS")[0].commands[0] == f"USER {ALICE}*{dovecot_server.MASTER[0]}"


@pytest.mark.parametrize("identity", ["password", "master"])
def test_a_password_that_the_server_repeats_reaches_neither_log_nor_client(new_gateway, new_pop3, folder, identity):
    (folder / "master").write_text("open sesame, master")
    (folder / "master").chmod(0o600)
    server = new_pop3().on("PASS", lambda line: f"-ERR unknown command: {line}")
    more = {"master_user": "porteiro", "master_password_file": str(folder / "master")} if identity == "master" else {}
    gateway = new_gateway(pop3=server, upstream={"identity": identity, **more})
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        said = client.ask(f"PASS {PASSWORDS['alice']}", "-ERR ")
    assert gateway.wait_event("mailbox_refused")["reason"] == "unknown command: PASS ***"
    for secret in ("open sesame", PASSWORDS["alice"]):
        assert secret not in gateway.log_text() and secret not in said
