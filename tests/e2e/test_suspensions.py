"""Accounts that may not send, or not log in either: porteiroctl's suspend, resume and suspended."""
import json
import signal
import subprocess
import time

import pytest

from fixtures.clients import PASSWORDS, message, plain_response, pop3, smtp
from fixtures.mmdb import mmdb
from fixtures.scripted import Gate
from fixtures.waiting import until

READ, SUPPORT, ADMIN = "games", "irc", "news"  # groups that Debian always has
ALICE = "alice@example.com"
STOPPED = "550 5.7.1 Sending is suspended until 20"
REFUSED = "525 5.7.13 The account is suspended until 20"
UNREAD = "-ERR [SYS/PERM] The account is suspended until 20"


@pytest.fixture
def server(new_smtp):
    return new_smtp()


@pytest.fixture
def gateway(new_gateway, server, new_pop3):
    return new_gateway(server, new_pop3([message()]), contact="https://help.example.com")


def suspended(gateway):
    return {row["account"]: row["scope"] for row in json.loads(gateway.ctl("--json", "suspended").stdout)}


def may_not_send(gateway, said=STOPPED):
    with smtp(gateway) as client:
        return client.ask("MAIL FROM:<alice@example.com>", said)


def may_not_log_in(gateway):
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}", REFUSED)
        client.ask("MAIL FROM:<alice@example.com>", "530 ")
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", UNREAD)


def sends(gateway, user="alice"):
    with smtp(gateway, user) as client:
        client.mail(message())


# ---- sending ----

def test_who_may_not_send_logs_in_and_reads_and_is_told_why(gateway):
    said = gateway.ctl("suspend", "ALICE", "--reason", "ticket 4711: \u00e9").stdout
    assert said.startswith(f"{ALICE} is suspended (sending) until 20")
    reply = may_not_send(gateway)
    assert "UTC: ticket 4711: ??" in reply and "; https://help.example.com)" in reply
    with pop3(gateway) as reader:
        assert reader.retrieve(1)
    sends(gateway, "bob")
    told = gateway.wait_event("suspended", account=ALICE)
    assert (told["scope"], told["uid"]) == ("sending", "0")
    gateway.wait_event("message_refused", account=ALICE, code=550, reason="suspended")
    gateway.ctl("resume", ALICE)
    sends(gateway)
    gateway.wait_event("resumed", account=ALICE, scope="sending")
    assert "not suspended" in gateway.ctl("resume", ALICE, status=1).stderr


@pytest.mark.parametrize("way", ["DATA", "BDAT", "with a rule at the end"])
def test_a_message_under_way_is_refused_at_its_dot_and_goes_nowhere(new_gateway, server, way):
    limits = {"bytes": {"key": ["account"], "count": "bytes", "rate": "1G/1h"}}
    asked = {"policies": {"out": {"limits": limits}}, "listener": {"policy": "out"}} if "rule" in way else {}
    gateway = new_gateway(server, **asked)
    with smtp(gateway) as client:
        client.envelope()
        half = message()
        if way == "BDAT":
            client.send_bytes(b"BDAT %d\r\n%s" % (len(half), half))
            client.expect("250 ")
        else:
            client.ask("DATA", "354 ")
            client.send_bytes(half)
        gateway.ctl("suspend", ALICE)
        client.send_bytes(b"BDAT 0 LAST\r\n" if way == "BDAT" else b".\r\n")
        client.expect(STOPPED)
        client.ask("MAIL FROM:<alice@example.com>", STOPPED)
        gateway.ctl("resume", ALICE)
        client.mail(message())
    assert len(server.messages) == 1
    gateway.wait_event("message_refused", account=ALICE, code=550)


def test_a_message_that_the_server_behind_has_is_answered_as_it_says(gateway, server):
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        server.on("DOT", gate := Gate(), None)
        client.send_bytes(message() + b".\r\n")
        gate.wait_reached()
        gateway.ctl("suspend", ALICE, "--scope", "all")
        gate.open()
        client.expect("250 2.0.0 Ok: queued as ")
        client.expect("421 4.7.0 Your account was suspended just now")
        assert client.is_closed()


