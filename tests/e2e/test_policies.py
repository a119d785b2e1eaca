"""Limits on messages and recipients: what fits passes, what doesn't is told in figures, and what comes to nothing never
counts."""
import contextlib
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fixtures import build
from fixtures.clients import PASSWORDS, Pop3, Smtp, message, plain_response, pop3, smtp
from fixtures.scripted import CLOSE, EXTENSIONS, XCLIENT
from fixtures.waiting import until


def policy(mode="enforce", **limits):
    """Of the listeners: a policy with these limits."""
    return {"policies": {"out": {"mode": mode, "limits": limits}}, "listener": {"policy": "out"}}


def limit(key="account", **keys):
    return {"key": [key] if isinstance(key, str) else key, **keys}


def rcpt(client, name, prefix):
    return client.ask(f"RCPT TO:<{name}@dest.example>", prefix)


def passed(gateway, **who):
    """How many recipients of one message get in."""
    with smtp(gateway, **who) as client:
        client.envelope(recipients=())
        for count in range(100):
            client.send(f"RCPT TO:<r{count}@dest.example>")
            if not client.reply().startswith("250 "):
                return count
    return 100


# ---- what passes, and what is said ----

def test_as_many_recipients_as_fit_pass_and_the_next_is_told_the_limit_and_the_wait(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, **policy(hour=limit(count="recipients", rate="60/1h", burst=3)))
    with smtp(gateway) as client:
        client.envelope(recipients=("a@dest.example", "b@dest.example", "c@dest.example"))
        said = rcpt(client, "d", "451 4.7.1 hour: at most 60 recipients in 1h, 3 at once; try again in ")
        client.text(message())
    event = gateway.wait_event("decision")
    assert (event["rule"], event["verdict"], event["key"]) == ("hour", "defer", "hour alice@example.com")
    assert event["session"] in said, "the id finds the line"
    assert 50 < float(event["wait"]) <= 60
    assert [len(m.recipients) for m in server.messages] == [3]


def test_a_refused_recipient_costs_no_connection_and_the_server_behind_hears_nothing_of_it(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, **policy(hour=limit(count="recipients", rate="1/1h", action="reject")))
    with smtp(gateway) as client:
        client.mail(message())
        client.envelope(recipients=())
        rcpt(client, "late", "550 5.7.1 hour: at most 1 recipients in 1h")
        client.ask("DATA", "554 5.5.1 ")
    assert not any("late" in command for c in server.used() for command in c.commands)


def test_an_account_counts_over_listeners_workers_and_policies_with_the_same_rule(new_gateway, new_smtp):
    rules = {"limits": {"hour": limit(count="recipients", rate="1/1h", burst=5)}}
    gateway = new_gateway(new_smtp(), workers=4, policies={"one": rules, "two": rules},
                          listener={"policy": "one"}, listeners={"submission": {"policy": "two"}})
    held = []
    for number in range(8):
        client = smtp(gateway, door=("submissions", "submission")[number % 2])
        client.envelope(recipients=())
        held.append(client)
    for number, client in enumerate(held):
        rcpt(client, "x", "250 " if number < 5 else "451 4.7.1 ")


def test_accounts_do_not_share_a_counter(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(hour=limit(count="recipients", rate="1/1h", burst=2)))
    with smtp(gateway, user="alice") as alice, smtp(gateway, user="bob") as bob:
        for client in (alice, bob):
            client.envelope(recipients=("a@dest.example", "b@dest.example"))
            rcpt(client, "c", "451 4.7.1 ")


