"""A clock that is set, and a time zone that changes, while sessions are open."""
import datetime
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.clients import PASSWORDS, Smtp, message, pop3, smtp
from fixtures.waiting import until

pytestmark = pytest.mark.release  # the clock goes into the gateway's processes before an Asan would
HOUR = datetime.timedelta(hours=1)
AT_ONCE = 5  # seconds, within which a step or a zone counts
CLIENT = "127.0.0.2"


@pytest.fixture
def new_clocked(new_gateway, new_smtp, new_pop3, clock):
    def make(timezone="Etc/UTC", listener=None, **changes):
        return new_gateway(new_smtp(), new_pop3([message()]), environment=clock.environment, timezone=timezone, shared_networks=[],
                           listener={"policy": "out", **(listener or {})}, **changes)
    return make


def office(**keys):
    return {"policies": {"out": {"access": {"office": {"hours": ["Mon-Fri 08:00-18:00"], "timezone": "Etc/UTC", **keys}}}}}


def ends(client, clock, said="421 4.7.0 office: closed now"):
    began = clock.now()
    client.expect(said)
    assert client.is_closed() and (clock.now() - began).total_seconds() < AT_ONCE


def cannot_read(gateway, said="office: "):
    with pop3(gateway, user=None) as client:
        client.ask("USER alice@example.com", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", f"-ERR [SYS/PERM] {said}")


def test_a_clock_that_is_set_forward_past_the_hours_ends_what_is_open_and_set_back_lets_in_at_once(new_clocked, clock):
    clock.set("Wed", "12:00:00")
    gateway, noon = new_clocked(**office()), clock.ahead
    reader, idle = pop3(gateway), smtp(gateway)
    clock.move(noon + 5 * HOUR)  # still within them
    until(lambda: gateway.events("session_ending") == [] and smtp(gateway).ask("NOOP", "250"), "a step that changes nothing")
    reader.ask("NOOP", "+OK")
    clock.move(noon + 7 * HOUR)
    ends(idle, clock)
    ends(reader, clock, "-ERR [SYS/PERM] office: closed now")
    cannot_read(gateway)
    clock.move(noon)
    pop3(gateway).quit()
    smtp(gateway).mail(message())
    clock.move(noon - 5 * HOUR)
    cannot_read(gateway)
    clock.move(noon + datetime.timedelta(days=3))  # a Saturday
    cannot_read(gateway)


def test_a_step_ends_no_session_that_no_hours_are_for_and_no_wait_of_a_client(new_clocked, clock):
    gateway = new_clocked(policies={"out": {"limits": {"hour": {"key": ["account"], "count": "messages", "rate": "100/1h"}}}})
    reader, sending = pop3(gateway), smtp(gateway)
    sending.envelope()
    for ahead in (30 * HOUR, -30 * HOUR, 0 * HOUR):
        clock.move(ahead)
        reader.ask("NOOP", "+OK")
        smtp(gateway).mail(message())
    sending.ask("DATA", "354 ")
    sending.send_bytes(message() + b".\r\n")
    sending.expect("250 2.0.0 ")


def test_bans_and_suspensions_end_by_the_clock_on_the_wall(new_clocked, clock):
    """Where it is set back before their end they hold again."""
    gateway = new_clocked(policies={"out": {}})
    gateway.ctl("suspend", "alice", "--for", "1h")
    gateway.ctl("ban", CLIENT, "--for", "1h")

    def holds():
        with Smtp(gateway.port("submission"), tls=None, source=CLIENT) as client:
            is_banned = client.reply().startswith("421 4.7.0 No connections")
        with smtp(gateway) as client:
            is_suspended = client.send("MAIL FROM:<alice@example.com>").reply().startswith("550 5.7.1 Sending is suspended")
        assert is_banned == is_suspended
        return is_banned

    for ahead, is_held in ((0, True), (2, False), (0.5, True), (1.5, False), (-20, True)):
        clock.move(ahead * HOUR)
        assert holds() == is_held, ahead


def test_counters_in_memory_let_pass_what_would_by_then_and_nobody_waits_longer_for_a_clock_that_is_set_back(new_clocked, clock):
    gateway = new_clocked(policies={"out": {"limits": {"hour": {"key": ["account"], "count": "messages", "rate": "1/1h", "burst": 3}}}})

    def passes():
        count = 0
        with smtp(gateway) as client:
            while (reply := client.send("MAIL FROM:<alice@example.com>").reply()).startswith("250 "):
                client.ask("RCPT TO:<x@dest.example>", "250 ")
                client.text(message(), "250 ")
                count += 1
        assert reply.startswith("451 4.7.1 hour: ") and ("try again in 60 minutes" in reply or "try again in 1 hour" in reply), reply
        return count

    assert passes() == 3
    clock.move(2 * HOUR)
    assert passes() == 2
    clock.move(-10 * HOUR)
    assert passes() == 0


# ---- zones ----

ZONES = Path("/usr/share/zoneinfo/Etc")
OWN_ZONES = ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /usr/share/zoneinfo && shift && exec "$@"', "sh"]
MAY_MOUNT = subprocess.run([*OWN_ZONES, "/usr/share/zoneinfo", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not MAY_MOUNT, reason="needs the right to have a mount of its own")
def test_a_zone_that_changes_counts_for_whoever_is_in_also_from_before_a_reload(new_clocked, clock, folder):
    zones = folder / "zoneinfo"
    (zones / "Etc").mkdir(parents=True)
    for name in ("UTC", "Here"):
        shutil.copy(ZONES / "UTC", zones / "Etc" / name)
    clock.set("Wed", "17:30:00")
    gateway = new_clocked(wrapper=[*OWN_ZONES, str(zones)], **office(timezone="Etc/Here"))
    before = pop3(gateway)
    gateway.reload()
    within = smtp(gateway)
    new = zones / "Etc" / "new"
    shutil.copy(ZONES / "GMT-1", new)  # an hour ahead: it is half past six in the evening
    new.rename(zones / "Etc" / "Here")
    ends(within, clock)
    ends(before, clock, "-ERR [SYS/PERM] office: closed now")
    cannot_read(gateway)
    shutil.copy(ZONES / "GMT+1", new)
    new.rename(zones / "Etc" / "Here")
    until(lambda: len(gateway.events("list_taken")) >= 2, "the zone")
    pop3(gateway).quit()
