"""porteiroctl explain: what would happen to a sender, rule by rule; and it does."""
import json
import random
import re

import pytest

from fixtures.clients import PASSWORDS, Pop3, Smtp, message, plain_response, smtp, tls_context
from fixtures.random_policies import KINDS, limit, random_policy
from fixtures.waiting import until

CLIENT, OTHER = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def new_limited(new_gateway, new_smtp):
    """new_limited(RULE=..., ...): a gateway whose listeners have one policy with these limits."""
    def make(changes=None, **limits):
        return new_gateway(new_smtp(), policies={"out": {"limits": limits}}, listener={"policy": "out"},
                           **{"shared_networks": [], **(changes or {})})
    return make


def explain(gateway, account="alice", **options):
    words = [word for key, value in {"account": account, **options}.items() for word in (f"--{key}", value)]
    return json.loads(gateway.ctl("--json", "explain", *words).stdout)


def rows_of(gateway, *names, **options):
    return {row["rule"]: row for row in explain(gateway, **options)}


HOUR = limit("account", count="recipients", rate="60/1h", burst=2)


def test_each_rule_is_told_with_its_counter_what_is_left_its_verdict_and_its_line(new_limited):
    gateway = new_limited(
        hour=HOUR, doors=limit("ip", count="connections", max=4), quiet=limit("account", count="messages", rate="1/1h", mode="monitor"),
        to=limit("recipient_domain", count="recipients", rate="1/1h"), never={**HOUR, "when": {"accounts": ["bob@example.com"]}},
        spared={**HOUR, "except": {"accounts": ["@example.com"]}}, dropped={**HOUR, "enabled": False})
    with smtp(gateway, source=CLIENT) as client:
        client.mail(message(), recipients=["x@dest.example", "y@other.example"])
    rows = rows_of(gateway, ip=CLIENT, to="bob@dest.example")
    assert list(rows) == ["bans", "max_connections", "max_connections_per_ip", "doors", "auth.guessing", "suspension", "quiet", "hour", "to",
                          "never", "spared"]
    hour = rows["hour"]
    assert (hour["verdict"], hour["left"], hour["used"], hour["stage"]) == ("defer", 0, 2, "RCPT")
    assert hour["key"] == "hour alice@example.com" and hour["limit"] == "at most 60 recipients in 1h, 2 at once" and 0 < hour["wait"] <= 60
    assert [row["rule"] for row in rows.values() if row["decides"]] == ["hour"]
    assert (rows["doors"]["verdict"], rows["quiet"]["verdict"], rows["to"]["verdict"]) == ("pass", "monitor", "defer")
    assert [(rows[name]["verdict"], rows[name]["why"]) for name in ("never", "spared")] == [("skip", "when"), ("skip", "except")]
    file, line = hour["where"].rsplit(":", 1)
    assert "hour" in open(file, encoding="utf-8").read().splitlines()[int(line) - 1]
    said = gateway.ctl("explain", "--account", "alice", "--to", "x@dest.example").stdout
    assert said.splitlines()[0].split() == ["rule", "at", "counter", "left", "verdict", "where"]
    assert said.splitlines()[-1].startswith("alice@example.com is refused at ")
    assert said.splitlines()[-1].endswith("by hour: at most 60 recipients in 1h, 2 at once")
    assert rows_of(gateway, account="bob", to="x@new.example")["hour"]["verdict"] == "pass"


def test_asking_takes_nothing_in_either_store(new_limited, new_redis):
    for changes in ({}, {"redis": {"address": [f"127.0.0.1:{new_redis().port}"], "timeout": "1s"}}):
        gateway = new_limited(changes, hour=HOUR, open=limit("account", count="sessions", max=1),
                              spread=limit("account", count="distinct_recipients", max=1, window="1h", duration="1h"))
        for _ in range(3):
            rows = rows_of(gateway, ip=CLIENT, to="x@dest.example")
            assert [rows[name]["used"] for name in ("hour", "open", "spread")] == [0, 0, 0]
        with smtp(gateway) as client:
            client.mail(message(), recipients=["x@dest.example"])
            until(lambda: rows_of(gateway, to="y@dest.example")["spread"]["verdict"] == "defer", "the recipient is counted")
            assert rows_of(gateway, to="y@dest.example")["open"]["verdict"] == "defer"
            assert rows_of(gateway, to="x@dest.example")["spread"]["verdict"] == "pass", "it is the one that is known"
            client.mail(message(), recipients=["x@dest.example"])