def test_a_message_past_the_limit_is_refused_at_mail_with_all_that_was_pipelined(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(daily=limit(count="messages", rate="1/1d")))
    with smtp(gateway) as client:
        client.mail(message())
        client.send_bytes(b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<a@dest.example>\r\nRCPT TO:<b@dest.example>\r\nDATA\r\n")
        for prefix in ["451 4.7.1 daily: at most 1 messages in 1d"] * 3 + ["503 5.5.1 "]:
            client.expect(prefix)
        client.ask("RCPT TO:<a@dest.example>", "503 5.5.1 ")
        client.ask("NOOP", "250 ")


def test_recipients_of_a_message_pass_all_or_none_at_data(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(hour=limit(count="recipients", rate="1/1h", burst=4, at="message")))
    with smtp(gateway) as client:
        client.mail(message(), recipients=("a@dest.example", "b@dest.example", "c@dest.example"))
        client.envelope(recipients=("a@dest.example", "b@dest.example"))
        client.ask("DATA", "451 4.7.1 hour: at most 1 recipients in 1h, 4 at once; try again in ")
        client.mail(message())


def test_more_than_ever_passes_at_once_is_refused_for_good(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(hour=limit(count="recipients", rate="10/1h", burst=2, at="message")))
    with smtp(gateway) as client:
        client.envelope(recipients=("a@dest.example", "b@dest.example", "c@dest.example"))
        client.ask("DATA", "550 5.7.1 hour: at most 10 recipients in 1h, 2 at once; this is more than it ever lets through")


@pytest.mark.parametrize("how", ["DATA", "BDAT"])
def test_octets_are_counted_when_all_are_there_and_the_dot_is_withheld(new_gateway, new_smtp, how):
    server = new_smtp()
    gateway = new_gateway(server, **policy(daily=limit(count="bytes", rate="10000/1d")))
    small, large = message(body="x" * 4000 + "\r\n"), message(body="y" * 7000 + "\r\n")
    with smtp(gateway) as client:
        client.mail(small)
        client.envelope()
        if how == "DATA":
            client.text(large, "451 4.7.1 daily: at most 10000 bytes in 1d; try again in ")
        else:
            client.send_bytes(b"BDAT %d LAST\r\n" % len(large) + large)
            client.expect("451 4.7.1 daily: ")
        client.mail(small)
    assert [m.data.count(b"y" * 7000) for m in server.messages] == [0, 0]


def test_two_limits_stand_or_fall_together(new_gateway, new_smtp):
    """What the second refuses, the first doesn't count."""
    gateway = new_gateway(new_smtp(), **policy(
        account=limit(count="recipients", rate="1/1h", burst=3),
        domain=limit("recipient_domain", count="recipients", rate="1/1h", burst=1)))
    with smtp(gateway) as client:
        client.envelope(recipients=("a@one.example",))
        for _ in range(5):
            client.ask("RCPT TO:<b@one.example>", "451 4.7.1 domain: ")
        client.ask("RCPT TO:<a@two.example>", "250 ")
        client.ask("RCPT TO:<a@three.example>", "250 ")
        client.ask("RCPT TO:<a@four.example>", "451 4.7.1 account: ")


def test_recipients_in_one_segment_are_judged_each_by_itself_and_answered_in_order(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 nobody" if "nobody" in line else None)
    gateway = new_gateway(server, **policy(one=limit("recipient_domain", count="recipients", rate="1/1h")))
    names = ["a@one.example", "b@one.example", "nobody@two.example", "c@three.example", "d@three.example", "e@two.example"]
    with smtp(gateway) as client:
        client.send_bytes(b"MAIL FROM:<alice@example.com>\r\n" + b"".join(f"RCPT TO:<{n}>\r\n".encode() for n in names))
        for prefix in ("250 ", "250 ", "451 4.7.1 one", "550 5.1.1 ", "250 ", "451 4.7.1 one", "451 4.7.1 one"):
            client.expect(prefix)
        client.ask("RCPT TO:<f@two.example>", "250 ")  # nobody was given back
        client.text(message())
    assert [len(m.recipients) for m in server.messages] == [3]


def test_hundreds_of_recipients_in_one_segment_are_more_than_one_call_of_the_store(new_gateway, new_smtp):
    limits = {f"rule{n}": limit(count="recipients", rate="200/1h") for n in range(12)}
    gateway = new_gateway(new_smtp(), listener={"policy": "out", "max_recipients": 500}, policies={"out": {"limits": limits}})
    with smtp(gateway) as client:
        client.envelope(recipients=())
        client.send_bytes(b"".join(b"RCPT TO:<r%d@dest.example>\r\n" % n for n in range(220)))
        assert [client.reply()[:3] for _ in range(220)] == ["250"] * 200 + ["451"] * 20


def test_when_and_except_say_whom_a_rule_is_for(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(
        few=limit(count="recipients", rate="1/1h", when={"accounts": ["alice@example.com"]}),
        most={**limit(count="recipients", rate="3/1h"), "except": {"accounts": ["bob@example.com"]}}))
    assert (passed(gateway, user="alice"), passed(gateway, user="carol"), passed(gateway, user="bob")) == (1, 3, 100)


@pytest.mark.parametrize("where", ["policy", "rule", "action"])
def test_what_is_only_watched_refuses_nobody_and_says_what_it_would_have(new_gateway, new_smtp, where):
    rule = {"policy": {}, "rule": {"mode": "monitor"}, "action": {"action": "log"}}[where]
    gateway = new_gateway(new_smtp(), **policy("monitor" if where == "policy" else "enforce",
                                               hour=limit(count="recipients", rate="2/1h", **rule)))
    assert passed(gateway) == 100
    event = gateway.wait_event("decision", count=98)
    assert (event["rule"], event["verdict"]) == ("hour", "monitor")


def test_refusals_say_where_to_turn(new_gateway, new_smtp, new_pop3):
    contact = "https://help.example.com/mail"
    gateway = new_gateway(new_smtp(), pop3=new_pop3(), contact=contact, **policy(hour=limit(count="recipients", rate="1/1h")))
    with smtp(gateway) as client, pop3(gateway, user=None) as reader:
        client.envelope()
        assert rcpt(client, "b", "451 4.7.1 hour: ").endswith(f"; {contact})")
        assert client.ask("BREW", "500 5.5.2 ").endswith(f"; {contact})")
        assert contact not in client.ask("NOOP", "250 ")
        assert reader.ask("STAT", "-ERR ").endswith(f"; {contact})")


# ---- what comes to nothing is given back ----

@pytest.mark.parametrize("how", ["refused", "MAIL refused", "RSET", "EHLO", "QUIT", "lost", "dot refused", "upstream lost"])
def test_what_does_not_end_in_the_servers_250_is_given_back(new_gateway, new_smtp, how):
    server = new_smtp()
    gateway = new_gateway(server, **policy(messages=limit(count="messages", rate="1/1h", burst=2),
                                           hour=limit(count="recipients", rate="1/1h", burst=2)))
    if how == "refused":
        server.on("RCPT", "550 5.1.1 nobody", "550 5.1.1 nobody", None)
    elif how == "MAIL refused":
        server.on("MAIL", "550 5.7.1 not you", "550 5.7.1 not you", None)
    elif how == "dot refused":
        server.on("DOT", "554 5.6.0 no", None)
    elif how == "upstream lost":
        server.on("DOT", CLOSE, None)
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        for name in "ab":
            rcpt(client, name, "250 " if how not in ("refused", "MAIL refused") else "55")
        if how in ("dot refused", "upstream lost"):
            client.ask("DATA", "354 ")
            client.send_bytes(message() + b".\r\n")
            client.expect("554 " if how == "dot refused" else "451 ")
        elif how == "lost":
            client.drop(reset=True)
        elif how == "QUIT":
            client.quit()
        elif how == "EHLO":
            client.hello()
        elif how == "RSET":
            client.ask("RSET", "250 ")
    gateway.wait_sessions(0)
    with smtp(gateway) as client:
        client.mail(message(), recipients=("a@dest.example", "b@dest.example"))
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        rcpt(client, "c", "451 4.7.1 ")


def test_a_refused_try_costs_nothing(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(hour=limit(count="recipients", rate="1/1s", burst=1)))
    with smtp(gateway) as client:
        client.envelope(recipients=("a@dest.example",))
        for _ in range(10):
            said = rcpt(client, "b", "451 4.7.1 ")
        assert "try again in 1 second" in said


# ---- delay ----

def delays(gateway):
    return gateway.events("decision", verdict="delay")


@pytest.mark.parametrize("identity", ["none", "xclient"])
def test_a_delayed_recipient_is_answered_late_and_the_envelope_is_repeated_unseen(new_gateway, new_smtp, identity):
    """Others may have the connection meanwhile; one that was told whose it is stays."""
    server = new_smtp(extensions=(*EXTENSIONS, XCLIENT))
    gateway = new_gateway(server, workers=1, upstream={"identity": identity}, **policy(
        pace=limit(count="recipients", rate="2/1s", burst=2, action="delay", max_delay="20s",
                   when={"accounts": ["alice@example.com"]})))
    with smtp(gateway) as client:
        client.envelope(recipients=("a@dest.example", "b@dest.example"))
        client.send("RCPT TO:<c@dest.example>")
        until(lambda: delays(gateway), "the third recipient waits")
        with smtp(gateway, user="bob") as other:
            other.mail(message(), sender="bob@example.com")
        client.expect("250 ")
        client.text(message())
    assert [len(m.recipients) for m in server.messages] == [1, 3]
    assert server.messages[1].connection.commands.count("RSET") == 1
    if identity == "none":
        assert len(server.used()) == 1, "the other had the same connection"


def test_what_is_due_later_than_max_delay_is_refused_at_once(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(pace=limit(count="messages", rate="1/1h", burst=1, action="delay", max_delay="30s")))
    with smtp(gateway) as client:
        client.mail(message())
        client.ask("MAIL FROM:<alice@example.com>", "451 4.7.1 pace: at most 1 messages in 1h; try again in ")
    assert not delays(gateway)


def test_max_delay_holds_for_all_replies_of_a_message_together(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(pace=limit(count="recipients", rate="10/1s", burst=1, action="delay", max_delay="250ms")))
    with smtp(gateway) as client:
        client.envelope(recipients=())
        client.send_bytes(b"".join(b"RCPT TO:<r%d@dest.example>\r\n" % n for n in range(20)))
        codes = [client.reply()[:3] for _ in range(20)]
        assert codes == ["250"] * 3 + ["451"] * 17
        client.text(message())


def test_a_client_that_leaves_during_a_delay_costs_nothing(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(pace=limit(count="messages", rate="1/3s", action="delay")))
    with smtp(gateway) as client:
        client.mail(message())
        with smtp(gateway) as leaving:
            leaving.send("MAIL FROM:<alice@example.com>")
            until(lambda: gateway.session(leaving)["state"] == "limit: held back", "it waits")
        gateway.wait_sessions(1)
        client.mail(message())
    assert len(delays(gateway)) == 1


def test_a_server_that_is_lost_during_a_delay_is_not_missed(new_gateway, new_smtp):
    server = new_smtp(extensions=(*EXTENSIONS, XCLIENT))
    gateway = new_gateway(server, upstream={"identity": "xclient"}, **policy(
        pace=limit(count="recipients", rate="1/1s", burst=1, action="delay", max_delay="20s")))
    with smtp(gateway) as client:
        client.envelope(recipients=("a@dest.example",))
        client.send_bytes(b"RCPT TO:<b@dest.example>\r\nDATA\r\n")
        until(lambda: delays(gateway), "the second recipient waits")
        server.kill()
        server.listen()
        client.expect("250 ")
        client.expect("354 ")
        client.send_bytes(message() + b".\r\n")
        client.expect("250 ")
    assert [len(m.recipients) for m in server.messages] == [2]


# ---- Redis ----

def with_redis(redis, **keys):
    return {"redis": {"address": [f"127.0.0.1:{redis.port}"], **keys}}


def race(gateways, clients=8, tries=20):
    """How many recipients pass when all clients try at once, and the replies to the rest."""
    held, replies, lock = [], [], threading.Lock()

    def one(number):
        client = smtp(gateways[number % len(gateways)])
        client.envelope(recipients=())
        with lock:
            held.append(client)
        for n in range(tries):
            client.send(f"RCPT TO:<u{number}-{n}@dest.example>")
            said = client.reply()
            with lock:
                replies.append(said[:9])
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    for client in held:
        client.drop()
    return sum(r.startswith("250") for r in replies), {r for r in replies if not r.startswith("250")}


HOUR = policy(hour=limit(count="recipients", rate="50/1d"))


def test_exactly_as_many_pass_from_eight_clients_over_four_workers(new_gateway, new_smtp):
    assert race([new_gateway(new_smtp(), workers=4, **HOUR)]) == (50, {"451 4.7.1"})


def test_exactly_as_many_pass_over_two_gateways_that_share_redis(new_gateway, new_smtp, new_redis):
    server, redis = new_smtp(), new_redis()
    both = [new_gateway(server, workers=2, **HOUR, **with_redis(redis)) for _ in range(2)]
    assert race(both) == (50, {"451 4.7.1"})


def test_what_is_given_back_comes_back_in_redis_too(new_gateway, new_smtp, new_redis):
    gateway = new_gateway(new_smtp(), **policy(hour=limit(count="recipients", rate="1/1h", burst=2)), **with_redis(new_redis()))
    for _ in range(3):
        with smtp(gateway) as client:
            client.envelope(recipients=("a@dest.example", "b@dest.example"))
            rcpt(client, "c", "451 4.7.1 ")
            client.ask("RSET", "250 ")


@pytest.mark.parametrize("trouble", ["away", "hung", "killed", "out of memory", "read-only"])
@pytest.mark.parametrize("on_failure", ["memory", "accept", "tempfail"])
def test_redis_in_trouble_is_done_without_as_on_failure_says(new_gateway, new_smtp, new_redis, on_failure, trouble):
    redis = new_redis()
    if trouble == "away":
        redis.stop()
    gateway = new_gateway(new_smtp(), workers=1, **policy(hour=limit(count="recipients", rate="3/1h")),
                          **with_redis(redis, on_failure=on_failure, timeout="500ms"))
    if trouble == "hung":
        redis.process.send_signal(signal.SIGSTOP)
    elif trouble == "killed":
        redis.process.kill()
        redis.process.wait()
    elif trouble == "out of memory":
        redis.cli("CONFIG", "SET", "maxmemory", "1")
    elif trouble == "read-only":
        redis.cli("REPLICAOF", "127.0.0.1", "1")
    with smtp(gateway) as client:
        client.envelope(recipients=())
        replies = []
        for n in range(5):
            client.send(f"RCPT TO:<r{n}@dest.example>")
            replies.append(client.reply()[:9])
    if trouble == "hung":
        redis.process.send_signal(signal.SIGCONT)
    assert replies == {"memory": ["250 2.1.5"] * 3 + ["451 4.7.1"] * 2, "accept": ["250 2.1.5"] * 5,
                       "tempfail": ["451 4.3.0"] * 5}[on_failure]
    if on_failure == "tempfail":
        gateway.wait_event("decision_failed")


def test_each_of_several_gateways_allows_its_part_while_redis_is_away(new_gateway, new_smtp, new_redis):
    redis = new_redis()
    redis.stop()
    gateway = new_gateway(new_smtp(), **policy(hour=limit(count="recipients", rate="12/1h")), **with_redis(redis, gateways=3))
    assert passed(gateway) == 4


def test_redis_counts_again_when_it_is_back(new_gateway, new_smtp, new_redis):
    redis = new_redis()
    gateway = new_gateway(new_smtp(), workers=1, **policy(hour=limit(count="recipients", rate="3/1h")),
                          **with_redis(redis, on_failure="accept"))
    redis.stop()
    gateway.wait_event("redis_lost")
    assert passed(gateway) == 100
    redis.start()
    gateway.wait_event("redis_back")
    assert passed(gateway) == 3


# ---- over time ----

def test_a_reload_keeps_what_counts(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1, **HOUR)
    with smtp(gateway) as client:
        client.mail(message(), recipients=[f"r{n}@dest.example" for n in range(40)])
    gateway.reload()
    assert passed(gateway) == 10


def test_a_worker_that_is_killed_takes_no_count_with_it(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), workers=1, **HOUR)
    gateway.may_lose = {"process_died"}
    with smtp(gateway) as client:
        client.mail(message(), recipients=[f"r{n}@dest.example" for n in range(40)])
    old = gateway.pids("worker")
    os.kill(old[0], signal.SIGKILL)
    gateway.wait_replaced("worker", old)
    assert passed(gateway) == 10


# ---- logins, sessions, connections ----

def test_logins_past_the_limit_are_told_so_and_are_no_wrong_password(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(logins=limit(count="logins", rate="60/1h", burst=2)))
    for _ in range(2):
        smtp(gateway).quit()
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}",
                   "454 4.7.0 logins: at most 60 logins in 1h, 2 at once; try again in ")
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")
        client.login("bob")
        client.mail(message())
    event = gateway.wait_event("decision")
    assert (event["rule"], event["account"], event["verdict"]) == ("logins", "alice@example.com", "defer")


