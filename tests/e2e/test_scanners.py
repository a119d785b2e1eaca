"""What scanners of TLS say of the doors, which are the first that a stranger tries."""
import csv
import subprocess

import pytest

DOORS = [("submissions", None), ("submission", "smtp"), ("pop3s", None), ("pop3", "pop3")]

EXPECTED = {
    "cert_revocation",  # of the certificate that is made here: its authority has no address
    "cert_chain_of_trust",  # nor is it one of those that testssl knows
    "engine_problem",  # of the machine's openssl
}


def findings_of(port, starttls, folder):
    """Its findings by id: (severity, text). Client simulations are left out: theirs are browsers,
    who say (ALPN) that they want HTTP, and are refused."""
    output = folder / "testssl.csv"
    output.unlink(missing_ok=True)
    options = ["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--ip", "127.0.0.1",
               "--csvfile", output, "--protocols", "--std", "--fs", "--server-preference", "--server-defaults",
               "--vulnerable", *(["--starttls", starttls] if starttls else [])]
    subprocess.run(["testssl", *options, f"mail.example.com:{port}"], capture_output=True,
                   stdin=subprocess.DEVNULL, timeout=900)
    with open(output, newline="") as lines:
        return {row["id"]: (row["severity"], row["finding"]) for row in csv.DictReader(lines)}


WANTED = {
    "SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered", "TLS1_1": "not offered",
    "TLS1_2": "offered", "TLS1_3": "offered with final", "cipher_order": "server",
    "secure_client_renego": "not vulnerable", "heartbleed": "not vulnerable", "ROBOT": "not vulnerable",
    "LUCKY13": "not vulnerable",
}


@pytest.mark.long
@pytest.mark.timeout(2000)
@pytest.mark.parametrize("door, starttls", DOORS)
def test_testssl_has_nothing_to_say(gateway, folder, door, starttls):
    """WARN is its word for what it could not find out, as on a busy machine: it may look again."""
    wanted = WANTED if starttls else {**WANTED, "CRIME_TLS": "not vulnerable", "sessionresumption_ticket": "supported"}
    for _ in range(3):
        found = findings_of(gateway.port(door), starttls, folder)
        odd = {name: what for name, what in found.items()
               if what[0] not in ("OK", "INFO", "DEBUG", "WARN") and name.split(" ")[0] not in EXPECTED}
        assert not odd, odd
        missing = {name: found.get(name) for name, text in wanted.items()
                   if not found.get(name, ("", ""))[1].startswith(text)}
        if not missing:
            return
    assert not missing, missing


@pytest.mark.long
@pytest.mark.parametrize("door", [door for door, _ in DOORS])
def test_nmap_grades_every_suite_a(gateway, door):
    scripts = "ssl-enum-ciphers,ssl-heartbleed,ssl-poodle,ssl-ccs-injection,ssl-dh-params,sslv2,sslv2-drown"
    service = "pop3" if door.startswith("pop3") else "smtp"
    done = subprocess.run(
        ["nmap", "-Pn", "-n", "-p", str(gateway.port(door)), "-sV", "--script", scripts, "127.0.0.1"],
        capture_output=True, text=True, timeout=300, check=True)
    assert f"{gateway.port(door)}/tcp open" in done.stdout and service in done.stdout, done.stdout
    assert "TLSv1.2:" in done.stdout and "TLSv1.3:" in done.stdout, done.stdout
    for word in ("TLSv1.0:", "TLSv1.1:", "SSLv3:", "SSLv2", "VULNERABLE", "DEFLATE"):
        assert word not in done.stdout, done.stdout
    assert "cipher preference: server" in done.stdout
    graded = [line.split(" - ")[1] for line in done.stdout.splitlines() if line.lstrip("| ").startswith("TLS_")]
    assert len(graded) >= 9 and set(graded) == {"A"}, done.stdout
