"""auth.guessing: who tries too many different passwords is banned, and nobody who belongs there is locked out."""
import base64
import json
import subprocess

import pytest

from fixtures.clients import PASSWORDS, Pop3, Smtp, message, plain_response, pop3, smtp
from fixtures.gateway import run_porteirod
from fixtures.waiting import until

CLIENT, OTHER = "127.0.1.2", "127.0.2.3"  # not in one /24
MAX = 4


@pytest.fixture
def new_strict(new_gateway, new_smtp, new_pop3):
    """A gateway for which no address is many people's, and that takes four wrong passwords. Of one worker: guesses
    that arrive together are counted one after the other."""
    def make(guessing=(), **changes):
        auth = {"guessing": {"max": MAX, **dict(guessing)}, **changes.pop("auth", {})}
        return new_gateway(new_smtp(), new_pop3([message()]), auth=auth,
                           **{"shared_networks": [], "workers": 1, **changes})
    return make


@pytest.fixture
def strict(new_strict):
    return new_strict()


def bans(gateway):
    return json.loads(gateway.ctl("--json", "bans").stdout)


def guesses(number, start=0):
    return [f"guess {i}" for i in range(start, start + number)]


def judged(gateway):
    return len(gateway.events("login_failed")) + len(gateway.events("login_refused"))


def guess(gateway, *passwords, user="bob", source=CLIENT, reply="535 5.7.8 "):
    """One after the other, but none waits for the answer to another, which is held back for a second."""
    clients = [smtp(gateway, user=None, source=source) for _ in passwords]
    for client, password in zip(clients, passwords):
        before = judged(gateway)
        client.send(f"AUTH PLAIN {plain_response(user, password)}")
        until(lambda: judged(gateway) > before)
    for client in clients:
        client.expect(reply)
        client.drop()


def guess_pop3(gateway, password, user="bob@example.com", source=CLIENT):
    with pop3(gateway, user=None, source=source) as client:
        client.ask(f"USER {user}", "+OK")
        client.ask(f"PASS {password}", "-ERR [AUTH]")


def is_sent_away(gateway, source=CLIENT):
    with Smtp(gateway.port("submission"), tls=None, source=source) as client:
        client.expect(f"421 4.7.0 No connections from {source} until 20")


def is_served(gateway, source=CLIENT, user="alice"):
    with smtp(gateway, source=source, user=user) as client:
        client.mail(message(), sender=f"{user}@example.com")


def guess_all(gateway, **who):
    """One more than there may be."""
    guess(gateway, *guesses(MAX + 1), **who)
    return gateway.wait_event("banned")


# ---- what is counted ----

def test_one_wrong_password_too_many_is_a_ban_of_the_address(strict):
    guess(strict, *guesses(MAX))
    is_served(strict, OTHER)
    assert not bans(strict)
    guess(strict, "one too many")
    banned = strict.wait_event("banned")
    assert (banned["rule"], banned["tries"], banned["network"]) == ("auth.guessing", str(MAX + 1), CLIENT)
    is_sent_away(strict)
    is_served(strict, OTHER)
    (row,) = bans(strict)
    assert (row["by"], row["tries"], row["account"]) == ("auth.guessing", MAX + 1, "")
    assert 3500 < row["left"] <= 3600
    assert "auth.guessing" in strict.ctl("bans").stdout


def test_the_same_wrong_password_counts_once_however_often_it_comes(strict):
    for _ in range(2):
        guess(strict, *guesses(MAX))
    is_served(strict)
    assert not bans(strict)


def test_ports_protocols_and_accounts_count_together(strict):
    guess(strict, "guess")
    guess(strict, "guess", user="alice")
    guess_pop3(strict, "other guess")
    guess_pop3(strict, "guess")  # the same as the first
    guess(strict, "guess", user="nobody@elsewhere.example")
    assert not bans(strict)
    guess_pop3(strict, "fifth", user="alice@example.com")
    strict.wait_event("banned", network=CLIENT, tries=MAX + 1)


def test_the_name_counts_however_it_is_written(strict):
    for user in ("bob", "BOB", "bob@example.com", "Bob@EXAMPLE.com", "bob@Example.Com"):
        guess(strict, "guess", user=user)
    assert not bans(strict)