def test_bans_and_suspensions_are_told_first(new_limited):
    gateway = new_limited(hour=HOUR)
    gateway.ctl("suspend", "alice", "--reason", "stolen")
    rows = rows_of(gateway, ip=CLIENT)
    assert rows["suspension"]["verdict"] == "reject" and rows["suspension"]["decides"] and rows["bans"]["verdict"] == "pass"
    assert "(MAIL) by suspension: sending: stolen" in gateway.ctl("explain", "--account", "alice").stdout
    gateway.ctl("ban", CLIENT)
    rows = rows_of(gateway, ip=CLIENT)
    assert [row["rule"] for row in rows.values() if row["decides"]] == ["bans"]
    assert "(connect) by bans: banned until" in gateway.ctl("explain", "--account", "alice", "--ip", CLIENT).stdout
    assert rows_of(gateway, account="bob", ip=OTHER)["suspension"]["verdict"] == "pass"


def test_a_mailbox_has_the_rules_of_pop3_and_hours_are_those_of_the_time(new_gateway, new_smtp, new_pop3):
    night = limit("account", count="logins", rate="1/1h", when={"hours": ["Mon-Sun 22:00-23:00"]})
    gateway = new_gateway(new_smtp(), new_pop3([message()]), timezone="UTC", listener={"policy": "out"},
                          policies={"out": {"limits": {"night": night, "hour": HOUR}}})
    assert list(rows_of(gateway, protocol="pop3")) == ["suspension", "night", "auth.guessing"]
    verdicts = {hour: rows_of(gateway, at=f"2026-11-28 {hour}:30")["night"]["verdict"] for hour in range(24)}
    assert sorted(verdicts.values()) == ["pass"] + ["skip"] * 23


def test_whoever_sends_as_another_or_from_elsewhere_is_told_by_the_rule_that_says_so(new_gateway, new_smtp, new_pop3):
    out = {"sender": {"envelope": "own"}, "limits": {"hour": HOUR},
           "access": {"office": {"networks": [f"{CLIENT}/32"], "when": {"accounts": ["alice@example.com"]}},
                      "closed": {"hours": ["Mon 03:00-03:01"], "mode": "monitor"}}}
    gateway = new_gateway(new_smtp(), new_pop3([message()]), policies={"out": out}, listener={"policy": "out"}, timezone="UTC", shared_networks=[])
    rows = rows_of(gateway, ip=CLIENT, **{"from": "boss@bank.example"}, at="2026-11-28 12:00")
    assert {name: rows[name]["verdict"] for name in ("office", "closed", "sender")} == {"office": "pass", "closed": "monitor", "sender": "reject"}
    assert rows["sender"]["decides"] and "boss@bank.example is not an address of alice@example.com" in rows["sender"]["why"]
    rows = rows_of(gateway, ip=OTHER, **{"from": "alice@example.com"})
    assert (rows["office"]["verdict"], rows["office"]["decides"], rows["sender"]["verdict"]) == ("reject", True, "pass")
    assert rows["office"]["where"].rsplit(":", 1)[1].isdigit()
    assert rows_of(gateway, account="bob", ip=OTHER)["office"]["verdict"] == "skip"
    assert rows_of(gateway, ip=OTHER, protocol="pop3")["office"]["stage"] == "login"
    with Smtp(gateway.port("submission"), tls=None, source=OTHER) as client:
        client.expect("220 ")
        client.hello()
        client.starttls()
        client.hello()
        client.login()
        client.ask("MAIL FROM:<alice@example.com>", "550 5.7.1 office: ")


