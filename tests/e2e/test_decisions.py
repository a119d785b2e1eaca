"""The decision log: what each rule has counted, what it has let pass, and what was left of it."""
import os
import signal
import socket

import pytest

from fixtures.clients import message, pop3, smtp
from fixtures.waiting import until


def policy(**limits):
    """Of the listeners: a policy with these limits."""
    return {"policies": {"out": {"limits": limits}}, "listener": {"policy": "out"}}


def limit(*key, **keys):
    return {"key": list(key), **keys}


HOUR = limit("account", count="recipients", rate="1/1h", burst=10)


def send(client, recipients, **kwargs):
    client.envelope(recipients=[f"r{n}@dest.example" for n in range(recipients)])
    client.text(message(), **kwargs)


def told(event, *keys):
    return tuple(event.get(key) for key in keys)


def test_what_passes_is_one_line_a_stage_with_its_cost_and_what_is_left(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(
        hour=HOUR, day=limit("account", count="recipients", rate="1/1d", burst=1000),
        size=limit("account", count="bytes", rate="10/1h", burst=100000), open=limit("account", count="sessions", max=4)))
    with smtp(gateway) as client:
        client.send_bytes(b"MAIL FROM:<alice@example.com>\r\n" + b"".join(
            b"RCPT TO:<r%d@dest.example>\r\n" % n for n in range(3)))
        for _ in range(4):
            client.expect("250 ")
        client.text(text := message())
    accepted = gateway.wait_event("message_accepted")
    at_login, of_batch, at_end = gateway.events("decision_passed")
    assert told(at_login, "rule", "verdict", "key", "cost", "left") == ("open", "pass", "open alice@example.com", "1", "3")
    assert told(of_batch, "rule", "key", "cost", "left") == ("hour", "hour alice@example.com", "3", "7")
    assert of_batch["message"] == accepted["message"] and of_batch["session"] == at_login["session"]
    assert told(at_end, "rule", "cost", "left") == ("size", accepted["bytes"], str(100000 - int(accepted["bytes"])))
    assert len(text) <= int(accepted["bytes"])
    assert told(accepted, "rule", "left") == ("hour", "7"), "the rule that is nearest to its limit"
    assert not gateway.events("decision")


def test_a_refusal_says_what_was_asked_for_and_what_would_have_passed(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(hour={**HOUR, "at": "message"}))
    with smtp(gateway) as client:
        send(client, 8)
        client.envelope(recipients=[f"r{n}@dest.example" for n in range(4)])
        client.ask("DATA", "451 4.7.1 hour: ")
        send(client, 2)
    event = gateway.wait_event("decision")
    assert told(event, "rule", "verdict", "cost", "left") == ("hour", "defer", "4", "2")
    assert told(event, "limit", "used") == ("at most 1 recipients in 1h, 10 at once", "8")
    gateway.wait_event("message_accepted", count=2)
    assert [e["left"] for e in gateway.events("message_accepted")] == ["2", "0"]


@pytest.mark.parametrize("style", ["text", "json"])
def test_at_level_info_what_passes_is_told_with_the_message_alone(new_gateway, new_smtp, style):
    gateway = new_gateway(new_smtp(), log={"level": "info", "format": style}, **policy(hour=HOUR))
    with smtp(gateway) as client:
        send(client, 2)
    accepted = gateway.wait_event("message_accepted")
    assert (accepted["rule"], int(accepted["left"])) == ("hour", 8)
    assert not gateway.events("decision_passed")


def test_a_message_that_no_rule_counts_names_none(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3(), **policy(to=limit("sender_domain", count="messages", rate="1/1h",
                                                                    when={"accounts": ["bob@example.com"]})))
    with smtp(gateway) as client:
        send(client, 1)
    with pop3(gateway) as client:
        client.quit()
    assert told(gateway.wait_event("message_accepted"), "rule", "left") == (None, None)
    assert not gateway.events("decision_passed")


def test_lines_that_found_no_room_are_counted_in_the_next_one(new_gateway, new_smtp):
    """Control hangs: mail goes on, and the log says how much of it is missing."""
    gateway = new_gateway(new_smtp(), workers=1)
    control, = gateway.pids("control")
    os.kill(control, signal.SIGSTOP)
    try:
        for _ in range(800):
            socket.create_connection(("127.0.0.1", gateway.port("submissions"))).close()
        with smtp(gateway) as client:
            client.mail(message())
    finally:
        os.kill(control, signal.SIGCONT)
    gateway.wait_event("log_dropped")
    until(lambda: sum(int(e["count"]) for e in gateway.events("log_dropped")) ==
          gateway.status()["counters"]["log_lines_dropped"] > 0)