def scram(gateway, user):
    """With a proof that proves nothing."""
    with smtp(gateway, user=None, source=CLIENT) as client:
        first = base64.b64encode(f"n,,n={user},r=abcdefghijklmnop".encode()).decode()
        challenge = client.ask(f"AUTH SCRAM-SHA-256 {first}", "")
        if challenge.startswith("334 "):
            nonce = base64.b64decode(challenge[4:]).decode().split(",")[0]
            proof = base64.b64encode(bytes(32)).decode()
            challenge = client.ask(base64.b64encode(f"c=biws,{nonce},p={proof}".encode()).decode(), "")
        assert challenge.startswith("535 5.7.8 ")


def test_a_failed_scram_counts_once_an_account(strict):
    for _ in range(2):
        for user in ("alice", "bob", "carol", "dora"):
            scram(strict, user)
    assert not bans(strict)
    guess(strict, "a password")
    strict.wait_event("banned", network=CLIENT, tries=MAX + 1)


def test_by_default_there_are_ten(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), shared_networks=[], workers=1)
    guess(gateway, *guesses(10))
    assert not bans(gateway)
    guess(gateway, "one too many")
    gateway.wait_event("banned", tries=11)


def test_max_0_turns_it_off(new_strict):
    strict = new_strict({"max": 0})
    guess(strict, *guesses(20))
    assert not bans(strict)
    is_served(strict)


def test_a_network_is_banned_where_the_key_says_so(new_strict):
    strict = new_strict({"key": "network"})
    for number in range(MAX + 1):
        guess(strict, f"guess {number}", source=f"127.0.1.{number + 1}")
    assert strict.wait_event("banned")["network"] == "127.0.1.0/24"
    is_sent_away(strict, "127.0.1.99")
    is_served(strict, OTHER)


def test_a_ban_ends_and_counting_begins_anew(new_strict):
    strict = new_strict({"ban": "2s"})
    guess_all(strict)
    until(lambda: not bans(strict))
    guess(strict, "another guess")
    assert not bans(strict)


def test_who_is_exempt_is_not_counted(strict):
    strict.ctl("unban", CLIENT)
    guess(strict, *guesses(MAX + 2))
    assert [row["exempt"] for row in bans(strict)] == [True]


def test_unban_lifts_what_the_rule_has_made(strict):
    guess_all(strict)
    assert "bans lifted: 1" in strict.ctl("unban", CLIENT).stdout
    is_served(strict)
    strict.wait_event("unbanned", rule="auth.guessing")


# ---- who belongs there ----

def test_whoever_logged_in_there_lately_is_not_locked_out(strict):
    is_served(strict)
    guess_all(strict)
    is_served(strict)  # alice is known there
    with pop3(strict, source="127.0.1.77") as reader:  # and in the network
        reader.quit()
    with smtp(strict, user=None, source=CLIENT) as client:
        client.ask(f"AUTH PLAIN {plain_response('bob', PASSWORDS['bob'])}", f"454 4.7.0 No logins from {CLIENT}")
    with Pop3(strict.port("pop3s"), source=CLIENT) as client:
        client.expect("+OK")
        client.ask("USER bob", "+OK")
        client.ask("PASS x", f"-ERR [SYS/TEMP] No logins from {CLIENT} until 20")
    strict.wait_event("login_refused", count=2)


def test_who_is_logged_in_stays_when_a_stranger_is_banned_beside_him(strict):
    with smtp(strict, source=CLIENT) as alice, smtp(strict, user=None, source=CLIENT):
        guess_all(strict)
        alice.mail(message())
        strict.ctl("ban", CLIENT)  # by a person: everybody
        alice.expect("421 4.7.0 Your address was banned")


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "login", "plain"])
def test_whoever_is_known_sends_with_msmtp_by_every_mechanism(strict, folder, mechanism):
    is_served(strict)
    guess_all(strict)
    for user in ("alice", "bob"):
        config = folder / f"msmtprc-{user}"
        config.write_text(f"""account default
host 127.0.0.1
port {strict.port('submissions')}
source_ip {CLIENT}
from {user}@example.com
tls on
tls_starttls off
tls_certcheck off
auth {mechanism}
user {user}
password {PASSWORDS[user]}
""")
        config.chmod(0o600)
        done = subprocess.run(["msmtp", "-C", config, "someone@dest.example"], input="Subject: x\n\nhello\n",
                              capture_output=True, text=True, timeout=60)
        assert (done.returncode == 0) == (user == "alice"), done.stderr
    assert f"No logins from {CLIENT}" in done.stderr
    strict.wait_event("login_refused", mechanism=mechanism.upper())