@pytest.mark.parametrize("words, said", [
    (["--account", "@x"], "is no account"), (["--account", "a", "--ip", "mail"], "is no address"), (["--account", "a", "--from", "me"], "is no address"),
    (["--account", "a", "--protocol", "imap"], "is no protocol"), (["--account", "a", "--listener", "mx"], "none of the listeners")])
def test_what_is_no_question_is_refused_and_said_why(new_limited, words, said):
    assert said in new_limited(hour=HOUR).ctl("explain", *words, status=1).stderr


@pytest.mark.parametrize("words", [[], ["alice"], ["--account"], ["--ip", "192.0.2.7"], ["--account", "a", "--at", "soon"], ["--account", "a", "--x", "y"]])
def test_wrong_arguments_are_refused_without_asking(gateway, words):
    assert "explain takes --account" in gateway.ctl("explain", *words, status=2).stderr


# ---- what else there is to know of a message ----

OWN = {"sender": {"envelope": "own", "header": "own"}}


def test_of_the_header_it_tells_what_is_given(new_gateway, new_smtp):
    script = limit("header:X-Script", count="messages", rate="1/1h", missing="reject")
    gateway = new_gateway(new_smtp(), policies={"out": {**OWN, "limits": {"script": script}}}, listener={"policy": "out"})

    def senders(*headers):
        words = ["--from", "alice@example.com", *(word for header in headers for word in ("--header", header))]
        rows = json.loads(gateway.ctl("--json", "explain", "--account", "alice", *words).stdout)
        return {row["stage"]: row["verdict"] for row in rows if row["rule"] == "sender"}, rows[-1]

    verdicts, script = senders()
    assert verdicts == {"MAIL": "pass", "headers": "skip"} and (script["verdict"], script["decides"]) == ("reject", True)
    verdicts, script = senders("From: Ana <alice@example.com>", "X-Script: mailer.php")
    assert verdicts == {"MAIL": "pass", "headers": "pass"} and (script["verdict"], script["key"]) == ("pass", "script mailer.php")
    assert senders("From: boss@bank.example")[0]["headers"] == "reject"
    assert senders("Subject: x")[0]["headers"] == "reject"
    assert "is no field" in gateway.ctl("explain", "--account", "alice", "--header", "alice@example.com", status=1).stderr
    said = gateway.ctl("explain", "--account", "alice", "--header", "From: boss@bank.example").stdout
    assert "(headers) by sender: From: boss@bank.example is not an address of alice@example.com" in said


def test_a_certificate_counts_where_access_asks_for_one(new_gateway, new_smtp, authority):
    gateway = new_gateway(new_smtp(), listener={"policy": "out", "client_certificate": "optional", "client_ca": authority.certificate},
                          policies={"out": {"access": {"shown": {"certificate": "any"}, "own": {"certificate": "own"}}}})
    assert [rows_of(gateway, certificate=name)[rule]["verdict"] for name in ("alice", "bob") for rule in ("shown", "own")] == [
        "pass", "pass", "pass", "reject"]
    rows = rows_of(gateway)
    assert rows["shown"]["decides"] and "without a client certificate" in rows["shown"]["why"]


def test_so_many_connections_as_there_may_be_are_told(new_limited):
    gateway = new_limited({"max_connections_per_ip": 1}, hour=HOUR)
    assert rows_of(gateway, ip=CLIENT)["max_connections_per_ip"]["verdict"] == "pass"
    with smtp(gateway, source=CLIENT):
        row = rows_of(gateway, ip=CLIENT)["max_connections_per_ip"]
        assert (row["verdict"], row["decides"], row["why"]) == ("defer", True, "1 of 1 are there")
        assert Smtp(gateway.port("submission"), tls=None, source=CLIENT).reply().startswith("421 ")
        assert rows_of(gateway, ip=OTHER)["max_connections_per_ip"]["verdict"] == "pass"


