"""Certificates of clients: who must show one, and whose are taken."""
import ssl

import pytest

from fixtures.clients import Pop3, Smtp, message, pop3, smtp, tls_context

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
NAMES = ("mail.example.com", "other.example", "nobody.example", None)


def showing(certificate=None, version=None):
    """The context of a client that shows that certificate."""
    context = tls_context(**({"minimum_version": version, "maximum_version": version} if version else {}))
    if certificate:
        context.load_cert_chain(certificate.certificate, certificate.key)
    return context


def door(authority, asked, crl=True):
    return {"client_certificate": asked, "client_ca": authority.certificate,
            "client_crl": authority.crl if crl else ""}


@pytest.fixture
def required(new_gateway, new_smtp, new_pop3, authority, certificates):
    other = certificates.other
    return new_gateway(new_smtp(), new_pop3(), listener=door(authority, "required"), tls={
        "second": {"certificate": [other.certificate], "key": [other.key]}})


def is_refused(gateway, context, reason, where="submissions", name="mail.example.com"):
    """The handshake fails, or what follows it; the log says why."""
    before = len(gateway.events("tls_failed", listener=where, reason=f"TLS: {reason}"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        session = Smtp(gateway.port(where), context=context, server_name=name)
        session.line()  # TLS 1.3: the client is told after its own part
    gateway.wait_event("tls_failed", before + 1, listener=where, reason=f"TLS: {reason}")


WRONG = {
    "thief": "certificate revoked",
    "late": "certificate has expired",
    "server": "unsuitable certificate purpose",
    "stranger": "unable to get local issuer certificate",
}


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_required_takes_a_certificate_of_the_authority_alone_whatever_name_is_asked_for(required, authority, version):
    for name in NAMES:
        is_refused(required, showing(version=version), "peer did not return a certificate", name=name)
        for wrong, why in WRONG.items():
            is_refused(required, showing(getattr(authority, wrong), version),
                       f"certificate verify failed: {why}", name=name)
        with smtp(required, context=showing(authority.ana, version), server_name=name) as client:
            client.mail(message())


@pytest.mark.parametrize("where", ["submission", "pop3"])
def test_required_holds_behind_starttls(required, authority, where):
    with (Smtp if where == "submission" else Pop3)(required.port(where), tls=None) as session:
        session.line()
        if where == "submission":
            session.hello()
        session.ask(*(("STARTTLS", "220 ") if where == "submission" else ("STLS", "+OK")))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            session.secure(showing(authority.thief))
            session.ask("NOOP", "")
    required.wait_event("tls_failed", listener=where)


def test_required_holds_for_pop3(required, authority):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Pop3(required.port("pop3s"), context=showing()).line()
    with pop3(required, context=showing(authority.bruno)) as client:
        client.ask("STAT", "+OK")


def test_the_alert_says_that_a_certificate_is_required(required):
    """RFC 8446 section 4.4.2.4."""
    with pytest.raises(ssl.SSLError, match="(?i)certificate.required"):
        Smtp(required.port("submissions"), context=showing(version=V13)).line()


def test_optional_serves_clients_without_one_and_refuses_wrong_ones(new_gateway, new_smtp, authority):
    gateway = new_gateway(new_smtp(), listener=door(authority, "optional"))
    with smtp(gateway) as client:
        client.mail(message())
    assert "certificate" not in gateway.wait_event("login")
    for wrong, why in WRONG.items():
        is_refused(gateway, showing(getattr(authority, wrong)), f"certificate verify failed: {why}")
    with smtp(gateway, context=showing(authority.ana)) as client:
        client.mail(message())


def test_the_log_says_whose_certificate_it_was(required, authority):
    for certificate, name in ((authority.ana, "alice@example.com"), (authority.bruno, "bruno")):
        smtp(required, context=showing(certificate)).drop()
        required.wait_event("login", account="alice@example.com", certificate=name)


def test_each_listener_has_its_own_rule(new_gateway, new_smtp, new_pop3, authority):
    gateway = new_gateway(new_smtp(), new_pop3(), start=False)
    gateway.write_config(listeners={"submissions": door(authority, "required")}).start()
    is_refused(gateway, showing(), "peer did not return a certificate")
    smtp(gateway, door="submission").drop()
    pop3(gateway, context=showing(authority.stranger)).drop()  # nobody asks for it


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_no_session_leads_around_the_certificate(new_gateway, new_smtp, new_pop3, authority, version):
    """One that was begun where none is asked for is none where one is required; there, every
    handshake is a whole one."""
    gateway = new_gateway(new_smtp(), new_pop3(), start=False)
    gateway.write_config(listeners={"submissions": door(authority, "required")}).start()
    with pop3(gateway, context=(context := showing(version=version))) as client:
        ticket = client.socket.session
    assert ticket.has_ticket
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client = Smtp(gateway.port("submissions"), tls=None).secure(context, session=ticket)
        client.line()
    context = showing(authority.ana, version)
    with smtp(gateway, context=context) as client:
        ticket = client.socket.session
    assert ticket is None or not ticket.has_ticket
    with Smtp(gateway.port("submissions"), tls=None) as client:
        client.secure(context, session=ticket)
        client.expect("220 ")
        assert not client.socket.session_reused


def test_whoever_is_revoked_is_refused_after_a_reload(new_gateway, new_smtp, authority, folder):
    again = authority.write_list(folder / "crl.pem")
    soon = authority.issue("soon", "soon")
    gateway = new_gateway(new_smtp(), listener=door(authority, "required") | {"client_crl": again})
    smtp(gateway, context=showing(soon)).drop()
    authority.revoke(soon)
    authority.write_list(again)
    gateway.reload()
    is_refused(gateway, showing(soon), "certificate verify failed: certificate revoked")
    smtp(gateway, context=showing(authority.ana)).drop()


def test_an_expired_list_refuses_and_t_warns_of_it(new_gateway, new_smtp, authority):
    gateway = new_gateway(new_smtp(), listener=door(authority, "required") | {"client_crl": authority.old_crl})
    is_refused(gateway, showing(authority.ana), "certificate verify failed: CRL has expired")
    done = gateway.check()
    assert done.returncode == 0
    assert f"listeners.submissions.client_crl: {authority.old_crl} has expired" in done.stdout


def test_without_a_list_nobody_is_revoked(new_gateway, new_smtp, authority):
    gateway = new_gateway(new_smtp(), listener=door(authority, "required", crl=False))
    smtp(gateway, context=showing(authority.thief)).drop()


@pytest.mark.parametrize("change, words", [
    ({"client_ca": ""}, "listeners.submissions.client_ca: is missing"),
    ({"client_ca": "/nowhere.pem"}, "listeners.submissions.client_ca: /nowhere.pem: No such file"),
    ({"client_ca": "/etc/passwd"}, "listeners.submissions.client_ca: /etc/passwd holds no certificate"),
    ({"client_crl": "/nowhere.pem"}, "listeners.submissions.client_crl: /nowhere.pem: No such file"),
    ({"client_crl": "/etc/passwd"}, "listeners.submissions.client_crl: /etc/passwd holds no revocation list"),
    ({"client_certificate": "maybe"}, '"none" or "optional" or "required"'),
])
def test_t_refuses_what_can_not_be_verified_with(new_gateway, new_smtp, authority, change, words):
    gateway = new_gateway(new_smtp(), start=False, listener=door(authority, "required") | change)
    done = gateway.check()
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if words in line)
    assert line.startswith(f"{gateway.config_file}:")
