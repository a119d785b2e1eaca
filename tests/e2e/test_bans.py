"""Bans: who is sent away before anything else is heard of him; porteiroctl's ban, unban and bans."""
import datetime
import json
import signal

import pytest

from fixtures.clients import PASSWORDS, Pop3, Session, Smtp, message, plain_response, pop3, smtp
from fixtures.processes import exists
from fixtures.scripted import Gate
from fixtures.waiting import until

READ, SUPPORT, ADMIN = "games", "irc", "news"  # groups that Debian always has
CLIENT, OTHER = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def new_strict(new_gateway, new_smtp, new_pop3):
    """A gateway for which no address is many people's, not even this machine's."""
    return lambda **changes: new_gateway(new_smtp(), new_pop3([message()]),
                                         **{"shared_networks": [], **changes})


@pytest.fixture
def strict(new_strict):
    return new_strict()


def put(gateway, network):
    """As porteiroctl ban, without a process for it."""
    assert gateway.ask("ban", network=network, seconds=3600, reason="")[-1]["ok"]


def bans(gateway):
    return json.loads(gateway.ctl("--json", "bans").stdout)


def is_sent_away(gateway, source=CLIENT):
    with Smtp(gateway.port("submission"), tls=None, source=source) as client:
        client.expect(f"421 4.7.0 No connections from {source} until 20")
        assert client.is_closed()
    with Pop3(gateway.port("pop3"), tls=None, source=source) as client:
        client.expect(f"-ERR [SYS/TEMP] No connections from {source} until 20")
        assert client.is_closed()
    for door in ("submissions", "pop3s"):
        with Session(gateway.port(door), tls=None, source=source) as client:
            assert client.is_closed()


def is_served(gateway, source=CLIENT):
    with smtp(gateway, source=source) as client:
        client.mail(message())


# ---- who is hit ----

def test_a_banned_address_is_sent_away_before_tls_at_every_door(strict):
    is_served(strict)
    said = strict.ctl("ban", CLIENT, "--for", "2h", "--reason", "sends spam").stdout
    assert said.startswith(f"{CLIENT} is banned until 20")
    is_sent_away(strict)
    is_served(strict, OTHER)
    banned = strict.wait_event("banned", network=CLIENT)
    assert (banned["reason"], banned["uid"]) == ("sends spam", "0")
    counted = {listener["name"]: listener for listener in strict.status()["listeners"]}
    assert counted["submission"]["connections_banned"] == 1
    strict.wait_event("refused_banned", count=4)


def test_a_network_is_banned_as_a_whole(strict):
    strict.ctl("ban", "127.0.0.0/30")
    is_sent_away(strict, CLIENT)
    is_sent_away(strict, OTHER)
    is_served(strict, "127.0.0.4")


def test_an_ipv6_address_stands_for_its_64(strict):
    assert strict.ctl("ban", "2001:db8:1:2::7").stdout.startswith("2001:db8:1:2::/64 is banned")
    assert bans(strict)[0]["network"] == "2001:db8:1:2::/64"
    said = strict.ctl("ban", "2001:db8:1:2::/65", status=1).stderr
    assert "/64 is the least" in said


def test_a_ban_ends_by_itself(strict):
    strict.ctl("ban", CLIENT, "--for", "1s")
    until(lambda: not bans(strict))
    is_served(strict)


def test_shared_networks_are_never_banned(new_strict):
    gateway = new_strict(shared_networks=[f"{CLIENT}/32"])
    said = gateway.ctl("ban", CLIENT, status=1).stderr
    assert "shared_networks" in said and not bans(gateway)
    gateway.ctl("ban", "127.0.0.0/8")
    is_served(gateway, CLIENT)
    is_sent_away(gateway, OTHER)


# ---- sessions that are there ----

def test_sessions_of_an_address_end_between_commands_when_it_is_banned(strict):
    idle, begun, reader = smtp(strict, source=CLIENT), smtp(strict, source=CLIENT), pop3(strict, source=CLIENT)
    waiting = Smtp(strict.port("submission"), tls=None, source=CLIENT)
    waiting.expect("220 ")
    other = smtp(strict, source=OTHER)
    begun.envelope()
    strict.ctl("ban", CLIENT)
    for client in (idle, begun, waiting):
        client.expect("421 4.7.0 Your address was banned")
        assert client.is_closed()
    reader.expect("-ERR [SYS/TEMP] Your address was banned")
    assert reader.is_closed()
    other.mail(message())


