"""AUTH: what all mechanisms have in common; PLAIN, LOGIN and CRAM-MD5 against sasldb."""
import base64
import hmac
import os
import signal
import subprocess
import time

import pytest

from fixtures.clients import PASSWORDS, message, plain_response, pop3, smtp
from fixtures.processes import is_stopped
from fixtures.waiting import until

RIGHT = plain_response("alice@example.com", PASSWORDS["alice"])


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def client(gateway):
    """A session on TLS that hasn't logged in."""
    with smtp(gateway, user=None) as session:
        yield session


def without_id(reply):
    return reply.rpartition(" (")[0]


# ---- exchanges ----

def test_plain_with_an_initial_response(client):
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")
    client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")


def test_plain_without_an_initial_response(client):
    assert client.ask("AUTH PLAIN", "334 ") == "334 "
    client.ask(RIGHT, "235 2.7.0 ")


def test_login_challenges_are_to_the_letter(client):
    assert client.ask("AUTH LOGIN", "334 ") == "334 VXNlcm5hbWU6"
    assert client.ask(encoded("alice@example.com"), "334 ") == "334 UGFzc3dvcmQ6"
    client.ask(encoded(PASSWORDS["alice"]), "235 2.7.0 ")


def test_login_with_the_user_name_as_initial_response(client):
    assert client.ask(f"AUTH LOGIN {encoded('alice@example.com')}", "334 ") == "334 UGFzc3dvcmQ6"
    client.ask(encoded(PASSWORDS["alice"]), "235 2.7.0 ")


def test_a_pipelined_exchange_is_answered_in_order(client):
    client.send(["AUTH LOGIN", encoded("alice"), encoded(PASSWORDS["alice"]), "NOOP"])
    assert client.expect("334 ") == "334 VXNlcm5hbWU6"
    assert client.expect("334 ") == "334 UGFzc3dvcmQ6"
    client.expect("235 2.7.0 ")
    client.expect("250 2.0.0 ")


def test_the_mechanisms_name_may_be_in_small_letters(client):
    client.ask(f"auth plain {RIGHT}", "235 2.7.0 ")


def test_passwords_with_spaces_quotes_and_backslashes_log_in(gateway):
    for mechanism in ("PLAIN", "LOGIN"):
        with smtp(gateway, user=None) as client:
            if mechanism == "PLAIN":
                client.ask(f"AUTH PLAIN {plain_response('carol', PASSWORDS['carol'])}", "235 2.7.0 ")
            else:
                client.ask(f"AUTH LOGIN {encoded('carol')}", "334 ")
                client.ask(encoded(PASSWORDS["carol"]), "235 2.7.0 ")


def test_cram_md5_is_offered_where_it_is_asked_for_and_no_user_is_told_apart(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), auth={"mechanisms": ["CRAM-MD5", "PLAIN"]})
    replies = []
    with smtp(gateway, user=None) as client:
        assert "AUTH PLAIN CRAM-MD5" in client.hello()
        for name, password in (("alice", "wrong"), ("nobody", "wrong"), ("alice", PASSWORDS["alice"])):
            challenge = base64.b64decode(client.ask("AUTH CRAM-MD5", "334 ")[4:])
            digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
            replies.append(client.send(encoded(f"{name} {digest}")).reply())
    assert without_id(replies[0]) == without_id(replies[1]) == "535 5.7.8 User name or password is wrong"
    assert replies[2].startswith("235 2.7.0 ")


# ---- the account ----

