"""Headers, while they go by: what is wrong with them refuses the message, what is right goes up as it is."""
import pytest

from fixtures.clients import message, smtp, stuffed, token
from fixtures.waiting import until


@pytest.fixture
def server(new_smtp):
    return new_smtp()


@pytest.fixture
def gate(new_gateway, server):
    return new_gateway(server, workers=1)


def hops(count, field="Received: from a.example by b.example;\r\n\tThu, 1 Jan 2026 00:00:00 +0000\r\n"):
    return (field * count).encode()


def refused(gateway, server, text, reply):
    """The refusal answers the dot, and what has gone up is given up without one."""
    with smtp(gateway) as client:
        client.envelope()
        client.text(text, reply)
        assert server.messages == []
        used, = server.used()
        until(lambda: not used.is_open, "the connection to be closed")
        client.mail(message())
    assert len(server.messages) == 1
    gateway.wait_event("message_refused", code=reply[:3])


LOOP = "554 5.4.6 "


def test_a_message_that_goes_round_in_a_circle_is_refused(gate, server):
    refused(gate, server, hops(51) + message(), LOOP)


@pytest.mark.parametrize("field", ["RECEIVED: x\r\n", "received :\r\n \r\n x\r\n", ".Received: x\r\n"])
def test_received_lines_are_counted_however_they_are_written(gate, server, field):
    """A dot at a line's beginning that is not doubled is taken away by who receives it."""
    raw = hops(51, field) + message()
    with smtp(gate) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(raw + b".\r\n")
        client.expect(LOOP)
    assert server.messages == []


def test_fifty_received_lines_are_no_circle_and_a_body_may_have_more(gate, server):
    text = hops(50) + message(body=hops(60).decode())
    with smtp(gate) as client:
        client.mail(text)
    assert server.messages[0].data.endswith(text)


def test_headers_past_max_header_size_are_refused(new_gateway, server):
    gateway = new_gateway(server, listener={"max_header_size": "8K"})
    refused(gateway, server, b"X-Long: " + b"a" * 8192 + b"\r\n" + message(), "552 5.3.4 Headers")


def test_headers_past_max_header_size_are_refused_in_many_lines(new_gateway, server):
    gateway = new_gateway(server, listener={"max_header_size": "8K"})
    refused(gateway, server, b"X-Many: a\r\n b\r\n" * 600 + message(body=b"y" * 300000 + b"\r\n"), "552 5.3.4 Headers")


def test_headers_up_to_max_header_size_pass_and_bodies_do_not_count(new_gateway, server):
    gateway = new_gateway(server, listener={"max_header_size": "8K"})
    head = message(body="")
    text = b"X-Long: " + b"a" * (8192 - len(head) + 2 - 10) + b"\r\n" + message(body=b"y" * 300000 + b"\r\n")
    with smtp(gateway) as client:
        client.mail(text)
    assert server.messages[0].data.endswith(text)


def test_the_default_of_max_header_size_is_256_k(gate, server):
    refused(gate, server, b"X: y\r\n" * 43700 + message(), "552 5.3.4 Headers are too big; at most 262144 bytes")


def test_a_refusal_found_midway_answers_the_dot_and_not_before(gate, server):
    with smtp(gate) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(hops(51))
        server.wait_for(lambda: not server.used()[0].is_open, "the connection to be closed")
        assert client.is_silent()
        client.send_bytes(stuffed(message(token(), body="x" * 200000 + "\r\n")) + b".\r\n")
        client.expect(LOOP)
        client.ask("NOOP", "250 ")
    assert server.messages == []
