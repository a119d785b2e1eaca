"""Limits that are others for some accounts: a policy's file of overrides."""
import json

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
    assert f'{file}:2: "day" is no limit of a policy with this file: hour' in done.stderr
