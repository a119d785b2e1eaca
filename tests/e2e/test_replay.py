"""porteiroctl replay: a recorded log through a configuration, its own and another."""
import json
import random
import re
import subprocess

import pytest

from fixtures import build
from fixtures.clients import PASSWORDS, Closed, Smtp, message, plain_response, pop3, smtp
from fixtures.random_policies import KINDS, limit, random_policy
from fixtures.waiting import until


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
    until(lambda: len(sessions_of(gateway.log_text(), "session_ended")) == sum(l["connections"] for l in gateway.status()["listeners"]),
          "the log to be whole")


@pytest.fixture
def new_limited(new_gateway, new_smtp):
    def make(changes=None, policy=None, **limits):
        server = new_smtp().on("RCPT", lambda line: "550 5.1.1 nobody" if "nobody" in line else None)
        return new_gateway(server, shared_networks=[], policies={"out": {"limits": limits, **(policy or {})}}, listener={"policy": "out"},
                           workers=1, **(changes or {}))
    return make


def sends(gateway, recipients, who="alice", size=0, sender=None, author=None, **options):
    """Recipients that are refused are left out; with none left it ends there."""
    with Smtp(gateway.port("submission"), tls=None, **options) as client:
        try:
            says(client, recipients, who, size, sender or f"{who}@example.com", author or f"{who}@example.com")
        except Closed:
            pass


def says(client, recipients, who, size, sender, author):
    if not client.reply().startswith("220 "):
        return
    client.hello()
    client.starttls()
    client.hello()
    if not client.send(f"AUTH PLAIN {plain_response(who, PASSWORDS[who])}").reply().startswith("235 "):
        return
    if not client.send(f"MAIL FROM:<{sender}>").reply().startswith("250 "):
        return
    for recipient in recipients:
        client.send(f"RCPT TO:<{recipient}>").reply()
    if client.send("DATA").reply().startswith("354 "):
        client.send_bytes(f"From: {author}\r\n\r\n{'x' * size}\r\n.\r\n".encode()).reply()


NAMES = [f"r{n}@dest.example" for n in range(20)]


def test_its_own_configuration_gives_the_recorded_verdicts_and_another_its_own(new_limited):
    gateway = new_limited(hour=limit("account", count="recipients", rate="60/1h", burst=5),
                          size=limit("account", count="bytes", rate="2000/1h", burst=2000),
                          watch=limit("account", count="messages", rate="1/1h", mode="monitor"))
    sends(gateway, NAMES[:3])
    sends(gateway, NAMES[:4])          # two of them pass
    sends(gateway, NAMES[:2], "bob", size=1100)
    sends(gateway, NAMES[:1], "bob", size=1100)  # too much for the hour
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


# ---- what isn't a limit ----

def test_who_may_send_as_whom_is_judged_by_the_address_file_that_there_is(new_limited, folder):
    addresses = folder / "addresses"
    addresses.write_text("bob@example.com: bob@example.com, @shop.example\n")
    sender = {"envelope": "own", "header": "own", "addresses": addresses}
    gateway = new_limited(policy={"sender": sender}, few=limit("account", count="messages", rate="100/1h"))
    sends(gateway, NAMES[:1], "bob", sender="a@shop.example", author="b@shop.example")
    sends(gateway, NAMES[:1], sender="boss@bank.example")
    sends(gateway, NAMES[:1], author="boss@bank.example")
    sends(gateway, NAMES[:1])
    ends(gateway)
    assert replay(gateway) == {}
    assert replay(gateway, "--all") == {("sender", "alice@example.com", "refused"): (2, 2)}
    addresses.write_text("alice@example.com: *\n")
    assert replay(gateway) == {("sender", "alice@example.com", "refused"): (2, 0), ("sender", "bob@example.com", "refused"): (0, 1)}
    log = gateway.folder / "recorded.log"
    said = subprocess.run([build.PORTEIROCTL, "replay", log, "--config", gateway.config_file], capture_output=True, text=True, timeout=60, check=True)
    assert "to whom they were isn't in the log for 1 messages" in said.stderr