@pytest.mark.parametrize("rule, said", [
    (dict(count="logins", rate="1/1h"), "-ERR [LOGIN-DELAY] few: at most 1 logins in 1h; try again in "),
    (dict(count="sessions", max=1), "-ERR [IN-USE] few: at most 1 sessions at once"),
    (dict(count="logins", rate="1/1h", action="reject"), "-ERR [SYS/PERM] few: "),
])
@pytest.mark.parametrize("backend", ["sasldb", "upstream"])
def test_a_reader_past_the_limit_is_told_in_its_protocols_words(new_gateway, dovecot, rule, said, backend):
    auth = {"auth": {"backend": "upstream", "upstream": "pop3"}} if backend == "upstream" else {}
    gateway = new_gateway(pop3=dovecot, **auth, **policy(few=limit(**rule)))
    with pop3(gateway) as inside:
        with pop3(gateway, user=None) as late:
            late.ask("USER alice@example.com", "+OK")
            late.ask(f"PASS {PASSWORDS['alice']}", said)
            late.ask("USER bob@example.com", "+OK")
            late.ask(f"PASS {PASSWORDS['bob']}", "+OK")
            late.ask("STAT", "+OK ")
        inside.ask("STAT", "+OK ")


def test_a_login_that_opens_no_mailbox_does_not_count(new_gateway, new_pop3):
    server = new_pop3().on("PASS", "-ERR [SYS/TEMP] locked", None)
    gateway = new_gateway(pop3=server, **policy(few=limit(count="logins", rate="1/1h")))
    with pop3(gateway, user=None) as client:
        for said in ("-ERR [SYS/TEMP] locked", "+OK"):
            client.ask("USER alice@example.com", "+OK")
            client.ask(f"PASS {PASSWORDS['alice']}", said)


