"""porteiro-milter: the policies inside a Postfix that stays where it is."""
import grp
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fixtures import build
from fixtures.clients import message
from fixtures.clients import smtp as gateway_smtp
from fixtures.judge import smtp
from fixtures.gateway import run_program
from fixtures.waiting import until

ALICE = "alice@example.com"


def limit(rate, **more):
    return {"limits": {"hourly": {"key": ["account"], "count": "recipients", "rate": rate, **more}}}


def rcpt(client, name, said):
    return client.ask(f"RCPT TO:<{name}@dest.example>", said)


def begin(client, sender=ALICE, said="250 2.1.0 "):
    return client.ask(f"MAIL FROM:<{sender}>", said)


# ---- who may send how much ----

def test_of_a_messages_recipients_as_many_pass_as_the_limit_has_left(new_judge, postfix_filtered):
    judge = new_judge(limit("3/1h"))
    with smtp(postfix_filtered) as client:
        begin(client)
        for name in ("a", "b", "c"):
            rcpt(client, name, "250 2.1.5 ")
        said = rcpt(client, "d", "451 4.7.1 hourly: ")
        assert "try again in" in said
        client.text(message())
    told = judge.wait_event("decision", account=ALICE, rule="hourly", verdict="defer", recipient="d@dest.example")
    assert told["session"] in said and told["listener"] == "filter" and told["client"].startswith("127.0.0.1:")
    with smtp(postfix_filtered, "bob") as client:
        begin(client, "bob@example.com")
        rcpt(client, "e", "250 ")


def test_a_recipient_whom_postfix_refuses_counts_for_nothing(new_judge, postfix_filtered):
    new_judge(limit("2/1h"))
    with smtp(postfix_filtered) as client:
        begin(client)
        for number in range(4):
            rcpt(client, f"no-{number}", "550 5.1.1 ")
        rcpt(client, "a", "250 ")
        rcpt(client, "b", "250 ")
        rcpt(client, "c", "451 4.7.1 ")


def test_who_has_not_logged_in_is_held_by_no_rule_of_accounts(new_judge, postfix_filtered):
    policy = limit("1/1h")
    policy["limits"]["by-ip"] = {"key": ["ip"], "count": "messages", "rate": "3/1h", "action": "reject"}
    new_judge(policy)
    with smtp(postfix_filtered, None) as client:
        for _ in range(3):
            begin(client)
            rcpt(client, "a", "250 ")
            rcpt(client, "b", "250 ")
            client.text(message())
        begin(client, said="550 5.7.1 by-ip: ")


def test_a_sender_who_is_another_is_refused_at_mail(new_judge, postfix_filtered):
    judge = new_judge({"sender": {"envelope": "own", "header": "any"}})
    with smtp(postfix_filtered) as client:
        begin(client, "boss@bank.example", "553 5.7.1 MAIL FROM: boss@bank.example is not an address of ")
        begin(client, "", "250 ")
    judge.wait_event("decision", account=ALICE, rule="sender", verdict="reject")


def test_access_that_is_closed_says_so_at_mail(new_judge, postfix_filtered):
    judge = new_judge({"access": {"office": {"networks": ["192.0.2.0/24"], "when": {"accounts": [ALICE]}}}})
    with smtp(postfix_filtered) as client:
        begin(client, said="550 5.7.1 office: ")
    with smtp(postfix_filtered, "bob") as client:
        begin(client, "bob@example.com")
    judge.wait_event("decision", account=ALICE, rule="office", verdict="reject")


# ---- the message ----

def test_a_message_that_comes_to_nothing_counts_for_nothing(new_judge, postfix_filtered):
    new_judge(limit("2/1h"))
    for way in ("RSET", "QUIT", "drop"):
        with smtp(postfix_filtered) as client:
            begin(client)
            rcpt(client, "a", "250 ")
            rcpt(client, "b", "250 ")
            if way != "drop":
                client.ask(way, "2")
    with smtp(postfix_filtered) as client:
        begin(client)
        until(lambda: client.send("RCPT TO:<c@dest.example>").reply().startswith("250 "), "what was given back")


