"""porteirod -t --live: what the servers behind really do, in words."""
import re

import pytest

from fixtures.gateway import run_porteirod
from fixtures.processes import free_port
from fixtures.scripted import EXTENSIONS, HANG
from fixtures.tls import fingerprint


@pytest.fixture
def live(new_gateway):
    """Runs it; returns the exit status, the rows of each server by its name, and standard error."""
    def run(smtp=None, pop3=None, **changes):
        gateway = new_gateway(smtp, pop3, start=False, **changes)
        done = run_porteirod("-t", "--live", "-c", gateway.config_file)
        servers, rows = {}, None
        for line in done.stdout.splitlines():
            if found := re.fullmatch(r"(\S+/\S+|redis), \S+:\S+", line):
                rows = servers.setdefault(found[1], {})
            elif line.startswith("  "):
                rows[line[2:14].strip()] = line[15:]
        return done.returncode, servers, done.stderr
    return run


def test_postfix_and_dovecot_are_described(live, postfix, dovecot):
    status, servers, errors = live(postfix, dovecot, auth={"realm": "dest.example"})
    assert (status, set(servers)) == (0, {"smtp/a", "pop3/a"}), errors
    smtp, pop3 = servers["smtp/a"], servers["pop3/a"]
    assert smtp["TLS"] == "not used; everything is in clear"
    assert {"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN"} <= set(smtp["offers"].split())
    assert re.fullmatch(r"\d+ octets a message", smtp["SIZE"])
    assert smtp["XCLIENT"] == "not offered to us"
    assert smtp["recipients"].startswith("refuses one that can't exist: 550 ")
    assert pop3["PIPELINING"] == "yes" and pop3["XCLIENT"] == "not offered to us"


def test_version_and_fingerprint_of_tls_are_told_as_the_configuration_takes_them(live, postfix_xclient, certificates):
    digits = fingerprint(certificates.rsa).split("=")[-1].replace(":", "")
    status, servers, errors = live(postfix_xclient, upstream={"tls": "require"})
    row = servers["smtp/a"]
    assert status == 0, errors
    assert row["TLS"].startswith("TLSv1.3, TLS_") and row["fingerprint"] == digits
    assert row["XCLIENT"] == "offered to us"
    status, servers, errors = live(postfix_xclient, upstream={"tls": "require", "fingerprint": digits})
    assert status == 0, errors


def test_a_server_that_takes_every_recipient_is_pointed_out(live, new_smtp):
    server = new_smtp()
    status, servers, _ = live(server)
    assert status == 0
    assert servers["smtp/a"]["recipients"].startswith("TAKES one of the realm that can't exist: 250 ")
    assert server.messages == []
    heard = server.connections[0].commands
    assert heard[-2:] == ["RSET", "QUIT"] and not any(c.startswith("DATA") for c in heard)


def test_a_dead_server_and_a_missing_identity_are_errors(live, postfix, new_smtp):
    status, servers, errors = live([free_port(), new_smtp().port])
    assert status == 1 and "can't serve as it is configured" in errors
    assert servers["smtp/a"]["ERROR"] == "Connection refused" and "ERROR" not in servers["smtp/b"]
    status, servers, errors = live(postfix, upstream={"identity": "xclient"})
    assert status == 1
    assert servers["smtp/a"]["ERROR"].endswith("in Postfix: smtpd_authorized_xclient_hosts")


def test_a_token_is_not_asked_for_and_a_header_is_sent(live, new_smtp):
    status, servers, errors = live(
        new_smtp(extensions=(*EXTENSIONS, "AUTH XOAUTH2")),
        upstream={"identity": "auth", "username": "gw", "token_command": "/bin/false"})
    assert status == 0 and servers["smtp/a"]["login"].startswith("not tried"), errors
    status, servers, errors = live(new_smtp(proxy=True), upstream={"identity": "proxy"})
    assert status == 0 and "PIPELINING" in servers["smtp/a"]["offers"], errors


def test_a_silent_server_ends_the_wait(live, new_smtp):
    server = new_smtp().on("EHLO", HANG)
    status, servers, _ = live(server, upstream={"command_timeout": "1s"})
    assert status == 1 and servers["smtp/a"]["ERROR"] == "no reply to EHLO in time"


def test_every_line_fits_a_terminal(new_gateway, postfix_xclient, dovecot):
    gateway = new_gateway(postfix_xclient, dovecot, start=False)
    done = run_porteirod("-t", "--live", "-c", gateway.config_file)
    too_long = [line for line in done.stdout.splitlines() if len(line) > 80 and "recipients" not in line
                and str(gateway.folder) not in line]
    assert too_long == []


def test_live_goes_with_t_alone(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), start=False)
    done = run_porteirod("--live", "-c", gateway.config_file)
    assert done.returncode == 2 and "-t --live" in done.stderr


def test_a_server_that_takes_no_passwords_can_not_be_told_any(live, postfix):
    status, servers, _ = live(postfix, upstream={"identity": "password"})
    assert status == 1 and "neither PLAIN nor LOGIN" in servers["smtp/a"]["ERROR"]


# ---- Redis ----

def test_the_role_and_the_memory_of_redis_are_told(live, postfix, new_redis):
    redis = new_redis()
    status, servers, errors = live(postfix, redis={"address": [f"127.0.0.1:{redis.port}"]})
    assert status == 0, errors
    row = servers["redis"]
    assert row["version"].startswith("7.") and row["role"] == "master, replicas: 0"
    assert row["TLS"] == "not used; everything is in clear"
    assert row["memory"] == "maxmemory 0, maxmemory-policy noeviction" and "WARNING" not in row
    redis.cli("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "volatile-lru")
    status, servers, errors = live(postfix, redis={"address": [f"unix:{redis.socket}"]})
    assert status == 0, errors
    row = servers["redis"]
    assert row["WARNING"].endswith("say maxmemory-policy noeviction") and "TLS" not in row


def test_a_redis_that_can_not_count_is_an_error(live, postfix, new_redis):
    status, servers, errors = live(postfix, redis={"address": [f"127.0.0.1:{free_port()}"]})
    assert status == 1 and "can't serve as it is configured" in errors
    assert servers["redis"]["ERROR"] == "Connection refused"
    redis = new_redis("--replicaof", "127.0.0.1", "1")
    status, servers, errors = live(postfix, redis={"address": [f"127.0.0.1:{redis.port}"]})
    assert status == 1 and "READONLY" in servers["redis"]["ERROR"]


def test_a_user_of_redis_who_may_not_look_is_told_so(live, postfix, new_redis, folder):
    redis, password = new_redis(), folder / "redis.password"
    redis.cli("ACL", "SETUSER", "porteiro", "on", ">secret", "~{porteiro}:*", "+@all", "-info")
    password.write_text("secret")
    password.chmod(0o600)
    status, servers, errors = live(postfix, redis={"address": [f"127.0.0.1:{redis.port}"], "username": "porteiro",
                                                   "password_file": password})
    assert status == 0, errors
    assert servers["redis"]["role"].startswith("unknown; INFO: NOPERM")
