"""The policies of etc/profiles, as they are shipped, for whom they are meant."""
import json
import random
import re
import subprocess
import threading
from pathlib import Path

import pytest

from fixtures.clients import PASSWORDS, message, pop3, smtp
from fixtures.gateway import REALM

PROFILES = Path(__file__).resolve().parents[2] / "etc/profiles"
NAMES = sorted(path.stem for path in PROFILES.glob("*.conf"))


@pytest.fixture
def with_profile(new_gateway):
    """with_profile(NAME, SMTP, POP3, more=TEXT, policy=NAME, ...): a gateway that includes it, with more policies."""
    def make(name, smtp_server=None, pop3_server=None, more="", policy=None, **changes):
        gateway = new_gateway(smtp_server, pop3_server, listener={"policy": policy or name}, start=False, **changes)
        with open(gateway.config_file, "a") as file:
            file.write(f'policies = {{\n@include "{PROFILES}/{name}.conf"\n{more}\n}}\n')
        return gateway
    return make


def add_users(gateway, names):
    for name in names:
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", gateway.folder / "sasldb2", "-u", REALM, name],
                       input=PASSWORDS["alice"].encode(), check=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_a_good_policy_without_a_warning(with_profile, new_smtp, new_pop3, name):
    gateway = with_profile(name, new_smtp(), new_pop3())
    done = gateway.check()
    assert (done.returncode, done.stderr) == (0, "") and "warning: " not in done.stdout, done.stdout
    gateway.start()
    shown = gateway.ctl("limits", "alice@example.com").stdout
    rules = set(re.findall(rf"^        ({name}-[a-z]+) = ", (PROFILES / f"{name}.conf").read_text(), re.M))
    by_account = rules - {f"{name}-script"}
    assert len(by_account) >= 3 and by_account <= set(shown.split())


# ---- a stolen account among others ----

class Sender(threading.Thread):
    """An account that sends as people, web sites or thieves do, and what it is answered."""

    def __init__(self, gateway, account, mails, source):
        super().__init__(daemon=True)
        self.gateway, self.account, self.mails, self.source = gateway, account, mails, source
        self.recipients, self.taken, self.refusals = [], 0, []

    def is_told(self, client, command, prefix):
        reply = client.send(command).reply()
        if not reply.startswith(prefix):
            self.refusals.append(reply)
        return reply.startswith(prefix)

    def send(self, client, recipients):
        if not self.is_told(client, f"MAIL FROM:<{self.account}@example.com>", "250 "):
            return
        self.recipients += [self.is_told(client, f"RCPT TO:<{to}>", "250 ") for to in recipients]
        if self.is_told(client, "DATA", "354 "):
            client.send_bytes(message())
            self.taken += self.is_told(client, ".", "250 ")

    def run(self):
        for recipients in self.mails:
            with smtp(self.gateway, None, source=self.source) as client:
                client.login(self.account, PASSWORDS["alice"])
                self.send(client, recipients)


def like_a_person(names):
    """Few recipients a mail, and a mistyped one now and then."""
    mails = [[f"{names.random():.9f}@dest.example" for _ in range(names.randint(1, 4))] for _ in range(8)]
    mails[names.randrange(8)].append(f"no-{names.random():.9f}@dest.example")
    return mails


def like_a_web_site(names):
    """A mail for each order, from one script."""
    return [[f"{names.random():.9f}@dest.example"] for _ in range(20)]


def like_a_thief(names):
    """A list that is old: three of ten are gone."""
    return [[f"{'no-' if i % 10 in (1, 4, 8) else ''}{names.random():.9f}@dest.example" for i in range(20)]
            for _ in range(20)]