@pytest.mark.parametrize("trusted, mail, head", [
    ({"account_from": "mail-auth"}, " AUTH=shop@example.com", b""),
    ({"account_from": "header:X-Account"}, "", b"X-Account: shop@example.com\r\n")])
def test_of_who_sends_for_others_the_customer_is_stopped_or_he_himself(new_gateway, server, trusted, mail, head):
    gateway = new_gateway(server, listener={"trusted": {"web": {"logins": [ALICE], **trusted}}})
    with smtp(gateway) as web:
        def sends(customer, said):
            at_mail = mail and said != "250 "
            web.ask(f"MAIL FROM:<x@example.com>{mail.replace('shop', customer)}", said if at_mail else "250 ")
            if at_mail:
                return
            web.ask("RCPT TO:<someone@dest.example>", "250 ")
            web.text(head.replace(b"shop", customer.encode()) + message(), said)
        gateway.ctl("suspend", "shop@example.com")
        sends("shop", STOPPED)
        sends("blog", "250 ")
        gateway.ctl("suspend", ALICE)
        web.ask("MAIL FROM:<x@example.com>" + mail.replace("shop", "blog"), STOPPED)


# ---- all ----

def test_who_may_not_log_in_either_is_told_so_with_the_right_password_alone(gateway):
    gateway.ctl("suspend", ALICE, "--scope", "all", "--until-resumed")
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', 'wrong')}", "535 5.7.8 ")
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}",
                   "525 5.7.13 The account is suspended until it is resumed (")
        client.login("bob")
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask("PASS wrong", "-ERR [AUTH]")
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/PERM] The account is suspended until it is resumed (")
    gateway.wait_event("login_refused", account=ALICE, count=2, reason="suspended")
    gateway.ctl("resume", ALICE)
    sends(gateway)
    with pop3(gateway):
        pass


def test_open_sessions_end_between_commands_within_a_second_and_nothing_is_deleted(gateway):
    with smtp(gateway) as idle, smtp(gateway) as begun, pop3(gateway) as reader, smtp(gateway, "bob") as other:
        begun.envelope()
        reader.ask("DELE 1", "+OK")
        gateway.ctl("suspend", ALICE, "--scope", "all")
        since = time.monotonic()
        for client in (idle, begun):
            client.expect("421 4.7.0 Your account was suspended just now")
        reader.expect("-ERR [SYS/PERM] Your account was suspended just now")
        assert time.monotonic() - since < 3  # a second, where nobody else is served
        assert all(client.is_closed() for client in (idle, begun, reader))
        other.mail(message())
    gateway.ctl("resume", ALICE)
    with pop3(gateway) as reader:
        reader.ask("STAT", "+OK 1 ")


def test_where_the_server_behind_checks_passwords_it_is_asked_first(new_gateway, server, new_pop3):
    gateway = new_gateway(server, new_pop3([message()]), auth={"backend": "upstream", "mechanisms": ["PLAIN"]})
    gateway.ctl("suspend", ALICE, "--scope", "all")
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", UNREAD)


# ---- by rules ----

WASHING = {"key": ["account"], "count": "rejected_recipients", "ratio": 25, "min": 4, "window": "1h",
           "action": "suspend", "duration": "1d"}
WEB = {"trusted": {"web": {"logins": [ALICE], "account_from": "mail-auth"}}}


def policy(listener=None, **keys):
    limits = {name: value for name, value in keys.items() if isinstance(value, dict)}
    rest = {name: value for name, value in keys.items() if not isinstance(value, dict)}
    return {"policies": {"out": {"limits": limits, **rest}}, "listener": {"policy": "out", **(listener or {})}}


@pytest.fixture
def picky(new_smtp):
    return new_smtp().on("RCPT", lambda line: "550 5.1.1 nobody" if "nobody" in line else None)


def washes(client, mail="MAIL FROM:<alice@example.com>"):
    """Up to the recipient at which the rule has enough."""
    client.ask(mail, "250 ")
    for name in ("a", "b", "nobody", "nobody"):
        client.send(f"RCPT TO:<{name}@dest.example>").reply()
    return client.send("RCPT TO:<c@dest.example>").reply()


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_who_washes_a_list_is_suspended_and_counting_begins_anew_when_he_is_let_go(new_gateway, picky, new_redis, store):
    redis = {"redis": {"address": [f"127.0.0.1:{new_redis().port}"]}} if store == "Redis" else {}
    gateway = new_gateway(picky, workers=1, **redis, **policy(washing=WASHING))
    with smtp(gateway) as client:
        said = washes(client)
        assert said.startswith(STOPPED) and "UTC: washing: at most 25% of recipients refused in 60 minutes, of 4 or more (" in said
        client.ask("DATA", "354 ")  # for those that were taken before
        client.send_bytes(message() + b".\r\n")
        client.expect(STOPPED)
        client.ask("MAIL FROM:<alice@example.com>", STOPPED)
    told = gateway.wait_event("suspended", account=ALICE, rule="washing")
    assert (told["scope"], told["tries"]) == ("sending", "2")
    assert gateway.wait_event("decision", rule="washing")["verdict"] == "suspend"
    row, = json.loads(gateway.ctl("--json", "suspended").stdout)
    assert row["by"] == "washing" and 86000 < row["left"] <= 86400
    sends(gateway, "bob")
    assert len(picky.messages) == 1
    gateway.ctl("count", ALICE, "rejected_recipients", "50")  # bounces of what was sent before
    assert gateway.ctl("resume", ALICE).stdout == f"{ALICE} is suspended no more\n"
    with smtp(gateway) as client:
        client.envelope(recipients=[f"r{number}@dest.example" for number in range(8)])
        client.text(message())
        assert washes(client).startswith(STOPPED) is False, "2 of 12"


def test_logins_from_too_many_countries_suspend_and_the_login_goes_on(new_gateway, server, new_pop3, folder):
    path = folder / "countries.mmdb"
    path.write_bytes(mmdb({"127.0.1.0/24": "BR", "127.0.2.0/24": "DE", "127.0.3.0/24": "JP"}))
    gateway = new_gateway(server, new_pop3([message()]), geoip=path, workers=1, **policy(
        stolen={"key": ["account"], "count": "distinct_countries", "max": 2, "window": "1h", "action": "suspend",
                "duration": "1d"}))
    for source in ("127.0.1.1", "127.0.2.1"):
        with smtp(gateway, source=source) as client:
            client.mail(message())
    with smtp(gateway, source="127.0.3.1") as client:
        client.ask("MAIL FROM:<alice@example.com>", STOPPED)
    for source in ("127.0.1.1", "127.0.2.1", "127.0.3.1"):
        with smtp(gateway, source=source) as client:
            client.ask("MAIL FROM:<alice@example.com>", STOPPED)
    gateway.wait_event("message_refused", count=4, reason="suspended")
    assert len(gateway.events("suspended")) == 1
    gateway.ctl("resume", ALICE)
    with smtp(gateway, source="127.0.3.1") as client:
        client.mail(message())


@pytest.mark.parametrize("door", ["SMTP", "POP3"])
def test_a_rule_for_all_refuses_the_login_that_is_too_much(new_gateway, server, new_pop3, door):
    gateway = new_gateway(server, new_pop3([message()]), workers=1, **policy(
        often={"key": ["account"], "count": "logins", "rate": "2/1h", "action": "suspend", "scope": "all",
               "duration": "1d"}), listeners={"pop3s": {"policy": "out"}})
    with smtp(gateway) as first, smtp(gateway) as second:
        if door == "SMTP":
            with smtp(gateway, user=None) as client:
                client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}", REFUSED)
        else:
            with pop3(gateway, user=None) as client:
                client.ask(f"USER {ALICE}", "+OK")
                client.ask(f"PASS {PASSWORDS['alice']}", UNREAD)
        for client in (first, second):
            client.expect("421 4.7.0 Your account was suspended just now")