def test_a_message_under_way_is_answered_before_its_sessions_end(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, shared_networks=[], workers=1)
    text, final = smtp(gateway, source=CLIENT), smtp(gateway, source=CLIENT)
    for client in (text, final):
        client.envelope()
        client.ask("DATA", "354 ")
    server.on("DOT", gate := Gate(), None)
    final.send_bytes(message() + b".\r\n")
    until(lambda: gateway.session(final)["state"] == "upstream: final reply")
    with smtp(gateway, source=CLIENT, user=None) as idle:
        gateway.ctl("ban", CLIENT)
        idle.expect("421 4.7.0 ")  # the others have been looked at as well
    gate.open()
    for client in (text, final):
        if client is text:
            client.send_bytes(message() + b".\r\n")
        client.expect("250 2.0.0 Ok: queued as ")
        client.expect("421 4.7.0 Your address was banned")
        assert client.is_closed()
    assert len(server.messages) == 2


def test_a_mail_that_is_read_is_read_to_its_end(new_gateway, new_pop3):
    server = new_pop3([message(body="x\r\n" * 1000)])
    gateway = new_gateway(pop3=server, shared_networks=[])
    server.on("RETR", gate := Gate(), None)
    with pop3(gateway, source=CLIENT) as reader, pop3(gateway, source=CLIENT) as idle:
        reader.send("RETR 1")
        gate.wait_reached()
        gateway.ctl("ban", CLIENT)
        idle.expect("-ERR ")
        gate.open()
        reader.expect("+OK")
        assert len(reader.lines()) > 1000
        reader.expect("-ERR [SYS/TEMP] Your address was banned")
        assert reader.is_closed()


# ---- who speaks for others ----

WEBMAIL = {"xclient_from": [f"{OTHER}/32"], "xclient_login_from": [f"{CLIENT}/32"]}


def test_whom_a_webmail_speaks_for_is_refused_at_login_and_the_next_is_not(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener=WEBMAIL, shared_networks=[])
    gateway.ctl("ban", "192.0.2.7")
    with smtp(gateway, user=None, source=OTHER) as webmail:
        webmail.ask("XCLIENT ADDR=192.0.2.7", "220 ")
        webmail.hello()
        webmail.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}",
                    "454 4.7.0 No logins from 192.0.2.7 until 20")
        webmail.ask("XCLIENT ADDR=192.0.2.8", "220 ")
        webmail.hello()
        webmail.login()
        webmail.mail(message())
    refused = gateway.wait_event("login_refused", mechanism="PLAIN")
    assert refused["client"].startswith("192.0.2.7")


@pytest.mark.parametrize("commands", [["XCLIENT ADDR=192.0.2.7 LOGIN=alice"],
                                      ["XCLIENT LOGIN=alice", "EHLO x", "XCLIENT ADDR=192.0.2.7"]])
def test_whoever_logged_in_at_the_webmail_is_refused_with_421(new_gateway, new_smtp, commands):
    gateway = new_gateway(new_smtp(), listener=WEBMAIL, shared_networks=[])
    gateway.ctl("ban", "192.0.2.7")
    with smtp(gateway, user=None, source=CLIENT) as webmail:
        for command in commands[:-1]:
            webmail.ask(command, "2")
        webmail.ask(commands[-1], "421 4.7.0 No connections from 192.0.2.7 until 20")
        assert webmail.is_closed()


def test_refused_logins_are_held_back_and_three_are_the_end(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), listener=WEBMAIL, shared_networks=[], workers=1)
    with smtp(gateway, user=None, source=OTHER) as before:
        before.ask("XCLIENT ADDR=192.0.2.7", "220 ")
        gateway.ctl("ban", "192.0.2.7")
        before.expect("421 4.7.0 Your address was banned")  # who comes now is not ended for it
    with smtp(gateway, user=None, source=OTHER) as webmail:
        webmail.ask("XCLIENT ADDR=192.0.2.7", "220 ")
        webmail.hello()
        for _ in range(3):
            webmail.ask("AUTH PLAIN AGEAYg==", "454 4.7.0 No logins from")
        webmail.expect("421 4.7.0 ")
        assert webmail.is_closed()


