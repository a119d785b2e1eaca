"""TLS: versions, suites, certificates."""
import socket
import ssl
import subprocess
import warnings

import pytest

from fixtures.clients import Session, Smtp, smtp, tls_context
from fixtures.processes import free_port
from fixtures.waiting import until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

GOOD_1_2 = {f"ECDHE-{key}-{suite}" for key in ("ECDSA", "RSA") for suite in (
    "AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")}


def handshake(gateway, door="submissions", name="mail.example.com", **options):
    """A session after its handshake, or the ssl.SSLError (or reset) that it failed with."""
    return Session(gateway.port(door), server_name=name, **options)


def with_ciphers(ciphers):
    context = tls_context(maximum_version=V12)
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    return context


def certificate_of(session):
    der = session.socket.getpeercert(binary_form=True)
    done = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-text"], input=der,
                          capture_output=True, check=True)
    return done.stdout.decode()


# ---- versions and suites ----

@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_versions_before_1_2_are_refused(gateway, version):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = tls_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(gateway, context=context)


@pytest.mark.parametrize("version, name", [(V12, "TLSv1.2"), (V13, "TLSv1.3")])
@pytest.mark.parametrize("door", ["submissions", "submission", "pop3s"])
def test_1_2_and_1_3_are_spoken(gateway, door, version, name):
    context = tls_context(minimum_version=version, maximum_version=version)
    if door == "submission":
        session = smtp(gateway, user=None, door=door)
        session.drop()
        session = Smtp(gateway.port(door), tls=None)
        session.expect("220 ")
        session.hello()
        session.starttls(context=context)
    else:
        session = handshake(gateway, door, context=context)
    assert session.socket.version() == name
    session.drop()


def test_only_forward_secret_aead_suites_of_1_2_are_spoken(gateway):
    """Each suite that OpenSSL knows is tried alone."""
    context = tls_context()
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    known = {c["name"] for c in context.get_ciphers() if c["protocol"] not in ("TLSv1.3",)}
    spoken = set()
    for suite in sorted(known):
        try:
            with handshake(gateway, context=with_ciphers(suite)) as session:
                spoken.add(session.socket.cipher()[0])
        except (ssl.SSLError, ConnectionError):
            pass
    assert len(known) > 40 and {"AES128-SHA", "ECDHE-RSA-AES128-SHA256"} <= known
    assert spoken == GOOD_1_2


def test_suites_of_1_3_are_aead(gateway):
    with handshake(gateway, context=tls_context(minimum_version=V13)) as session:
        assert session.socket.cipher()[0] in (
            "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")


def test_the_servers_order_of_suites_counts(gateway):
    order = ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256"]
    chosen = set()
    for offered in (order, order[::-1]):
        with handshake(gateway, context=with_ciphers(":".join(offered))) as session:
            chosen.add(session.socket.cipher()[0])
    assert len(chosen) == 1


def test_min_version_1_3_refuses_1_2(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), tls={"default": {"min_version": "TLSv1.3"}})
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(gateway, context=tls_context(maximum_version=V12))
    with handshake(gateway) as session:
        assert session.socket.version() == "TLSv1.3"


def test_ciphers_name_the_suites_of_1_2(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), tls={"default": {"ciphers": "ECDHE-RSA-AES256-GCM-SHA384"}})
    with handshake(gateway, context=tls_context(maximum_version=V12)) as session:
        assert session.socket.cipher()[0] == "ECDHE-RSA-AES256-GCM-SHA384"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(gateway, context=with_ciphers("ECDHE-RSA-AES128-GCM-SHA256"))


def test_renegotiation_is_refused(gateway, folder):
    output = folder / "output"
    with open(output, "wb") as out:
        client = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port('submissions')}", "-tls1_2"],
            stdin=subprocess.PIPE, stdout=out, stderr=out)
    until(lambda: b"220 mail.example.com" in output.read_bytes())
    client.stdin.write(b"R\n")
    client.stdin.flush()
    until(lambda: b"no renegotiation" in output.read_bytes())
    client.kill()
    client.wait()


# ---- certificates ----