def test_a_rule_that_watches_suspends_nobody(new_gateway, picky):
    gateway = new_gateway(picky, workers=1, **policy(washing={**WASHING, "mode": "monitor"}))
    with smtp(gateway) as client:
        assert washes(client).startswith("250 ")
        client.text(message())
    assert gateway.wait_event("decision", rule="washing")["verdict"] == "monitor"
    assert not suspended(gateway)


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_one_server_that_refuses_everybody_suspends_a_few_and_then_it_defers(new_gateway, picky, new_redis, store):
    redis = {"redis": {"address": [f"127.0.0.1:{new_redis().port}"]}} if store == "Redis" else {}
    gateway = new_gateway(picky, workers=1, **redis, **policy(WEB, washing=WASHING, max_suspensions="3/1h"))
    with smtp(gateway) as web:
        for number in range(6):
            said = washes(web, f"MAIL FROM:<x@example.com> AUTH=shop{number}@example.com")
            assert said.startswith(STOPPED if number < 3 else "451 4.7.1 washing: at most 25% of recipients refused")
            web.ask("RSET", "250 ")
    assert suspended(gateway) == {f"shop{number}@example.com": "sending" for number in range(3)}
    stopped = gateway.wait_event("suspensions_stopped", rule="washing")
    assert (stopped["count"], stopped["level"]) == ("3", "error") and len(gateway.events("suspensions_stopped")) == 1
    gateway.wait_event("decision", rule="washing", verdict="defer", count=3)


