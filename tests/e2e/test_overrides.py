"""Limits that are others for some accounts: a policy's file of overrides."""
import json
import signal

import pytest

from fixtures.clients import smtp
from fixtures.waiting import until


@pytest.fixture
def file(folder):
    path = folder / "overrides"
    path.write_text("# of the plan\nbob: hour 60/1h 3\n@example.net: hour 2/1h\n")
    return path


@pytest.fixture
def new_limited(new_gateway, new_smtp, file):
    """new_limited(...): a gateway where each account may have 1 recipient an hour, but for the file."""
    def make(**changes):
        hour = {"key": ["account"], "count": "recipients", "rate": "1/1h"}
        policy = {"overrides": str(file), "limits": {"hour": hour}}
        return new_gateway(new_smtp(), auth={"realm": "example.com"}, policies={"out": policy},
                           listener={"policy": "out"}, **changes)
    return make


def refusal(gateway, **who):
    """How many recipients pass, and what the next one is told."""
    with smtp(gateway, **who) as client:
        client.envelope(recipients=())
        for n in range(10):
            said = client.send(f"RCPT TO:<r{n}@dest.example>").reply()
            if not said.startswith("250 "):
                return n, said
    return 10, ""


def limit_of(gateway, account):
    (row,) = json.loads(gateway.ctl("--json", "limits", account).stdout)
    return row


def test_an_account_of_the_file_has_its_own_figure_and_is_told_so(new_limited):
    gateway = new_limited()
    count, said = refusal(gateway, user="bob")
    assert count == 3
    assert said.startswith("451 4.7.1 hour: at most 60 recipients in 1h, 3 at once (set for this account); try again in ")
    count, said = refusal(gateway, user="alice")
    assert count == 1 and said.startswith("451 4.7.1 hour: at most 1 recipients in 1h; try again in ")
    row = limit_of(gateway, "bob")
    assert row["limit"] == "at most 60 recipients in 1h, 3 at once (set for this account)"
    assert (row["override"], row["count"], row["period"], row["burst"]) == ("account", 60, 3600, 3)
    assert limit_of(gateway, "x@example.net")["override"] == "domain" and limit_of(gateway, "alice")["override"] == ""
    assert "60 recipients in 1h" in gateway.ctl("limits", "bob").stdout


def test_a_change_counts_without_a_reload_unless_half_of_the_lines_are_gone(new_limited, file):
    gateway = new_limited(workers=2)
    assert refusal(gateway, user="alice")[0] == 1
    with file.open("a") as more:
        more.write("alice@example.com: hour 100/1h\n")
    assert gateway.wait_event("list_taken", file=str(file))["count"] == "3"
    until(lambda: limit_of(gateway, "alice")["count"] == 100)
    until(lambda: all(refusal(gateway, user="alice")[0] == 10 for _ in range(4)), "both workers know it")
    file.write_text("bob: hour 10/1h\n")
    gateway.wait_event("list_refused")
    assert "fewer than half of the lines in force" in gateway.events("list_refused")[0]["reason"]
    assert limit_of(gateway, "bob")["count"] == 60
    gateway.reload()
    until(lambda: limit_of(gateway, "bob")["count"] == 10)


def test_a_reload_of_files_takes_what_is_left_of_one_and_makes_no_new_processes(new_limited, file):
    gateway = new_limited(workers=2)
    pids = gateway.pids("worker")
    file.write_text("bob: hour 10/1h\n")
    assert gateway.ctl("reload", "--files").stdout == "1 file taken\n"
    assert limit_of(gateway, "bob")["count"] == 10
    until(lambda: all(refusal(gateway, user="bob")[0] == 10 for _ in range(4)), "both workers know it")
    assert gateway.pids("worker") == pids and gateway.status()["generation"] == 1


def test_a_reload_of_files_says_what_is_wrong_with_them(new_limited, file):
    gateway = new_limited()
    file.write_text("bob: hour 60 3\n")
    done = gateway.ctl("reload", "--files", status=1)
    assert done.stdout == "" and done.stderr.startswith(f"porteiroctl: reload: {file}:1: a burst means nothing")
    file.unlink()
    assert gateway.ctl("reload", "--files", status=1).stderr == f"porteiroctl: reload: {file}: No such file or directory\n"
    assert limit_of(gateway, "bob")["count"] == 60
    file.write_text("bob: hour 70/1h\n")
    assert '"1 file taken"' in gateway.ctl("--json", "reload", "--files").stdout
    assert limit_of(gateway, "bob")["count"] == 70
    gateway.ctl("reload", "--file", status=2)


def test_without_watched_files_there_are_none_to_take(new_gateway, new_smtp):
    assert new_gateway(new_smtp()).ctl("reload", "--files").stdout == "0 files taken\n"


