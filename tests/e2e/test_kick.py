"""Sessions that somebody ends: porteiroctl kick."""
import pytest

from fixtures.clients import message, pop3, smtp
from fixtures.waiting import until

READ, SUPPORT = "games", "irc"  # groups that Debian always has
ALICE, HERE, THERE = "alice@example.com", "127.0.0.7", "127.0.0.8"


@pytest.fixture
def gateway(new_gateway, postfix, dovecot):
    dovecot.fill(ALICE, [message(), message()])
    return new_gateway(postfix, dovecot, workers=2, control_groups={READ: "read", SUPPORT: "support"})


def ended(client, said):
    client.expect(said)
    assert client.is_closed()


def test_an_accounts_sessions_end_between_commands_and_nothing_is_deleted(gateway, dovecot):
    reader, sender, sending = pop3(gateway), smtp(gateway), smtp(gateway)
    other = smtp(gateway, user="bob")
    reader.ask("DELE 1", "+OK")
    sending.envelope()
    said = gateway.ctl("kick", "Alice", "--reason", "ticket 4711: try again at noon\r\n250 Ok").stdout
    assert said == f"{ALICE}: sessions that end: 3\n"
    ended(reader, "-ERR [SYS/TEMP] Ended by an administrator: ticket 4711: try again at noon??250 Ok (")
    ended(sender, "421 4.3.2 Ended by an administrator: ticket 4711: try again at noon??250 Ok (")
    sending.text(message())  # what was begun may be ended
    ended(sending, "421 4.3.2 Ended by an administrator: ")
    other.mail(message(), sender="bob@example.com")
    gateway.wait_event("session_ending", count=3, account=ALICE, reason="kicked")
    gateway.wait_event("control_command", command="kick", uid=0)
    assert dovecot.count(ALICE) == 2
    smtp(gateway).mail(message())  # it may come again


def test_a_message_is_read_to_its_end(gateway, dovecot):
    dovecot.fill(ALICE, [message(body="x\r\n" * 1000)])
    with pop3(gateway) as reader:
        reader.send(["RETR 1", "DELE 1"])
        gateway.ctl("kick", ALICE)
        reader.expect("+OK")
        assert len(reader.lines()) > 1000
        reader.expect("+OK")
        ended(reader, "-ERR [SYS/TEMP] Ended by an administrator: please connect again (")
    assert dovecot.count(ALICE) == 1


@pytest.mark.long
def test_a_client_that_takes_nothing_is_not_waited_for(gateway, dovecot):
    dovecot.fill(ALICE, [message(body="x" * 70 + "\r\n") + (b"y" * 78 + b"\r\n") * 500_000])
    with pop3(gateway) as reader:
        reader.send(["DELE 1", "RSET", "RETR 1", "DELE 1"])
        until(lambda: gateway.session(reader)["age"] > 1)  # its socket is full
        gateway.ctl("kick", ALICE)
        until(lambda: gateway.session(reader) is None, timeout=45)
    assert dovecot.count(ALICE) == 1


def test_a_session_ends_by_its_id_and_those_of_an_address_by_that(gateway):
    first, second = smtp(gateway, source=HERE), smtp(gateway, source=HERE)
    guest, far = pop3(gateway, user=None, source=HERE), smtp(gateway, source=THERE)
    session = gateway.session(first)["session"]
    assert gateway.ctl("kick", session.upper()).stdout == f"{session}: sessions that end: 1\n"
    ended(first, "421 4.3.2 ")
    assert "sessions that end: 2" in gateway.ctl("kick", HERE).stdout
    ended(second, "421 4.3.2 ")
    ended(guest, "-ERR [SYS/TEMP] ")
    gateway.ctl("kick", "127.0.0.8/30")
    ended(far, "421 4.3.2 ")
    for who in (session, HERE, ALICE, "192.0.2.0/24"):
        assert "has no session" in gateway.ctl("kick", who, status=1).stderr
    assert "no session, account or address" in gateway.ctl("kick", "a b", status=1).stderr


def test_sessions_of_an_older_generation_end_as_well(gateway):
    with smtp(gateway) as old:
        gateway.reload()
        with smtp(gateway) as new:
            assert "sessions that end: 2" in gateway.ctl("kick", "alice").stdout
            ended(old, "421 4.3.2 ")
            ended(new, "421 4.3.2 ")


def test_support_may_and_readers_may_not(gateway):
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup"]
    with smtp(gateway) as client:
        said = gateway.ctl("kick", "alice", status=1, wrapper=[*as_nobody, f"--groups={READ}"]).stderr
        assert '"support"' in said
        client.ask("NOOP", "250 ")
        gateway.ctl("kick", "alice", wrapper=[*as_nobody, f"--groups={SUPPORT}"])
        ended(client, "421 4.3.2 ")
    gateway.wait_event("control_command", command="kick", uid=65534)
    for arguments in (["kick"], ["kick", "alice", "bob"], ["kick", "--reason", "x"]):
        assert "kick takes" in gateway.ctl(*arguments, status=2).stderr
