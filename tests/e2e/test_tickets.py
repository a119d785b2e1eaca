"""TLS sessions: where they can be resumed, and who holds what they are kept secret with."""
import contextlib
import re
import shutil
import ssl
import stat

import pytest

from fixtures.clients import Smtp, tls_context
from fixtures.processes import has_in_memory

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BOTH = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])


class Client:
    """One that keeps its session."""

    def __init__(self, version):
        self.context = tls_context(minimum_version=version, maximum_version=version)
        self.ticket = None

    def resumes(self, gateway, door="submissions"):
        with Smtp(gateway.port(door), tls=None) as session:
            session.secure(self.context, session=self.ticket)
            session.expect("220 ")
            self.ticket = session.socket.session
            return session.socket.session_reused


@pytest.fixture
def secret(folder):
    path = folder / "secret"
    path.write_text("0123456789abcdef" * 4 + "\n")
    path.chmod(0o600)
    return path


@BOTH
def test_a_session_outlives_a_reload_and_a_restart(new_gateway, new_smtp, version):
    gateway, client = new_gateway(new_smtp()), Client(version)
    assert not client.resumes(gateway)
    gateway.reload()
    assert client.resumes(gateway)
    gateway.stop()
    gateway.start()
    assert client.resumes(gateway)


@BOTH
def test_a_session_of_one_gateway_is_resumed_by_another_with_the_same_secret(new_gateway, new_smtp, secret, version):
    server, client = new_smtp(), Client(version)
    one, two = new_gateway(server, secret=secret), new_gateway(server, secret=secret)
    stranger = new_gateway(server)
    assert not client.resumes(one)
    assert client.resumes(two)
    assert client.resumes(one)
    assert not client.resumes(stranger)


def test_another_secret_counts_from_the_reload_on(new_gateway, new_smtp, secret):
    gateway, client = new_gateway(new_smtp()), Client(V13)
    client.resumes(gateway)
    gateway.reload(secret=secret)
    assert not client.resumes(gateway)
    assert client.resumes(gateway)


def test_the_secret_is_made_at_the_first_start_for_the_master_alone(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), start=False)
    path = gateway.folder / "state" / "secret"
    assert gateway.check().returncode == 0 and not path.exists()
    gateway.start()
    made = path.stat()
    assert (stat.S_IMODE(made.st_mode), made.st_uid) == (0o600, 0)
    before = path.read_bytes()
    assert re.fullmatch(rb"[0-9a-f]{64}\n", before)
    gateway.reload()
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["secret"]


def test_the_master_alone_holds_the_secret(new_gateway, new_smtp, secret):
    gateway = new_gateway(new_smtp(), workers=1, secret=secret)
    octets = secret.read_bytes().strip()
    for process in gateway.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            assert has_in_memory(process["pid"], octets) == (process["role"] == "master"), process
    assert "0123456789abcdef" not in gateway.log_text() + gateway.stderr_text()


@pytest.mark.parametrize("text, words", [
    (None, "No such file or directory"),
    ("short", "holds 5 octets, at least 32 are needed; make it with: openssl rand -hex 32"),
    ("x" * 31 + "\r\n", "holds 31 octets"),
    ("folder", "is no plain file"),
])
def test_t_refuses_a_secret_that_is_none(new_gateway, new_smtp, folder, text, words):
    path = folder / "secret"
    if text == "folder":
        path.mkdir()
    elif text:
        path.write_text(text, newline="")
    done = new_gateway(new_smtp(), start=False, secret=path).check()
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if words in line)
    assert ".conf:" in line and f": secret: {path}" in line


def test_a_secret_in_state_dir_that_is_anothers_is_refused(new_gateway, new_smtp, secret):
    """The users who own the folder could put it there."""
    gateway = new_gateway(new_smtp(), start=False)
    place = gateway.folder / "state" / "secret"
    place.symlink_to(secret)
    assert f"secret: {place}: Too many levels of symbolic links" in gateway.check().stderr
    place.unlink()
    place.write_text("x" * 64)
    shutil.chown(place, "porteiro")
    assert f"secret: {place} belongs to uid " in gateway.check().stderr


def test_t_warns_of_a_secret_that_everybody_can_read(new_gateway, new_smtp, secret):
    secret.chmod(0o644)
    done = new_gateway(new_smtp(), start=False, secret=secret).check()
    assert done.returncode == 0 and f"secret: {secret} can be read by everybody; chmod 600 it" in done.stdout