# ---- unban ----

def test_unban_lifts_every_ban_that_covers_the_address_and_exempts_it(strict):
    strict.ctl("ban", CLIENT)
    strict.ctl("ban", "127.0.0.0/24")
    strict.ctl("ban", "10.0.0.0/8")
    said = strict.ctl("unban", CLIENT).stdout
    assert said.startswith(f"{CLIENT}: bans lifted: 2; exempt until 20")
    is_served(strict)
    strict.wait_event("unbanned", count=2, uid=0)
    strict.ctl("ban", "127.0.0.0/24")  # an hour long it doesn't hit him
    is_served(strict)
    is_sent_away(strict, OTHER)
    assert {row["network"]: row["exempt"] for row in bans(strict)} == {
        CLIENT: True, "127.0.0.0/24": False, "10.0.0.0/8": False}
    strict.ctl("ban", CLIENT)  # but who bans just him means it
    is_sent_away(strict)


def test_a_limit_that_bans_holds_for_who_is_exempt_and_bans_him_no_more(new_strict):
    gateway = new_strict(listeners={"submission": {"policy": "out"}, "submissions": {"policy": "out"}}, policies={"out": {"limits": {
        "doors": {"key": ["ip"], "count": "connections", "rate": "1/1h", "action": "ban", "duration": "1h"}}}})
    is_served(gateway)
    with Smtp(gateway.port("submission"), tls=None, source=CLIENT) as client:
        client.expect("421 4.7.0 doors: ")
    assert bans(gateway)[0]["network"] == CLIENT
    gateway.ctl("unban", CLIENT)
    is_served(gateway)    # it begins anew
    with Smtp(gateway.port("submission"), tls=None, source=CLIENT) as client:
        client.expect("421 4.7.0 doors: ")
    assert len(gateway.events("banned")) == 1


def test_a_network_can_be_unbanned_as_the_list_shows_it(strict):
    strict.ctl("ban", "2001:db8:1:2::7")
    assert "bans lifted: 1" in strict.ctl("unban", bans(strict)[0]["network"]).stdout
    assert [row["exempt"] for row in bans(strict)] == [True]


def test_what_nobody_has_banned_is_exempted_all_the_same(strict):
    assert "bans lifted: 0; exempt until" in strict.ctl("unban", CLIENT).stdout


# ---- what is kept ----

def test_bans_hold_over_a_reload_and_in_old_generations(strict):
    with smtp(strict, source=OTHER) as old:
        strict.ctl("ban", CLIENT)
        strict.reload()
        is_sent_away(strict)
        strict.ctl("ban", OTHER)
        old.expect("421 4.7.0 Your address was banned")


def test_bans_and_exemptions_survive_a_restart(strict):
    strict.ctl("ban", CLIENT, "--for", "2h", "--reason", "sends spam")
    strict.ctl("ban", OTHER)
    strict.ctl("unban", OTHER)
    before = bans(strict)
    strict.signal(signal.SIGTERM)
    assert strict.wait() == 0
    path = strict.folder / "state" / "state"
    assert path.stat().st_mode & 0o777 == 0o600
    strict.start()
    is_sent_away(strict)
    is_served(strict, OTHER)
    for old, new in zip(sorted(before, key=lambda row: row["network"]),
                        sorted(bans(strict), key=lambda row: row["network"])):
        assert {**old, "left": 0} == {**new, "left": 0}


@pytest.mark.long
def test_bans_survive_a_master_that_is_killed(strict):
    strict.ctl("ban", CLIENT)
    path = strict.folder / "state" / "state"
    until(path.exists, "the file is written", 60)
    pids = [process["pid"] for process in strict.processes()]
    strict.signal(signal.SIGKILL)
    strict.wait()
    until(lambda: not [pid for pid in pids if exists(pid)], "the others end")
    strict.process = None
    strict.start()
    is_sent_away(strict)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b + b"x",
                                    lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:], lambda b: b"x" * len(b),
                                    lambda b: b[:8] + b"\x02" + b[9:]],
                         ids=["last octet", "half", "empty", "longer", "a bit", "nonsense", "another version"])