def test_a_check_names_what_is_wrong_in_the_file(new_limited, file):
    file.write_text("bob: hour 60 3\nbob: day 5/1d\n")
    done = new_limited(start=False).check()
    assert done.returncode == 1
    assert f'{file}:1: a burst means nothing without a rate; write "600/1h 100"' in done.stderr
    assert f'{file}:2: "day" is none of the limits of policies with this file: hour' in done.stderr


# ---- what people set ----

READ, SUPPORT, ADMIN = "games", "irc", "news"  # groups that Debian always has


def listed(gateway):
    return json.loads(gateway.ctl("--json", "limit", "list").stdout)


def test_what_is_set_goes_before_the_file_and_is_taken_back(new_limited):
    gateway = new_limited(workers=2)
    said = gateway.ctl("limit", "set", "bob", "hour", "5/1h", "--burst", "2", "--for", "2h", "--reason", "ticket 1").stdout
    before, now, end = said.splitlines()[1:]
    assert said.startswith("hour of bob@example.com\n") and end.startswith("until   20")
    assert before == "before  out: at most 60 recipients in 1h, 3 at once (set for this account)"
    assert now == "now     out: at most 5 recipients in 1h, 2 at once (set for this account)"
    for _ in range(4):  # at both workers
        count, said = refusal(gateway, user="bob")
        assert count == 2 and "hour: at most 5 recipients in 1h, 2 at once (set for this account); try" in said
    row = limit_of(gateway, "bob")
    assert (row["override"], row["by"], row["count"], row["burst"]) == ("account", "set", 5, 2)
    gateway.ctl("limit", "set", "@example.com", "hour", "4/1h", "--permanent")
    assert refusal(gateway, user="alice")[0] == 4 and refusal(gateway, user="bob")[0] == 2
    account, domain = sorted(listed(gateway), key=lambda row: row["name"], reverse=True)
    assert (account["name"], account["limit"], account["figure"]) == ("bob@example.com", "hour", "5/1h 2")
    assert (account["reason"], account["uid"]) == ("ticket 1", 0) and 7100 < account["left"] <= 7200
    assert (domain["name"], domain["until"], domain["left"]) == ("@example.com", None, None)
    gateway.wait_event("limit_set", count=2)
    assert gateway.events("limit_set")[0]["figure"] == "5/1h 2" and gateway.events("limit_set")[1]["until"] == "for good"
    gateway.ctl("limit", "unset", "bob@example.com", "hour")
    assert refusal(gateway, user="bob")[0] == 4, "what is set for the domain goes before the file"
    gateway.ctl("limit", "unset", "@example.com", "hour")
    assert refusal(gateway, user="bob")[0] == 3 and refusal(gateway, user="alice")[0] == 1
    assert not listed(gateway)
    gateway.wait_event("limit_unset", account="@example.com")


def test_what_is_set_ends_by_itself(new_limited):
    gateway = new_limited()
    gateway.ctl("limit", "set", "alice", "hour", "9/1h", "--for", "1s")
    assert limit_of(gateway, "alice")["count"] == 9
    until(lambda: not listed(gateway))
    until(lambda: limit_of(gateway, "alice")["count"] == 1)


def test_it_holds_over_a_reload_and_a_restart(new_limited):
    gateway = new_limited()
    gateway.ctl("limit", "set", "alice", "hour", "9/1h", "--permanent")
    gateway.ctl("limit", "set", "bob", "hour", "9/1h")
    gateway.ctl("limit", "unset", "bob", "hour")
    gateway.reload()
    assert refusal(gateway, user="alice")[0] == 9
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    gateway.start()
    assert refusal(gateway, user="alice")[0] == 9 and limit_of(gateway, "bob")["by"] == "file"
    assert [row["name"] for row in listed(gateway)] == ["alice@example.com"]


def test_a_table_of_what_is_set_fits_80_columns(new_limited):
    gateway = new_limited()
    gateway.ctl("limit", "set", "alice", "hour", "1000/1h", "--burst", "100", "--reason", "campaign")
    gateway.ctl("limit", "set", "@example.net", "hour", "5/1h", "--permanent")
    table = gateway.ctl("limit", "list").stdout.splitlines()
    assert len(table) == 3 and all(len(line) <= 80 for line in table)
    assert table[0].split() == ["for", "limit", "is", "by", "left", "reason"]
    rows = {line.split()[0]: line.split()[1:] for line in table[1:]}
    assert rows["alice@example.com"] == ["hour", "1000/1h", "100", "root", "23h59min", "campaign"]
    assert rows["@example.net"] == ["hour", "5/1h", "root", "for", "good"]