def test_a_wrong_password_does_not_use_up_an_owners_logins(new_gateway, dovecot):
    gateway = new_gateway(pop3=dovecot, **policy(few=limit(count="logins", rate="1/1h")))
    for _ in range(3):
        with pop3(gateway, user=None) as client:
            client.ask("USER alice@example.com", "+OK")
            client.ask("PASS wrong", "-ERR [AUTH] ")
    pop3(gateway).quit()


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_as_many_sessions_at_once_as_may_and_one_that_ends_gives_its_place_back(new_gateway, new_smtp, new_redis, store):
    redis = with_redis(new_redis()) if store == "Redis" else {}
    gateway = new_gateway(new_smtp(), workers=3, **redis, **policy(places=limit(count="sessions", max=4)))
    for _ in range(2):
        held = [smtp(gateway) for _ in range(4)]
        with smtp(gateway, user=None) as fifth:
            response = plain_response("alice", PASSWORDS["alice"])
            fifth.ask(f"AUTH PLAIN {response}", "454 4.7.0 places: at most 4 sessions at once")
            held[0].quit()
            gateway.wait_sessions(4)
            fifth.ask(f"AUTH PLAIN {response}", "235 ")
        for client in held:
            client.drop()
        gateway.wait_sessions(0)


def come_in(gateway, count):
    """So many sessions of alice; or None, when one of them finds no place."""
    with contextlib.ExitStack() as stack:
        sessions = []
        for _ in range(count):
            client = stack.enter_context(Smtp(gateway.port("submission"), tls=None))
            if not client.reply().startswith("220 "):
                return None
            client.hello()
            client.starttls()
            client.hello()
            client.send(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}")
            if not client.reply().startswith("235 "):
                return None
            sessions.append(client)
        stack.pop_all()
        return sessions


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_sessions_of_a_worker_that_is_killed_give_their_places_back(new_gateway, new_smtp, new_redis, store):
    redis = with_redis(new_redis()) if store == "Redis" else {}
    gateway = new_gateway(new_smtp(), workers=1, **redis, **policy(places=limit(count="sessions", max=3),
                                                                  doors=limit("ip", count="connections", max=3)))
    gateway.may_lose = {"process_died"}
    held = come_in(gateway, 3)
    for _ in range(2):
        assert not come_in(gateway, 1)
        old = gateway.pids("worker")
        os.kill(old[0], signal.SIGKILL)
        gateway.wait_replaced("worker", old)
        for client in held:
            client.drop()
        # A lease that nobody gives back ends after two minutes.
        held = until(lambda: come_in(gateway, 3), "their places", timeout=20 if build.IS_ASAN else 5)
    for client in held:
        client.drop()
    gateway.wait_sessions(0)