def test_a_file_that_is_torn_or_wrong_is_refused_and_said_so(strict, damage):
    strict.ctl("ban", CLIENT)
    strict.signal(signal.SIGTERM)
    assert strict.wait() == 0
    path = strict.folder / "state" / "state"
    path.write_bytes(damage(path.read_bytes()))
    strict.start()
    assert "event=state_refused" in strict.stderr_text() and str(path) in strict.stderr_text()
    assert not bans(strict)
    strict.ctl("ban", OTHER)
    strict.signal(signal.SIGTERM)
    assert strict.wait() == 0
    strict.start()
    assert [row["network"] for row in bans(strict)] == [OTHER]


def test_a_link_in_place_of_the_file_is_refused(strict, folder):
    strict.ctl("ban", CLIENT)
    strict.signal(signal.SIGTERM)
    assert strict.wait() == 0
    path = strict.folder / "state" / "state"
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    strict.start()
    assert "event=state_refused" in strict.stderr_text() and not bans(strict)


def test_without_bans_no_file_is_written(strict):
    strict.signal(signal.SIGTERM)
    assert strict.wait() == 0
    assert not (strict.folder / "state" / "state").exists()


def test_a_state_that_can_not_be_written_is_said_once_and_the_gateway_goes_on(strict):
    (strict.folder / "state" / "state").mkdir()
    (strict.folder / "state" / "state" / "x").touch()
    strict.ctl("ban", CLIENT)
    strict.wait_event("state_failed", timeout=60)
    is_sent_away(strict)


# ---- what it says, and to whom ----

def test_bans_as_json_say_who_by_whom_since_when_and_why(strict):
    strict.ctl("ban", CLIENT, "--for", "90min", "--reason", "sends spam")
    (row,) = bans(strict)
    left = row.pop("left")
    since, end = (datetime.datetime.fromisoformat(row.pop(key).replace("Z", "+00:00")) for key in ("since", "until"))
    assert end - since == datetime.timedelta(minutes=90) and 5000 < left <= 5400
    assert row == {"network": CLIENT, "account": "", "exempt": False, "by": "uid 0", "tries": 0,
                   "origin": "gateway", "reason": "sends spam"}


def test_bans_as_a_table_fit_80_columns(strict):
    strict.ctl("ban", CLIENT, "--reason", "sends spam")
    strict.ctl("ban", "2001:db8:aaaa:bbbb::/64")
    strict.ctl("unban", OTHER)
    table = strict.ctl("bans").stdout.splitlines()
    assert len(table) == 4 and all(len(line) <= 80 for line in table)
    assert table[0].split() == ["network", "is", "account", "by", "tries", "left", "reason"]
    rows = {line.split()[0]: line.split()[1:] for line in table[1:]}
    assert rows[CLIENT] == ["banned", "root", "23h59min", "sends", "spam"]
    assert rows[OTHER][:2] == ["exempt", "root"]


def test_a_thousand_bans_are_listed(strict):
    for number in range(250):
        put(strict, f"10.0.{number}.0/24")
    assert len(strict.ctl("bans").stdout.splitlines()) == 251
    assert len(bans(strict)) == 250


def as_user(*groups):
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", f"--groups={','.join(groups)}"]


@pytest.mark.parametrize("group, allowed", [(READ, {"bans"}), (SUPPORT, {"bans", "unban"}),
                                            (ADMIN, {"bans", "unban", "ban"})])
def test_who_may_look_lift_and_ban(new_strict, group, allowed):
    gateway = new_strict(control_groups={READ: "read", SUPPORT: "support", ADMIN: "admin"})
    for command in ("bans", "unban", "ban"):
        words = [command] if command == "bans" else [command, CLIENT]
        done = gateway.ctl(*words, status=0 if command in allowed else 1, wrapper=as_user(group))
        assert command in allowed or "control_groups" in done.stderr
    if "ban" in allowed:
        assert gateway.wait_event("banned")["uid"] == "65534"
        assert bans(gateway)[0]["by"] == "uid 65534"