@pytest.mark.parametrize("head, said", [
    (b"From: boss@bank.example\r\n", "From: boss@bank.example is not an address of alice@example.com"),
    (b"From: alice@example.com\r\nSender: boss@bank.example\r\n", "Sender: boss@bank.example is not an address of "),
    (b"From: alice@example.com,\r\n boss@bank.example\r\n", "From: boss@bank.example is not an address of "),
    (b"From: alice@example.com\r\nFrom: alice@example.com\r\n", "more than one From"),
    (b"Subject: x\r\n", "From: bounces@news.example is not an address of "),  # as Postfix completes it
])
def test_an_author_who_is_another_is_refused_at_the_dot(new_judge, postfix_filtered, head, said):
    judge = new_judge({"sender": {"header": "own"}, "limits": {"m": {"key": ["account"], "count": "messages", "rate": "1/1h"}}})
    with smtp(postfix_filtered) as client:
        begin(client, "bounces@news.example")
        rcpt(client, "a", "250 ")
        assert said in client.text(head + b"\r\nhello\r\n", "550 5.7.1 ")
        judge.wait_event("decision", account=ALICE, rule="sender", verdict="reject")
        begin(client)
        rcpt(client, "a", "250 ")
        client.text(message())
        begin(client, said="451 4.7.1 m: ")


def test_a_header_and_the_size_count_at_the_end(new_judge, postfix_filtered):
    judge = new_judge({"limits": {
        "script": {"key": ["account", "header:X-Script"], "count": "messages", "rate": "1/1h"},
        "bytes": {"key": ["account"], "count": "bytes", "rate": "1M/1h", "action": "reject"}}})
    with smtp(postfix_filtered) as client:
        for script, body, said in (("a.php", "", "250 "), ("a.php", "", "451 4.7.1 script: "), ("b.php", "", "250 "),
                                   ("c.php", ("x" * 98 + "\r\n") * 11000, "550 5.7.1 bytes: ")):
            begin(client)
            rcpt(client, "a", "250 ")
            client.text(f"X-Script: {script}\r\n".encode() + message(body=body), said)
    passed = judge.wait_event("message_accepted", count=2, account=ALICE, sender=ALICE, recipients=1)
    assert 100 < int(passed["bytes"]) < 1000 and f"{passed['queue']}: " in postfix_filtered.log()
    judge.wait_event("decision", rule="bytes", verdict="reject")


def test_what_is_due_soon_is_waited_for_at_the_dot(new_judge, postfix_filtered):
    judge = new_judge(limit("2/1s", burst=1, action="delay", max_delay="2s"))
    with smtp(postfix_filtered) as client:
        begin(client)
        for name in ("a", "b", "c"):
            rcpt(client, name, "250 ")
        began = time.monotonic()
        client.text(message())
        assert 0.7 < time.monotonic() - began < 3
    judge.wait_event("decision", rule="hourly", verdict="delay", count=2)
    assert float(judge.wait_event("message_accepted")["duration"]) > 0.7


