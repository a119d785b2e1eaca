"""A mailbox is read: through 995 and by STLS, by real clients, from a real Dovecot."""
import base64
import hashlib
import poplib
import subprocess

import pytest

from fixtures import build, scripted
from fixtures.clients import PASSWORDS, Pop3, message, plain_response, pop3, tls_context
from fixtures.processes import resident_kib
from fixtures.scripted import Gate
from fixtures.waiting import settled, until

ALICE = "alice@example.com"
DOORS = ["pop3s", "pop3"]

AWKWARD = [
    message(body="hello\r\n"),
    message(body=".\r\n..\r\n.dot\r\n. dot\r\n\r\n.\r\n"),
    message(body="grüße, 漢字\r\n".encode() + bytes(range(128, 256)) + b"\r\n"),
    message(body=b"x" * 5000 + b"\r\n" + b"." * 300 + b"\r\n"),
    message(body="\r\n\r\n\r\n"),
    message(body="+OK not a reply\r\n-ERR nor this\r\n.\r\n"),
]


@pytest.fixture
def box(dovecot):
    """AWKWARD in alice's mailbox."""
    dovecot.fill(ALICE, AWKWARD)
    return dovecot


def run(*arguments, **options):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, timeout=60, **options)
    assert done.returncode == 0, f"{arguments[0]}: {done.stdout}{done.stderr}"
    return done.stdout


# ---- clients ----

@pytest.mark.parametrize("door, scheme", [("pop3s", "pop3s"), ("pop3", "pop3")])
def test_curl_reads(gateway, box, door, scheme):
    for number, sent in enumerate(AWKWARD, 1):
        read = run("curl", "-sS", "-k", "--ssl-reqd", "--user", f"{ALICE}:{PASSWORDS['alice']}",
                   f"{scheme}://127.0.0.1:{gateway.port(door)}/{number}")
        assert read == sent


@pytest.mark.parametrize("door, starttls", [("pop3s", "off"), ("pop3", "on")])
@pytest.mark.parametrize("mechanism", ["user", "plain"])
def test_mpop_reads(gateway, box, folder, door, starttls, mechanism):
    config, maildir = folder / "mpoprc", folder / "inbox"
    for name in ("new", "cur", "tmp"):
        (maildir / name).mkdir(parents=True)
    config.write_text(f"""\
account default
host 127.0.0.1
port {gateway.port(door)}
tls on
tls_starttls {starttls}
tls_certcheck off
auth {mechanism}
user {ALICE}
password {PASSWORDS['alice']}
delivery maildir {maildir}
uidls_file {folder}/uidls
received_header off
keep on
""")
    config.chmod(0o600)
    run("mpop", "-C", config)
    read = sorted(m.read_bytes() for m in (maildir / "new").iterdir())
    assert read == sorted(m.replace(b"\r\n", b"\n") for m in AWKWARD)


@pytest.mark.parametrize("door", DOORS)
def test_poplib_reads(gateway, box, door):
    if gateway.is_implicit(door):
        client = poplib.POP3_SSL("127.0.0.1", gateway.port(door), context=tls_context())
    else:
        client = poplib.POP3("127.0.0.1", gateway.port(door))
        client.stls(context=tls_context())
    client.user(ALICE)
    client.pass_(PASSWORDS["alice"])
    assert client.stat()[0] == len(AWKWARD)
    for number in (1, 3, 5, 6):
        assert b"\r\n".join(client.retr(number)[1]) + b"\r\n" == AWKWARD[number - 1]
    client.quit()


# ---- byte for byte ----

@pytest.mark.parametrize("door", DOORS)
def test_messages_come_out_byte_for_byte(gateway, box, door):
    with pop3(gateway, door=door) as client:
        assert [client.retrieve(n) for n in range(1, len(AWKWARD) + 1)] == AWKWARD
        client.quit()


