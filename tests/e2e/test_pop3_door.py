"""POP3 at the door and behind it: codes, bounds, counts, a login that is tried again, real clients."""
import socket
import subprocess

import pytest

from fixtures import scripted
from fixtures.clients import PASSWORDS, Pop3, message, pop3
from fixtures.scripted import CLOSE, RESET, Gate
from fixtures.waiting import until

ALICE = "alice@example.com"


def log_in(client, expected="+OK", user=ALICE):
    client.ask(f"USER {user}", "+OK")
    return client.ask(f"PASS {PASSWORDS[user.partition('@')[0]]}", expected)


# ---- real clients ----

@pytest.mark.parametrize("door, tls", [("pop3s", ["--ssl"]), ("pop3", ["--sslproto", "TLS1.2+"])])
@pytest.mark.parametrize("keeps", [True, False], ids=["keep", "delete"])
def test_fetchmail_reads(gateway, dovecot, folder, door, tls, keeps):
    sent = [message(body=f"number {n}\r\n.\r\n") for n in range(3)]
    dovecot.fill(ALICE, sent)
    config = folder / "fetchmailrc"
    config.write_text(f"""\
poll 127.0.0.1 protocol pop3 port {gateway.port(door)} username "{ALICE}" password "{PASSWORDS['alice']}"
    {"keep" if keeps else "nokeep"} no sslcertck mda "cat >> {folder}/inbox"
""")
    config.chmod(0o600)
    done = subprocess.run(["fetchmail", "-f", config, *tls, "--nosyslog", "-N", "--invisible", "--all"],
                          capture_output=True, text=True, timeout=60,
                          env={"HOME": str(folder), "FETCHMAILHOME": str(folder), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stdout + done.stderr
    inbox = (folder / "inbox").read_bytes()
    for content in sent:
        assert content.split(b"\r\n\r\n", 1)[1].replace(b"\r\n", b"\n") in inbox
    until(lambda: dovecot.count(ALICE) == (len(sent) if keeps else 0))


def test_perls_net_pop3_reads_and_deletes(gateway, dovecot):
    sent = [message(body=f"number {n}\r\n.\r\n") for n in range(3)]
    dovecot.fill(ALICE, sent)
    script = """
        use Net::POP3;
        my $pop = Net::POP3->new("127.0.0.1", Port => $ARGV[0], SSL_verify_mode => 0, Timeout => 30) or die "no connection";
        $pop->starttls(SSL_verify_mode => 0) or die "no STLS: " . $pop->message;
        my $count = $pop->login($ARGV[1], $ENV{PASSWORD}); defined $count or die "no login: " . $pop->message;
        print "$count\n";
        for my $n (sort keys %{$pop->list}) {
            print unpack("H*", join "", @{$pop->get($n)}), "\n";
        }
        $pop->delete(2); $pop->quit or die "no quit";
    """
    done = subprocess.run(["perl", "-e", script, str(gateway.port("pop3")), ALICE], capture_output=True, text=True,
                          timeout=60, env={"PASSWORD": PASSWORDS["alice"], "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", *(m.hex() for m in sent)]
    until(lambda: dovecot.count(ALICE) == 2)


# ---- what the server behind says to a login ----

@pytest.mark.parametrize("said, heard", [
    ("-ERR [IN-USE] Mailbox is locked", "-ERR [IN-USE] Mailbox is locked"),
    ("-ERR [SYS/TEMP] Come back later", "-ERR [SYS/TEMP] Come back later"),
    ("-ERR [SYS/PERM] No such mailbox", "-ERR [SYS/PERM] No such mailbox"),
    ("-ERR [LOGIN-DELAY] Not so often", "-ERR [LOGIN-DELAY] Not so often"),
    ("-ERR [AUTH] Wrong", "-ERR [AUTH] Wrong"),
    ("-ERR [auth] Wrong", "-ERR [auth] Wrong"),
    ("-ERR invalid password", "-ERR [AUTH] invalid password"),
    ("-ERR", "-ERR [AUTH] "),
    ("-ERR [X-ODD] see", "-ERR [AUTH] [X-ODD] see"),
    ("-ERR a\tb\x1b[2J\u00e9", "-ERR [AUTH] a?b?[2J??"),
])
@pytest.mark.parametrize("verb", ["USER", "PASS"])
def test_a_refusal_of_the_server_behind_reaches_the_client_with_a_code(shared_odd, verb, said, heard):
    gateway, server = shared_odd
    server.on(verb, said)
    with pop3(gateway, user=None) as client:
        assert log_in(client, heard).endswith(")")


@pytest.fixture
def shared_odd(new_gateway, new_pop3):
    server = new_pop3([message()])
    return new_gateway(pop3=server, workers=1), server


def test_a_long_refusal_is_cut_to_a_line_of_rfc_1939(shared_odd):
    gateway, server = shared_odd
    server.on("PASS", "-ERR [SYS/PERM] " + "x" * 1500)
    with pop3(gateway, user=None) as client:
        assert len(log_in(client, "-ERR [SYS/PERM] xxx")) + 2 <= 512


# ---- a connection lost within the login ----

@pytest.mark.parametrize("verb", ["CONNECT", "USER", "PASS"])
@pytest.mark.parametrize("trouble", [CLOSE, RESET], ids=["closed", "reset"])
def test_a_connection_lost_within_the_login_is_replaced_once(shared_odd, verb, trouble):
    gateway, server = shared_odd
    server.on(verb, trouble, None)
    with pop3(gateway) as client:
        client.ask("STAT", "+OK 1 ")
    assert not gateway.events("upstream_down")


@pytest.mark.parametrize("answer, heard", [
    ("-ERR [AUTH] no", "-ERR [AUTH] no"), ("-ERR [IN-USE] no", "-ERR [IN-USE] no"),
    ("-ERR [SYS/TEMP] no", "-ERR [SYS/TEMP] no")])
def test_an_answer_is_never_asked_for_again(shared_odd, answer, heard):
    gateway, server = shared_odd
    server.on("PASS", answer)
    with pop3(gateway, user=None) as client:
        log_in(client, heard)
    assert len(server.used("PASS")) == 1


def test_it_is_replaced_once_and_not_more(shared_odd):
    gateway, server = shared_odd
    server.on("PASS", CLOSE)
    with pop3(gateway, user=None) as client:
        log_in(client, "-ERR [SYS/TEMP] ")
    assert len(server.used("PASS")) == 2


# ---- bounds ----

def test_too_many_errors_before_the_login_end_the_session(gateway):
    with pop3(gateway, user=None) as client:
        for _ in range(9):
            client.ask("FOO", "-ERR Unknown command")
        client.send("FOO")
        client.expect("-ERR Unknown command")
        client.expect("-ERR Too many errors")
        assert client.is_closed()


def test_too_many_commands_without_a_login_end_the_session(gateway):
    with pop3(gateway, user=None) as client:
        for _ in range(99):
            client.ask("USER someone", "+OK")
        client.send("USER someone")
        client.expect("+OK")
        client.expect("-ERR Too many errors")
        assert client.is_closed()


@pytest.mark.parametrize("tls", [None, "implicit"])
@pytest.mark.parametrize("line", ["POST / HTTP/1.1", "Host: mail", "Content-Length: 99"])
def test_who_speaks_http_is_sent_away_at_his_first_line(gateway, tls, line):
    with Pop3(gateway.port("pop3s" if tls else "pop3"), tls=tls) as client:
        client.expect("+OK ")
        client.send([line, "", f"USER {ALICE}"])
        client.expect("-ERR This is a mail server")
        assert client.is_closed()


def test_a_command_has_255_octets_at_most(gateway):
    with pop3(gateway, user=None) as client:
        client.ask("USER " + "x" * 248, "+OK")
        client.ask("USER " + "x" * 249, "-ERR Line is too long")


def test_a_longer_command_in_the_mailbox_ends_the_session_and_never_goes_up(shared_odd):
    gateway, server = shared_odd
    with pop3(gateway) as client:
        client.send(["NOOP " + "x" * 248, "NOOP " + "y" * 249, "DELE 1", "QUIT"])
        client.expect("+OK")
        client.expect("-ERR Line is too long")
        assert client.is_closed()
    server.wait_connections(0)
    connection, = server.used("USER")
    assert [c[:6] for c in connection.commands[2:]] == ["NOOP x"]


def test_a_client_that_gets_nothing_but_errors_is_sent_away(shared_odd):
    gateway, server = shared_odd
    server.on("FOO", "-ERR what?").on("NOOP", None)
    with pop3(gateway) as client:
        client.send(["FOO"] * 99 + ["NOOP"] + ["FOO"] * 150)
        for n in range(99 + 1 + 100):
            client.expect("+OK" if n == 99 else "-ERR what?")
        while (said := client.reply()).startswith("-ERR what?"):
            pass  # those that had gone up already
        assert said.startswith("-ERR Too many errors")
        assert client.is_closed()
    server.wait_connections(0)
    assert not server.used("FOO")[0].saw("QUIT")


# ---- one after the other, where the server has no PIPELINING ----

def test_a_server_without_pipelining_gets_one_command_at_a_time(new_gateway, new_pop3):
    server = new_pop3([message()] * 3).on("CAPA", "+OK\nUSER\nTOP\nUIDL\n.")
    with pop3(new_gateway(pop3=server)) as client:
        client.send(["STAT", "RETR 1", "RETR 2", "DELE 1", "UIDL", "QUIT"])
        client.expect("+OK 3 ")
        for _ in range(2):
            client.expect("+OK")
            client.lines()
        client.expect("+OK")
        client.expect("+OK")
        assert len(client.lines()) == 3
        client.expect("+OK")
        assert client.is_closed()
    connection, = server.used("RETR")
    assert not connection.hears_ahead


def test_a_server_with_pipelining_gets_all_that_is_there(shared_odd):
    gateway, server = shared_odd
    gate = Gate()
    server.on("STAT", gate)
    with pop3(gateway) as client:
        client.send(["STAT", "NOOP", "NOOP"])
        gate.wait_reached()
        server.wait_for(lambda: b"NOOP\r\nNOOP\r\n" in _unread(server.used("STAT")[0]))
        gate.open()
        client.expect("+OK")


def _unread(connection):
    try:
        return connection.pending + connection.socket.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return connection.pending


@pytest.mark.parametrize("capa, offered", [
    ("+OK\nTOP\nUIDL\n.", {b"TOP", b"UIDL"}), ("+OK\nUIDL\n.", {b"UIDL"}), ("+OK\n.", set()),
    ("-ERR what?", {b"TOP", b"UIDL"}),
    ("+OK\nUIDL\nEXPIRE 60 USER\nLOGIN-DELAY 900\nUTF8\n.",
     {b"UIDL", b"EXPIRE 60 USER", b"LOGIN-DELAY 900", b"UTF8"}),
    ("+OK\nEXPIRE NEVER\nLOGIN-DELAY soon\n.", {b"EXPIRE NEVER"})],
    ids=["both", "uidl", "none", "no CAPA", "of a provider", "for good"])
def test_capa_offers_what_the_server_behind_has(new_gateway, new_pop3, capa, offered):
    gateway = new_gateway(pop3=new_pop3().on("CAPA", capa), workers=1)
    with pop3(gateway, user=None) as client:
        ours = {b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING", b"IMPLEMENTATION Porteiro", b"USER"}
        said = client.ask_many("CAPA")
        assert {line for line in said if not line.startswith(b"SASL ")} == ours | offered


@pytest.mark.parametrize("reply, expected", [("+OK", "+OK Logged in"), ("-ERR no", "-ERR [SYS/TEMP] The mail server refuses")])
def test_utf8_is_said_to_the_server_before_the_login(new_gateway, new_pop3, reply, expected):
    server = new_pop3().on("CAPA", "+OK\nUTF8\n.").on("UTF8", reply)
    gateway = new_gateway(pop3=server, workers=1)
    with pop3(gateway, user=None) as client:
        client.ask("UTF8", "+OK")
        client.ask("USER alice@example.com", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", expected)
    commands = [c.split()[0] for connection in server.used("UTF8") for c in connection.commands]
    assert commands[:3] == ["UTF8", "USER", "PASS"][:1 if reply == "-ERR no" else 3]


def test_utf8_is_unknown_where_the_server_has_none(new_gateway, new_pop3):
    with pop3(new_gateway(pop3=new_pop3()), user=None) as client:
        client.ask("UTF8", "-ERR Unknown command")


# ---- what is counted ----

def test_messages_read_and_deleted_are_counted(shared_odd):
    gateway, server = shared_odd
    server.messages[:] = [message()] * 4
    server.on("DELE", None, "-ERR gone", None)
    with pop3(gateway) as client:
        for n in (1, 2, 3):
            client.retrieve(n)
        client.ask("DELE 1", "+OK")
        client.ask("DELE 1", "-ERR gone")
        client.ask("DELE 2", "+OK")
        row = until(lambda: gateway.session(client) if gateway.session(client)["deleted"] == 2 else None)
        assert row["messages"] == 3
        client.quit()
    ended = gateway.wait_event("session_ended", session=row["session"])
    assert (ended["count"], ended["deleted"]) == ("3", "2")
    door = next(d for d in gateway.status()["listeners"] if d["name"] == "pop3s")
    assert (door["mailbox_messages"], door["mailbox_deletions"]) == (3, 2)


def test_what_was_marked_and_never_deleted_does_not_count_as_deleted(shared_odd):
    gateway, server = shared_odd
    with pop3(gateway) as client:
        client.ask("DELE 1", "+OK")
        row = until(lambda: gateway.session(client) if gateway.session(client)["deleted"] == 1 else None)
    ended = gateway.wait_event("session_ended", session=row["session"])
    assert ended["deleted"] == "0" and server.deleted == []


# ---- a session that we end ----

def test_a_drain_ends_a_session_behind_the_response_under_way_and_deletes_nothing(new_gateway, new_pop3):
    gate = Gate()
    server = new_pop3([message()] * 2).on("STAT", gate)
    gateway = new_gateway(pop3=server, workers=1, drain_delay="0s")
    with pop3(gateway) as client:
        client.ask("DELE 1", "+OK")
        client.send("STAT")
        gate.wait_reached()
        gateway.ctl("drain")
        gateway.wait_event("draining")
        client.send("QUIT")
        gate.open()
        client.expect("+OK 2 ")
        client.expect("-ERR [SYS/TEMP] ")
        assert client.is_closed()
    server.wait_connections(0)
    assert server.deleted == [] and not server.used("DELE")[0].saw("QUIT")


@pytest.mark.long
def test_a_drain_cuts_a_client_that_takes_nothing_for_30_seconds(new_gateway, new_pop3):
    content = b"x" * 70 + b"\r\n"
    server = new_pop3([content * (16 * 1024 * 1024 // len(content))])
    gateway = new_gateway(pop3=server, workers=1, drain_delay="0s")
    with pop3(gateway) as client:
        client.ask("DELE 1", "+OK")
        client.send("RETR 1")
        server.wait_for(lambda: server.sent > 0)
        gateway.ctl("drain")
        gateway.wait_event("session_ended", timeout=90)
    server.wait_connections(0)
    assert server.deleted == [] and not server.used("DELE")[0].saw("QUIT")
