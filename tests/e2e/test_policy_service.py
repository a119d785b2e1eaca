"""porteiro-milter's policy service: what Postfix' check_policy_service asks, and is answered."""
import socket

import pytest

from fixtures.clients import message
from fixtures.judge import smtp
from fixtures.processes import free_port
from fixtures.waiting import PATIENCE, until

ALICE = "alice@example.com"


def limit(rate, **more):
    return {"limits": {"hourly": {"key": ["account"], "count": "recipients", "rate": rate, **more}}}


class Asker:
    """A connection of Postfix', and the attributes that it sends with every request."""
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.said = self.socket.makefile("rb")

    def send(self, state, **more):
        asked = {"request": "smtpd_access_policy", "protocol_state": state, "protocol_name": "ESMTP", "helo_name": "c.example",
                 "queue_id": "", "sender": ALICE, "recipient": "", "recipient_count": "0", "client_address": "192.0.2.9",
                 "client_name": "unknown", "reverse_client_name": "unknown", "instance": "1f2.1.0", "sasl_method": "PLAIN",
                 "sasl_username": "Alice", "size": "0", "something_new": "=", **more}
        self.socket.sendall("".join(f"{name}={value}\n" for name, value in asked.items()).encode() + b"\n")
        return self

    def hear(self):
        line = self.said.readline().decode()
        assert line == "" or self.said.readline() == b"\n", line
        return line.removesuffix("\n").removeprefix("action=")

    def ask(self, state, **more):
        return self.send(state, **more).hear()


@pytest.fixture
def new_service(new_judge):
    """new_service(POLICY): a porteiro-milter that is policy service alone, and how to ask it."""
    def make(policy, **changes):
        port = free_port()
        judge = new_judge(policy, filter={"listen": "", "policy_service": f"inet:127.0.0.1:{port}", "policy": "out"}, **changes)
        return judge, Asker(port)
    return make


def test_recipients_count_and_the_sender_is_judged_with_the_first(new_service):
    judge, postfix = new_service({"sender": {"envelope": "own"}, **limit("3/1h")})
    for name in ("a", "b", "c"):
        assert postfix.ask("RCPT", recipient=f"{name}@dest.example") == "DUNNO"
    assert postfix.ask("RCPT", recipient="d@dest.example").startswith("451 4.7.1 hourly: at most 3 recipients in 1h")
    assert postfix.ask("RCPT", instance="1f2.2.0", sender="boss@bank.example", recipient="a@dest.example").startswith(
        "553 5.7.1 MAIL FROM: boss@bank.example is not an address of alice@example.com")
    assert postfix.ask("RCPT", instance="1f2.3.0", sasl_username="bob", sender="bob@example.com", recipient="a@dest.example") == "DUNNO"
    told = judge.wait_event("decision", account=ALICE, rule="hourly", verdict="defer", recipient="d@dest.example")
    assert told["client"].startswith("192.0.2.9:")


def test_instance_ties_the_requests_of_a_message(new_service):
    judge, postfix = new_service({"limits": {
        "messages": {"key": ["account"], "count": "messages", "rate": "2/1h"},
        "bytes": {"key": ["account"], "count": "bytes", "rate": "1000/1h", "action": "reject"}}})
    for state, more in (("MAIL", {}), ("RCPT", {"recipient": "a@dest.example"}), ("RCPT", {"recipient": "b@dest.example"}),
                        ("DATA", {"recipient_count": "2"}), ("END-OF-MESSAGE", {"size": "900", "queue_id": "4Xy1"})):
        assert postfix.ask(state, **more) == "DUNNO"
    judge.wait_event("message_accepted", account=ALICE, recipients=2, bytes=900, queue="4Xy1")
    assert postfix.ask("RCPT", instance="2", recipient="a@dest.example") == "DUNNO"
    assert postfix.ask("END-OF-MESSAGE", instance="2", size="2000").startswith("550 5.7.1 bytes: ")
    # What was refused counts for nothing.
    assert postfix.ask("RCPT", instance="3", recipient="a@dest.example") == "DUNNO"
    assert postfix.ask("RCPT", instance="4", recipient="a@dest.example").startswith("451 4.7.1 messages: ")


