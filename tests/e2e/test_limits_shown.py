"""How limits stand: porteiroctl limits."""
import json

import pytest

from fixtures.clients import message, plain_response, smtp
from fixtures.waiting import until

READ, SUPPORT, ADMIN = "games", "irc", "news"  # groups that Debian always has


def limit(*key, **keys):
    return {"key": list(key), **keys}


HOUR = limit("account", count="recipients", rate="600/1h", burst=100)


@pytest.fixture
def new_limited(new_gateway, new_smtp):
    """new_limited(RULE=..., ...): a gateway whose listeners have one policy with these limits."""
    def make(changes=None, **limits):
        return new_gateway(new_smtp(), policies={"out": {"limits": limits}}, listener={"policy": "out"}, **(changes or {}))
    return make


def shown(gateway, *keys):
    return {row["rule"]: row for row in json.loads(gateway.ctl("--json", "limits", *keys).stdout)}


def sends(gateway, recipients, **who):
    with smtp(gateway, **who) as client:
        client.envelope(recipients=[f"r{n}@dest.example" for n in range(recipients)])
        client.text(message())


# ---- figures ----

def test_what_an_account_has_used_and_has_left_is_told_in_figures(new_limited):
    gateway = new_limited(**{"account-hour": HOUR})
    before = shown(gateway, "alice@example.com")["account-hour"]
    assert (before["used"], before["left"], before["wait"], before["rest"]) == (0, 100, 0, 0)
    sends(gateway, 12)
    row = shown(gateway, "alice@example.com")["account-hour"]
    assert row["used"] in (11, 12) and row["left"] == 100 - row["used"], "one comes back every 6 seconds"
    assert 12 * 6 - 30 < row["rest"] <= 12 * 6
    assert row["limit"] == "at most 600 recipients in 1h, 100 at once"
    assert (row["count"], row["period"], row["burst"]) == (600, 3600, 100)
    assert (row["key"], row["policy"], row["mode"]) == ("account-hour alice@example.com", "out", "enforce")
    assert shown(gateway, "bob@example.com")["account-hour"]["used"] == 0


def test_who_has_nothing_left_is_told_when_the_next_one_passes(new_limited):
    gateway = new_limited(hour=limit("account", count="recipients", rate="1/1h", burst=2))
    sends(gateway, 2)
    row = shown(gateway, "alice")["hour"]
    assert (row["used"], row["left"]) == (2, 0)
    assert 3500 < row["wait"] <= 3600 and 7100 < row["rest"] <= 7200


def test_asking_counts_nothing(new_limited):
    gateway = new_limited(hour=limit("account", count="recipients", rate="1/1d", burst=2))
    for _ in range(5):
        assert shown(gateway, "alice")["hour"]["left"] == 2
    sends(gateway, 2)
    with smtp(gateway) as client:
        client.envelope(recipients=())
        client.ask("RCPT TO:<x@dest.example>", "451 4.7.1 ")


def fails(gateway, *passwords, source="127.0.0.2"):
    with smtp(gateway, user=None, source=source) as client:
        for password in passwords:
            client.ask(f"AUTH PLAIN {plain_response('alice@example.com', password)}", "535 5.7.8 ")


def test_wrong_passwords_of_an_address_are_told_beside_its_limits(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), shared_networks=[])
    row = shown(gateway, "127.0.0.2")["auth.guessing"]
    assert (row["used"], row["left"], row["max"], row["rest"], row["listeners"]) == (0, 10, 10, 0, [])
    fails(gateway, "one", "two", "two")
    row = until(lambda: (r := shown(gateway, "127.0.0.2")["auth.guessing"])["used"] == 2 and r)
    assert (row["left"], row["key"], row["policy"]) == (8, "auth.guessing 127.0.0.2", "")
    assert row["limit"] == "at most 10 different wrong credentials in 10 minutes"
    assert shown(gateway, "127.0.0.3")["auth.guessing"]["used"] == 0 and not shown(gateway, "alice")
    assert "auth.guessing" in gateway.ctl("limits", "127.0.0.2").stdout