@pytest.mark.parametrize("name", ["alice", "ALICE", "Alice@EXAMPLE.com", "alice@example.com"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_the_account_is_in_small_letters_with_its_realm(gateway, name, mechanism):
    with smtp(gateway, user=None) as client:
        if mechanism == "PLAIN":
            client.ask(f"AUTH PLAIN {plain_response(name, PASSWORDS['alice'])}", "235 2.7.0 ")
        else:
            client.ask(f"AUTH LOGIN {encoded(name)}", "334 ")
            client.ask(encoded(PASSWORDS["alice"]), "235 2.7.0 ")
        row = gateway.session(client)
    assert row["account"] == "alice@example.com"
    gateway.wait_event("login", session=row["session"], account="alice@example.com")


def test_auth_realm_is_appended_to_names_without_one(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), hostname="mx7.hosting.example", auth={"realm": "example.com"})
    with smtp(gateway) as client:
        assert gateway.session(client)["account"] == "alice@example.com"


@pytest.mark.parametrize("name", [
    "alice%example.com", "alice!x", "alice/x", "al ice", "alice\\x", "alice@example.com@x", "@example.com",
    "alice@", "", "a" * 300, "alice\x01", "alice\x7f", "\x85alice", "alice@exa mple.com"])
def test_names_that_no_account_can_have_are_wrong_credentials(client, name):
    client.ask(f"AUTH PLAIN {plain_response(name, PASSWORDS['alice'])}", "535 5.7.8 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


# ---- refusals ----

def test_a_wrong_password_is_535_and_another_try_is_possible(gateway, client):
    session = gateway.session(client)["session"]
    client.ask(f"AUTH PLAIN {plain_response('alice', 'wrong')}", "535 5.7.8 ")
    gateway.wait_event("login_failed", session=session, code=535)
    client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")
    client.ask("AUTH LOGIN", "334 ")
    client.ask(encoded("alice"), "334 ")
    client.ask(encoded("wrong"), "535 5.7.8 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


def test_an_unknown_user_gets_the_same_reply_as_a_wrong_password(gateway):
    replies = set()
    for name in ("alice", "nobody", "nobody@elsewhere.example"):
        with smtp(gateway, user=None) as client:
            replies.add(without_id(client.ask(f"AUTH PLAIN {plain_response(name, 'wrong')}", "535 5.7.8 ")))
            client.ask(f"AUTH LOGIN {encoded(name)}", "334 ")
            replies.add(without_id(client.ask(encoded("wrong"), "535 5.7.8 ")))
    assert len(replies) == 1


def test_the_answer_to_a_wrong_password_waits_longer_each_time_and_the_third_ends_the_session(gateway, client):
    wrong = f"AUTH PLAIN {plain_response('alice', 'wrong')}"
    for least in (0.25, 0.5, 1):
        began = time.monotonic()
        client.send(wrong)
        with smtp(gateway) as other:  # nobody else waits
            other.ask("NOOP", "250 ")
            assert time.monotonic() - began < least
        client.expect("535 5.7.8 ")
        assert time.monotonic() - began >= least
    client.expect("421 4.7.0 ")
    assert client.is_closed()


def test_what_is_pipelined_behind_a_third_wrong_password_is_not_answered(client):
    wrong = f"AUTH PLAIN {plain_response('alice', 'wrong')}"
    client.send([wrong, wrong, wrong, f"AUTH PLAIN {RIGHT}", "MAIL FROM:<alice@example.com>"])
    for _ in range(3):
        client.expect("535 5.7.8 ")
    client.expect("421 4.7.0 ")
    assert client.is_closed()


def test_the_third_wrong_password_ends_a_pop3_session(gateway):
    with pop3(gateway, user=None) as client:
        for _ in range(3):
            client.ask("USER alice", "+OK")
            client.ask("PASS wrong", "-ERR [AUTH] ")
        assert client.is_closed()


def test_an_empty_password_is_wrong(client):
    client.ask(f"AUTH PLAIN {plain_response('alice', '')}", "535 5.7.8 ")
    client.ask(f"AUTH LOGIN {encoded('alice')}", "334 ")
    client.ask("", "535 5.7.8 ")


def test_nobody_speaks_for_somebody_else(client):
    client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'], identity='bob')}", "535 5.7.8 ")
    client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")


def test_the_own_name_as_identity_is_no_other(client):
    response = plain_response("alice@example.com", PASSWORDS["alice"], identity="alice@example.com")
    client.ask(f"AUTH PLAIN {response}", "235 2.7.0 ")


@pytest.mark.parametrize("response", ["!!!", "AAA", "====", "YWxpY2U", "Y Q==", "YQ=", "\xe4"])
def test_malformed_base64_is_501_5_5_2(client, response):
    client.ask("AUTH PLAIN", "334 ")
    client.ask(response, "501 5.5.2 ")
    client.ask("NOOP", "250 ")


def test_malformed_base64_as_initial_response_is_501_5_5_2(client):
    client.ask("AUTH PLAIN !!!", "501 5.5.2 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


@pytest.mark.parametrize("decoded", ["alice", "alice\0", "\0\0", "\0alice", "\0alice\0x\0y", "\0" * 100])
def test_a_response_that_plain_doesnt_know_is_refused(client, decoded):
    reply = client.ask(f"AUTH PLAIN {encoded(decoded)}", "5")
    assert reply.startswith(("535 5.7.8 ", "501 5.5.2 "))
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_cancelled_exchange_is_501_5_7_0(client, mechanism):
    client.ask(f"AUTH {mechanism}", "334 ")
    client.ask("*", "501 5.7.0 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


@pytest.mark.parametrize("mechanism", [
    "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-256-PLUS", "XOAUTH2", "ANONYMOUS", "x" * 300])
def test_an_unknown_mechanism_is_504_5_5_4(client, mechanism):
    client.ask(f"AUTH {mechanism}", "504 5.5.4 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


def test_auth_without_a_mechanism_is_501_5_5_4(client):
    client.ask("AUTH", "501 5.5.4 ")


def test_auth_twice_is_503(client):
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "503 5.5.1 ")
    client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
    client.ask("AUTH LOGIN", "503 5.5.1 ")


def test_an_overlong_line_of_an_exchange_is_500_5_5_6(client):
    client.ask("AUTH PLAIN", "334 ")
    client.ask("A" * 20000, "500 5.5.6 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


def test_an_overlong_auth_command_is_500_5_5_6_and_the_session_goes_on(client):
    client.ask("AUTH PLAIN " + "A" * 20000, "500 5.5.6 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


def test_an_initial_response_may_be_as_long_as_another(client):
    longest = plain_response("alice", "x" * 9190)
    assert 12250 < len(f"AUTH PLAIN {longest}\r\n") <= 12288
    client.ask(f"AUTH PLAIN {longest}", "535 5.7.8 ")


def test_responses_up_to_12288_octets_are_read(client):
    """RFC 4954 section 4 calls that a sufficient length."""
    longest = plain_response("alice", "x" * 9200)
    assert 12270 < len(longest) + 2 <= 12288
    client.ask("AUTH PLAIN", "334 ")
    client.ask(longest, "535 5.7.8 ")


# ---- the password store ----

def test_a_password_changed_while_the_gateway_runs_counts_at_once(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    subprocess.run(["saslpasswd2", "-p", "-f", gateway.folder / "sasldb2", "-u", "example.com", "alice"],
                   input=b"another-one", check=True)
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {RIGHT}", "535 5.7.8 ")
        client.ask(f"AUTH PLAIN {plain_response('alice', 'another-one')}", "235 2.7.0 ")


def change_password(gateway, password):
    subprocess.run(["saslpasswd2", "-p", "-f", gateway.folder / "sasldb2", "-u", "example.com", "alice"],
                   input=password.encode(), check=True)


def log_in(gateway, password=PASSWORDS["alice"], reply="235 2.7.0 "):
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', password)}", reply)


def test_a_password_that_was_right_is_known_for_a_while_over_all_workers_and_protocols(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3(), workers=2)
    log_in(gateway)
    os.rename(gateway.folder / "sasldb2", gateway.folder / "away")
    for _ in range(6):
        log_in(gateway)
    with pop3(gateway) as reader:
        reader.ask("NOOP", "+OK")
    log_in(gateway, "another-one", "454 4.7.0 ")


def test_login_knows_what_plain_knows(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    log_in(gateway)
    os.rename(gateway.folder / "sasldb2", gateway.folder / "away")
    with smtp(gateway, user=None) as client:
        client.ask("AUTH LOGIN", "334 VXNlcm5hbWU6")
        client.ask(encoded("Alice@example.com"), "334 UGFzc3dvcmQ6")
        client.ask(encoded(PASSWORDS["alice"]), "235 2.7.0 ")


def test_a_name_with_a_nul_is_wrong_in_login(client):
    client.ask("AUTH LOGIN", "334 ")
    client.ask(encoded("al\0ice"), "535 5.7.8 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


@pytest.mark.parametrize("name, password", [
    ("alice", "x\0y"), ("", "x"), ("alice", "x" * 9000), ("a" * 5000, "x" * 5000)])
def test_what_can_be_no_login_is_wrong(client, name, password):
    client.ask("AUTH LOGIN", "334 ")
    client.ask(encoded(name), "334 ")
    client.ask(encoded(password), "535 5.7.8 ")
    client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


def test_a_new_password_takes_the_place_of_the_one_that_was_known(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    log_in(gateway)
    change_password(gateway, "another-one")
    log_in(gateway)  # known still
    log_in(gateway, "another-one")
    log_in(gateway, reply="535 5.7.8 ")


def test_a_reload_forgets_what_was_known(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    log_in(gateway)
    change_password(gateway, "another-one")
    gateway.reload()
    log_in(gateway, reply="535 5.7.8 ")


def test_with_cache_0_every_login_looks_into_the_store(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), auth={"cache": "0s"})
    log_in(gateway)
    change_password(gateway, "another-one")
    log_in(gateway, reply="535 5.7.8 ")


def test_what_is_known_is_forgotten_in_time(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), auth={"cache": "300ms"})
    log_in(gateway)
    change_password(gateway, "another-one")

    def is_forgotten():
        with smtp(gateway, user=None) as client:
            return client.send(f"AUTH PLAIN {RIGHT}").reply().startswith("535 ")
    until(is_forgotten, "the old password is forgotten")


def test_a_password_store_that_is_away_is_454_and_never_535(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3())
    store = gateway.folder / "sasldb2"
    os.rename(store, gateway.folder / "away")
    with smtp(gateway, user=None) as client, pop3(gateway, user=None) as reader:
        client.ask(f"AUTH PLAIN {RIGHT}", "454 4.7.0 ")
        client.ask(f"AUTH PLAIN {plain_response('alice', 'wrong')}", "454 4.7.0 ")
        reader.ask("USER alice", "+OK")
        reader.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] ")
        gateway.wait_event("login_unavailable", count=3)
        os.rename(gateway.folder / "away", store)
        client.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")
        reader.ask("USER alice", "+OK")
        reader.ask(f"PASS {PASSWORDS['alice']}", "+OK")


def test_hundreds_of_exchanges_may_be_open_at_once(gateway):
    clients = [smtp(gateway, user=None) for _ in range(100)]
    for client in clients:
        client.send("AUTH LOGIN")
    for client in clients:
        client.expect("334 VXNlcm5hbWU6")
        client.send(encoded("bob"))
    for number, client in enumerate(clients):
        client.expect("334 UGFzc3dvcmQ6")
        client.send(encoded(PASSWORDS["bob"] if number % 2 else "wrong"))
    for number, client in enumerate(clients):
        client.expect("235 2.7.0 " if number % 2 else "535 5.7.8 ")
    for client in clients[1::2]:
        client.ask("MAIL FROM:<bob@example.com>", "250 2.1.0 ")


def test_an_exchange_that_its_client_leaves_disturbs_nobody(gateway):
    for _ in range(20):
        with smtp(gateway, user=None) as client:
            client.ask("AUTH LOGIN", "334 ")
    with smtp(gateway) as client:
        client.mail(message())


# ---- how many wait ----

@pytest.fixture
def held(new_gateway, new_smtp, new_pop3):
    """A gateway with one auth process; held.hold() stops that one, held.go_on() lets it go on."""
    made = new_gateway(new_smtp(), new_pop3(), workers=1, auth={"processes": 1}, start=False)

    def start(**changes):
        made.write_config(**changes).start()
        made.auth = made.pids("auth")[0]
        return made

    def hold():
        os.kill(made.auth, signal.SIGSTOP)
        until(lambda: is_stopped(made.auth))

    made.begin, made.hold, made.go_on = start, hold, lambda: os.kill(made.auth, signal.SIGCONT)
    return made


def test_four_logins_of_one_address_wait_and_the_next_is_454(held):
    held.begin(shared_networks=[], auth={"cache": "0s"})
    late, reader, elsewhere = (smtp(held, user=None), pop3(held, user=None),
                               smtp(held, user=None, source="127.0.0.9"))
    others = [smtp(held, user=None) for _ in range(4)]
    held.hold()
    for client in others:
        client.send(f"AUTH PLAIN {RIGHT}")
        until(lambda: held.session(client)["state"] == "AUTH: check")
    late.ask(f"AUTH SCRAM-SHA-256 {encoded('n,,n=alice,r=abcdefgh')}", "454 4.7.0 ")
    reader.ask("USER alice", "+OK")
    reader.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] ")
    held.wait_event("login_unavailable", 2, reason="too many logins of this address wait")
    elsewhere.send(f"AUTH PLAIN {RIGHT}")
    assert elsewhere.is_silent(0.2)
    held.go_on()
    for client in [*others, elsewhere]:
        client.expect("235 2.7.0 ")
    late.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")


def test_of_shared_networks_any_number_may_wait(held):
    held.begin(auth={"cache": "0s"})
    others = [smtp(held, user=None) for _ in range(20)]
    held.hold()
    for client in others:
        client.send(f"AUTH PLAIN {RIGHT}")
    assert all(client.is_silent(0.02) for client in others)
    held.go_on()
    for client in others:
        client.expect("235 2.7.0 ")


# ---- who it was that failed ----

def failed_as(gateway, user, password="wrong-password"):
    """What the log names after a failed login as `user`."""
    count = len(gateway.events("login_failed"))
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response(user, password)}", "535 5.7.8 ")
    return gateway.wait_event("login_failed", count=count + 1).get("account")


@pytest.mark.parametrize("user, shown", [
    ("Alice@Example.COM", "alice@example.com"), ("nobody@elsewhere.example", "nobody@elsewhere.example"),
    ("ana@b\u00fccher.example", "ana@xn--bcher-kva.example"), ("sales", "alice@example.com"),
    ("alice", None), ("Summer2024", None), ("P@ssw0rd", None), ("a b@example.com", None), ("x" * 65 + "@example.com", None)])
def test_a_failed_login_names_the_account_but_nothing_that_may_be_a_password(new_gateway, new_smtp, folder, user, shown):
    """People type passwords in the place of names."""
    (folder / "aliases").write_text("sales: alice@example.com\n")
    gateway = new_gateway(new_smtp(), auth={"aliases": str(folder / "aliases")})
    assert failed_as(gateway, user) == shown
    assert shown is not None or user not in gateway.log_text().split("event=started")[-1]


def test_a_name_without_a_domain_is_shown_where_its_owner_has_logged_in(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), pop3=new_pop3())
    with smtp(gateway):
        pass
    assert failed_as(gateway, "alice") == "alice@example.com" and failed_as(gateway, "bob") is None
    with pop3(gateway, user=None) as client:
        client.ask("USER alice", "+OK")
        client.ask("PASS wrong-password", "-ERR [AUTH]")
    assert gateway.wait_event("login_failed", listener="pop3s")["account"] == "alice@example.com"
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH SCRAM-SHA-256 {encoded('n,,n=alice,r=abcdefgh')}", "334 ")
        client.ask(encoded("c=biws,r=abcdefgh,p=AAAA"), "535 5.7.8 ")
    assert gateway.wait_event("login_failed", mechanism="SCRAM-SHA-256")["account"] == "alice@example.com"
