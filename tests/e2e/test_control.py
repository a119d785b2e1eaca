"""porteiroctl, and who may speak to the gateway: root, control_groups, and whoever runs it."""
import grp
import json
import os
import shutil
import signal
import socket
import subprocess

import pytest

from fixtures import build
from fixtures.clients import PASSWORDS, Smtp, message, pop3, smtp
from fixtures.gateway import Gateway, default_config, doors, furnish
from fixtures.processes import descriptors_of, status_of
from fixtures.scripted import Gate
from fixtures.waiting import until

READ, ADMIN = "games", "news"  # groups that Debian always has


@pytest.fixture
def grouped(new_gateway, new_smtp):
    return new_gateway(new_smtp(), control_groups={READ: "read", ADMIN: "admin"})


def as_user(user, *groups):
    """A prefix that runs a command as `user` with these groups besides the first."""
    wrapper = ["setpriv", f"--reuid={user}", "--regid=nogroup"]
    return wrapper + ([f"--groups={','.join(groups)}"] if groups else ["--clear-groups"])


# ---- who may ----

def test_root_may_do_all(grouped):
    grouped.ctl("status")
    grouped.ctl("sessions")
    grouped.ctl("reload")
    grouped.ctl("drain")
    grouped.ctl("undrain")


def test_others_may_do_nothing(grouped):
    for command in ("status", "sessions", "reload", "drain", "undrain"):
        said = grouped.ctl(command, status=1, wrapper=as_user("nobody")).stderr
        assert "permission denied" in said and "control_groups" in said
    assert grouped.wait_event("control_refused", count=5)["uid"] == "65534"


def test_a_member_of_a_read_group_may_look(grouped):
    assert "porteirod" in grouped.ctl("status", wrapper=as_user("nobody", READ)).stdout
    grouped.ctl("sessions", wrapper=as_user("nobody", READ))


@pytest.mark.parametrize("command", ["reload", "drain", "undrain"])
def test_a_member_of_a_read_group_may_change_nothing(grouped, command):
    said = grouped.ctl(command, status=1, wrapper=as_user("nobody", READ)).stderr
    assert '"admin"' in said and "control_groups" in said
    assert not grouped.events("reloaded") and grouped.status()["state"] == "serving"


def test_a_member_of_an_admin_group_may_do_all_and_the_log_says_who(grouped):
    for command in ("status", "reload", "drain", "undrain"):
        grouped.ctl(command, wrapper=as_user("nobody", ADMIN))
    for command in ("reload", "drain", "undrain"):
        grouped.wait_event("control_command", command=command, uid=65534)


def test_the_first_group_counts_as_well(grouped):
    group = grp.getgrnam(ADMIN).gr_gid
    grouped.ctl("reload", wrapper=["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups"])


@pytest.mark.parametrize("user", ["porteiro", "porteiro-auth", "porteiro-helper"])
def test_the_gateways_own_users_are_refused_first(grouped, user):
    """A worker that was taken over must not become the admin."""
    said = grouped.ctl("status", status=1, wrapper=as_user(user, ADMIN)).stderr
    assert "permission denied" in said


# ---- what it says ----

def test_status_names_processes_listeners_and_servers(gateway):
    said = gateway.ctl("status").stdout
    for word in ("master", "worker 1", "worker 2", "auth 1", "control", "submissions", "pop3s", "smtp/a", "pop3/a",
                 "mail.example.com", "serving"):
        assert word in said


def test_status_as_json(gateway):
    status = json.loads(gateway.ctl("--json", "status").stdout)
    assert status["hostname"] == "mail.example.com" and status["state"] == "serving"
    assert {p["role"] for p in status["processes"]} == {"master", "worker", "auth", "control"}
    assert all(p["pid"] > 0 and p["uptime"] >= 0 for p in status["processes"])
    assert {s["name"]: s["state"] for s in status["servers"]} == {"smtp/a": "up", "pop3/a": "up"}
    assert status["max_connections"] == 4000


