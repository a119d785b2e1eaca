"""Whom a rule is for: when and except."""
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from fixtures.clients import smtp
from fixtures.waiting import until


def policy(**match):
    """Of the listeners: nobody whom `match` means may have a recipient more than one a day."""
    few = {"key": ["account"], "count": "recipients", "rate": "1/1d", "action": "reject", **match}
    return {"policies": {"out": {"limits": {"few": few}}}, "listener": {"policy": "out"}}


def is_limited(gateway, **who):
    """Is a second recipient refused?"""
    with smtp(gateway, **who) as client:
        client.envelope(recipients=())
        client.send("RCPT TO:<a@dest.example>").reply()
        return client.send("RCPT TO:<b@dest.example>").reply().startswith("550 5.7.1 few: ")


# ---- groups ----

@pytest.fixture
def shop(folder):
    path = folder / "shop"
    path.write_text("# of the plan\nbob\n")
    return path


@pytest.mark.parametrize("match, limited", [
    ({"when": {"accounts": ["group:both", "x@example.net"]}}, ["alice", "bob"]),
    ({"when": {"accounts": ["group:one"]}, "except": {"accounts": ["group:shop"]}}, ["alice"])])
def test_a_group_is_its_accounts_and_its_file_wherever_accounts_are_listed(new_gateway, new_smtp, shop, match, limited):
    gateway = new_gateway(new_smtp(), auth={"realm": "example.com"}, groups={
        "both": {"accounts": ["Alice@example.com"], "file": str(shop)}, "one": {"accounts": ["@example.com"]},
        "shop": {"file": str(shop)}}, **policy(**match))
    assert [user for user in ("alice", "bob") if is_limited(gateway, user=user)] == limited


def test_a_change_of_a_groups_file_counts_without_a_reload(new_gateway, new_smtp, shop):
    gateway = new_gateway(new_smtp(), workers=2, auth={"realm": "example.com"}, groups={"shop": {"file": str(shop)}},
                          **policy(when={"accounts": ["group:shop"]}))
    assert not is_limited(gateway, user="alice")
    with shop.open("a") as file:
        file.write("alice@example.com\n")
    assert gateway.wait_event("list_taken", file=str(shop))["count"] == "2"
    until(lambda: all(is_limited(gateway, user="alice") for _ in range(4)), "both workers know it")
    shop.write_text("alice\nnobody: x\n")
    gateway.wait_event("list_refused")
    assert f'{shop}:2: "nobody: x" is no account' in gateway.events("list_refused")[0]["reason"]
    assert is_limited(gateway, user="bob"), "the old list is in force"


def test_a_check_names_the_groups_that_are_there_and_reads_their_files(new_gateway, new_smtp, shop, folder):
    shop.write_text("a b\n")
    gateway = new_gateway(new_smtp(), start=False, groups={"shop": {"file": str(shop)}, "old": {"file": f"{folder}/none"}},
                          **policy(when={"accounts": ["group:shp"]}))
    done = gateway.check()
    assert done.returncode == 1
    assert 'policies.out.limits.few.when.accounts: "group:shp" is none of groups: shop, old' in done.stderr
    assert f'{shop}:1: "a b" is no account' in done.stderr
    assert f"groups.old.file: {folder}/none: No such file" in done.stderr


# ---- hours ----

def hours(zone, begin, end):
    """Of today's weekday there: from so many minutes after now to so many."""
    now = datetime.now(ZoneInfo(zone))
    first, last = now + timedelta(minutes=begin), now + timedelta(minutes=end)
    return f"{first:%a %H:%M}-{last:%H:%M}"


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Asia/Kolkata", "Pacific/Kiritimati", "Etc/UTC"])
def test_a_rule_holds_within_its_hours_by_the_clock_of_the_zone(new_gateway, new_smtp, zone):
    within, past = hours(zone, -60, 60), hours(zone, -180, -120)
    gateway = new_gateway(new_smtp(), timezone=zone, **policy(when={"hours": [past, within]}, **{
        "except": {"hours": [past], "accounts": ["bob@example.com"]}}))
    assert is_limited(gateway, user="alice") and is_limited(gateway, user="bob")


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Asia/Kolkata"])
def test_outside_its_hours_a_rule_is_for_nobody(new_gateway, new_smtp, zone):
    gateway = new_gateway(new_smtp(), timezone=zone, **policy(when={"hours": [hours(zone, 60, 120),
                                                                             hours(zone, -180, -60)]}))
    assert not is_limited(gateway)


def test_without_a_zone_hours_are_the_hosts(new_gateway, new_smtp):
    local = datetime.now().astimezone()
    begin, end = local - timedelta(minutes=60), local + timedelta(minutes=60)
    gateway = new_gateway(new_smtp(), **policy(when={"hours": [f"{begin:%a %H:%M}-{end:%H:%M}"]}))
    assert is_limited(gateway)


def test_a_check_refuses_zones_that_are_not_there_and_files_that_are_none(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), start=False, timezone="Mars/Phobos", **policy(when={"hours": ["25:00-26:00"]}))
    done = gateway.check()
    assert done.returncode == 1
    assert "timezone: /usr/share/zoneinfo/Mars/Phobos: No such file" in done.stderr
    assert 'when.hours: "25:00-26:00" are no hours' in done.stderr
    gateway.write_config(timezone="tzdata.zi")
    assert "/usr/share/zoneinfo/tzdata.zi: is no file of a time zone" in gateway.check().stderr