def test_a_rule_on_the_account_that_a_header_names_suspends_that_one(new_gateway, server):
    gateway = new_gateway(server, workers=1, **policy(
        {"trusted": {"web": {"logins": [ALICE], "account_from": "header:X-Account"}}},
        hour={"key": ["account"], "rate": "2/1h", "action": "suspend", "duration": "1d"}))

    def mails(said):
        with smtp(gateway) as web:
            web.envelope(recipients=("a@dest.example", "b@dest.example"))
            web.text(b"X-Account: shop@example.com\r\n" + message(), said)

    mails("250 ")
    mails(STOPPED)
    assert suspended(gateway) == {"shop@example.com": "sending"} and len(server.messages) == 1


# ---- a new password ----

SPAM = {"key": ["account"], "rate": "1/1d", "action": "suspend", "scope": "all", "duration": "1d"}


def change_password(gateway, password):
    subprocess.run(["saslpasswd2", "-p", "-f", gateway.folder / "sasldb2", "-u", "example.com", "alice"],
                   input=password.encode(), check=True)


def log_in(gateway, password, said):
    with smtp(gateway, user=None) as client:
        return client.ask(f"AUTH PLAIN {plain_response('alice', password)}", said)


def spams(gateway):
    """Until the rule has enough."""
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<a@dest.example>", "250 ")
        client.ask("RCPT TO:<b@dest.example>", STOPPED)


def test_a_new_password_lifts_what_a_rule_made_and_the_stolen_one_never_does(new_gateway, server, new_pop3):
    gateway = new_gateway(server, new_pop3([message()]), workers=1, auth={"cache": "1h"}, **policy(spam=SPAM))
    spams(gateway)
    for _ in range(3):
        log_in(gateway, PASSWORDS["alice"], REFUSED)
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    (gateway.folder / "state" / "state").rename(gateway.folder / "kept")
    gateway.start()  # nothing is known of any password
    log_in(gateway, PASSWORDS["alice"], "235 ")
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    (gateway.folder / "kept").rename(gateway.folder / "state" / "state")
    gateway.start()
    log_in(gateway, PASSWORDS["alice"], REFUSED)
    change_password(gateway, "another-one")
    log_in(gateway, PASSWORDS["alice"], "535 ")
    assert suspended(gateway) == {ALICE: "all"}
    log_in(gateway, "another-one", "235 ")
    told = gateway.wait_event("resumed", account=ALICE)
    assert (told["rule"], told["reason"]) == ("spam", "new password") and not suspended(gateway)