@pytest.mark.parametrize("door, rule", [(door, rule) for door in ("submission", "submissions", "pop3", "pop3s")
                                        for rule in (dict(rate="2/1h"), dict(max=2))])
def test_connections_past_the_limit_are_turned_away_before_tls(new_gateway, postfix, dovecot, door, rule):
    gateway = new_gateway(postfix, pop3=dovecot, workers=1, **policy(doors=limit("ip", count="connections", **rule)))
    kind = Pop3 if "pop3" in door else Smtp
    with kind(gateway.port(door), tls=None) as one, kind(gateway.port(door), tls=None) as two, \
            kind(gateway.port(door), tls=None) as three:
        if gateway.is_implicit(door):
            assert three.is_closed()
        else:
            for client in (one, two):
                client.expect("+OK " if kind is Pop3 else "220 ")
            three.expect("-ERR [SYS/TEMP] doors: at most 2 connections " if kind is Pop3 else "421 4.7.0 doors: at most 2 connections ")
            assert three.is_closed()
    event = gateway.wait_event("decision")
    assert (event["rule"], event["key"]) == ("doors", "doors 127.0.0.1")


def test_connections_may_be_counted_in_redis_too(new_gateway, new_smtp, new_redis):
    gateway = new_gateway(new_smtp(), **with_redis(new_redis()), **policy(doors=limit("network", count="connections", rate="3/1h")))
    for _ in range(3):
        with smtp(gateway) as client:
            client.mail(message())
    with Smtp(gateway.port("submission"), tls=None) as client:
        client.expect("421 4.7.0 doors: at most 3 connections in 1h; try again in ")


