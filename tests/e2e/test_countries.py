"""geoip: where clients are."""
import json
import subprocess

import pytest

from fixtures.clients import PASSWORDS, message, plain_response, pop3, smtp
from fixtures.mmdb import mmdb
from fixtures.waiting import until

BRAZIL, GERMANY, NOWHERE, JAPAN = "127.0.1.1", "127.0.2.1", "127.0.3.1", "127.0.4.1"
NETWORKS = {"127.0.1.0/24": "BR", "127.0.2.0/24": "DE", "127.0.4.0/24": "JP", "203.0.113.0/24": "JP", "2001:db8::/32": "FR"}


@pytest.fixture
def countries(folder):
    path = folder / "countries.mmdb"
    path.write_bytes(mmdb(NETWORKS))
    return path


def replace(path, octets):
    """At once, as geoipupdate does."""
    new = path.with_suffix(".new")
    new.write_bytes(octets)
    new.rename(path)


@pytest.mark.parametrize("record_size", [24, 28, 32])
def test_the_files_of_these_tests_are_as_maxminds_own_reader_wants_them(folder, record_size):
    path = folder / "countries.mmdb"
    path.write_bytes(mmdb(NETWORKS, record_size))
    for address, country in ((BRAZIL, "BR"), ("203.0.113.255", "JP"), ("2001:db8:1::", "FR")):
        done = subprocess.run(["mmdblookup", "--file", path, "--ip", address, "country", "iso_code"],
                              capture_output=True, text=True, check=True)
        assert done.stdout.split() == [f'"{country}"', "<utf8_string>"]


# ---- what is known ----

def test_logins_are_logged_with_the_country_where_it_is_known(new_gateway, new_smtp, new_pop3, countries):
    gateway = new_gateway(new_smtp(), new_pop3(), geoip=countries, log={"level": "debug"})
    smtp(gateway, source=BRAZIL).quit()
    pop3(gateway, source=GERMANY).quit()
    smtp(gateway, source=NOWHERE).quit()
    with smtp(gateway, user=None, source=BRAZIL) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', 'wrong')}", "535 5.7.8 ")
    for event in ("connected", "login"):
        said = {e["client"].rpartition(":")[0]: e.get("country") for e in gateway.events(event)}
        assert said == {BRAZIL: "BR", GERMANY: "DE", NOWHERE: None}
    assert gateway.wait_event("login_failed")["country"] == "BR"


@pytest.mark.parametrize("address, country", [("203.0.113.7", "JP"), ("IPV6:2001:db8::7", "FR"), ("198.51.100.1", None)])
def test_whom_a_webmail_speaks_for_is_where_his_address_is(new_gateway, new_smtp, countries, address, country):
    gateway = new_gateway(new_smtp(), geoip=countries, listener={"xclient_from": [BRAZIL]})
    with smtp(gateway, user=None, source=BRAZIL) as client:
        client.ask(f"XCLIENT ADDR={address}", "220 ")
        client.hello()
        client.login()
    assert gateway.wait_event("login").get("country") == country


# ---- rules ----

def policy(**limits):
    return {"policies": {"out": {"limits": limits}}, "listener": {"policy": "out"}}


def is_refused(gateway, source):
    """Is another message refused?"""
    with smtp(gateway, source=source) as client:
        return client.send("MAIL FROM:<alice@example.com>").reply().startswith("451 4.7.1 few: ")


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_a_limit_by_country_counts_each_by_itself_and_none_that_is_not_known(new_gateway, new_smtp, new_redis, countries, store):
    redis = {"redis": {"address": [f"127.0.0.1:{new_redis().port}"]}} if store == "Redis" else {}
    gateway = new_gateway(new_smtp(), geoip=countries, **redis, **policy(few={"key": ["country"], "count": "messages",
                                                                             "rate": "1/1d", "burst": 2}))
    for source, count in ((BRAZIL, 2), (GERMANY, 1)):
        for _ in range(count):
            with smtp(gateway, source=source) as client:
                client.mail(message())
    assert is_refused(gateway, "127.0.1.99") and not is_refused(gateway, GERMANY)
    assert not any(is_refused(gateway, NOWHERE) for _ in range(4))
    assert gateway.wait_event("decision")["key"] == "few br"

    def used(country):
        row, = json.loads(gateway.ctl("--json", "limits", country).stdout)
        return row["used"]
    until(lambda: [used(country) for country in ("BR", "DE", "FR")] == [2, 1, 0], "what came to nothing was given back")
    assert "no limit goes by that" in gateway.ctl("limits", "br").stdout, "it is an account"