@pytest.mark.parametrize("suite, key", [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "id-ecPublicKey"), ("ECDHE-RSA-AES128-GCM-SHA256", "rsaEncryption")])
def test_ecdsa_and_rsa_certificates_stand_side_by_side_in_1_2(gateway, suite, key):
    with handshake(gateway, context=with_ciphers(suite)) as session:
        assert f"Public Key Algorithm: {key}" in certificate_of(session)


@pytest.mark.parametrize("algorithm, key", [
    ("ecdsa_secp256r1_sha256", "ECDSA"), ("rsa_pss_rsae_sha256", "RSA-PSS")])
def test_ecdsa_and_rsa_certificates_stand_side_by_side_in_1_3(gateway, algorithm, key):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port('submissions')}", "-tls1_3",
         "-sigalgs", algorithm, "-brief"], input="QUIT\r\n", capture_output=True, text=True, timeout=20)
    assert f"Signature type: {key}" in done.stderr


def test_sni_chooses_between_tls_blocks(new_gateway, new_smtp, certificates):
    other = certificates.other
    gateway = new_gateway(new_smtp(), tls={
        "second": {"certificate": [other.certificate], "key": [other.key]}})
    for name, subject in (("mail.example.com", "CN = mail.example.com"), ("other.example", "CN = other.example"),
                          ("a.wild.example", "CN = other.example"), ("OTHER.example", "CN = other.example"),
                          ("unknown.example", "CN = mail.example.com")):
        with handshake(gateway, name=name) as session:
            assert f"Subject: {subject}" in certificate_of(session), name


def test_names_decide_for_which_names_a_tls_block_is_used(new_gateway, new_smtp, certificates):
    other = certificates.other
    gateway = new_gateway(new_smtp(), tls={"second": {
        "certificate": [other.certificate], "key": [other.key], "names": ["third.example", "*.fourth.example"]}})
    for name, subject in (("third.example", "other.example"), ("x.fourth.example", "other.example"),
                          ("other.example", "mail.example.com"), ("x.y.fourth.example", "mail.example.com")):
        with handshake(gateway, name=name) as session:
            assert f"Subject: CN = {subject}" in certificate_of(session), name


def test_a_listener_shows_the_certificate_of_its_own_block_to_clients_without_sni(
        new_gateway, new_smtp, certificates):
    other = certificates.other
    gateway = new_gateway(new_smtp(), start=False, tls={
        "second": {"certificate": [other.certificate], "key": [other.key]}})
    gateway.write_config(listeners={"submission": {"certificate": "second"}}).start()
    with handshake(gateway, name=None) as session:
        assert "Subject: CN = mail.example.com" in certificate_of(session)
    with Smtp(gateway.port("submission"), tls=None) as session:
        session.expect("220 ")
        session.hello()
        session.starttls(server_name=None)
        assert "Subject: CN = other.example" in certificate_of(session)


def test_sni_works_behind_starttls_too(new_gateway, new_smtp, certificates):
    other = certificates.other
    gateway = new_gateway(new_smtp(), tls={"second": {"certificate": [other.certificate], "key": [other.key]}})
    with Smtp(gateway.port("submission"), tls=None) as session:
        session.expect("220 ")
        session.hello()
        session.starttls(server_name="other.example")
        assert "Subject: CN = other.example" in certificate_of(session)


def test_the_certificate_verifies_against_its_authority_and_name(new_gateway, new_smtp, certificates, folder):
    """A full chain is sent."""
    chain = folder / "chain.pem"
    chain.write_bytes(certificates.leaf.certificate.read_bytes() + certificates.authority.certificate.read_bytes())
    gateway = new_gateway(new_smtp(), tls={"default": {"certificate": [chain], "key": [certificates.leaf.key]}})
    context = ssl.create_default_context(cafile=certificates.authority.certificate)
    with handshake(gateway, context=context) as session:
        assert session.socket.getpeercert()["subject"] == ((("commonName", "mail.example.com"),),)


def test_a_renewed_certificate_is_shown_after_a_reload(new_gateway, new_smtp, certificates):
    gateway = new_gateway(new_smtp())
    other = certificates.other
    gateway.reload(tls={"default": {"certificate": [other.certificate], "key": [other.key]}})
    with handshake(gateway) as session:
        assert "Subject: CN = other.example" in certificate_of(session)


# ---- sessions ----

