"""Recipients that turn out to be nobody's after their message was taken: porteiroctl count."""
import json
import subprocess

import pytest

from fixtures import build
from fixtures.clients import message, smtp

READ, SUPPORT = "games", "irc"  # groups that Debian always has
WASHING = {"key": ["account"], "count": "rejected_recipients", "ratio": 25, "min": 4, "window": "1h"}


@pytest.fixture
def new_counting(new_gateway, new_smtp):
    def make(limits=None, **changes):
        return new_gateway(new_smtp(), policies={"out": {"limits": limits or {"washing": WASHING}}},
                           listener={"policy": "out"}, **changes)
    return make


def sends(gateway, recipients=4):
    """Returns the message's id."""
    with smtp(gateway) as client:
        client.envelope(recipients=[f"r{n}@dest.example" for n in range(recipients)])
        return client.text(message()).split()[-1]


def is_stopped(gateway):
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.send("RCPT TO:<next@dest.example>")
        return client.reply().startswith("451 4.7.1 washing: at most 25% of recipients refused in 60 minutes, of 4 or more")


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_bounces_are_told_of_an_account(new_counting, new_redis, store):
    redis = {"redis": {"address": [f"127.0.0.1:{new_redis().port}"]}} if store == "Redis" else {}
    gateway = new_counting(**redis)
    sends(gateway)
    gateway.ctl("count", "alice@example.com", "rejected_recipients", "1")
    assert not is_stopped(gateway)
    said = gateway.ctl("count", "ALICE", "rejected_recipients", "1").stdout
    assert said == "alice@example.com: 1 more, in 1 limit\n"
    assert is_stopped(gateway)
    gateway.wait_event("control_command", command="count")


def test_bounces_are_told_of_a_message(new_counting):
    gateway = new_counting()
    message_id = sends(gateway)
    for _ in range(2):
        gateway.ctl("count", "--message", message_id)
    assert is_stopped(gateway)


def test_a_follower_tells_line_by_line(new_counting):
    gateway = new_counting()
    message_id = sends(gateway)
    with subprocess.Popen([build.PORTEIROCTL, "-s", gateway.config["control"], "count", "-"], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as follower:
        follower.stdin.write(f"--message {message_id}\n--message 000000000000\n")
        follower.stdin.flush()
        assert "line 2: " in follower.stderr.readline()
        assert not is_stopped(gateway)
        follower.stdin.write("alice@example.com rejected_recipients 1\n")
        follower.stdin.close()
        assert follower.wait(timeout=60) == 1
    assert is_stopped(gateway)


def test_rules_of_one_name_count_once_and_those_for_others_do_not(new_counting):
    others = {**WASHING, "when": {"accounts": ["bob@example.com"]}}
    gateway = new_counting({"washing": WASHING, "others": others, "all": {**WASHING, "key": ["global"], "min": 100},
                            "here": {**WASHING, "key": ["account", "ip"]}})
    assert gateway.ctl("count", "alice@example.com", "rejected_recipients", "3").stdout.endswith(": 3 more, in 2 limits\n")


@pytest.mark.parametrize("words, said", [
    (("nobody@example.com", "rejected_recipients", "0"), "1 to 10000"),
    (("nobody@example.com", "rejected_recipients", "10001"), "1 to 10000"),
    (("@example.com", "rejected_recipients", "1"), "no account"),
    (("--message", "xyz"), "12 characters"),
    (("--message", "0123456789ab"), "message_accepted")])
def test_what_cannot_be_counted_is_told(new_counting, words, said):
    gateway = new_counting()
    done = subprocess.run([build.PORTEIROCTL, "-s", gateway.config["control"], "count", *words], text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 1 and said in done.stderr


def test_where_no_limit_counts_them_that_is_said(new_counting):
    gateway = new_counting({"hour": {"key": ["account"], "rate": "600/1h"}})
    done = subprocess.run([build.PORTEIROCTL, "-s", gateway.config["control"], "count", "alice@example.com",
                           "rejected_recipients", "1"], text=True, capture_output=True, timeout=60)
    assert done.returncode == 1 and "no limit on rejected_recipients goes by this account" in done.stderr