def test_a_person_s_order_stays_whatever_the_password(gateway):
    gateway.ctl("suspend", ALICE, "--scope", "all")
    change_password(gateway, "another-one")
    log_in(gateway, "another-one", REFUSED)


def test_it_can_be_turned_off(new_gateway, server):
    gateway = new_gateway(server, workers=1, auth={"lift_on_new_password": False}, **policy(spam=SPAM))
    spams(gateway)
    change_password(gateway, "another-one")
    log_in(gateway, "another-one", REFUSED)


def test_a_gateway_where_nobody_has_logged_in_knows_the_stolen_password_too(both_strict):
    one, other = both_strict
    spams(one)
    until(lambda: suspended(other))
    log_in(other, PASSWORDS["alice"], REFUSED)
    change_password(other, "another-one")
    log_in(other, "another-one", "235 ")
    until(lambda: not suspended(one), "the first hears of it")


def test_a_suspension_forgets_what_was_cached_of_its_logins(new_gateway, server):
    gateway = new_gateway(server, workers=1, auth={"cache": "1h"})
    log_in(gateway, PASSWORDS["alice"], "235 ")
    change_password(gateway, "another-one")
    log_in(gateway, PASSWORDS["alice"], "235 ")  # the cache's
    gateway.ctl("suspend", ALICE)
    log_in(gateway, PASSWORDS["alice"], "535 ")


# ---- what is kept ----

def test_it_holds_over_a_reload_and_a_restart_and_ends_by_itself(gateway):
    gateway.ctl("suspend", ALICE, "--scope", "all", "--for", "2h", "--reason", "stolen")
    gateway.ctl("suspend", "bob", "--until-resumed")
    gateway.ctl("suspend", "carol")
    gateway.ctl("resume", "carol")
    gateway.reload()
    may_not_log_in(gateway)
    before = gateway.ctl("--json", "suspended").stdout
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    gateway.start()
    may_not_log_in(gateway)
    assert suspended(gateway) == {ALICE: "all", "bob@example.com": "sending"}
    kept = [[{**row, "left": 0} for row in json.loads(text)] for text in (before, gateway.ctl("--json", "suspended").stdout)]
    assert sorted(kept[0], key=str) == sorted(kept[1], key=str)
    gateway.ctl("suspend", ALICE, "--for", "1s")
    until(lambda: ALICE not in suspended(gateway))
    sends(gateway)


def test_no_order_about_bans_shows_or_lifts_it(gateway):
    gateway.ctl("suspend", ALICE)
    assert json.loads(gateway.ctl("--json", "bans").stdout) == []
    for network in ("::/0", "0.0.0.0/0", "127.0.0.1"):
        assert "bans lifted: 0" in gateway.ctl("unban", network).stdout
    may_not_send(gateway)


# ---- what it says, and to whom ----

def test_as_a_table_it_fits_80_columns_and_show_tells_it(gateway):
    gateway.ctl("suspend", ALICE, "--reason", "sends spam")
    gateway.ctl("suspend", "bob", "--scope", "all", "--until-resumed")
    table = gateway.ctl("suspended").stdout.splitlines()
    assert all(len(line) <= 80 for line in table) and len(table) == 3
    rows = {line.split()[0]: line.split()[1:] for line in table[1:]}
    assert rows[ALICE] == ["sending", "root", "23h59min", "sends", "spam"]
    assert rows["bob@example.com"] == ["all", "root", "until", "resumed"]
    assert "sends spam" in gateway.ctl("show", ALICE).stdout
    assert json.loads(gateway.ctl("--json", "show", ALICE).stdout)["suspended"][0]["scope"] == "sending"


@pytest.mark.parametrize("group, allowed", [(READ, {"suspended"}), (SUPPORT, {"suspended", "resume"}),
                                            (ADMIN, {"suspended", "resume", "suspend"})])