def test_access_is_judged_with_the_days_that_are_closed(new_gateway, new_smtp, new_pop3, folder):
    closed = folder / "closed"
    closed.write_text("12-25\n")
    rules = {"office": {"networks": ["127.0.0.2/32"], "closed": closed}, "tried": {"networks": ["127.0.0.3/32"], "mode": "monitor"}}
    gateway = new_gateway(new_smtp(), new_pop3([message()]), policies={"out": {"access": rules}}, listener={"policy": "out"}, shared_networks=[])
    for source in ("127.0.0.2", "127.0.0.3"):
        sends(gateway, NAMES[:1], source=source)
        with pop3(gateway, user=None, source=source) as client:
            client.ask("USER alice@example.com", "+OK")
            client.ask(f"PASS {PASSWORDS['alice']}", "+OK" if source == "127.0.0.2" else "-ERR [SYS/PERM] office: ")
    ends(gateway)
    assert replay(gateway) == {}
    assert replay(gateway, "--all") == {("office", "alice@example.com", "refused"): (2, 2), ("tried", "alice@example.com", "monitored"): (2, 2)}
    first = gateway.events("started")[0]["time"]
    closed.write_text(f"{first[:10]}\n{gateway.events('login')[-1]['time'][:10]}\n" if first[:10] != gateway.events("login")[-1]["time"][:10]
                      else f"{first[:10]}\n")
    assert replay(gateway) == {("office", "alice@example.com", "refused"): (2, 4)}


def test_what_was_ordered_meanwhile_is_in_force_from_then_on(new_limited, folder):
    overrides = folder / "overrides"
    overrides.write_text("bob@example.com: hour 1000/1h\n")
    gateway = new_limited(policy={"overrides": overrides}, hour=limit("account", count="recipients", rate="1/1h", burst=3),
                          stolen=limit("account", count="messages", rate="5/1h", action="suspend", duration="1h"))
    sends(gateway, NAMES[:5], "bob")
    sends(gateway, NAMES[:5])
    gateway.ctl("limit", "set", "alice", "hour", "1000/1h", "--burst", "8")
    sends(gateway, NAMES[:7])
    gateway.ctl("limit", "unset", "alice", "hour")
    sends(gateway, NAMES[:1])
    gateway.ctl("suspend", "bob")
    sends(gateway, NAMES[:1], "bob")
    gateway.ctl("resume", "bob")
    for _ in range(6):
        sends(gateway, NAMES[:1], "bob")
    ends(gateway)
    assert replay(gateway) == {}
    rows = replay(gateway, "--all")
    assert rows["hour", "alice@example.com", "refused"][0] >= 4 and rows["stolen", "bob@example.com", "refused"] == (1, 1)


# ---- all of it ----

TOLD = [(count, figures, keys) for count, figures, names in KINDS
        if (keys := [key for key in names if not key.startswith("recipient")]) and count != "distinct_recipients"]


@pytest.mark.parametrize("seed", range(8))
def test_a_log_of_random_rules_gives_the_recorded_verdicts(new_gateway, new_smtp, authority, seed):
    chance = random.Random(seed)
    nobody = ["nobody@dest.example"] if seed % 2 else []
    policy = random_policy(chance, TOLD)
    for rule in policy["limits"].values():
        if nobody:  # whom the server behind refused is told by the log, but not among whom
            rule.pop("mode", None)
        if nobody and rule["count"] == "rejected_recipients":
            rule["action"] = "defer"
            rule.pop("duration", None)
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 nobody" if "nobody" in line else None)
    gateway = new_gateway(server, shared_networks=[], workers=1, auth={"lift_on_new_password": False}, policies={"out": policy},
                          listener={"policy": "out", "client_certificate": "optional", "client_ca": authority.certificate},
                          log={"format": chance.choice(["text", "json"])})
    for _ in range(12):
        who = chance.choice(["alice", "bob"])
        names = chance.sample([*NAMES[:8], *nobody], chance.randint(1, 4))
        sender, author = (chance.choice([f"{who}@example.com"] * 4 + ["boss@bank.example"]) for _ in range(2))
        sends(gateway, names, who, sender=sender, author=author, source=chance.choice(["127.0.0.2", "127.0.0.3"]))
        gateway.wait_sessions(0)
        for row in json.loads(gateway.ctl("--json", "suspended").stdout):
            if chance.random() < 0.4:
                gateway.ctl("resume", row["account"])
    ends(gateway)
    assert replay(gateway) == {}, policy
    assert replay(gateway, "--all") or seed


def test_a_configuration_that_is_wrong_is_refused_with_its_line(new_limited, folder):
    gateway = new_limited(hour=limit("account", rate="1/1h"))
    assert "changed.conf" in replay(gateway, config=changed(gateway, "hour", rate="often"), status=1)
    assert "porteiroctl: " in replay(gateway, config=folder / "away", status=1)


@pytest.mark.parametrize("words", [[], ["log"], ["--config", "x"], ["log", "--config"], ["log", "--config", "x", "--none"]])
def test_wrong_arguments_are_refused(words):
    done = subprocess.run([build.PORTEIROCTL, "replay", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "replay takes logs" in done.stderr