def test_what_is_due_soon_is_answered_later(new_service):
    _, postfix = new_service(limit("2/1s", burst=1, action="delay", max_delay="5s"))
    postfix.send("RCPT", recipient="a@dest.example").send("RCPT", recipient="b@dest.example")
    assert [postfix.hear(), postfix.hear()] == ["DUNNO", "DUNNO"]


def test_what_is_none_of_its_business_passes(new_service):
    _, postfix = new_service(limit("1/1h"))
    for state in ("CONNECT", "EHLO", "HELO", "VRFY", "ETRN"):
        assert postfix.ask(state, instance="") == "DUNNO"
    for number in range(3):  # nobody has logged in
        assert postfix.ask("RCPT", sasl_username="", recipient=f"r{number}@dest.example", instance=f"{number}") == "DUNNO"


@pytest.mark.parametrize("said", [b"GET / HTTP/1.0\n\n", b"request=junk_policy\n\n", b"x" * 20000,
                                  b"request=smtpd_access_policy\nprotocol_state=RCPT\n\n"])
def test_what_it_does_not_understand_it_closes_without_an_answer(new_service, said):
    judge, postfix = new_service(limit("1/1h"))
    postfix.socket.sendall(said)
    assert postfix.said.read() == b""
    judge.wait_event("command_refused", listener="filter")


def test_who_is_banned_at_a_gateway_is_sent_away_here(new_service, new_gateway, postfix, new_redis, folder):
    redis = {"address": [f"127.0.0.1:{new_redis().port}"]}
    gateway = new_gateway(smtp=postfix, redis=redis)
    judge, asker = new_service({}, redis=redis)

    def ask(number, **more):
        return asker.ask("RCPT", instance=str(number), recipient="a@dest.example", **more)

    assert ask(1) == "DUNNO"
    gateway.ctl("ban", "192.0.2.0/24", "--reason", "ticket 4711")
    numbers = iter(range(2, 10000))
    until(lambda: ask(next(numbers)) != "DUNNO", "the ban")
    assert ask("x").startswith("421 4.7.0 No connections from 192.0.2.9 until 20")
    assert ask("y", client_address="198.51.100.9") == "DUNNO"
    judge.wait_event("message_refused", reason="banned", code=421)


def test_a_postfix_asks_at_rcpt_and_at_the_end(new_judge, postfix_asking):
    judge = new_judge({"limits": {"hourly": limit("2/1h")["limits"]["hourly"],
                                  "bytes": {"key": ["account"], "count": "bytes", "rate": "10K/1h", "action": "reject"}}},
                      filter={"policy_service": f"unix:{postfix_asking.service}"})
    with smtp(postfix_asking) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask("RCPT TO:<no-one@dest.example>", "550 5.1.1 ")
        client.ask("RCPT TO:<a@dest.example>", "250 ")
        client.ask("RCPT TO:<b@dest.example>", "250 ")
        assert "hourly: " in client.ask("RCPT TO:<c@dest.example>", "451 4.7.1 ")
        assert "bytes: " in client.text(message(body="x" * 70 + "\r\n" * 12000), "550 5.7.1 ")
        client.ask("RSET", "250 ")
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")  # what was refused as a whole is given back
        client.ask("RCPT TO:<a@dest.example>", "250 ")
        client.text(message())
    judge.wait_event("message_accepted", account=ALICE, sender=ALICE, recipients=1)
    judge.process.kill()
    judge.process.wait()
    with smtp(postfix_asking) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask("RCPT TO:<a@dest.example>", "451 4.3.5 ")
    judge.start()
    with smtp(postfix_asking) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask("RCPT TO:<a@dest.example>", "250 ")
