"""porteiroctl explain: what would happen to a sender, rule by rule; and it does."""
import json
import random
import re

import pytest

from fixtures.clients import PASSWORDS, Smtp, message, plain_response, smtp
from fixtures.waiting import until

CLIENT, OTHER = "127.0.0.2", "127.0.0.3"


def limit(*key, **keys):
    return {"key": list(key), **keys}


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
    assert list(rows) == ["bans", "doors", "auth.guessing", "suspension", "quiet", "hour", "to", "never", "spared"]
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
    assert "alice@example.com is suspended (sending): stolen" in gateway.ctl("explain", "--account", "alice").stdout
    gateway.ctl("ban", CLIENT)
    rows = rows_of(gateway, ip=CLIENT)
    assert [row["rule"] for row in rows.values() if row["decides"]] == ["bans"]
    assert "is banned until" in gateway.ctl("explain", "--account", "alice", "--ip", CLIENT).stdout
    assert rows_of(gateway, account="bob", ip=OTHER)["suspension"]["verdict"] == "pass"


def test_a_mailbox_has_the_rules_of_pop3_and_hours_are_those_of_the_time(new_gateway, new_smtp, new_pop3):
    night = limit("account", count="logins", rate="1/1h", when={"hours": ["Mon-Sun 22:00-23:00"]})
    gateway = new_gateway(new_smtp(), new_pop3([message()]), timezone="UTC", listener={"policy": "out"},
                          policies={"out": {"limits": {"night": night, "hour": HOUR}}})
    assert list(rows_of(gateway, protocol="pop3")) == ["night", "auth.guessing", "suspension"]
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


# ---- it agrees with what then happens ----

KINDS = [("connections", dict(max=2), ["ip", "global"]), ("sessions", dict(max=2), ["account", "network"]),
         ("logins", dict(rate="3/1h"), ["account", "ip", "login"]), ("messages", dict(rate="2/1h"), ["account", "sender", "sender_domain"]),
         ("recipients", dict(rate="3/1h"), ["account", "recipient", "recipient_domain", "ip", "listener"]),
         ("recipients", dict(rate="2/1h", at="message"), ["account", "account_domain"]),
         ("distinct_recipients", dict(max=2, window="1h"), ["account", "sender"]),
         ("rejected_recipients", dict(ratio=40, min=2, window="1h"), ["account"])]


def random_rule(chance):
    count, figures, keys = chance.choice(KINDS)
    rule = limit(chance.choice(keys), count=count, **figures)
    if "rate" in figures and chance.random() < 0.3:
        rule["burst"] = 1
    rule["action"] = chance.choice(["defer", "reject"])
    if chance.random() < 0.2:
        rule["mode"] = "monitor"
    if chance.random() < 0.3:
        rule[chance.choice(["when", "except"])] = {"accounts": [chance.choice(["alice@example.com", "@example.com", "bob@example.com"])]}
    return rule


def sends(gateway, who, source, recipient):
    """A session with a message. Returns the name of the rule that refuses it, None, or "server": it was refused behind."""
    def refused(reply):
        found = re.match(r"[45]\d\d [\d.]+ (rule\d): ", reply)
        assert found or reply[0] == "2" or reply.startswith("550 5.1.1 "), reply
        return found and found[1]

    with Smtp(gateway.port("submission"), tls=None, source=source) as client:
        if rule := refused(client.reply()):
            return rule
        client.hello()
        client.starttls()
        client.hello()
        for line in (f"AUTH PLAIN {plain_response(who, PASSWORDS[who])}", f"MAIL FROM:<{who}@example.com>", f"RCPT TO:<{recipient}>"):
            reply = client.send(line).reply()
            if rule := refused(reply):
                return rule
            if not reply.startswith("2"):
                return "server"
        reply = client.send("DATA").reply()
        if not reply.startswith("354 "):
            return refused(reply)
        return refused(client.send_bytes(message() + b".\r\n").reply())


@pytest.mark.parametrize("seed", range(8))
def test_what_is_explained_is_what_then_happens(new_gateway, new_smtp, seed):
    chance = random.Random(seed)
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 nobody" if "nobody" in line else None)
    gateway = new_gateway(server, shared_networks=[], workers=1, listener={"policy": "out"},
                          policies={"out": {"limits": {f"rule{n}": random_rule(chance) for n in range(5)}}})
    refusals = 0
    for _ in range(12):
        who, source = chance.choice(["alice", "bob"]), chance.choice([CLIENT, OTHER])
        recipient = chance.choice(["x@dest.example", "y@dest.example", "z@other.example", "nobody@dest.example"])
        gateway.wait_sessions(0)
        options = {"account": who, "ip": source, "from": f"{who}@example.com", "to": recipient, "listener": "submission"}
        decides = {row["rule"]: row["stage"] for row in explain(gateway, **options) if row["decides"]}
        happens = sends(gateway, who, source, recipient)
        if happens == "server":
            assert set(decides.values()) <= {"DATA", "end"}, "what comes before its word was decided"
        else:
            assert list(decides) == ([happens] if happens else []), (options, decides, happens)
            refusals += happens is not None
    assert refusals > 0 or seed > 0