def test_where_no_network_is_remembered_everybody_is_sent_away(new_strict):
    strict = new_strict(auth={"remember_networks": 0})
    is_served(strict)
    guess_all(strict)
    is_sent_away(strict)


def test_known_networks_survive_a_restart(strict):
    is_served(strict)
    strict.stop()
    strict.start()
    guess_all(strict)
    is_served(strict)


# ---- where many people share an address ----

def test_in_shared_networks_the_account_alone_is_refused_there(new_strict):
    strict = new_strict(shared_networks=[f"{CLIENT}/32"])
    banned = guess_all(strict)
    assert (banned["network"], banned["account"]) == (CLIENT, "bob@example.com")
    guess(strict, PASSWORDS["bob"], reply=f"454 4.7.0 No logins from {CLIENT} until 20")
    is_served(strict)
    is_served(strict, OTHER, user="bob")
    assert bans(strict)[0]["account"] == "bob@example.com"


def test_in_shared_networks_a_stranger_does_not_lock_the_owner_out(new_strict):
    strict = new_strict(shared_networks=[f"{CLIENT}/32"])
    is_served(strict, user="bob")
    guess_all(strict)
    is_served(strict, user="bob")


def test_the_account_alone_is_refused_where_the_key_says_so(new_strict):
    strict = new_strict({"key": "ip+account"})
    guess_all(strict)
    guess(strict, PASSWORDS["bob"], reply=f"454 4.7.0 No logins from {CLIENT} until 20")
    is_served(strict)


def test_whom_a_webmail_speaks_for_is_counted_and_the_webmail_is_not(new_gateway, new_smtp):
    strict = new_gateway(new_smtp(), listener={"xclient_from": [f"{OTHER}/32"]}, shared_networks=[],
                         auth={"guessing": {"max": MAX}})
    for number in range(MAX + 1):
        with smtp(strict, user=None, source=OTHER) as webmail:
            webmail.ask("XCLIENT ADDR=192.0.2.7", "220 ")
            webmail.hello()
            webmail.ask(f"AUTH PLAIN {plain_response('bob', f'guess {number}')}", "535 ")
    assert strict.wait_event("banned")["network"] == "192.0.2.7"
    is_served(strict, OTHER)


# ---- with Redis ----

def test_two_gateways_count_together_in_redis(new_strict, new_redis):
    redis = new_redis()
    both = [new_strict(redis={"address": [f"127.0.0.1:{redis.port}"]}) for _ in range(2)]
    for number in range(MAX + 1):
        guess(both[number % 2], f"guess {number}")
    until(lambda: any(bans(gateway) for gateway in both))


def test_without_an_answer_of_redis_this_gateway_counts(new_strict, new_redis):
    redis = new_redis()
    strict = new_strict(redis={"address": [f"127.0.0.1:{redis.port}"], "timeout": "50ms"})
    redis.stop()
    strict.may_lose = {"redis_lost"}
    guess_all(strict)
    is_sent_away(strict)


# ---- rules of a policy ----

def by_rule(**keys):
    """A policy with this limit, and auth.guessing far away."""
    return {"policies": {"in": {"limits": {"own": {"key": ["ip"], "action": "ban", "duration": "1h", **keys}}}},
            "listener": {"policy": "in"}, "auth": {"guessing": {"max": 100}}}


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_a_rule_bans_for_failed_logins(new_strict, new_redis, store):
    redis = {"redis": {"address": [f"127.0.0.1:{new_redis().port}"]}} if store == "Redis" else {}
    strict = new_strict(**redis, **by_rule(count="auth_failures", rate="3/1h"))
    guess(strict, *["the same"] * 3)
    assert not bans(strict)
    guess_pop3(strict, "the same")
    banned = strict.wait_event("banned")
    assert (banned["rule"], banned["tries"], banned["network"]) == ("own", "4", CLIENT)
    is_sent_away(strict)
    is_served(strict, OTHER)
    (row,) = bans(strict)
    assert (row["by"], row["tries"]) == ("own", 4)


def test_warn_at_tells_of_guessers_before_they_are_banned(new_strict):
    strict = new_strict(**by_rule(count="auth_failures", rate="4/1h", warn_at=50))
    guess(strict, "x")
    assert not strict.events("near")
    guess(strict, "y", "z")
    strict.wait_event("near", rule="own", account="bob@example.com", key=f"own {CLIENT}", count=1)


