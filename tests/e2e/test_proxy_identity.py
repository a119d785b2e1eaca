"""Identity proxy: each connection to the server behind begins with a header of the PROXY protocol."""
import ssl

import pytest

from fixtures.clients import message, smtp, token
from fixtures.scripted import CLOSE
from fixtures.waiting import until


@pytest.mark.parametrize("tls", ["none", "require"])
def test_postfix_sees_the_client_and_its_helo_name(new_gateway, postfix_proxy, tls):
    recipient = f"{token()}@dest.example"
    gateway = new_gateway(postfix_proxy, upstream={"identity": "proxy", "tls": tls})
    with smtp(gateway, source="127.0.0.61") as client:
        for _ in range(2):
            client.mail(message(), recipients=[recipient])
    for content in postfix_proxy.delivered(recipient, 2):
        of_postfix = content.decode().split("by legacy.example")[0]
        assert "from client.example.net (unknown [127.0.0.61])" in of_postfix
        assert ("using TLSv1.3" in of_postfix) == (tls == "require")
    assert gateway.status()["servers"][0]["state"] == "up"  # probes begin with a header, too


def test_what_the_header_says(new_gateway, new_smtp):
    server = new_smtp(proxy=True)
    gateway = new_gateway(server, upstream={"identity": "proxy"})
    with smtp(gateway, source="127.0.0.62") as client:
        client.mail(message())
        source = ("127.0.0.62", client.local_port)
        session = gateway.session(client)["session"]
        cipher = client.socket.cipher()[0]
    header = server.messages[0].connection.header
    assert header["source"] == source and header["destination"] == ("127.0.0.1", gateway.port("submissions"))
    assert header[5] == session
    assert header[0x20] == {"client": 1, "verify": 1, 0x21: "TLSv1.3", 0x23: cipher}


def test_the_header_names_whose_certificate_was_verified(new_gateway, new_smtp, certificates):
    server = new_smtp(proxy=True)
    gateway = new_gateway(server, upstream={"identity": "proxy"}, listener={
        "client_certificate": "optional", "client_ca": str(certificates.authority.certificate)})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificates.leaf.certificate, certificates.leaf.key)
    with smtp(gateway, context=context) as client:
        client.mail(message())
    shown = server.messages[0].connection.header[0x20]
    assert shown["verify"] == 0 and shown["client"] & 5 == 5 and "mail.example.com" in shown[0x22]


@pytest.mark.parametrize("mode", ["implicit", "require"])
def test_the_header_comes_before_tls(new_gateway, new_smtp, server_tls, mode):
    server = new_smtp(proxy=True, tls=server_tls, implicit=mode == "implicit")
    with smtp(new_gateway(server, upstream={"identity": "proxy", "tls": mode})) as client:
        client.mail(message())
    connection = server.messages[0].connection
    assert connection.has_tls and connection.header["source"][0] == "127.0.0.1"


def test_a_connection_in_clear_after_a_failed_handshake_has_the_header_again(new_gateway, new_smtp, server_tls):
    server = new_smtp(proxy=True, tls=server_tls).on("HANDSHAKE", CLOSE)
    gateway = new_gateway(server, upstream={"identity": "proxy", "tls": "opportunistic"})
    with smtp(gateway, source="127.0.0.63") as client:
        client.mail(message())
    connection = server.messages[0].connection
    assert not connection.has_tls and connection.header["source"][0] == "127.0.0.63"


def test_probes_are_local(new_gateway, new_smtp):
    server = new_smtp(proxy=True)
    new_gateway(server, upstream={"identity": "proxy"})
    assert [c.header for c in server.connections] == [{"local": True}]


def test_a_connection_belongs_to_one_session(new_gateway, new_smtp):
    server = new_smtp(proxy=True)
    gateway = new_gateway(server, workers=1, upstream={"identity": "proxy", "health_check": "1h"})
    for source in ("127.0.0.64", "127.0.0.65"):
        with smtp(gateway, source=source) as client:
            client.mail(message())
            client.envelope()
            client.ask("RSET", "250 ")
            client.mail(message())
            client.quit()
    assert [(c.header["source"][0], c.messages) for c in server.used()] == [("127.0.0.64", 2), ("127.0.0.65", 2)]
    assert len(server.connections) == 3  # with the probe: none is kept ready, for it would be nobody's
    until(lambda: not [c for c in server.used() if c.is_open])


def test_after_idle_timeout_the_next_message_takes_another_connection(new_gateway, new_smtp):
    server = new_smtp(proxy=True)
    gateway = new_gateway(server, workers=1, upstream={"identity": "proxy", "idle_timeout": "300ms"})
    with smtp(gateway, source="127.0.0.66") as client:
        client.mail(message())
        until(lambda: not server.used()[0].is_open)
        client.mail(message())
    assert [c.header["source"][0] for c in server.used()] == 2 * ["127.0.0.66"]