def test_who_may_look_resume_and_suspend(new_gateway, server, group, allowed):
    gateway = new_gateway(server, control_groups={READ: "read", SUPPORT: "support", ADMIN: "admin"})
    wrapper = ["setpriv", "--reuid=nobody", "--regid=nogroup", f"--groups={group}"]
    gateway.ctl("suspend", ALICE)
    for command in ("suspended", "resume", "suspend"):
        words = [command] if command == "suspended" else [command, ALICE]
        done = gateway.ctl(*words, status=0 if command in allowed else 1, wrapper=wrapper)
        assert command in allowed or "control_groups" in done.stderr


@pytest.mark.parametrize("words, status, said", [
    (["suspend"], 2, "suspend takes"), (["suspend", ALICE, "--for", "1h", "--until-resumed"], 2, "suspend takes"),
    (["suspend", "a b"], 1, "no account"), (["suspend", ALICE, "--scope", "reading"], 1, "sending or all"),
    (["suspend", ALICE, "--for", "400d"], 1, "366 days"), (["resume", "a b"], 1, "no account"), (["resume"], 2, "resume takes")])
def test_what_is_no_order_is_refused_and_said_why(gateway, words, status, said):
    assert said in gateway.ctl(*words, status=status).stderr
    assert not suspended(gateway)


# ---- other gateways ----

@pytest.fixture
def redis(new_redis):
    return new_redis()


@pytest.fixture
def new_both(new_gateway, server, new_pop3, redis, folder):
    secret = folder / "secret"
    secret.write_bytes(bytes(range(32)))
    secret.chmod(0o600)
    return lambda **keys: [
        new_gateway(server, new_pop3([message()]), secret=secret, **keys,
                    redis={"address": [f"127.0.0.1:{redis.port}"], "timeout": "1s"}) for _ in range(2)]


@pytest.fixture
def both(new_both):
    return new_both()


@pytest.fixture
def both_strict(new_both):
    return new_both(workers=1, **policy(spam=SPAM))


def test_on_the_other_gateway_all_ends_its_sessions_within_a_second(both):
    one, other = both
    with pop3(other) as reader, smtp(other) as client:
        one.ctl("suspend", ALICE, "--scope", "all", "--reason", "stolen")
        since = time.monotonic()
        reader.expect("-ERR [SYS/PERM] Your account was suspended just now")
        client.expect("421 4.7.0 Your account was suspended just now")
        assert time.monotonic() - since < 3  # a second, where nobody else is served
    may_not_log_in(other)
    other.ctl("resume", ALICE)
    sends(other)
    until(lambda: not suspended(one))
    sends(one)


def test_on_the_other_gateway_the_default_refuses_the_next_mail_and_reading_goes_on(both):
    one, other = both
    with pop3(other) as reader, smtp(other) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(message())
        one.ctl("suspend", ALICE)
        until(lambda: suspended(other), "the other hears of it")
        client.send_bytes(b".\r\n")
        client.expect(STOPPED)
        client.ask("MAIL FROM:<alice@example.com>", STOPPED)
        assert reader.retrieve(1)


def test_gateways_that_were_parted_from_redis_agree_afterwards(both, redis):
    one, other = both
    one.ctl("suspend", "carol", "--until-resumed")
    until(lambda: "carol@example.com" in suspended(other))
    redis.stop()
    until(lambda: other.events("redis_lost") and one.events("redis_lost"))
    one.ctl("suspend", ALICE, "--scope", "all")
    other.ctl("suspend", "bob")
    other.ctl("resume", "carol")  # whose suspension the first would tell again
    with pop3(other) as reader:
        redis.start()
        reader.expect("-ERR [SYS/PERM] Your account was suspended just now")
    whole = {ALICE: "all", "bob@example.com": "sending"}
    until(lambda: suspended(one) == suspended(other) == whole, "both know the same", 60)
    redis.cli("FLUSHALL")
    one.ctl("resume", "bob")
    until(lambda: suspended(other) == {ALICE: "all"})
    assert suspended(one) == {ALICE: "all"}