def test_a_login_that_is_due_soon_is_held_back(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(pace=limit(count="logins", rate="2/1s", burst=1, action="delay")))
    for _ in range(3):
        with smtp(gateway) as client:
            client.mail(message())
    assert [e["rule"] for e in delays(gateway)] == ["pace"] * 2


def test_a_reader_whose_server_is_away_may_try_until_it_errs_too_often(new_gateway, new_pop3):
    server = new_pop3()
    gateway = new_gateway(pop3=server, upstream={"health_check": "200ms"})
    pop3(gateway).quit()  # the password is known now
    server.stop()
    until(lambda: all(s["state"] == "down" for s in gateway.status()["servers"]), "the server to be known as down", 40)
    with pop3(gateway, user=None) as client:
        client.send_bytes(f"USER alice@example.com\r\nPASS {PASSWORDS['alice']}\r\n".encode() * 12)
        for _ in range(10):
            client.expect("+OK")
            client.expect("-ERR [SYS/TEMP] ")
        client.expect("-ERR Too many errors")


# ---- headers, and what is different or refused ----

def script(name):
    return message().replace(b"Subject:", b"X-PHP-Originating-Script:\r\n  33:" + name.encode() + b"\r\nSubject:")


@pytest.mark.parametrize("how", ["DATA", "BDAT"])
def test_a_script_has_a_limit_of_its_own_by_the_header_that_names_it(new_gateway, new_smtp, how):
    server = new_smtp()
    gateway = new_gateway(server, **policy(script=limit(["account", "header:X-PHP-Originating-Script"], count="recipients",
                                                        rate="60/1h", burst=2)))
    refused = "451 4.7.1 script: at most 60 recipients in 1h, 2 at once; try again in "

    def send(client, data, expected, recipients=("a@dest.example",)):
        client.envelope(recipients=recipients)
        if how == "DATA":
            client.text(data, expected)
        else:
            client.send_bytes(b"BDAT %d LAST\r\n" % len(data) + data)
            client.expect(expected)
    with smtp(gateway) as client:
        send(client, script("mailer.php"), "250 2.0.0 ", ("a@dest.example", "b@dest.example"))
        send(client, script("mailer.php"), refused)
        send(client, script("contact.php"), "250 2.0.0 ")
        send(client, message(), "250 2.0.0 ", ("a@dest.example", "b@dest.example"))
        send(client, message(), refused)
    gateway.wait_event("decision", count=2)
    assert [e["key"] for e in gateway.events("decision")] == [
        "script alice@example.com 33:mailer.php", "script alice@example.com -"]
    assert len(server.messages) == 3