@pytest.mark.parametrize("words, said", [
    (["ban"], "ban takes"), (["ban", CLIENT, "--for"], "ban takes"), (["ban", CLIENT, OTHER], "ban takes"),
    (["ban", CLIENT, "--for", "soon"], "soon"), (["unban"], "unban takes"), (["bans", "all"], "no argument")])
def test_wrong_arguments_are_refused_without_asking(strict, words, said):
    assert said in strict.ctl(*words, status=2).stderr


@pytest.mark.parametrize("words, said", [
    (["ban", "mail.example.com"], "no network"), (["ban", "127.0.0.2/24"], "first address"),
    (["ban", CLIENT, "--for", "0s"], "a second at least"), (["ban", CLIENT, "--for", "400d"], "366 days"),
    (["unban", "nobody"], "no network")])
def test_what_is_no_ban_is_refused_and_said_why(strict, words, said):
    assert said in strict.ctl(*words, status=1).stderr
    assert not bans(strict)


# ---- other gateways ----

@pytest.fixture
def redis(new_redis):
    return new_redis()


@pytest.fixture
def both(new_strict, redis):
    return [new_strict(redis={"address": [f"127.0.0.1:{redis.port}"], "timeout": "1s"}) for _ in range(2)]


def networks(gateway):
    return {row["network"]: row["origin"] for row in bans(gateway) if not row["exempt"] and row["reason"] != "lifted"}


def test_a_ban_reaches_the_other_gateway_and_is_lifted_on_both(both):
    one, other = both
    one.ctl("ban", CLIENT, "--reason", "sends spam, \"really\"")
    until(lambda: networks(other) == {CLIENT: "store"}, "the other hears of it")
    assert bans(other)[0]["reason"] == "sends spam, \"really\"" and networks(one) == {CLIENT: "gateway"}
    is_sent_away(other)
    other.ctl("unban", CLIENT)
    is_served(other)
    until(lambda: not networks(one), "the first hears that it was lifted")
    is_served(one)
    one.ctl("ban", CLIENT)
    until(lambda: networks(other) == {CLIENT: "store"})
    until(lambda: not [row for row in bans(other) if row["exempt"]], "the exemption ends on both")
    is_sent_away(other)


def test_sessions_at_the_other_gateway_end(both):
    one, other = both
    with smtp(other, source=CLIENT) as client:
        one.ctl("ban", CLIENT)
        client.expect("421 4.7.0 Your address was banned")


def test_a_gateway_that_could_not_reach_redis_hears_of_it_afterwards(both, redis, new_strict):
    one, other = both
    redis.stop()
    until(lambda: other.events("redis_lost") and one.events("redis_lost"))
    one.ctl("ban", CLIENT)
    other.ctl("ban", OTHER)
    is_sent_away(one)
    redis.start()
    everything = {CLIENT, OTHER}
    until(lambda: set(networks(one)) == set(networks(other)) == everything, "both know both", 60)
    third = new_strict(redis={"address": [f"127.0.0.1:{redis.port}"]})  # that begins later
    until(lambda: networks(third) == dict.fromkeys(everything, "store"), "the third too")


def test_a_redis_that_was_emptied_is_told_again(both, redis):
    one, other = both
    one.ctl("ban", CLIENT)
    until(lambda: networks(other) == {CLIENT: "store"})
    redis.cli("FLUSHALL")
    one.ctl("ban", OTHER)
    until(lambda: networks(other) == dict.fromkeys([CLIENT, OTHER], "store"))


def test_a_restarted_gateway_and_hundreds_of_bans(both, redis):
    one, other = both
    for number in range(150):
        put(one, f"10.0.{number}.0/24")
    until(lambda: len(networks(other)) == 150, "all of them", 60)
    one.stop()
    one.start()
    assert set(networks(one).values()) == {"gateway"} and len(networks(one)) == 150
    assert len(networks(other)) == 150
    keys = redis.cli("KEYS", "*").split()
    assert all(key.startswith("{porteiro}:") and int(redis.cli("TTL", key)) > 0 for key in keys)