def test_a_10_mb_message_comes_out_with_the_same_sha256(gateway, dovecot):
    line = bytes(range(33, 127)) * 8 + b"\r\n"
    content = message(body=line * (10 * 1024 * 1024 // len(line) + 1))
    dovecot.fill(ALICE, [content])
    with pop3(gateway) as client:
        read = client.retrieve(1)
    assert hashlib.sha256(read).hexdigest() == hashlib.sha256(content).hexdigest()


def test_octets_that_no_server_should_send_come_out_as_they_are(new_gateway, new_pop3):
    content = b"a\nb\rc\0d\r\r\ne\xff\xfe\r\n"
    server = new_pop3([content])
    with pop3(new_gateway(pop3=server)) as client:
        client.ask("RETR 1", "+OK")
        assert client.read(len(content) + 3) == content + b".\r\n"


def test_many_messages_are_read_in_one_session(gateway, dovecot):
    contents = [message(body=f"number {n}\r\n.\r\n") for n in range(300)]
    dovecot.fill(ALICE, contents)
    with pop3(gateway) as client:
        assert len(client.ask_many("LIST")) == 300 and len(client.ask_many("UIDL")) == 300
        assert [client.retrieve(n) for n in range(1, 301)] == contents


def test_pipelined_commands_are_answered_in_order(gateway, box):
    with pop3(gateway) as client:
        client.send(["STAT", "RETR 2", "NOOP", "TOP 1 0", "RETR 99", "LIST 1", "QUIT"])
        client.expect(f"+OK {len(AWKWARD)} ")
        client.expect("+OK")
        assert client.lines() == AWKWARD[1].replace(b"\r\n.", b"\r\n..").split(b"\r\n")[:-1]
        client.expect("+OK")
        client.expect("+OK")
        assert client.lines()[-1] == b""
        client.expect("-ERR ")
        client.expect("+OK 1 ")
        client.expect("+OK")
        assert client.is_closed()


def test_hundreds_of_pipelined_retr_are_answered(gateway, dovecot):
    contents = [message(body="x" * 2000 + "\r\n") for _ in range(100)]
    dovecot.fill(ALICE, contents)
    with pop3(gateway) as client:
        client.send([f"RETR {n % 100 + 1}" for n in range(500)])
        for n in range(500):
            client.expect("+OK")
            assert len(client.lines()) == contents[n % 100].count(b"\r\n")
        client.ask("NOOP", "+OK")


def test_commands_sent_behind_the_login_reach_the_mailbox(gateway, box):
    with pop3(gateway, user=None) as client:
        client.send([f"USER {ALICE}", f"PASS {PASSWORDS['alice']}", "STAT", "QUIT"])
        client.expect("+OK")
        client.expect("+OK")
        client.expect(f"+OK {len(AWKWARD)} ")
        client.expect("+OK")


def test_a_client_that_ends_its_stream_still_reads_what_it_has_asked_for(gateway, box):
    with pop3(gateway) as client:
        client.send(["RETR 1", "RETR 2"]).end_stream()
        for content in AWKWARD[:2]:
            client.expect("+OK")
            assert b"".join(line + b"\r\n" for line in client.lines()).replace(b"\r\n..", b"\r\n.") == content
        assert client.is_closed()


# ---- what is deleted ----

def test_dele_and_quit_delete(gateway, box):
    with pop3(gateway) as client:
        client.ask("DELE 1", "+OK")
        client.ask("DELE 3", "+OK")
        client.quit()
    until(lambda: box.count(ALICE) == len(AWKWARD) - 2)


@pytest.mark.parametrize("reset", [False, True], ids=["ends its stream", "resets it"])
def test_a_client_that_goes_away_without_quit_deletes_nothing(gateway, box, reset):
    with pop3(gateway) as client:
        client.ask("DELE 1", "+OK")
        row = gateway.session(client)
        client.drop(reset=reset)
    gateway.wait_event("session_ended", session=row["session"])
    with pop3(gateway) as client:
        client.ask("STAT", f"+OK {len(AWKWARD)} ")
    assert box.count(ALICE) == len(AWKWARD)


def test_a_session_that_idles_too_long_is_ended_and_deletes_nothing(new_gateway, new_pop3):
    server = new_pop3([message()])
    gateway = new_gateway(pop3=server, listener={"idle_timeout": "1s"})
    with pop3(gateway) as client:
        client.ask("DELE 1", "+OK")
        client.expect("-ERR ")
        assert client.is_closed()
    server.wait_connections(0)
    assert server.deleted == [] and not server.used("DELE")[0].saw("QUIT")


# ---- logging in ----

@pytest.mark.parametrize("door", DOORS)
def test_auth_plain_with_an_initial_response(gateway, box, door):
    with pop3(gateway, user=None, door=door) as client:
        client.ask(f"AUTH PLAIN {plain_response(ALICE, PASSWORDS['alice'])}", "+OK")
        client.ask("STAT", f"+OK {len(AWKWARD)} ")


@pytest.mark.parametrize("door", DOORS)
def test_auth_plain_without_an_initial_response(gateway, box, door):
    with pop3(gateway, user=None, door=door) as client:
        client.send("AUTH PLAIN")
        assert client.line() == b"+ "
        client.ask(plain_response(ALICE, PASSWORDS["alice"]), "+OK")
        client.ask("STAT", f"+OK {len(AWKWARD)} ")


def test_auth_login_in_two_answers(gateway, box):
    with pop3(gateway, user=None) as client:
        for initial in ("", " " + base64.b64encode(ALICE.encode()).decode()):
            client.send(f"AUTH LOGIN{initial}")
            if not initial:
                assert client.line() == b"+ VXNlcm5hbWU6"
                client.send(base64.b64encode(b"nobody").decode())
            assert client.line() == b"+ UGFzc3dvcmQ6"
            password = PASSWORDS["alice"] if initial else "wrong"
            client.ask(base64.b64encode(password.encode()).decode(), "+OK" if initial else "-ERR [AUTH] ")
        client.ask("STAT", f"+OK {len(AWKWARD)} ")


def test_an_empty_response_is_an_equals_sign_behind_auth_alone(gateway):
    with pop3(gateway, user=None) as client:
        client.ask("AUTH PLAIN =", "-ERR [AUTH] ")
        client.send("AUTH PLAIN")
        assert client.line() == b"+ "
        client.ask("=", "-ERR This is not base64")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "EXTERNAL", "CRAM-MD5"])