def test_a_header_that_is_missing_is_skipped_or_refused_where_that_is_wished(new_gateway, new_smtp):
    rule = dict(key=["header:X-Site"], count="messages", rate="1/1h")
    gateway = new_gateway(new_smtp(), policies={"skips": {"limits": {"site": {**rule, "missing": "skip"}}},
                                                "wants": {"limits": {"site": {**rule, "missing": "reject"}}}},
                          listeners={"submissions": {"policy": "skips"}, "submission": {"policy": "wants"}})
    with smtp(gateway) as client:
        for _ in range(3):
            client.mail(message())
    with smtp(gateway, door="submission") as client:
        client.envelope()
        client.text(message(), "550 5.7.1 site: the message has no X-Site")


def test_a_script_that_is_due_soon_is_held_back_before_its_dot(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, **policy(script=limit("header:X-PHP-Originating-Script", count="messages", rate="2/1s", burst=1,
                                                        action="delay")))
    with smtp(gateway) as client:
        for _ in range(3):
            client.envelope()
            client.text(script("mailer.php"))
    assert len(delays(gateway)) == 2 and len(server.messages) == 3


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_an_account_reaches_so_many_different_recipients(new_gateway, new_smtp, new_redis, store):
    redis = with_redis(new_redis()) if store == "Redis" else {}
    gateway = new_gateway(new_smtp(), workers=1, **redis, **policy(
        spread=limit(count="distinct_recipients", max=3, window="1h")))
    with smtp(gateway) as client:
        client.mail(message(), recipients=("a@dest.example", "b@dest.example"))
        client.mail(message(), recipients=("A@DEST.example", "c@dest.example"))
        client.envelope(recipients=("a@dest.example", "c@dest.example"))
        rcpt(client, "d", "451 4.7.1 spread: at most 3 different recipients in 60 minutes")
        client.text(message())


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_who_writes_to_many_who_do_not_exist_is_stopped(new_gateway, new_smtp, new_redis, store):
    redis = with_redis(new_redis()) if store == "Redis" else {}
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 nobody" if "nobody" in line else
                           "550 5.7.1 not today" if "later" in line else None)
    gateway = new_gateway(server, workers=1, **redis, **policy(
        washing=limit(count="rejected_recipients", ratio=25, min=4, window="1h")))
    with smtp(gateway) as client:
        client.envelope(recipients=("a@dest.example",))
        for _ in range(4):
            rcpt(client, "later", "550 5.7.1 ")  # says nothing of the list
        for _ in range(2):
            rcpt(client, "nobody", "550 5.1.1 ")
        rcpt(client, "b", "451 4.7.1 washing: at most 25% of recipients refused in 60 minutes, of 4 or more")
    with smtp(gateway, user="bob") as client:
        client.mail(message(), sender="bob@example.com")