def test_a_rule_that_suspends_is_told_as_that_and_past_max_suspensions_it_defers(new_gateway, new_smtp, new_pop3):
    stolen = limit("account", count="messages", rate="1/1h", action="suspend", duration="1h")
    logins = limit("account", count="logins", rate="1/1h", action="suspend", duration="1h")
    gateway = new_gateway(new_smtp(), new_pop3([message()]), policies={"out": {"max_suspensions": "1/10min", "limits": {"stolen": stolen}},
                                                                   "in": {"limits": {"logins": logins}}},
                          listener={"policy": "out"}, listeners={"pop3": {"policy": "in"}, "pop3s": {"policy": "in"}})
    for who, verdict, said in (("alice", "suspend", "550 5.7.1 Sending is suspended"), ("bob", "defer", "451 4.7.1 stolen: ")):
        with smtp(gateway, user=who) as client:
            client.mail(message())
            row = rows_of(gateway, account=who)["stolen"]
            assert (row["verdict"], row["decides"]) == (verdict, True)
            client.ask(f"MAIL FROM:<{who}@example.com>", said)
    with Pop3(gateway.port("pop3s")) as client:
        client.expect("+OK")
        client.ask("USER bob", "+OK")
        client.ask(f"PASS {PASSWORDS['bob']}", "+OK")
    row = rows_of(gateway, account="bob", protocol="pop3")["logins"]
    assert (row["verdict"], row["decides"]) == ("suspend", False), "reading goes on"


@pytest.mark.parametrize("source", ["mail-auth", "header:X-Account"])
def test_mail_of_a_trusted_login_is_told_as_that_of_the_account_that_it_names(new_gateway, new_smtp, source):
    out = {"sender": {"envelope": "own"}, "limits": {"web": limit("login", count="messages", rate="2/1h"), "customer": limit("account", rate="1/1h")},
           "access": {"away": {"networks": [f"{CLIENT}/32"], "when": {"accounts": ["alice@example.com"]}}}}
    gateway = new_gateway(new_smtp(), policies={"out": out}, shared_networks=[], listener={
        "policy": "out", "trusted": {"web": {"logins": ["carol"], "account_from": source}}})

    def told(**options):
        rows = explain(gateway, login="carol", **{"from": "alice@example.com", "to": "x@dest.example", "ip": CLIENT, **options})
        return [(row["rule"], row["stage"]) for row in rows if row["decides"]]

    def happens(source_address=CLIENT):
        with smtp(gateway, user="carol", source=source_address) as client:
            by_header = source.startswith("header")
            reply = client.send("MAIL FROM:<alice@example.com>" + ("" if by_header else " AUTH=alice@example.com")).reply()
            for line in ["RCPT TO:<x@dest.example>", "DATA"]:
                if reply.startswith("250 "):
                    reply = client.send(line).reply()
            return client.send_bytes(b"X-Account: alice\r\n\r\nhello\r\n.\r\n").reply() if reply.startswith("354") else reply

    late = source.startswith("header")
    assert told() == [] and happens().startswith("250 ")
    assert told(ip=OTHER) == [("away", "end" if late else "MAIL")] and "away: " in happens(OTHER)
    assert told() == [("customer", "RCPT")] and "customer: " in happens()
    assert told(**{"from": "boss@bank.example"}) == [("sender", "headers" if late else "MAIL")]
    assert rows_of(gateway, account="bob", login="carol", to="x@dest.example")["customer"]["key"] == "customer bob@example.com"
    gateway.ctl("suspend", "alice")
    assert told() == ([("customer", "RCPT")] if late else [("suspension", "MAIL")])
    assert told(account="bob", **{"from": "bob@example.com"}) == []
    assert "none of the logins" in gateway.ctl("explain", "--account", "alice", "--login", "bob", status=1).stderr


def test_who_sends_from_a_trusted_network_has_not_logged_in(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), policies={"out": {"limits": {"logins": limit("account", count="logins", rate="1/1h"), "hour": HOUR}}},
                          listener={"policy": "out", "trusted": {"printers": {"networks": [f"{CLIENT}/32"], "account": "alice"}}})
    assert "logins" not in rows_of(gateway, ip=CLIENT) and "logins" in rows_of(gateway, ip=OTHER)
    assert "logins" in rows_of(gateway, account="bob", ip=CLIENT)