@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_a_session_of_one_worker_is_resumed_by_another(new_gateway, new_smtp, version):
    gateway = new_gateway(new_smtp(), workers=3)
    context = tls_context(minimum_version=version, maximum_version=version)
    with Smtp(gateway.port("submissions"), context=context) as first:
        first.expect("220 ")
        ticket = first.socket.session
        pids = {gateway.session(first)["pid"]}
        kept = []
        for _ in range(60):
            client = Smtp(gateway.port("submissions"), tls=None)
            kept.append(client)
            client.secure(context, session=ticket)
            client.expect("220 ")
            assert client.socket.session_reused
            pids.add(gateway.session(client)["pid"])
            if len(pids) == 3:
                break
    assert len(pids) > 1


# ---- what is spoken inside ----

@pytest.mark.parametrize("door, offered, chosen", [
    ("submissions", ["smtp"], "smtp"), ("pop3s", ["http/1.1", "pop3"], "pop3"), ("pop3s", [], None)])
def test_alpn_names_the_protocol_of_the_port(gateway, door, offered, chosen):
    context = tls_context()
    if offered:
        context.set_alpn_protocols(offered)
    with handshake(gateway, door, context=context) as session:
        assert session.socket.selected_alpn_protocol() == chosen


@pytest.mark.parametrize("door, offered", [("submissions", ["h2", "http/1.1"]), ("pop3s", ["smtp", "imap"])])
def test_a_client_that_wants_another_protocol_gets_the_alert_for_it(gateway, door, offered):
    context = tls_context()
    context.set_alpn_protocols(offered)
    before = len(gateway.events("tls_failed", listener=door))
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        handshake(gateway, door, context=context)
    gateway.wait_event("tls_failed", before + 1, listener=door)
    assert "application protocol" in gateway.events("tls_failed", listener=door)[-1]["reason"]


def test_curl_is_no_way_in_for_https(gateway):
    """A real client of another protocol."""
    done = subprocess.run(["curl", "-sSk", "-m", "20", f"https://127.0.0.1:{gateway.port('submissions')}/"],
                          capture_output=True, text=True)
    assert done.returncode == 35 and "220 " not in done.stdout, done


# ---- what isn't TLS ----

@pytest.mark.parametrize("door", ["submissions", "pop3s"])
@pytest.mark.parametrize("sent, reason", [
    (b"EHLO client.example.net\r\n", "TLS: no handshake, but something in clear"),
    (b"USER alice\r\n", "TLS: no handshake, but something in clear"),
    (b"GET / HTTP/1.0\r\n\r\n", "TLS: no handshake, but HTTP in clear"),
    (b"CONNECT mail:25 HTTP/1.1\r\n\r\n", "TLS: no handshake, but HTTP in clear"),
    (b"\0" * 100, "TLS: no handshake, but something in clear"),
    (b"\x16\x03\x01", "closed by the peer")])
def test_clear_text_on_a_tls_port_is_ended_in_good_order(gateway, sent, reason, door):
    with Session(gateway.port(door), tls=None) as client:
        client.send_bytes(sent).end_stream()
        received = b""
        while more := client.socket.recv(4096):  # a reset would raise
            received += more
        assert not received or received[0] == 0x15  # at most an alert
    gateway.wait_event("tls_failed", client=f"127.0.0.1:{client.local_port}", listener=door, reason=reason)


@pytest.mark.long
def test_a_client_that_waits_for_a_greeting_in_clear_is_told_in_the_log(gateway):
    with Session(gateway.port("submissions"), tls=None, timeout=60) as client:
        assert client.is_closed()
    event = gateway.wait_event("tls_failed", client=f"127.0.0.1:{client.local_port}")
    assert "no handshake in time; a client that is set to STARTTLS would wait here" in event["reason"]


def test_a_failed_handshake_is_logged_with_its_reason(gateway):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(gateway, context=with_ciphers("AES128-SHA"))
    assert "cipher" in gateway.wait_event("tls_failed", reason="TLS: no shared cipher")["reason"]


def test_a_client_that_connects_and_leaves_disturbs_nobody(gateway):
    for door in ("submissions", "submission", "pop3s", "pop3"):
        socket.create_connection(("127.0.0.1", gateway.port(door))).close()
    with smtp(gateway) as client:
        client.ask("NOOP", "250 ")


# ---- warnings of -t ----