def test_a_rule_holds_for_clients_of_some_countries_and_not_for_others(new_gateway, new_smtp, countries):
    few = {"key": ["ip"], "count": "messages", "rate": "1/1d", "burst": 1}
    gateway = new_gateway(new_smtp(), geoip=countries, **policy(few={**few, "when": {"countries": ["BR", "de"]},
                                                                     "except": {"countries": ["DE"]}}))
    for source in (BRAZIL, GERMANY, NOWHERE):
        with smtp(gateway, source=source) as client:
            client.mail(message())
    assert is_refused(gateway, BRAZIL)
    assert not is_refused(gateway, GERMANY) and not is_refused(gateway, NOWHERE)
    assert "few" in gateway.ctl("limits", BRAZIL).stdout
    assert "few" not in gateway.ctl("limits", GERMANY).stdout


@pytest.mark.parametrize("mode", ["enforce", "monitor"])
@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_an_account_logs_in_from_so_many_countries(new_gateway, new_smtp, new_pop3, new_redis, countries, store, mode):
    redis = {"redis": {"address": [f"127.0.0.1:{new_redis().port}"]}} if store == "Redis" else {}
    gateway = new_gateway(new_smtp(), new_pop3(), geoip=countries, workers=1, **redis, **policy(stolen={
        "key": ["account"], "count": "distinct_countries", "max": 2, "window": "1h", "mode": mode}))
    smtp(gateway, source=BRAZIL).quit()
    pop3(gateway, source=GERMANY).quit()
    for source in (NOWHERE, BRAZIL, "127.0.1.99"):
        smtp(gateway, source=source).quit()
    with smtp(gateway, user=None, source=JAPAN) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}", "235 2.7.0 " if mode == "monitor" else
                   "454 4.7.0 stolen: at most 2 different countries in 60 minutes")
    decision = gateway.wait_event("decision")
    assert decision["key"] == "stolen alice@example.com" and decision["country"] == "JP"
    assert decision["verdict"] == ("monitor" if mode == "monitor" else "defer")
    smtp(gateway, user="bob", source=JAPAN).quit()


def test_countries_in_a_rule_want_a_file_of_them(new_gateway, new_smtp):
    done = new_gateway(new_smtp(), start=False, **policy(few={"key": ["ip"], "rate": "1/1d", "when": {"countries": ["BR"]}})).check()
    assert done.returncode == 1
    assert 'when.countries: needs a file of countries; write geoip = "/var/lib/GeoIP/' in done.stderr


# ---- the file ----

def test_a_new_file_counts_without_a_reload_and_a_spoiled_one_does_not(new_gateway, new_smtp, countries):
    gateway = new_gateway(new_smtp(), geoip=countries, workers=2)
    replace(countries, mmdb({"127.0.1.0/24": "PT", "127.0.2.0/24": "DE"}))
    assert gateway.wait_event("list_taken", file=str(countries))["count"] == "2"

    def country():
        before = len(gateway.events("login"))
        with smtp(gateway, source=BRAZIL):
            return gateway.wait_event("login", before + 1)["country"]
    until(lambda: {country() for _ in range(4)} == {"PT"}, "both workers know it")
    with countries.open("r+b") as file:
        file.truncate(100)  # in place
    assert f"{countries}: is no MaxMind database, or only a part of one" in gateway.wait_event("list_refused")["reason"]
    assert country() == "PT", "the old one is in force"


@pytest.mark.parametrize("octets, told", [
    (None, "No such file"), (b"", "is no MaxMind database, or only a part of one"),
    (mmdb({"127.0.0.0/8": {"autonomous_system_number": "x"}}), "has no countries; take a database of countries or cities")])
def test_a_check_says_what_is_wrong_with_the_file(new_gateway, new_smtp, folder, octets, told):
    path = folder / "asn.mmdb"
    if octets is not None:
        path.write_bytes(octets)
    done = new_gateway(new_smtp(), start=False, geoip=path).check()
    assert done.returncode == 1
    assert f"{path}: {told}" in done.stderr