# ---- it agrees with what then happens ----

REFUSALS = {"[45]\\d\\d [\\d.]+ ((rule|access)\\d): ": None, "Sending is suspended|account (is|was) suspended": "suspended",
            "No (connections|logins) from|address was banned": "bans", "is not an address of ": "sender", "^550 5.1.1 ": "server"}


def refusal_of(reply):
    """The name of what refuses, "server": it was refused behind; None: it passes."""
    for pattern, name in REFUSALS.items():
        if found := re.search(pattern, reply):
            return name or found[1]
    assert reply[0] in "23", reply
    return None


def sends(gateway, who, source, sender, recipient, author, context):
    """A session with a message. Returns what refuses it."""
    with Smtp(gateway.port("submission"), tls=None, source=source) as client:
        refused = refusal_of(client.reply())
        if refused:
            return refused
        client.hello()
        client.starttls(context=context)
        client.hello()
        for line in (f"AUTH PLAIN {plain_response(who, PASSWORDS[who])}", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            if refused := refusal_of(client.send(line).reply()):
                return refused
        return refusal_of(client.send_bytes(f"From: {author}\r\nSubject: x\r\n\r\nhello\r\n.\r\n".encode()).reply())


def settle(gateway):
    """All that was counted is counted: the worker's link to Redis answers in order."""
    gateway.wait_sessions(0)
    with Smtp(gateway.port("submissions")) as client:
        client.expect("220 ")
    gateway.wait_sessions(0)


@pytest.mark.parametrize("store", ["memory", "redis"])
@pytest.mark.parametrize("seed", range(8))
def test_what_is_explained_is_what_then_happens(new_gateway, new_smtp, new_redis, authority, store, seed):
    chance = random.Random(f"{store}{seed}")
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 nobody" if "nobody" in line else None)
    redis = {"redis": {"address": [f"127.0.0.1:{new_redis().port}"], "timeout": "2s"}} if store == "redis" else {}
    gateway = new_gateway(server, shared_networks=[], workers=1, auth={"lift_on_new_password": False}, **redis, policies={
        "out": random_policy(chance, KINDS), "sync": {"limits": {"sync": limit("ip", count="connections", rate="1000000/1s")}}},
        listener={"client_certificate": "optional", "client_ca": authority.certificate},
        listeners={"submission": {"policy": "out"}, "submissions": {"policy": "sync"}})
    refusals = 0
    for _ in range(12):
        who, source = chance.choice(["alice", "bob"]), chance.choice([CLIENT, OTHER])
        sender, author = (chance.choice([f"{who}@example.com"] * 4 + ["boss@bank.example"]) for _ in range(2))
        recipient = chance.choice(["x@dest.example", "y@dest.example", "z@other.example", "nobody@dest.example"])
        context = tls_context()
        if shows := chance.random() < 0.5:
            context.load_cert_chain(authority.ana.certificate, authority.ana.key)
        settle(gateway)
        options = {"account": who, "ip": source, "from": sender, "to": recipient, "header": f"From: {author}", "listener": "submission",
                   **({"certificate": "alice@example.com"} if shows else {})}
        rows = [row for row in explain(gateway, **options) if row["decides"]]
        decides = ["suspended" if row["rule"] == "suspension" or row["verdict"] == "suspend" else row["rule"] for row in rows]
        happens = sends(gateway, who, source, sender, recipient, author, context)
        if happens == "server":
            assert {row["stage"] for row in rows} <= {"DATA", "headers", "end"}, "what comes before its word was decided"
        else:
            assert decides == ([happens] if happens else []), (options, rows, happens)
            refusals += happens is not None
        if happens in ("suspended", "bans") and chance.random() < 0.7:
            gateway.ctl(*(("resume", who) if happens == "suspended" else ("unban", source)))
    assert refusals > 0 or seed > 0