def test_what_the_server_behind_could_not_be_told_is_not_offered(gateway, mechanism):
    with pop3(gateway, user=None) as client:
        client.ask(f"AUTH {mechanism}", "-ERR Authentication mechanism is not offered")
    note = next(line for line in gateway.check().stdout.split("\n") if "listeners.pop3s:" in line)
    assert note.startswith(f"note: {gateway.config_file}:")
    assert "no SCRAM-SHA-256, EXTERNAL: the server behind is told the user's own password" in note


def test_auth_lines_have_12288_octets_at_most(gateway):
    with pop3(gateway, user=None) as client:
        longest = plain_response(ALICE, "x" * 9180)
        assert 12250 < len(f"AUTH PLAIN {longest}\r\n") <= 12288
        client.ask(f"AUTH PLAIN {longest}", "-ERR [AUTH] ")
        client.send("AUTH PLAIN")
        assert client.line() == b"+ "
        client.ask("A" * 20000, "-ERR Line is too long")
        client.ask(f"AUTH PLAIN {plain_response(ALICE, 'wrong')}", "-ERR [AUTH] ")


def test_auth_alone_lists_the_mechanisms(gateway):
    with pop3(gateway, user=None) as client:
        assert client.ask_many("AUTH") == [b"PLAIN", b"LOGIN"]


def test_auth_pipelined_with_its_response(gateway, box):
    with pop3(gateway, user=None) as client:
        client.send(["AUTH PLAIN", plain_response(ALICE, PASSWORDS["alice"]), "STAT"])
        assert client.line() == b"+ "
        client.expect("+OK")
        client.expect(f"+OK {len(AWKWARD)} ")


def test_a_name_without_realm_and_in_capitals_is_the_same_account(gateway, box):
    for name in ("alice", "ALICE", "Alice@Example.COM"):
        with pop3(gateway, user=None) as client:
            client.ask(f"USER {name}", "+OK")
            client.ask(f"PASS {PASSWORDS['alice']}", "+OK")
            assert gateway.session(client)["account"] == ALICE


def test_a_password_with_spaces_and_quotes_logs_in(gateway, dovecot):
    dovecot.fill("carol@example.com", [message()])
    with pop3(gateway, user="carol@example.com") as client:
        client.ask("STAT", "+OK 1 ")


def test_a_wrong_password_is_err_auth_and_another_try_is_possible(gateway, box):
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask("PASS wrong", "-ERR [AUTH] ")
        client.ask(f"AUTH PLAIN {plain_response(ALICE, 'wrong')}", "-ERR [AUTH] ")
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "+OK")