def test_a_refusal_without_an_enhanced_code_counts_while_others_are_taken(new_gateway, new_smtp):
    """Of a server that refuses everybody nobody is told apart."""
    server = new_smtp().on("RCPT", lambda line: "550 no such user" if "nobody" in line else None)
    gateway = new_gateway(server, workers=1, **policy(
        washing=limit(count="rejected_recipients", ratio=25, min=4, window="1h")))

    def wash(client, count):
        for _ in range(count):
            rcpt(client, "nobody", "550 5.0.0 no such user")

    with smtp(gateway, user="bob") as other, smtp(gateway) as client:
        client.envelope(recipients=("a@dest.example",))
        wash(client, 4)
        rcpt(client, "b", "250 ")  # what it has taken was this account's own
        other.mail(message(), sender="bob@example.com")
        wash(client, 3)
        rcpt(client, "c", "451 4.7.1 washing: at most 25% of recipients refused in 60 minutes, of 4 or more")


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_a_refusal_lasts_for_its_duration(new_gateway, new_smtp, new_redis, store):
    redis = with_redis(new_redis()) if store == "Redis" else {}
    gateway = new_gateway(new_smtp(), workers=1, **redis, **policy(
        spread=limit(count="distinct_recipients", max=1, window="1h", duration="2h")))
    with smtp(gateway) as client:
        client.mail(message(), recipients=("a@dest.example",))
        client.mail(message(), recipients=("a@dest.example",))
        client.envelope(recipients=())
        for name in ("b", "a"):
            rcpt(client, name, "451 4.7.1 spread: at most 1 different recipients in 60 minutes; try again in 2 hours")
    (row,) = json.loads(gateway.ctl("--json", "limits", "alice@example.com").stdout)
    assert row["left"] == 0 and 7190 < row["wait"] <= 7200
    with smtp(gateway, user="bob") as client:
        client.mail(message(), sender="bob@example.com", recipients=("a@dest.example",))


@pytest.mark.parametrize("store", ["memory", "Redis"])
def test_who_comes_near_a_limit_is_told_of_once_in_its_period(new_gateway, new_smtp, new_redis, store):
    redis = with_redis(new_redis()) if store == "Redis" else {}
    gateway = new_gateway(new_smtp(), workers=1, **redis, **policy(
        hour=limit(count="recipients", rate="5/1h", warn_at=80)))
    with smtp(gateway) as client:
        client.envelope(recipients=[f"{name}@dest.example" for name in "abc"])
        assert not gateway.events("near")
        rcpt(client, "d", "250 ")
        near = gateway.wait_event("near", rule="hour", account="alice@example.com", key="hour alice@example.com")
        assert near["sender"] == "alice@example.com" and near["message"]
        assert (near["limit"], near["used"]) == ("at most 5 recipients in 1h", "4")
        rcpt(client, "e", "250 ")
        rcpt(client, "f", "451 4.7.1 hour: ")
        client.ask("RSET", "250 ")
        client.envelope(recipients=[f"{name}@dest.example" for name in "abcde"])
    assert len(gateway.events("near")) == 1


def test_an_account_comes_from_so_many_networks(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(places=limit(count="distinct_networks", max=2, window="1h")))
    for source in ("127.0.1.1", "127.0.2.1", "127.0.1.9"):
        smtp(gateway, source=source).quit()
    with smtp(gateway, user=None, source="127.0.3.1") as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}",
                   "454 4.7.0 places: at most 2 different networks in 60 minutes")