def test_counters_count(new_gateway, new_smtp, new_pop3):
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "bad" in line else None)
    gateway = new_gateway(server, new_pop3([message()]))
    with smtp(gateway, user=None) as client, pop3(gateway) as reader:
        client.ask("AUTH PLAIN AGEAYg==", "535 ")
        client.login()
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<bad@dest.example>", "550 ")
        client.ask("RCPT TO:<x@dest.example>", "250 ")
        client.ask("RCPT TO:<y@dest.example>", "250 ")
        client.text(message())
        reader.retrieve(1)

        def counted():
            status = gateway.status()
            by_name = {l["name"]: l for l in status["listeners"]}
            return by_name["submissions"], by_name["pop3s"], {s["name"]: s for s in status["servers"]}

        until(lambda: counted()[0]["messages"] == 1 and counted()[1]["mailbox_bytes"] > 0)
    sending, reading, servers = counted()
    assert (sending["connections"], sending["logins"], sending["login_failures"]) == (1, 1, 1)
    assert (sending["recipients"], sending["recipients_refused"], sending["messages_refused"]) == (2, 1, 0)
    assert sending["message_bytes"] > 0 and reading["mailboxes"] == 1
    assert servers["smtp/a"]["upstream_messages"] == 1


def test_sessions_lists_who_is_connected_and_what_is_waited_for(gateway):
    with smtp(gateway, user=None) as guest, smtp(gateway) as client, pop3(gateway, user="bob@example.com") as reader:
        client.envelope()
        client.ask("DATA", "354 ")
        guest.ask("AUTH LOGIN", "334 ")
        rows = {row["client"].rpartition(":")[2]: row
                for row in json.loads(gateway.ctl("--json", "sessions").stdout)}
        found = [rows[str(c.local_port)] for c in (guest, client, reader)]
        assert [row["state"] for row in found] == ["AUTH: client", "message text", "mailbox"]
        assert [row["account"] for row in found] == ["", "alice@example.com", "bob@example.com"]
        table = gateway.ctl("sessions").stdout
        assert "alice@example.com" in table and "message text" in table and found[1]["session"] in table


def test_sessions_names_the_one_thing_that_a_session_waits_for(new_gateway, new_smtp, new_pop3):
    server, reader = new_smtp(), new_pop3()
    gateway = new_gateway(server, reader, workers=1, upstream={"wait_timeout": "15s"})

    def wait_state(client, state):
        until(lambda: gateway.session(client)["state"] == state, f"{state}: {gateway.sessions()}")

    with Smtp(gateway.port("submissions"), tls=None) as client:
        until(lambda: gateway.session(client))
        wait_state(client, "TLS handshake")
    for verb, state in (("EHLO", "upstream connection"), ("RCPT", "upstream: RCPT")):
        server.on(verb, gate := Gate(), None)
        with smtp(gateway) as client:
            client.ask("MAIL FROM:<alice@example.com>", "250 ")
            client.send("RCPT TO:<x@dest.example>")
            wait_state(client, state)
            gate.open()
            client.expect("250 ")
    for verb, state in (("DATA", "upstream: DATA"), ("DOT", "upstream: final reply")):
        server.on(verb, gate := Gate(), None)
        with smtp(gateway) as client:
            client.envelope()
            client.ask("DATA", "354 ")
            client.send_bytes(message() + b".\r\n")
            wait_state(client, state)
            gate.open()
            client.expect("250 ")
    reader.on("PASS", gate := Gate(), None)
    with pop3(gateway, user=None) as client:
        wait_state(client, "login")
        client.send(["USER alice", f"PASS {PASSWORDS['alice']}"])
        wait_state(client, "upstream: login")
        gate.open()
        client.expect("+OK")
        client.expect("+OK")
        wait_state(client, "mailbox")