def test_an_unknown_user_gets_the_same_reply_as_a_wrong_password(gateway):
    with pop3(gateway, user=None) as client:
        replies = []
        for name in (ALICE, "nobody@example.com"):
            client.ask(f"USER {name}", "+OK")
            replies.append(client.ask("PASS wrong", "-ERR [AUTH] "))
    assert replies[0] == replies[1]


def test_a_wrong_password_never_reaches_the_server_behind(new_gateway, new_pop3):
    server = new_pop3()
    with pop3(new_gateway(pop3=server), user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask("PASS wrong", "-ERR [AUTH] ")
    assert not server.used("USER") and not server.used("PASS")


def test_the_server_behind_is_logged_in_to_with_the_users_own_password(new_gateway, new_pop3):
    server = new_pop3()
    with pop3(new_gateway(pop3=server)) as client:
        client.ask("NOOP", "+OK")
    assert server.used("PASS")[0].commands == [
        f"USER {ALICE}", f"PASS {PASSWORDS['alice']}", "NOOP"]


def test_a_login_that_the_server_behind_refuses_gets_its_text(new_gateway, new_pop3):
    server = new_pop3().on("PASS", "-ERR [IN-USE] Mailbox is locked by another session", None)
    with pop3(new_gateway(pop3=server), user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [IN-USE] Mailbox is locked by another session")
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "+OK")


@pytest.mark.parametrize("command, reply", [
    ("STAT", "-ERR "), ("RETR 1", "-ERR "), ("DELE 1", "-ERR "), ("NOOP", "-ERR "),
    ("PASS x", "-ERR "), ("FOO", "-ERR "), ("USER", "-ERR "), ("AUTH CRAM-MD5", "-ERR ")])
def test_before_the_login_the_mailbox_is_out_of_reach(gateway, command, reply):
    with pop3(gateway, user=None) as client:
        client.ask(command, reply)
        client.ask("QUIT", "+OK")


def test_malformed_base64_and_a_cancelled_auth_are_errors_without_a_code(gateway):
    with pop3(gateway, user=None) as client:
        client.ask("AUTH PLAIN !!!", "-ERR This is not base64")
        client.send("AUTH PLAIN")
        assert client.line() == b"+ "
        client.ask("*", "-ERR Authentication cancelled")


def test_an_overlong_line_is_an_error_and_the_session_goes_on(gateway):
    with pop3(gateway, user=None) as client:
        client.ask("USER " + "x" * 20000, "-ERR ")
        client.ask("CAPA", "+OK")
        client.lines()


# ---- before and after TLS ----

def test_capa_before_tls_offers_stls_and_no_login(gateway):
    with Pop3(gateway.port("pop3"), tls=None) as client:
        client.expect("+OK ")
        offered = client.ask_many("CAPA")
    assert b"STLS" in offered and b"USER" not in offered
    assert not [line for line in offered if line.startswith(b"SASL")]
    assert {b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING"} <= set(offered)


@pytest.mark.parametrize("door", DOORS)
def test_capa_after_tls_offers_the_login_and_no_stls(gateway, door):
    with pop3(gateway, user=None, door=door) as client:
        offered = client.ask_many("CAPA")
    assert {b"USER", b"SASL PLAIN LOGIN", b"TOP", b"UIDL", b"RESP-CODES", b"PIPELINING"} <= set(offered)
    assert b"STLS" not in offered


@pytest.mark.parametrize("command", [
    f"USER {ALICE}", "PASS x", "AUTH", "AUTH PLAIN", f"AUTH PLAIN {plain_response(ALICE, 'x')}",
    "APOP alice 0123456789abcdef0123456789abcdef"])
def test_no_login_without_tls(gateway, command):
    with Pop3(gateway.port("pop3"), tls=None) as client:
        client.expect("+OK ")
        client.ask(command, "-ERR ")
        client.ask("CAPA", "+OK")
        client.lines()


def test_what_is_pipelined_behind_stls_is_discarded(gateway):
    with Pop3(gateway.port("pop3"), tls=None) as client:
        client.expect("+OK ")
        client.send(["STLS", f"USER {ALICE}", f"PASS {PASSWORDS['alice']}"])
        client.expect("+OK")
        client.secure()
        assert client.is_silent()
        client.ask("PASS x", "-ERR ")  # no user was named
        client.ask("NOOP", "-ERR ")


def test_stls_twice_is_refused(gateway):
    with pop3(gateway, user=None, door="pop3") as client:
        client.ask("STLS", "-ERR ")


# ---- the server behind in trouble ----

def test_a_server_behind_that_is_down_is_sys_temp_and_never_auth(new_gateway, new_pop3):
    server = new_pop3()
    gateway = new_gateway(pop3=server)
    server.kill()
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] ")
        gateway.wait_event("upstream_down", upstream="pop3/a")
        server.listen()
        gateway.wait_event("upstream_up", count=2, upstream="pop3/a")
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "+OK")


