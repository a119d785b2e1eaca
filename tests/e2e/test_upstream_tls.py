"""TLS to the servers behind."""
import ssl

import pytest

from fixtures.clients import PASSWORDS, message, pop3, smtp, token
from fixtures.scripted import CLOSE
from fixtures.tls import fingerprint
from fixtures.waiting import until


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


def refuses_to_send(gateway):
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.4.1 ")


def old_tls(certificates):
    """Of a server of 2008."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(certificates.rsa.certificate, certificates.rsa.key)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1
    return old


def test_a_server_behind_with_tls_1_0_alone_is_not_spoken_to(new_gateway, new_smtp, certificates):
    refuses_to_send(new_gateway(new_smtp(tls=old_tls(certificates)), upstream={"tls": "require"}))


def test_an_old_server_behind_is_spoken_to_where_the_configuration_lets_it(
        new_gateway, new_smtp, new_pop3, certificates):
    old = {"tls": "require", "tls_min_version": "TLSv1", "tls_ciphers": "DEFAULT@SECLEVEL=0"}
    server, mailbox = new_smtp(tls=old_tls(certificates)), new_pop3([message()], tls=old_tls(certificates))
    gateway = new_gateway(server, mailbox, upstream=old)
    with smtp(gateway) as client:
        client.mail(message())
    assert server.messages[0].connection.socket.version() == "TLSv1"
    with pop3(gateway) as client:
        client.ask("STAT", "+OK 1 ")
    assert {s["state"] for s in gateway.status()["servers"]} == {"up"}  # so said the probes


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


# ---- which certificate ----

def tls_of(pair, authority=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.certificate)
    return context


@pytest.mark.parametrize("mode", ["verify", "implicit"])
def test_verify_takes_a_certificate_of_the_ca_for_the_servers_address(
        new_gateway, new_smtp, new_pop3, certificates, mode):
    options = {"tls": tls_of(certificates.behind), "implicit": mode == "implicit"}
    server, mailbox = new_smtp(**options), new_pop3([message()], **options)
    gateway = new_gateway(server, mailbox, upstream={"tls": mode, "ca": certificates.authority.certificate})
    with smtp(gateway) as client:
        client.mail(message())
    assert server.messages[0].connection.has_tls
    with pop3(gateway) as client:
        client.ask("STAT", "+OK 1 ")


@pytest.mark.parametrize("shown", ["leaf", "rsa", "nothing"])
def test_verify_takes_no_other_certificate_and_never_goes_on_in_clear(new_gateway, new_smtp, certificates, shown):
    """leaf: of the right CA, but for another name."""
    server = new_smtp(tls=None if shown == "nothing" else tls_of(getattr(certificates, shown)))
    gateway = new_gateway(server, upstream={"tls": "verify", "ca": certificates.authority.certificate})
    refuses_to_send(gateway)
    assert not server.used("MAIL")
    reason = gateway.wait_event("upstream_down", upstream="smtp/a")["reason"]
    if shown != "nothing":
        assert "certificate verify failed: " in reason and fingerprint(getattr(certificates, shown)) in reason


def test_a_pop3_password_goes_to_no_server_with_another_certificate(new_gateway, new_pop3, certificates):
    server = new_pop3(tls=tls_of(certificates.leaf))
    gateway = new_gateway(pop3=server, upstream={"tls": "verify", "ca": certificates.authority.certificate})
    with pop3(gateway, user=None) as client:
        client.ask("USER alice", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] ")
    assert not server.used("USER") and not server.used("PASS")


def test_a_real_postfix_is_known_by_its_fingerprint(new_gateway, postfix_xclient, certificates):
    recipient = f"{token()}@dest.example"
    gateway = new_gateway(postfix_xclient, upstream={"tls": "require", "fingerprint": fingerprint(certificates.rsa)})
    with smtp(gateway) as client:
        client.mail(message(), recipients=[recipient])
    assert b"using TLSv1.3" in postfix_xclient.delivered(recipient)[0]


def test_a_server_with_another_fingerprint_is_not_spoken_to(new_gateway, postfix_xclient, certificates):
    gateway = new_gateway(postfix_xclient, upstream={"tls": "require", "fingerprint": fingerprint(certificates.other)})
    refuses_to_send(gateway)
    assert fingerprint(certificates.rsa) in gateway.wait_event("upstream_down")["reason"]


def test_a_server_that_asks_for_one_is_shown_the_clients_certificate(new_gateway, new_smtp, certificates):
    server = new_smtp(tls=tls_of(certificates.rsa, certificates.authority))
    gateway = new_gateway(server, upstream={
        "tls": "require", "client_certificate": certificates.leaf.certificate, "client_key": certificates.leaf.key})
    with smtp(gateway) as client:
        client.mail(message())
    subject = dict(pair for part in server.messages[0].connection.socket.getpeercert()["subject"] for pair in part)
    assert subject == {"commonName": "mail.example.com"}
    assert gateway.status()["servers"][0]["state"] == "up"  # control has the key too, for its probes


def test_without_a_certificate_a_server_that_asks_for_one_is_not_used(new_gateway, new_smtp, certificates):
    server = new_smtp(tls=tls_of(certificates.rsa, certificates.authority))
    refuses_to_send(new_gateway(server, upstream={"tls": "require"}))
    assert not server.used("MAIL")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_next_connection_to_a_server_resumes_the_session(new_gateway, new_smtp, server_tls, version):
    server_tls.maximum_version = version
    server = new_smtp(tls=server_tls)
    gateway = new_gateway(server, workers=1, upstream={
        "tls": "require", "idle_timeout": "100ms", "health_check": "1h"})
    for count in (1, 2):
        with smtp(gateway) as client:
            client.mail(message())
        until(lambda: len(server.used()) == count and not server.used()[-1].is_open)
    first, second = server.used()
    assert (first.is_resumed, second.is_resumed) == (False, True)