def test_the_answers_of_each_stage(new_judge, postfix_filtered, folder):
    addresses = folder / "addresses"
    addresses.write_text("bob@example.com: alice@example.com\n")
    judge = new_judge({"sender": {"envelope": "own", "header": "own", "addresses": addresses}, **limit("3/1h")})
    done = subprocess.run(["miltertest", "-D", f"SOCKET=unix:{postfix_filtered.milter}", "-s", Path(__file__).with_name("porteiro_milter.lua")],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert judge.wait_event("decision", rule="sender", account=ALICE)["client"].startswith("192.0.2.9:")
    judge.wait_event("message_refused", login="two words")


# ---- with a gateway beside it ----

@pytest.fixture
def beside(new_judge, new_gateway, postfix, new_redis, folder):
    """beside(POLICY, redis={...}): a gateway and a porteiro-milter with one Redis, one secret and one policy."""
    def make(policy, **redis):
        server = new_redis()
        (folder / "secret").write_text("0123456789" * 4)
        (folder / "secret").chmod(0o600)
        shared = {"secret": folder / "secret", "redis": {"address": [f"127.0.0.1:{server.port}"], **redis}}
        gateway = new_gateway(smtp=postfix, policies={"out": policy}, listener={"policy": "out"}, **shared)
        return gateway, new_judge(policy, **shared), server
    return make


def test_one_limit_is_exact_over_both_doors(beside, postfix_filtered):
    gateway, _, _ = beside(limit("5/1h"))
    with smtp(postfix_filtered) as ours, gateway_smtp(gateway) as theirs:
        for client in (ours, theirs):
            begin(client)
        for number in range(5):
            rcpt((ours, theirs)[number % 2], f"r{number}", "250 ")
        for client in (ours, theirs):
            rcpt(client, "more", "451 4.7.1 hourly: ")
        ours.ask("QUIT", "221 ")  # of a RSET Postfix tells a milter with the next command alone; three are given back
        until(lambda: theirs.send("RCPT TO:<again@dest.example>").reply().startswith("250 "), "what was given back")
        for number in range(2):
            rcpt(theirs, f"again{number}", "250 ")
        rcpt(theirs, "more", "451 4.7.1 ")


def test_who_is_suspended_at_the_gateway_is_here_and_the_other_way_round(beside, postfix_filtered):
    policy = {"limits": {"flood": {"key": ["account"], "count": "recipients", "rate": "3/1h", "action": "suspend", "duration": "1d"}}}
    gateway, judge, _ = beside(policy)
    gateway.ctl("suspend", "bob@example.com", "--reason", "ticket 4711")
    with smtp(postfix_filtered, "bob") as client:
        said = until(lambda: refused(client, "bob@example.com"), "the suspension")
        assert said.startswith("550 5.7.1 Sending is suspended until 20") and "ticket 4711" in said
    judge.wait_event("message_refused", account="bob@example.com", reason="suspended", code=550)
    with smtp(postfix_filtered) as client:
        begin(client)
        for number in range(3):
            rcpt(client, f"r{number}", "250 ")
        assert "flood" in rcpt(client, "more", "550 5.7.1 Sending is suspended until 20")
        client.text(message(), "550 5.7.1 Sending is suspended until 20")
    judge.wait_event("suspended", account=ALICE, rule="flood", scope="sending")
    with gateway_smtp(gateway) as client:
        until(lambda: refused(client, ALICE), "the suspension")
    gateway.ctl("resume", ALICE)
    with smtp(postfix_filtered) as client:
        until(lambda: refused(client, ALICE) is None, "the end of it")


def refused(client, sender):
    """The answer to MAIL where it is a refusal."""
    reply = client.send(f"MAIL FROM:<{sender}>").reply()
    if reply.startswith("250 "):
        client.ask("RSET", "250 ")
        return None
    return reply


@pytest.mark.parametrize("on_failure, said", [("memory", ("250 ", "451 4.7.1 ")), ("accept", ("250 ", "250 ")),
                                              ("tempfail", ("451 4.3.0 ", "451 4.3.0 "))])
def test_without_redis_it_does_as_on_failure_says(new_judge, new_redis, postfix_filtered, on_failure, said):
    redis = new_redis()
    judge = new_judge(limit("1/1h"), redis={"address": [f"unix:{redis.socket}"], "on_failure": on_failure})
    redis.folder.chmod(0o755)
    redis.socket.chmod(0o777)
    with smtp(postfix_filtered, "bob") as client:
        begin(client, "bob@example.com")
        until(lambda: rcpt_code(client) == "250", "Redis, where nothing goes without")
        until(lambda: redis.cli("KEYS", "*hourly*"), "that it counts")
        redis.stop()
        judge.wait_event("redis_lost")
    with smtp(postfix_filtered) as client:
        begin(client)
        for reply in said:
            rcpt(client, "a", reply)


def rcpt_code(client):
    return client.send("RCPT TO:<b@dest.example>").reply()[:3]


# ---- suspensions without Redis ----

def test_a_suspension_holds_over_a_restart(new_judge, postfix_filtered):
    judge = new_judge({"limits": {"flood": {"key": ["account"], "count": "messages", "rate": "1/1h", "action": "suspend", "duration": "1d"}}})
    with smtp(postfix_filtered) as client:
        begin(client)
        rcpt(client, "a", "250 ")
        client.text(message())
        begin(client, said="550 5.7.1 Sending is suspended until 20")
    judge.process.terminate()
    assert judge.process.wait(10) == 0
    judge.start()
    with smtp(postfix_filtered) as client:
        begin(client, said="550 5.7.1 Sending is suspended until 20")


def test_who_names_many_who_do_not_exist_is_suspended(new_judge, postfix_filtered):
    judge = new_judge({"limits": {"washing": {"key": ["account"], "count": "rejected_recipients", "ratio": 50, "min": 4,
                                              "window": "1h", "action": "suspend", "duration": "1d"}}})
    with smtp(postfix_filtered) as client:
        begin(client)
        rcpt(client, "a", "250 ")
        for number in range(4):
            rcpt(client, f"no-{number}", "550 5.1.1 ")
        rcpt(client, "b", "550 5.7.1 Sending is suspended until 20")
    judge.wait_event("suspended", account=ALICE, rule="washing")


# ---- files ----

def test_a_changed_file_is_in_force_and_a_wrong_one_is_not(new_judge, postfix_filtered, folder):
    addresses = folder / "addresses"
    addresses.write_text("alice@example.com: alice@example.com\n")
    judge = new_judge({"sender": {"envelope": "own", "header": "own", "addresses": addresses}})
    with smtp(postfix_filtered) as client:
        begin(client, "info@shop.example", "553 ")
        addresses.write_text("alice@example.com: alice@example.com @shop.example\n")
        judge.process.send_signal(signal.SIGHUP)
        judge.wait_event("list_taken", file=str(addresses))
        begin(client, "info@shop.example")
        addresses.write_text("alice@example.com\n")
        judge.process.send_signal(signal.SIGHUP)
        assert ":1: " in judge.wait_event("list_refused", file=str(addresses))["reason"]
        client.ask("RSET", "250 ")
        begin(client, "info@shop.example")


# ---- life ----

def test_killed_and_started_again_it_serves_and_mail_waits_meanwhile(new_judge, postfix_filtered):
    judge = new_judge(limit("9/1h"))
    judge.process.kill()
    judge.process.wait()
    with smtp(postfix_filtered, None) as client:
        begin(client, said="451 4.7.1 ")
    judge.start()
    with smtp(postfix_filtered) as client:
        begin(client)
        rcpt(client, "a", "250 ")
        client.text(message())


def test_sigterm_lets_a_message_under_way_finish(new_judge, postfix_filtered):
    judge = new_judge(limit("9/1h"), shutdown_grace="20s")
    with smtp(postfix_filtered) as client:
        begin(client)
        rcpt(client, "a", "250 ")
        judge.process.send_signal(signal.SIGTERM)
        judge.wait_event("stopping")
        assert judge.process.poll() is None
        client.text(message())
        assert judge.process.wait(10) == 0


def test_what_was_counted_in_memory_holds_over_a_restart(new_judge, postfix_filtered):
    judge = new_judge(limit("2/1h"))
    with smtp(postfix_filtered) as client:
        begin(client)
        rcpt(client, "a", "250 ")
        rcpt(client, "b", "250 ")
        client.text(message())
    judge.process.terminate()
    assert judge.process.wait(10) == 0
    judge.start()
    judge.wait_event("limits_restored")
    with smtp(postfix_filtered) as client:
        begin(client)
        rcpt(client, "c", "451 4.7.1 ")


# ---- -t ----

@pytest.mark.parametrize("changes, said", [
    ({"filter": None}, "filter.listen: is missing"),
    ({"filter": {"policy": "other"}}, 'filter.policy: "other" isn\'t one of policies'),
    ({"filter": {"listen": "10.0.0.1"}}, "must be inet:HOST:PORT or unix:/PATH"),
    ({"state_dir": "/nowhere"}, "state_dir: /nowhere: No such file or directory"),
    ({"groups": {"shop": {"file": "/proc/1/environ"}}}, "groups.shop.file: /proc/1/environ: porteiro-milter reads it as user"),
    ({"log": {"target": "/nowhere/log"}}, "log.target: /nowhere/log: "),
    ({"filter": {"group": "no-such-group"}}, 'filter.group: "no-such-group" is no group here'),
])
def test_t_tells_what_is_wrong_and_where(new_judge, changes, said):
    done = new_judge(limit("3/1h"), start=False, **changes).check()
    assert done.returncode == 1 and said in done.stderr and "porteiro.conf" in done.stderr.split(said)[0]


def test_t_is_content_without_listeners_and_porteirod_is_not(new_judge, new_gateway):
    judge = new_judge(limit("3/1h"), start=False)
    done = judge.check()
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{judge.config_file}: good\n", "")
    gateway = new_gateway(start=False, policies={"out": {}}, filter={"listen": "unix:/run/x", "policy": "out"})
    assert "nothing to do for porteirod" in gateway.check().stderr


def test_t_does_not_let_a_policy_server_be_forgotten(new_judge, new_gateway, postfix):
    policy = {"delegate": {"quota": {"address": "inet:127.0.0.1:10031"}, "off": {"address": "inet:127.0.0.1:1", "enabled": False}}}
    done = new_judge(policy, start=False).check()
    assert done.returncode == 1 and "policies.out.delegate.quota: porteiro-milter asks no policy servers" in done.stderr
    assert "delegate.off" not in done.stderr and "porteiro.conf:" in done.stderr
    gateway = new_gateway(smtp=postfix, start=False, policies={"out": policy}, filter={"listen": "unix:/run/x", "policy": "out"})
    assert gateway.check().returncode == 0


@pytest.mark.parametrize("changes, said", [
    ({"listen": "inet:127.0.0.1:8891", "group": ""}, ["filter.listen: inet:127.0.0.1:8891: every program of this machine"]),
    ({"policy_service": "inet:[::1]:8892"}, ["filter.policy_service: inet:[::1]:8892: every program of this machine"]),
    ({"listen": "inet:192.0.2.1:8891"}, ["filter.listen: inet:192.0.2.1:8891: WHOEVER REACHES IT", "filter.group: keeps nobody out"]),
])
def test_t_warns_of_who_can_connect(new_judge, changes, said):
    done = new_judge({}, start=False, filter=changes).check()
    assert done.returncode == 0 and done.stdout.count("warning: ") == len(said)
    assert all(one in done.stdout for one in said)


def test_the_socket_is_for_its_group_alone(new_judge, postfix_filtered):
    new_judge({})
    is_now = Path(postfix_filtered.milter).lstat()
    assert is_now.st_mode & 0o777 == 0o660
    assert grp.getgrgid(is_now.st_gid).gr_name == "postfix"


def test_the_log_is_opened_anew_or_it_does_not_say_so(new_judge):
    judge = new_judge({})
    log = judge.folder / "porteiro.log"
    log.rename(judge.folder / "old")
    log.mkdir()
    judge.process.send_signal(signal.SIGUSR1)
    until(lambda: "log.target: " in judge.stderr_text(), "that it can't")
    log.rmdir()
    log.touch()
    log.chmod(0o666)  # it is no longer root
    judge.process.send_signal(signal.SIGUSR1)
    judge.wait_event("log_reopened")
    judge.process.terminate()
    assert judge.process.wait(10) == 0
    said = (judge.folder / "old").read_text() + judge.log_text()  # all of it, now that it has ended
    assert said.count("event=log_reopened") == 1


def test_wrong_options_are_told_with_2(new_judge):
    assert run_program(build.PORTEIRO_MILTER, "-x").returncode == 2
    assert run_program(build.PORTEIRO_MILTER, "-V").stdout.startswith("porteiro-milter ")