def test_a_rule_bans_for_different_wrong_credentials(new_strict):
    strict = new_strict(**by_rule(key=["network"], count="distinct_credentials", max=2, window="1h"))
    guess(strict, "x", "x", "y", "x")
    assert not bans(strict)
    guess(strict, "z", source="127.0.1.99")
    assert strict.wait_event("banned", rule="own", tries=3)["network"] == "127.0.1.0/24"


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_whoever_breaks_a_limit_after_his_login_is_banned_himself(new_strict, new_redis, store):
    redis = {"redis": {"address": [f"127.0.0.1:{new_redis().port}"]}} if store == "Redis" else {}
    strict = new_strict(**redis, **by_rule(count="recipients", rate="2/1h"))
    with smtp(strict, source=CLIENT, user="bob") as client, smtp(strict, source=OTHER) as other:
        client.send("MAIL FROM:<bob@example.com>\r\n" + "\r\n".join(f"RCPT TO:<r{n}@dest.example>" for n in range(9)))
        for prefix in ("250 ", "250 ", "250 ", *["451 4.7.1 own: at most 2 recipients in 1h"] * 7):
            client.expect(prefix)
        strict.wait_event("decision", rule="own", verdict="ban")
        assert strict.wait_event("banned", rule="own", tries=3)["network"] == CLIENT
        client.ask("RSET", "250 ")
        client.expect("421 4.7.0 Your address was banned")
        other.mail(message())
    is_sent_away(strict)
    assert len(strict.events("banned")) == 1
    assert "bans lifted: 1" in strict.ctl("unban", CLIENT).stdout
    with smtp(strict, source=CLIENT, user="bob") as client:
        client.envelope(sender="bob@example.com", recipients=("a@dest.example", "b@dest.example"))
        client.ask("RCPT TO:<c@dest.example>", "451 4.7.1 own: ")
    assert len(strict.events("banned")) == 1


def test_an_account_is_banned_at_an_address_and_others_there_are_not(new_strict):
    strict = new_strict(**by_rule(key=["account", "ip"], count="recipients", rate="1/1h"))
    with smtp(strict, source=CLIENT, user="bob") as client, smtp(strict, source=CLIENT) as beside:
        client.envelope(sender="bob@example.com", recipients=("a@dest.example",))
        client.ask("RCPT TO:<b@dest.example>", "451 4.7.1 own: ")
        client.ask("RSET", "250 ")
        client.expect("421 4.7.0 Your address was banned")
        beside.mail(message())
    with smtp(strict, user=None, source=CLIENT) as client:
        client.ask(f"AUTH PLAIN {plain_response('bob', PASSWORDS['bob'])}", f"454 4.7.0 No logins from {CLIENT}")
    smtp(strict, source=OTHER, user="bob").quit()


def test_addresses_of_many_people_are_limited_but_not_banned(new_strict):
    strict = new_strict(shared_networks=[f"{CLIENT}/32"], **by_rule(count="connections", rate="2/1h"))
    for _ in range(2):
        smtp(strict, source=CLIENT).quit()
    with Smtp(strict.port("submission"), tls=None, source=CLIENT) as client:
        client.expect("421 4.7.0 own: at most 2 connections in 1h")
    strict.wait_event("decision", rule="own", verdict="ban")
    assert not bans(strict)


def test_a_ban_by_connections_is_of_the_address(new_strict):
    strict = new_strict(**by_rule(count="connections", rate="2/1h"))
    for _ in range(2):
        smtp(strict, source=CLIENT, user=None).quit()
    with Smtp(strict.port("submission"), tls=None, source=CLIENT) as client:
        client.expect("421 4.7.0 own: at most 2 connections in 1h")
    strict.wait_event("banned", rule="own", tries=3)
    is_sent_away(strict)


# ---- the configuration ----

@pytest.mark.parametrize("wrong, said", [
    ({"key": "account"}, "ip+account"), ({"max": -1}, "guessing.max"), ({"window": "0s"}, "guessing.window"),
    ({"ban": "400d"}, "guessing.ban"), ({"bans": "1h"}, "did you mean ban?")])
def test_wrong_values_are_told(new_gateway, wrong, said):
    gateway = new_gateway(smtp=1025, start=False, auth={"guessing": wrong})
    told = run_porteirod("-t", "-c", gateway.config_file)
    assert told.returncode == 1 and "auth.guessing." in told.stderr and said in told.stderr