@pytest.mark.parametrize("verb", ["CONNECT", "USER", "PASS"])
@pytest.mark.parametrize("trouble", ["CLOSE", "HANG"])
def test_a_server_behind_that_fails_during_the_login_is_sys_temp(new_gateway, new_pop3, verb, trouble):
    server = new_pop3()
    gateway = new_gateway(pop3=server, upstream={"command_timeout": "1s"})
    server.on(verb, getattr(scripted, trouble))
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] ")
        client.ask("CAPA", "+OK")


def test_a_server_behind_that_is_lost_in_a_session_ends_it(new_gateway, new_pop3):
    server = new_pop3([message()])
    with pop3(new_gateway(pop3=server)) as client:
        client.ask("STAT", "+OK 1 ")
        server.kill()
        assert client.is_closed()


def test_waiting_for_a_connection_is_bounded(new_gateway, new_pop3):
    gateway = new_gateway(pop3=new_pop3(), upstream={"max_connections": 1, "wait_timeout": "500ms"})
    with pop3(gateway), pop3(gateway, user=None) as second:
        second.ask("USER bob@example.com", "+OK")
        second.ask(f"PASS {PASSWORDS['bob']}", "-ERR [SYS/TEMP] ")


def test_who_waits_for_a_connection_gets_the_one_that_becomes_free(new_gateway, new_pop3):
    gateway = new_gateway(pop3=new_pop3(), upstream={"max_connections": 1, "wait_timeout": "10s"})
    with pop3(gateway) as first, pop3(gateway, user=None) as second:
        second.ask("USER bob@example.com", "+OK")
        second.send(f"PASS {PASSWORDS['bob']}")
        assert second.is_silent(0.2)
        first.quit()
        second.expect("+OK")


# ---- clients that are slow ----

def test_a_client_that_stops_reading_costs_no_memory_and_gets_the_rest_later(new_gateway, new_pop3):
    line = b"0123456789abcdef" * 60 + b"\r\n"
    content = line * (48 * 1024 * 1024 // len(line))
    server = new_pop3([content])
    gateway = new_gateway(pop3=server, workers=1)
    worker, = gateway.pids("worker")
    with pop3(gateway) as client:
        client.ask("NOOP", "+OK")
        before = resident_kib(worker)
        client.ask("RETR 1", "+OK")
        assert settled(lambda: server.sent) < len(content) // 2  # it is held back
        grown = resident_kib(worker) - before
        assert grown < (8192 if build.IS_ASAN else 1024), f"{grown} KiB for one client"
        digest = hashlib.sha256()
        left = len(content)
        while left:
            part = client.read(min(left, 1 << 20))
            digest.update(part)
            left -= len(part)
        assert client.read(3) == b".\r\n"
        assert digest.digest() == hashlib.sha256(content).digest()
        client.ask("NOOP", "+OK")


def test_a_session_counts_its_mailbox(gateway, box):
    with pop3(gateway) as client:
        row = gateway.session(client)
        client.retrieve(4)
        client.quit()
    gateway.wait_event("mailbox_opened", session=row["session"], account=ALICE, upstream="pop3/a")
    ended = gateway.wait_event("session_ended", session=row["session"])
    assert int(ended["bytes"]) > len(AWKWARD[3])


def test_a_login_under_way_at_a_drain_ends_with_it(new_gateway, new_pop3):
    gate = Gate()
    server = new_pop3([b"x\r\n"]).on("PASS", gate)
    gateway = new_gateway(pop3=server, workers=1, drain_delay="0s")
    client = pop3(gateway, user=None)
    client.ask("USER alice@example.com", "+OK")
    client.send("PASS " + PASSWORDS["alice"])
    gate.wait_reached()
    gateway.ctl("drain")
    gateway.wait_event("draining")
    gate.open()
    client.expect("+OK")
    client.expect("-ERR [SYS/TEMP]")
