"""Certificates, keys and revocation lists that change on disk are taken without a word."""
import os
import shutil
import signal
import ssl
from pathlib import Path

import pytest

from fixtures.clients import Smtp, message, smtp, tls_context
from fixtures.waiting import until


def replace(path, text):
    """As a careful program does it: under another name first."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(text)
    draft.chmod(0o600)
    draft.rename(path)


class Pair:
    """A certificate and key that can be renewed, in place."""

    def __init__(self, folder, first):
        self.certificate, self.key = folder / "fullchain.pem", folder / "privkey.pem"
        self.put(first)

    def put(self, other):
        replace(self.certificate, other.certificate.read_bytes())
        replace(self.key, other.key.read_bytes())

    def config(self):
        return {"default": {"certificate": [self.certificate], "key": [self.key]}}


@pytest.fixture
def pair(folder, certificates):
    return Pair(folder, certificates.ecdsa)


def shown(gateway, door="submissions"):
    """What a new client sees."""
    with Smtp(gateway.port(door), server_name="mail.example.com") as client:
        return client.socket.getpeercert(binary_form=True)


def der_of(certificate):
    return ssl.PEM_cert_to_DER_cert(certificate.certificate.read_text().partition("-----END")[0]
                                    + "-----END CERTIFICATE-----\n")


def wait_shown(gateway, certificate, clients=12):
    """Until every worker shows it: as many clients in a row as would miss none."""
    wanted = der_of(certificate)
    until(lambda: all(shown(gateway) == wanted for _ in range(clients)), "the new certificate is shown")


def test_a_renewed_certificate_is_shown_without_a_signal_and_nobody_is_dropped(
        new_gateway, new_smtp, certificates, pair):
    gateway = new_gateway(new_smtp(), tls=pair.config())
    assert shown(gateway) == der_of(certificates.ecdsa)
    pids = gateway.pids("worker")
    with smtp(gateway) as client:
        client.envelope()
        pair.put(certificates.rsa)
        wait_shown(gateway, certificates.rsa)
        client.text(message())
        client.mail(message())
    assert gateway.status()["generation"] == 1 and gateway.pids("worker") == pids
    assert {e["file"] for e in gateway.events("file_taken")} == {str(pair.certificate), str(pair.key)}


def test_links_are_followed_as_certbot_makes_them(new_gateway, new_smtp, certificates, folder):
    live, archive = folder / "live", folder / "archive"
    live.mkdir()
    archive.mkdir()
    for number, source in ((1, certificates.ecdsa), (2, certificates.rsa)):
        shutil.copy(source.certificate, archive / f"fullchain{number}.pem")
        shutil.copy(source.key, archive / f"privkey{number}.pem")
    for name in ("fullchain", "privkey"):
        (live / f"{name}.pem").symlink_to(f"../archive/{name}1.pem")
    gateway = new_gateway(new_smtp(), tls={"default": {
        "certificate": [live / "fullchain.pem"], "key": [live / "privkey.pem"]}})
    for name in ("privkey", "fullchain"):
        (live / f"{name}.pem").unlink()
        (live / f"{name}.pem").symlink_to(f"../archive/{name}2.pem")
    wait_shown(gateway, certificates.rsa)


def test_a_pair_that_does_not_fit_is_not_taken_until_it_does(new_gateway, new_smtp, certificates, pair):
    gateway = new_gateway(new_smtp(), tls=pair.config())
    replace(pair.certificate, certificates.rsa.certificate.read_bytes())
    error = gateway.wait_event("configuration_error")["reason"]
    assert error.startswith(f"{gateway.config_file}:")
    assert f"tls.default.key: {pair.key} does not belong to {pair.certificate}" in error
    assert {shown(gateway) for _ in range(8)} == {der_of(certificates.ecdsa)} and not gateway.events("file_taken")
    replace(pair.key, certificates.rsa.key.read_bytes())
    wait_shown(gateway, certificates.rsa)
    assert len(gateway.events("configuration_error")) == 1


UNREADABLE = {
    "missing": (Path.unlink, "tls.default.certificate: {}: No such file or directory"),
    "nonsense": (lambda path: replace(path, b"nonsense\n"), "tls.default.certificate: {}: no start line"),
    "empty": (lambda path: replace(path, b""), "tls.default.certificate: {}: no start line"),
}


def test_what_can_not_be_read_leaves_the_old_in_force_and_others_are_taken(new_gateway, new_smtp, certificates, folder):
    """One gateway for each, so that they are waited for together."""
    def spoiled(trouble, spoil):
        for name in (trouble, f"{trouble}/second"):
            (folder / name).mkdir()
        pair, second = Pair(folder / trouble, certificates.ecdsa), Pair(folder / trouble / "second", certificates.other)
        gateway = new_gateway(new_smtp(), tls={**pair.config(), "second": second.config()["default"]})
        spoil(pair.certificate)
        replace(second.certificate, second.certificate.read_bytes())  # the same again
        return gateway, pair, second

    made = {trouble: spoiled(trouble, spoil) for trouble, (spoil, _) in UNREADABLE.items()}
    for trouble, (gateway, pair, second) in made.items():
        error = gateway.wait_event("configuration_error")["reason"]
        assert error.startswith(f"{gateway.config_file}:") and UNREADABLE[trouble][1].format(pair.certificate) in error
        gateway.wait_event("file_taken", file=second.certificate)
        assert {shown(gateway) for _ in range(8)} == {der_of(certificates.ecdsa)}


def test_a_worker_that_is_started_afterwards_shows_the_new_one(new_gateway, new_smtp, certificates, pair):
    gateway = new_gateway(new_smtp(), tls=pair.config())
    gateway.may_lose = {"process_died"}
    pair.put(certificates.rsa)
    wait_shown(gateway, certificates.rsa)
    old = gateway.pids("worker")
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    gateway.wait_replaced("worker", old)
    assert {shown(gateway) for _ in range(8)} == {der_of(certificates.rsa)}


def test_what_an_admin_writes_meanwhile_is_left_alone(new_gateway, new_smtp, certificates, pair):
    """The configuration in force has the names of the files; nothing else is read."""
    gateway = new_gateway(new_smtp(), tls=pair.config())
    gateway.config_file.write_text("nonsense\n")
    pair.put(certificates.rsa)
    wait_shown(gateway, certificates.rsa)
    assert not gateway.events("configuration_error") and not gateway.events("reload_failed")


def test_sessions_are_resumed_over_a_renewal(new_gateway, new_smtp, certificates, pair):
    gateway, context = new_gateway(new_smtp(), tls=pair.config()), tls_context()
    with Smtp(gateway.port("submissions"), context=context) as client:
        client.expect("220 ")
        ticket = client.socket.session
    pair.put(certificates.rsa)
    wait_shown(gateway, certificates.rsa)
    with Smtp(gateway.port("submissions"), tls=None) as client:
        client.secure(context, session=ticket)
        client.expect("220 ")
        assert client.socket.session_reused


# ---- of clients ----

def showing(certificate):
    context = tls_context()
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


def gets_in(gateway, certificate):
    try:
        smtp(gateway, user=None, context=showing(certificate)).drop()
    except (ssl.SSLError, ConnectionError):
        return False
    return True


def test_whoever_is_revoked_is_out_without_a_reload(new_gateway, new_smtp, authority, folder):
    listed = authority.write_list(folder / "crl.pem")
    client = authority.issue("leaver", "leaver")
    gateway = new_gateway(new_smtp(), listener={
        "client_certificate": "required", "client_ca": authority.certificate, "client_crl": listed})
    assert gets_in(gateway, client)
    authority.revoke(client)
    authority.write_list(listed)
    until(lambda: not any(gets_in(gateway, client) for _ in range(8)), "the revoked client is out")
    assert gets_in(gateway, authority.ana)
    listed.write_text("nonsense\n")
    error = gateway.wait_event("configuration_error")["reason"]
    assert error.startswith(f"{gateway.config_file}:") and f"client_crl: {listed} holds no revocation list" in error
    assert not gets_in(gateway, client) and gets_in(gateway, authority.ana)


def test_another_authority_is_trusted_without_a_reload(new_gateway, new_smtp, authority, folder):
    trusted = folder / "ca.pem"
    shutil.copy(authority.certificate, trusted)
    gateway = new_gateway(new_smtp(), listener={"client_certificate": "optional", "client_ca": trusted})
    assert gets_in(gateway, authority.ana) and not gets_in(gateway, authority.stranger)
    shutil.copy(authority.stranger.issuer, trusted)
    until(lambda: all(gets_in(gateway, authority.stranger) for _ in range(8)), "the other authority is trusted")
    assert not gets_in(gateway, authority.ana)


# ---- days left ----

def test_the_log_says_how_long_certificates_are_good(new_gateway, new_smtp, certificates):
    gateway = new_gateway(new_smtp(), tls={"second": {
        "certificate": [certificates.ending.certificate], "key": [certificates.ending.key]}})
    for count in (1, 2):
        good = gateway.wait_event("certificate", count, file=certificates.ecdsa.certificate)
        assert good["level"] == "info" and good["days"] in ("89", "90")
        soon = gateway.wait_event("certificate_expires", count, file=certificates.ending.certificate)
        assert soon["level"] == "warning" and soon["days"] in ("4", "5")
        gateway.reload()