def test_a_stolen_account_of_hosting_is_suspended_and_no_other_is_touched(with_profile, postfix):
    gateway, names = with_profile("hosting", postfix), random.Random(7)
    accounts = [f"customer{i}" for i in range(20)]
    add_users(gateway, [*accounts, "stolen"])
    gateway.start()
    others = [Sender(gateway, account, (like_a_person if i % 2 else like_a_web_site)(names), f"127.0.1.{i}")
              for i, account in enumerate(accounts)]
    thief = Sender(gateway, "stolen", like_a_thief(names), "127.0.2.1")
    for sender in [*others, thief]:
        sender.start()
    for sender in [*others, thief]:
        sender.join(60)
    told = gateway.wait_event("suspended", account="stolen@example.com")
    assert told["rule"] == "hosting-unknown"
    assert len(thief.recipients) - thief.recipients.index(False) <= 50
    assert thief.refusals[-1].startswith("550 5.7.1 Sending is suspended until 20")
    assert {s.account: s.taken for s in others} == {s.account: len(s.mails) for s in others}
    assert [row["account"] for row in json.loads(gateway.ctl("--json", "suspended").stdout)] == ["stolen@example.com"]


# ---- a company ----

OFFICE = """
office = {
    base = "company"
    access = { office-only = { networks = ["127.0.0.7/32"] hours = ["Mon-Sun 00:00-24:00"] } }
}
"""


def cannot_read(gateway, **options):
    with pop3(gateway, user=None, **options) as client:
        client.ask("USER alice@example.com", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/PERM] office-only: ")


def cannot_send(gateway, **options):
    with smtp(gateway, **options) as client:
        client.ask("MAIL FROM:<alice@example.com>", "550 5.7.1 office-only: ")


def test_nobody_is_at_the_networks_that_the_company_profile_has_for_an_example(with_profile, new_smtp, new_pop3):
    gateway = with_profile("company", new_smtp(), new_pop3()).start()
    cannot_read(gateway)
    cannot_send(gateway)


def test_a_company_names_its_networks_and_hours_and_keeps_the_rest(with_profile, new_smtp, new_pop3):
    gateway = with_profile("company", new_smtp(), new_pop3([message()]), more=OFFICE, policy="office").start()
    with pop3(gateway, source="127.0.0.7") as reader:
        assert reader.retrieve(1)
    with smtp(gateway, source="127.0.0.7") as client:
        client.mail(message())
    cannot_read(gateway, source="127.0.0.8")
    cannot_send(gateway, source="127.0.0.8")
    assert "company-sessions" in gateway.ctl("limits", "alice@example.com").stdout


AT_OFFICE = """
office = { base = "company" access = { office-only = { networks = ["127.0.0.7/32"] timezone = "Etc/UTC" } } }
"""


@pytest.mark.release
def test_a_company_is_open_in_the_hours_of_the_profile_and_what_is_open_ends_with_them(with_profile, new_smtp, new_pop3, clock):
    server, mailbox = new_smtp(), new_pop3([message()])
    clock.set("Mon", "07:59:00")
    gateway = with_profile("company", server, mailbox, more=AT_OFFICE, policy="office", environment=clock.environment).start()
    cannot_read(gateway, source="127.0.0.7")
    cannot_send(gateway, source="127.0.0.7")
    clock.set("Mon", "08:00:01")
    cannot_read(gateway, source="127.0.0.8")
    cannot_send(gateway, source="127.0.0.8")
    reader, idle, sending = (client(gateway, source="127.0.0.7") for client in (pop3, smtp, smtp))
    assert reader.retrieve(1)
    reader.ask("DELE 1", "+OK")
    sending.envelope()
    sending.ask("DATA", "354 ")
    clock.set("Mon", "17:59:59")
    began = clock.now()
    for client, said in ((reader, "-ERR [SYS/PERM]"), (idle, "421 4.7.0")):
        client.expect(f"{said} office-only: closed now; open Mon-Fri 08:00-18:00 (Etc/UTC); closing (")
        assert client.is_closed()
    assert 0.5 < (clock.now() - began).total_seconds() < 5
    sending.send_bytes(message() + b".\r\n")
    sending.expect("250 2.0.0 ")
    sending.expect("421 4.7.0 office-only: closed now")
    assert len(server.messages) == 1
    gateway.wait_event("session_ending", count=3, reason="over")
    for day, time in (("Mon", "18:00:01"), ("Sat", "12:00:00"), ("Sun", "12:00:00")):
        clock.set(day, time)
        cannot_read(gateway, source="127.0.0.7")
        cannot_send(gateway, source="127.0.0.7")
    clock.set("Fri", "17:59:00")
    smtp(gateway, source="127.0.0.7").mail(message())
