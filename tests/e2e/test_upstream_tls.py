"""TLS to the servers behind."""
import ssl

import pytest

from fixtures.clients import PASSWORDS, message, pop3, smtp
from fixtures.scripted import CLOSE


def test_tls_none_never_uses_starttls(new_gateway, new_smtp, server_tls):
    server = new_smtp(tls=server_tls)
    with smtp(new_gateway(server, upstream={"tls": "none"})) as client:
        client.mail(message())
    assert not server.used("STARTTLS") and not server.messages[0].connection.has_tls


@pytest.mark.parametrize("mode", ["opportunistic", "require"])
def test_starttls_is_used_where_it_is_offered(new_gateway, new_smtp, server_tls, mode):
    server = new_smtp(tls=server_tls)
    with smtp(new_gateway(server, upstream={"tls": mode})) as client:
        client.mail(message())
    connection = server.messages[0].connection
    assert connection.has_tls
    assert [c.split()[0] for c in connection.commands] == ["EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "DATA"]


def test_opportunistic_goes_on_in_clear_where_starttls_is_not_offered(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, upstream={"tls": "opportunistic"})) as client:
        client.mail(message())
    assert not server.used("STARTTLS")


def test_opportunistic_retries_a_failed_handshake_once_in_clear_and_logs_it(new_gateway, new_smtp, server_tls):
    server = new_smtp(tls=server_tls).on("HANDSHAKE", CLOSE)
    gateway = new_gateway(server, upstream={"tls": "opportunistic", "health_check": "1h"})
    before = len(server.used("STARTTLS"))
    with smtp(gateway) as client:
        client.mail(message())
    assert len(server.used("STARTTLS")) == before + 1
    assert not server.messages[0].connection.has_tls
    gateway.wait_event("upstream_tls_failed", upstream="smtp/a", timeout=5)


def test_opportunistic_goes_on_in_clear_where_starttls_is_refused(new_gateway, new_smtp, server_tls):
    server = new_smtp(tls=server_tls).on("STARTTLS", "454 4.7.0 TLS not available")
    with smtp(new_gateway(server, upstream={"tls": "opportunistic"})) as client:
        client.mail(message())
    assert not server.messages[0].connection.has_tls


@pytest.mark.parametrize("trouble", ["not offered", "refused", "handshake"])
def test_require_never_sends_in_clear(new_gateway, new_smtp, server_tls, trouble):
    server = new_smtp(tls=None if trouble == "not offered" else server_tls)
    if trouble == "refused":
        server.on("STARTTLS", "454 4.7.0 TLS not available")
    if trouble == "handshake":
        server.on("HANDSHAKE", CLOSE)
    gateway = new_gateway(server, upstream={"tls": "require"})
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.4.1 ")
    assert not server.used("MAIL")


def test_implicit_tls_begins_at_once(new_gateway, new_smtp, server_tls):
    server = new_smtp(tls=server_tls, implicit=True)
    with smtp(new_gateway(server, upstream={"tls": "implicit"})) as client:
        client.mail(message())
    connection = server.messages[0].connection
    assert connection.has_tls and not connection.saw("STARTTLS")


def test_a_server_behind_with_tls_1_1_alone_is_not_spoken_to(new_gateway, new_smtp, server_tls, certificates):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(certificates.rsa.certificate, certificates.rsa.key)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    server = new_smtp(tls=old)
    with smtp(new_gateway(server, upstream={"tls": "require"})) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.4.1 ")


def test_what_a_server_sends_before_its_handshake_counts_for_nothing(new_gateway, new_smtp, server_tls):
    """CVE-2011-0411 the other way round."""
    server = new_smtp(tls=server_tls).on(
        "STARTTLS", None, "220 2.0.0 Ready\n250-evil.example\n250 PIPELINING")
    gateway = new_gateway(server, upstream={"tls": "require", "health_check": "1h"})
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.send("RCPT TO:<x@dest.example>")
        assert client.expect("").startswith(("250 2.1.5 ", "451 4.4."))
    for connection in server.used("MAIL"):
        assert connection.has_tls and len(connection.saw("EHLO")) == 2


def test_the_pop3_server_behind_is_spoken_to_by_stls_or_implicit_tls(new_gateway, new_pop3, server_tls):
    for server, mode in ((new_pop3([message()], tls=server_tls), "require"),
                         (new_pop3([message()], tls=server_tls, implicit=True), "implicit")):
        with pop3(new_gateway(pop3=server, upstream={"tls": mode})) as client:
            client.ask("STAT", "+OK 1 ")
        assert server.used("PASS")[0].has_tls


def test_a_password_never_travels_in_clear_where_tls_is_required(new_gateway, new_pop3):
    server = new_pop3().on("STLS", "-ERR what?")
    with pop3(new_gateway(pop3=server, upstream={"tls": "require"}), user=None) as client:
        client.ask("USER alice", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] ")
    assert not server.used("USER") and not server.used("PASS")