def test_in_a_shared_network_they_are_those_of_an_account_there(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    fails(gateway, "one", "two")
    assert not shown(gateway, "127.0.0.2")
    row = until(lambda: (r := shown(gateway, "127.0.0.2", "alice")["auth.guessing"])["used"] == 2 and r)
    assert row["key"] == "auth.guessing 127.0.0.2 alice@example.com"
    assert shown(gateway, "127.0.0.2", "bob")["auth.guessing"]["used"] == 0


def test_without_guessing_there_is_no_such_counter(new_gateway, new_smtp):
    assert not shown(new_gateway(new_smtp(), shared_networks=[], auth={"guessing": {"max": 0}}), "127.0.0.2")


def test_what_is_held_at_once_is_told(new_limited):
    gateway = new_limited(open=limit("account", count="sessions", max=2))
    with smtp(gateway):
        row = shown(gateway, "alice")["open"]
        assert (row["used"], row["left"], row["max"], row["wait"]) == (1, 1, 2, 0)
        with smtp(gateway):
            row = shown(gateway, "alice")["open"]
            assert (row["left"], row["wait"], row["rest"]) == (0, None, None), "nobody knows when one ends"
    until(lambda: shown(gateway, "alice")["open"]["left"] == 2)


# ---- keys ----

RULES = {"account": HOUR, "domain": limit("account_domain", count="recipients", rate="60/1h"),
         "address": limit("ip", count="messages", rate="60/1h"), "network": limit("network", count="messages", rate="60/1h"),
         "both": limit("account", "ip", count="messages", rate="60/1h"),
         "door": limit("listener", count="connections", rate="600/1h"), "all": limit("global", count="messages", rate="60/1h"),
         "to": limit("recipient_domain", count="recipients", rate="60/1h"),
         "quiet": {**HOUR, "mode": "monitor"}, "dropped": {**HOUR, "enabled": False}}


@pytest.mark.parametrize("keys, rules", [
    (["alice@example.com"], {"account", "domain", "to", "quiet"}), (["ALICE"], {"account", "domain", "to", "quiet"}),
    (["@example.com"], {"domain", "to"}), (["127.0.0.1"], {"address", "network"}), (["global"], {"all"}),
    (["alice", "127.0.0.1"], {"account", "domain", "to", "quiet", "address", "network", "both", "auth.guessing"}), (["submission"], {"door"})])
def test_rules_are_found_by_what_they_go_by(new_limited, keys, rules):
    assert set(shown(new_limited(**RULES), *keys)) == rules


def test_the_keys_of_counters_are_those_that_sessions_take_from(new_limited):
    gateway = new_limited(**RULES)
    sends(gateway, 3)
    used = shown(gateway, "alice", "127.0.0.1")
    assert used["both"]["used"] == used["address"]["used"] == used["network"]["used"] == 1
    assert used["domain"]["used"] == used["quiet"]["used"] == 3
    assert shown(gateway, "@dest.example")["to"]["used"] == 3
    assert shown(gateway, "global")["all"]["used"] == 1
    assert used["quiet"]["mode"] == "monitor"


def test_a_rule_is_told_once_with_all_listeners_of_its_policy(new_limited):
    gateway = new_limited(hour=HOUR, part={**HOUR, "when": {"listeners": ["submission"]}},
                          others={**HOUR, "except": {"accounts": ["alice@example.com"]}})
    rows = json.loads(gateway.ctl("--json", "limits", "alice").stdout)
    assert [row["rule"] for row in rows] == ["hour", "part"]
    assert rows[1]["listeners"] == ["submission"] and {"submission", "submissions"} <= set(rows[0]["listeners"])


def test_an_alias_is_told_as_the_account_that_it_means(new_limited, folder):
    aliases = folder / "aliases"
    aliases.write_text("boss: alice@example.com\n")
    gateway = new_limited({"auth": {"aliases": aliases}}, hour=HOUR)
    assert shown(gateway, "boss")["hour"]["key"] == "hour alice@example.com"


# ---- Redis ----

@pytest.mark.parametrize("is_path", [False, True], ids=["tcp", "unix"])
def test_with_redis_its_counters_are_told(new_limited, new_redis, is_path):
    redis = new_redis()
    where = f"unix:{redis.socket}" if is_path else f"127.0.0.1:{redis.port}"
    gateway = new_limited({"redis": {"address": [where]}}, hour=limit("account", count="recipients", rate="1/1h", burst=5))
    until(lambda: sends(gateway, 1) is None and redis.cli("KEYS", "*").strip(), "Redis counts")
    row = shown(gateway, "alice")["hour"]
    assert row["used"] == 1
    before = redis.cli("GET", "{porteiro}:rate:hour alice@example.com")
    assert shown(gateway, "alice")["hour"]["left"] == 4
    assert redis.cli("GET", "{porteiro}:rate:hour alice@example.com") == before


def test_while_redis_is_away_the_gateways_own_part_is_told(new_limited, new_redis):
    redis = new_redis()
    gateway = new_limited({"redis": {"address": [f"127.0.0.1:{redis.port}"], "gateways": 2}},
                          hour=limit("account", count="recipients", rate="10/1d", burst=10))
    redis.kill()
    gateway.wait_event("redis_lost")
    sends(gateway, 2)
    row = shown(gateway, "alice")["hour"]
    assert (row["used"], row["left"]) == (2, 3)
    assert "Redis is away" in gateway.ctl("limits", "alice").stdout


def test_where_nothing_is_counted_without_redis_that_is_said(new_limited, new_redis):
    redis = new_redis()
    gateway = new_limited({"redis": {"address": [f"127.0.0.1:{redis.port}"], "on_failure": "accept"}}, hour=HOUR)
    redis.kill()
    gateway.wait_event("redis_lost")
    assert "on_failure" in gateway.ctl("limits", "alice", status=1).stderr


# ---- what it says, and to whom ----

def test_limits_as_a_table_fit_80_columns(new_limited):
    gateway = new_limited(**{"account-hour": HOUR, "open": limit("account", count="sessions", max=1)})
    with smtp(gateway):
        table = gateway.ctl("limits", "alice@example.com").stdout.splitlines()
    assert len(table) == 3 and all(len(line) <= 80 for line in table), table
    assert table[0].split() == ["rule", "at", "most", "used", "left", "next", "rest", "policy"]
    assert table[1].split() == ["account-hour", "600", "recipients", "in", "1h,", "100", "at", "once", "0", "100", "now", "0ms", "out"]
    assert table[2].split() == ["open", "1", "sessions", "at", "once", "1", "0", "?", "?", "out"]


def test_who_has_no_limit_is_told_so(new_limited):
    gateway = new_limited(hour=HOUR)
    assert "no limit goes by that" in gateway.ctl("limits", "global").stdout
    assert json.loads(gateway.ctl("--json", "limits", "127.0.0.1").stdout) == []


@pytest.mark.parametrize("words", [["alice", "bob"], ["x@"], ["a b"], ["a"] * 5])
def test_what_is_no_key_is_refused_and_said_why(new_limited, words):
    said = new_limited(hour=HOUR).ctl("limits", *words, status=1).stderr
    assert "is no key" in said or "1 to 4 keys" in said


def test_without_a_key_nobody_is_asked(new_limited):
    assert "limits takes" in new_limited(hour=HOUR).ctl("limits", status=2).stderr


def test_who_may_read_may_look(new_limited):
    gateway = new_limited({"control_groups": {READ: "read"}}, hour=HOUR)
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup"]
    assert "hour" in gateway.ctl("limits", "alice", wrapper=[*user, f"--groups={READ}"]).stdout
    assert "control_groups" in gateway.ctl("limits", "alice", status=1, wrapper=[*user, "--clear-groups"]).stderr