@pytest.mark.parametrize("group, allowed", [(READ, 1), (SUPPORT, 1), (ADMIN, 3)])
def test_who_may_look_and_set(new_limited, group, allowed):
    gateway = new_limited(control_groups={READ: "read", SUPPORT: "support", ADMIN: "admin"})
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", f"--groups={group}"]
    for number, words in enumerate([["list"], ["set", "alice", "hour", "9/1h"], ["unset", "alice", "hour"]]):
        gateway.ctl("limit", *words, status=0 if number < allowed else 1, wrapper=nobody)


@pytest.mark.parametrize("words, status, said", [
    (["set", "alice", "huor", "5/1h"], 1, '"huor" is none of the limits: hour'),
    (["set", "alice", "hour", "5"], 1, 'hour is limited by a rate; write it as "600/1h"'),
    (["unset", "alice", "hour"], 1, "nothing is set for hour of alice@example.com"),
    (["set", "alice", "hour"], 2, "limit set takes an account or @DOMAIN, a limit and a rate"),
    (["show"], 2, "limit takes set, unset or list")])
def test_what_is_no_order_is_refused_and_said_why(new_limited, words, status, said):
    assert said in new_limited().ctl("limit", *words, status=status).stderr


# ---- other gateways ----

@pytest.fixture
def redis(new_redis):
    return new_redis()


@pytest.fixture
def new_sharing(new_limited, redis):
    return lambda: new_limited(redis={"address": [f"127.0.0.1:{redis.port}"], "timeout": "1s"})


@pytest.fixture
def both(new_sharing):
    return [new_sharing() for _ in range(2)]


def figures(gateway):
    return {row["name"]: row["figure"] for row in listed(gateway)}


def test_what_is_set_at_one_gateway_holds_at_the_other_within_a_second(both):
    one, other = both
    one.ctl("limit", "set", "alice", "hour", "5/1h", "--burst", "2", "--reason", "a \"ticket\"")
    until(lambda: figures(other) == {"alice@example.com": "5/1h 2"}, "the other hears of it", 5)
    assert refusal(other, user="alice")[0] == 2 and listed(other)[0]["reason"] == "a \"ticket\""
    other.ctl("limit", "set", "alice", "hour", "7/1h", "--permanent")
    until(lambda: figures(one) == {"alice@example.com": "7/1h"}, "the later order holds", 5)
    one.ctl("limit", "unset", "alice", "hour")
    until(lambda: not figures(other), "it was taken back", 5)
    assert refusal(other, user="alice")[0] == 1


def test_gateways_that_could_not_reach_redis_agree_on_the_later_order_afterwards(both, redis, new_sharing):
    one, other = both
    one.ctl("limit", "set", "alice", "hour", "5/1h", "--permanent")
    one.ctl("limit", "set", "bob", "hour", "5/1h", "--permanent")
    until(lambda: len(figures(other)) == 2)
    redis.stop()
    until(lambda: other.events("redis_lost") and one.events("redis_lost"))
    other.ctl("limit", "unset", "alice", "hour")
    one.ctl("limit", "set", "bob", "hour", "6/1h", "--permanent")
    other.ctl("limit", "set", "bob", "hour", "7/1h", "--permanent")
    redis.start()  # it has forgotten all of it
    until(lambda: figures(one) == figures(other) == {"bob@example.com": "7/1h"}, "both know the later", 60)
    third = new_sharing()  # that begins later
    until(lambda: figures(third) == {"bob@example.com": "7/1h"}, "the third too")


def test_hundreds_of_them_outlive_a_redis_that_was_emptied_and_a_gateway_that_has_set_them(both, redis):
    one, other = both
    for number in range(100):
        one.ctl("limit", "set", f"a{number}", "hour", "5/1h", "--permanent")
    until(lambda: len(figures(other)) == 100, "all of them", 60)
    one.stop()
    redis.cli("FLUSHALL")
    other.ctl("limit", "set", "a100", "hour", "5/1h", "--permanent")
    until(lambda: redis.cli("HLEN", "{porteiro}:limits").strip() == "103", "with its id and number of changes")
    one.start()
    until(lambda: len(figures(one)) == 101)


def test_a_figure_that_one_message_can_never_pass_is_told_before_the_start(new_gateway, postfix, folder):
    path = folder / "overrides"
    path.write_text("alice: hour 600/1h 1000\nbob: hour 600/1h 3\n")
    hour = {"key": ["account"], "rate": "2000/1h", "at": "message"}
    gateway = new_gateway(postfix, start=False, policies={"out": {"overrides": str(path), "limits": {"hour": hour}}},
                          listener={"policy": "out"})
    told = gateway.check()
    assert told.returncode == 0
    (line,) = [line for line in (told.stdout + told.stderr).splitlines() if "never passes" in line]
    assert f"warning: {path}:2: bob" in line and "more than 3 recipients never passes" in line