def test_a_thousand_sessions_are_listed(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    kept = [Smtp(gateway.port("submission"), tls=None) for _ in range(1000)]
    gateway.wait_sessions(1000)
    assert len(gateway.ctl("sessions").stdout.splitlines()) == 1001
    assert len(json.loads(gateway.ctl("--json", "sessions").stdout)) == len(kept)


def test_nonsense_on_the_socket_disturbs_nobody(grouped):
    for sent in (b"\n", b"{}\n", b"nonsense\n", b'{"command": "fly"}\n', b'{"command": 5}\n', b"\0" * 5000,
                 b"x" * 20000, b'{"command":"status"}\n' * 100):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(grouped.config["control"])
            try:
                s.sendall(sent)
                s.shutdown(socket.SHUT_WR)
                s.settimeout(5)
                while s.recv(65536):
                    pass
            except OSError:
                pass
    grouped.ctl("status")
    assert not grouped.events("process_died")


def test_clients_of_the_socket_that_say_nothing_do_not_block_it(grouped):
    idle = []
    for _ in range(20):
        s = socket.socket(socket.AF_UNIX)
        s.connect(grouped.config["control"])
        idle.append(s)
    grouped.ctl("status")
    for s in idle:
        s.close()


def test_a_socket_that_nobody_serves_any_more_is_said_so(grouped):
    grouped.signal(signal.SIGTERM)
    grouped.wait()
    assert "is porteirod running?" in grouped.ctl("status", status=1).stderr


# ---- started without root ----

@pytest.fixture
def unprivileged(folder, certificates, password_store, new_smtp, new_pop3):
    """A gateway of nobody's, with files of his own."""
    place = folder / "gateway"
    place.mkdir()
    furnish(place, password_store, owner="nobody", auth_owner="nobody")
    config = doors(default_config(place, certificates), [new_smtp().port], [new_pop3([message()]).port])
    for kind in ("ecdsa", "rsa"):
        for part in ("certificate", "key"):
            shutil.copy(getattr(getattr(certificates, kind), part), place)
    config["tls"] = {"default": {"certificate": [place / "ecdsa.pem"], "key": [place / "ecdsa.key"]}}
    for path in (place, *place.iterdir()):
        shutil.chown(path, "nobody", "nogroup")
    gateway = Gateway(place, config, wrapper=as_user("nobody"))
    yield gateway
    gateway.stop()


def test_started_without_root_it_works_and_says_so_once(unprivileged):
    unprivileged.start()
    with smtp(unprivileged) as client, pop3(unprivileged) as reader:
        client.mail(message())
        reader.retrieve(1)
    assert {status_of(p["pid"])["Uid"].split()[0] for p in unprivileged.processes()} == {"65534"}
    unprivileged.reload()
    unprivileged.signal(signal.SIGTERM)
    assert unprivileged.wait() == 0
    said = unprivileged.log_text() + unprivileged.stderr_text()
    assert said.count("running_unprivileged") == 1


def test_started_without_root_its_own_user_and_root_may_speak_to_it(unprivileged):
    unprivileged.start()
    unprivileged.ctl("status")
    unprivileged.ctl("reload", wrapper=as_user("nobody"))
    unprivileged.ctl("status", status=1, wrapper=as_user("mail"))


def test_started_without_root_it_still_confines_itself(unprivileged):
    unprivileged.start()
    for process in unprivileged.processes():
        if process["role"] != "master":
            assert status_of(process["pid"])["NoNewPrivs"] == "1"


def test_a_port_below_1024_without_root_says_what_would_help(unprivileged):
    unprivileged.write_config(listeners={"submissions": {"bind": ["127.0.0.1:465"]}})
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        if int(file.read()) <= 465:
            pytest.skip("everybody may bind 465 here")
    unprivileged.start(is_awaited=False)
    assert unprivileged.wait() == 1
    unprivileged.exit_status = 1
    assert "Permission denied (needs CAP_NET_BIND_SERVICE or a start as root)" in unprivileged.stderr_text()


def test_no_descriptor_of_the_starter_is_inherited(new_gateway, new_smtp):
    """What the service manager left open is no business of a worker's."""
    gateway = new_gateway(new_smtp(), start=False)
    with open("/etc/passwd") as leak:
        os.set_inheritable(leak.fileno(), True)
        process = subprocess.Popen([build.PORTEIROD, "-c", gateway.config_file], close_fds=False,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        gateway.process = process
        until(gateway._is_serving)
        for child in gateway.processes():
            if child["role"] != "master":
                assert "/etc/passwd" not in descriptors_of(child["pid"]).values()
    finally:
        process.terminate()
        process.wait()
