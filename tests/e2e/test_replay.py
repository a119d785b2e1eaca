"""porteiroctl replay: a recorded log through a configuration, its own and another."""
import json
import random
import re
import subprocess

import pytest

from fixtures import build
from fixtures.clients import PASSWORDS, Smtp, message, plain_response, smtp
from fixtures.waiting import until


def limit(*key, **keys):
    return {"key": list(key), **keys}


def replay(gateway, *words, config=None, status=0):
    log = gateway.folder / "recorded.log"
    log.write_text(gateway.log_text())
    done = subprocess.run([build.PORTEIROCTL, "--json", "replay", log, "--config", config or gateway.config_file, *words],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr if status else {(row["rule"], row["account"], row["what"]): (row["was"], row["is"]) for row in json.loads(done.stdout)}


def changed(gateway, rule, **figures):
    """The gateway's configuration with other figures of a rule."""
    path = gateway.folder / "changed.conf"
    text = gateway.config_file.read_text()
    for key, value in figures.items():
        text, count = re.subn(rf"({rule} = {{[^}}]*\b{key} = )\S+", rf"\g<1>{json.dumps(value)}", text)
        assert count == 1, text
    path.write_text(text)
    return path


def sessions_of(log, event=""):
    lines = [line for line in log.splitlines() if event in line]
    return {found[1] for line in lines if (found := re.search(r'\bsession"?[=:]"?(\w{12})', line))}


def ends(gateway):
    """All that was said to clients stands in the log."""
    gateway.wait_sessions(0)
    until(lambda: (log := gateway.log_text()) and sessions_of(log) == sessions_of(log, "session_ended"), "the log to be whole")


@pytest.fixture
def new_limited(new_gateway, new_smtp):
    def make(changes=None, **limits):
        server = new_smtp().on("RCPT", lambda line: "550 5.1.1 nobody" if "nobody" in line else None)
        return new_gateway(server, shared_networks=[], policies={"out": {"limits": limits}}, listener={"policy": "out"}, workers=1,
                           **(changes or {}))
    return make


def sends(gateway, recipients, who="alice", size=0, **options):
    """Recipients that are refused are left out; with none left it ends there."""
    with Smtp(gateway.port("submission"), tls=None, **options) as client:
        if not client.reply().startswith("220 "):
            return
        client.hello()
        client.starttls()
        client.hello()
        if not client.send(f"AUTH PLAIN {plain_response(who, PASSWORDS[who])}").reply().startswith("235 "):
            return
        if not client.send(f"MAIL FROM:<{who}@example.com>").reply().startswith("250 "):
            return
        for recipient in recipients:
            client.send(f"RCPT TO:<{recipient}>").reply()
        if client.send("DATA").reply().startswith("354 "):
            client.send_bytes(message(body="x" * size + "\r\n") + b".\r\n").reply()


NAMES = [f"r{n}@dest.example" for n in range(20)]


def test_its_own_configuration_gives_the_recorded_verdicts_and_another_its_own(new_limited):
    gateway = new_limited(hour=limit("account", count="recipients", rate="60/1h", burst=5),
                          size=limit("account", count="bytes", rate="2000/1h", burst=2000),
                          watch=limit("account", count="messages", rate="1/1h", mode="monitor"))
    sends(gateway, NAMES[:3])
    sends(gateway, NAMES[:4])          # two of them pass
    sends(gateway, NAMES[:2], "bob", size=900)
    sends(gateway, NAMES[:1], "bob", size=900)  # too much for the hour
    ends(gateway)
    assert replay(gateway) == {}
    assert replay(gateway, "--all") == {("hour", "alice@example.com", "refused"): (2, 2), ("size", "bob@example.com", "refused"): (1, 1),
                                        ("watch", "alice@example.com", "monitored"): (1, 1), ("watch", "bob@example.com", "monitored"): (1, 1)}
    wider = changed(gateway, "hour", burst=7)
    assert replay(gateway, config=wider) == {("hour", "alice@example.com", "refused"): (2, 0)}
    narrower = changed(gateway, "hour", burst=1)
    assert replay(gateway, config=narrower) == {("hour", "alice@example.com", "refused"): (2, 6), ("hour", "bob@example.com", "refused"): (0, 2),
                                                ("size", "bob@example.com", "refused"): (1, 0)}


def test_sessions_logins_and_delays_are_replayed(new_limited):
    gateway = new_limited(doors=limit("ip", count="connections", max=2), few=limit("account", count="logins", rate="60/1h", burst=3),
                          slow=limit("account", count="messages", rate="100/1s", burst=1, action="delay"))
    with smtp(gateway, source="127.0.0.2"), smtp(gateway, user="bob", source="127.0.0.2"):
        sends(gateway, NAMES[:1], source="127.0.0.2")
        gateway.wait_sessions(2)
    for _ in range(3):
        sends(gateway, NAMES[:1])
    with smtp(gateway, user="bob") as client:
        client.mail(message())
        client.mail(message())
    ends(gateway)
    assert replay(gateway) == {}
    rows = replay(gateway, "--all")
    assert rows["doors", "", "refused"] == (1, 1) and rows["few", "alice@example.com", "refused"] == (1, 1)


KINDS = [("connections", dict(max=2), ["ip"]), ("sessions", dict(max=1), ["account", "network"]),
         ("logins", dict(rate="4/1h"), ["account", "ip", "login"]), ("messages", dict(rate="3/1h"), ["account", "sender", "sender_domain"]),
         ("recipients", dict(rate="6/1h"), ["account", "ip", "listener"]), ("recipients", dict(rate="4/1h", at="message"), ["account", "account_domain"]),
         ("rejected_recipients", dict(ratio=40, min=2, window="1h"), ["account"])]


@pytest.mark.parametrize("seed", range(8))
def test_a_log_of_random_rules_gives_the_recorded_verdicts(new_limited, seed):
    chance = random.Random(seed)
    modes, nobody = (["enforce"], ["nobody@dest.example"]) if seed % 2 else (["enforce", "monitor"], [])
    limits = {}
    for n in range(4):
        count, figures, keys = chance.choice(KINDS)
        limits[f"rule{n}"] = limit(chance.choice(keys), count=count, action=chance.choice(["defer", "reject"]),
                                   mode=chance.choice(modes), **figures)
    gateway = new_limited({"log": {"format": chance.choice(["text", "json"])}}, **limits)
    for _ in range(10):
        names = chance.sample([*NAMES[:8], *nobody], chance.randint(1, 4))
        sends(gateway, names, chance.choice(["alice", "bob"]), source=chance.choice(["127.0.0.2", "127.0.0.3"]))
        gateway.wait_sessions(0)
    ends(gateway)
    assert replay(gateway) == {}
    assert replay(gateway, "--all") or seed


def test_a_configuration_that_is_wrong_is_refused_with_its_line(new_limited, folder):
    gateway = new_limited(hour=limit("account", rate="1/1h"))
    assert "changed.conf" in replay(gateway, config=changed(gateway, "hour", rate="often"), status=1)
    assert "porteiroctl: " in replay(gateway, config=folder / "away", status=1)


@pytest.mark.parametrize("words", [[], ["log"], ["--config", "x"], ["log", "--config"], ["log", "--config", "x", "--none"]])
def test_wrong_arguments_are_refused(words):
    done = subprocess.run([build.PORTEIROCTL, "replay", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "replay takes logs" in done.stderr
