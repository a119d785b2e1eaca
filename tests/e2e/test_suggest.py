"""porteiroctl suggest: what accounts send, and whom a limit would touch, from the log."""
import json
import subprocess

import pytest

from fixtures import build
from fixtures.clients import message, smtp


def ctl(*words, status=0, **options):
    done = subprocess.run([build.PORTEIROCTL, *map(str, words)], capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode == status, done.stderr
    return done


def line(account, time, recipients, form="text"):
    fields = {"time": f"2026-11-{time}Z", "level": "info", "event": "message_accepted", "account": account, "recipients": recipients}
    return json.dumps(fields) if form == "json" else " ".join(f"{key}={value}" for key, value in fields.items())


@pytest.fixture
def log(folder):
    path = folder / "mail.log"
    lines = [line("ana@example.com", f"28T{hour:02}:{minute:02}:00", 1 + hour % 4) for hour in range(20) for minute in range(0, 60, 20)]
    lines += [f"Nov 28 09:00:00 mx porteirod[7]: {line('bob@example.com', '28T09:00:00', 250, 'json')}", "Nov 28 09:00:01 mx postfix/smtpd[3]: connect"]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_each_account_has_its_hours_as_a_table_and_as_json(log):
    said = ctl("suggest", log).stdout.splitlines()
    assert said[0].split() == ["account", "hours", "p50", "p95", "p99", "max"]
    assert [row.split() for row in said[1:3]] == [["bob@example.com", "1", "250", "250", "250", "250"], ["ana@example.com", "20", "6", "12", "12", "12"]]
    assert said[3] == "recipients in each hour of 2 accounts; 1 of 62 lines are none of the gateway's"
    ana = json.loads(ctl("--json", "suggest", log).stdout)[1]
    assert (ana["account"], ana["messages"], ana["recipients"], ana["hours"], ana["days"]) == ("ana@example.com", 60, 150, 20, 1)
    assert ana["messages_hour"] == {"p50": 3, "p95": 3, "p99": 3, "max": 3} and ana["recipients_day"]["max"] == 150
    assert ctl("suggest", log, "--per", "day", "--count", "messages").stdout.splitlines()[2].split() == ["ana@example.com", "1", "60", "60", "60", "60"]


def test_a_limit_tells_whom_it_would_touch(log):
    said = ctl("suggest", "--limit", "600/1h", "--burst", "100", log).stdout.splitlines()
    assert said[0].split()[-1] == "refused" and said[1].split()[-1] == "150" and said[2].split()[-1] == "0"
    assert "600/1h, 100 at once, would have refused something to 1 of them" in said[3]


def test_standard_input_and_several_files_are_one_log(log):
    with open(log, encoding="utf-8") as text:
        said = ctl("suggest", "-", log, stdin=text).stdout
    assert "500" in said.splitlines()[1] and "2 of 124 lines" in said


def test_what_a_gateway_has_logged_is_understood(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), log={"format": "json"})
    with smtp(gateway) as client:
        client.mail(message(), recipients=[f"r{n}@dest.example" for n in range(7)])
    gateway.wait_event("message_accepted")
    log = gateway.folder / "copy.log"
    log.write_text(gateway.log_text())
    (row,) = json.loads(ctl("--json", "suggest", log).stdout)
    assert (row["account"], row["recipients"]) == ("alice@example.com", 7)


def test_a_log_that_is_empty_or_away_is_said(folder):
    (folder / "empty").touch()
    assert ctl("suggest", folder / "empty").stdout == "recipients in each hour of 0 accounts\n"
    assert json.loads(ctl("--json", "suggest", folder / "empty").stdout) == []
    assert "No such file" in ctl("suggest", folder / "away", status=1).stderr


def test_lines_that_are_too_long_or_no_text_are_passed_over(folder):
    path = folder / "odd"
    path.write_bytes(b"x" * 100000 + b"\n\0\0\n\xff\n" + line("ana@example.com", "28T09:00:00", 3).encode() + b"\n" + b"y" * 20000)
    said = ctl("suggest", path).stdout
    assert said.splitlines()[1].split()[0] == "ana@example.com" and "4 of 5 lines" in said


@pytest.mark.parametrize("words", [[], ["--per", "day"], ["x", "--per"], ["x", "--per", "week"], ["x", "--count", "bytes"], ["x", "--limit", "6"],
                                   ["x", "--burst", "3"], ["x", "--limit", "6/h", "--burst", "0"], ["x", "--sort", "name"]])
def test_wrong_arguments_are_refused(words):
    assert "porteiroctl: " in ctl("suggest", *words, status=2).stderr