@pytest.mark.parametrize("which, words", [
    ("expired", "has expired"),
    ("ending", "expires in 4 days"),
    ("other", 'is not for hostname "mail.example.com"'),
    ("leaf", "holds no chain"),
])
def test_t_warns_of_a_certificate_that_clients_will_not_like(new_gateway, new_smtp, certificates, which, words):
    chosen = getattr(certificates, which)
    gateway = new_gateway(new_smtp(), start=False, tls={
        "default": {"certificate": [chosen.certificate], "key": [chosen.key]}})
    done = gateway.check()
    assert done.returncode == 0, done.stderr
    line, = [line for line in done.stdout.splitlines() if words in line]
    assert line.startswith(f"warning: {gateway.config_file}:") and str(chosen.certificate) in line


def test_t_warns_of_a_key_that_everybody_can_read(new_gateway, new_smtp, certificates, folder):
    key = folder / "open.key"
    key.write_bytes(certificates.ecdsa.key.read_bytes())
    key.chmod(0o644)
    gateway = new_gateway(new_smtp(), start=False, tls={"default": {
        "certificate": [certificates.ecdsa.certificate], "key": [key]}})
    assert f"{key} can be read by everybody" in gateway.check().stdout


def test_t_has_nothing_to_warn_of_in_a_good_configuration(new_gateway, new_smtp, new_pop3):
    done = new_gateway(new_smtp(), new_pop3(), start=False, max_connections=500).check()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("porteiro.conf: good\n") and "warning" not in done.stdout


@pytest.mark.parametrize("trouble", ["missing", "no key", "another's key", "no certificate", "behind a password"])
def test_t_refuses_a_certificate_or_key_that_can_not_be_used(
        new_gateway, new_smtp, certificates, folder, trouble):
    good, broken = certificates.ecdsa, folder / "broken.pem"
    broken.write_text("nothing\n")
    if trouble == "behind a password":
        subprocess.run(["openssl", "pkey", "-in", good.key, "-aes128", "-passout", "pass:x", "-out", broken],
                       check=True)
    certificate, key = {
        "missing": (good.certificate, folder / "nowhere.key"), "no key": (good.certificate, broken),
        "another's key": (good.certificate, certificates.rsa.key), "no certificate": (broken, good.key),
        "behind a password": (good.certificate, broken)}[trouble]
    gateway = new_gateway(new_smtp(), start=False, tls={
        "default": {"certificate": [certificate], "key": [key]}})
    done = gateway.check()
    assert done.returncode == 1
    assert f"{gateway.config_file}:" in done.stderr and "tls.default." in done.stderr


def test_more_certificates_than_keys_are_refused(new_gateway, new_smtp, certificates):
    gateway = new_gateway(new_smtp(), start=False, tls={"default": {"key": [certificates.ecdsa.key]}})
    done = gateway.check()
    assert done.returncode == 1 and "1 keys for 2 certificates" in done.stderr


def test_a_port_that_is_taken_ends_the_start_with_file_line_and_status_1(new_gateway, new_smtp):
    with socket.socket() as holder:
        port = free_port()
        holder.bind(("127.0.0.1", port))
        holder.listen()
        gateway = new_gateway(new_smtp(), start=False)
        gateway.write_config(listeners={"submissions": {"bind": [f"127.0.0.1:{port}"]}})
        gateway.start(is_awaited=False)
        assert gateway.wait() == 1
    gateway.exit_status = 1
    assert f"{gateway.config_file}:" in gateway.stderr_text()
    assert f"listeners.submissions.bind: 127.0.0.1:{port}: Address already in use" in gateway.stderr_text()


def test_a_block_chosen_by_name_has_its_own_min_version(new_gateway, new_smtp, certificates):
    gateway = new_gateway(new_smtp(), tls={"strict": {
        "certificate": [certificates.other.certificate], "key": [certificates.other.key], "min_version": "TLSv1.3"}})
    old = tls_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLError):
        Smtp(gateway.port("submissions"), context=old, server_name="other.example")
    new = tls_context()
    assert Smtp(gateway.port("submissions"), context=new, server_name="other.example").socket.version() == "TLSv1.3"
    assert Smtp(gateway.port("submissions"), context=old, server_name="mail.example.com").socket.version() == "TLSv1.2"
