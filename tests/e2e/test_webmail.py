"""xclient_from, xclient_login_from: a webmail says for whom it speaks."""
import re
import shutil
import subprocess

import pytest

from fixtures import build
from fixtures.clients import Smtp, message, smtp, token
from fixtures.gateway import run_porteirod
from fixtures.scripted import EXTENSIONS, XCLIENT
from fixtures.waiting import until

WEBMAIL, STRANGER = "127.0.0.8", "127.0.0.9"
TOLD = "ADDR=203.0.113.7 PORT=4711 NAME=home.example.net HELO=phone.example.net"


@pytest.fixture
def server(new_smtp):
    return new_smtp(extensions=(*EXTENSIONS, XCLIENT))


@pytest.fixture
def trusting(new_gateway, server):
    """A gateway that trusts WEBMAIL with addresses, and tells the server behind."""
    return new_gateway(server, listener={"xclient_from": [f"{WEBMAIL}/32"]}, upstream={"identity": "xclient"})


@pytest.fixture
def vouching(new_gateway, server):
    """The same, with logins too."""
    return new_gateway(server, listener={"xclient_login_from": [WEBMAIL]}, upstream={"identity": "xclient"})


def tell(client, what, name="client.example.net"):
    """XCLIENT and, as it begins anew, EHLO; returns what is offered."""
    client.ask(f"XCLIENT {what}", "220 mail.example.com ESMTP")
    return client.hello(name)


def told_on(connection):
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(connection.saw("XCLIENT"))))


def upstream_heard(server):
    connection, = server.used()
    return told_on(connection)


# ---- who ----

def test_ehlo_offers_xclient_to_whom_it_is_for(trusting):
    for door in ("submissions", "submission"):
        with smtp(trusting, user=None, door=door, source=WEBMAIL) as client:
            assert "XCLIENT NAME ADDR PORT HELO DESTADDR DESTPORT" in client.hello()
        with smtp(trusting, user=None, door=door, source=STRANGER) as client:
            assert not [line for line in client.hello() if line.startswith("XCLIENT")]


def test_ehlo_offers_login_where_it_may_be_told(vouching):
    with smtp(vouching, user=None, source=WEBMAIL) as client:
        assert "XCLIENT NAME ADDR PORT HELO DESTADDR DESTPORT LOGIN" in client.hello()


@pytest.mark.parametrize("user", [None, "alice"])
def test_a_stranger_speaks_for_nobody(trusting, user):
    with smtp(trusting, user=user, source=STRANGER) as client:
        client.ask(f"XCLIENT {TOLD}", "550 5.7.0 ")
        client.ask("XCLIENT LOGIN=bob@example.com", "550 5.7.0 ")
        if user:
            client.mail(message())
    assert not trusting.events("speaks_for")


def test_who_may_tell_addresses_may_not_tell_logins(trusting):
    with smtp(trusting, user=None, source=WEBMAIL) as client:
        client.ask("XCLIENT LOGIN=alice@example.com", "550 5.7.0 ")
        client.ask("XCLIENT ADDR=203.0.113.7 LOGIN=alice@example.com", "550 5.7.0 ")
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")


# ---- what it changes ----

def test_the_server_behind_is_told_of_whom_the_webmail_speaks(trusting, server):
    with smtp(trusting, user=None, source=WEBMAIL) as client:
        tell(client, TOLD)
        client.login().mail(message())
    heard = upstream_heard(server)
    assert heard["ADDR"] == "203.0.113.7" and heard["PORT"] == "4711"
    assert heard["NAME"] == "home.example.net" and heard["HELO"] == "phone.example.net"
    assert heard["LOGIN"] == "alice@example.com"


def test_an_ipv6_client_is_told_on(trusting, server):
    with smtp(trusting, user=None, source=WEBMAIL) as client:
        tell(client, "ADDR=IPV6:2001:db8::7 PORT=4711")
        client.login().mail(message())
        trusting.wait_event("login", client="[2001:db8::7]:4711")
    heard = upstream_heard(server)
    assert heard["ADDR"] == "IPV6:2001:db8::7" and heard["NAME"] == "[UNAVAILABLE]"
    assert heard["HELO"] == "client.example.net"


def test_a_real_postfix_logs_whom_the_webmail_speaks_for(new_gateway, postfix_xclient):
    recipient = f"{token()}@dest.example"
    gateway = new_gateway(postfix_xclient, listener={"xclient_from": [WEBMAIL]}, upstream={"identity": "xclient"})
    with smtp(gateway, user=None, source=WEBMAIL) as client:
        tell(client, TOLD)
        client.login().mail(message(), recipients=[recipient])
    head = postfix_xclient.delivered(recipient)[0].decode()
    assert "Received: from phone.example.net (home.example.net [203.0.113.7])" in head
    until(lambda: "client=home.example.net[203.0.113.7]" in postfix_xclient.log())


def test_log_and_sessions_name_whom_the_webmail_speaks_for(trusting):
    with smtp(trusting, user=None, source=WEBMAIL) as client:
        tell(client, TOLD)
        client.login()
        client.mail(message())
        assert [row["client"] for row in trusting.sessions()] == ["203.0.113.7:4711"]
        session = trusting.sessions()[0]["session"]
    spoke = trusting.wait_event("speaks_for", session=session, speaks_for="203.0.113.7:4711")
    assert spoke["client"] == f"{WEBMAIL}:{client.local_port}"
    for event in ("login", "message_accepted", "session_ended"):
        assert trusting.wait_event(event, session=session)["client"] == "203.0.113.7:4711"


@pytest.mark.parametrize("says_ehlo", [True, False])
def test_received_full_tells_whom_the_webmail_speaks_for(new_gateway, new_smtp, says_ehlo):
    server = new_smtp()
    gateway = new_gateway(server, listener={"xclient_login_from": [WEBMAIL], "received": "full"})
    with Smtp(gateway.port("submissions"), source=WEBMAIL) as client:
        client.expect("220 ")
        client.ask(f"XCLIENT {TOLD} LOGIN=alice@example.com", "220 ")
        if says_ehlo:
            client.hello("webmail.example.com")
        client.mail(message())
    assert server.messages[0].data.startswith(b"Received: from phone.example.net ([203.0.113.7])\r\n")


def test_an_unavailable_address_leaves_the_webmails_own(trusting, server):
    with smtp(trusting, user=None, source=WEBMAIL) as client:
        tell(client, "ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] NAME=[TEMPUNAVAIL] HELO=phone.example.net")
        client.login().mail(message())
    heard = upstream_heard(server)
    assert heard["ADDR"] == WEBMAIL and heard["HELO"] == "phone.example.net"


def test_one_after_the_other_on_one_connection(vouching, server):
    """Nobody is taken for the one before."""
    people = [("alice", "203.0.113.7"), ("bob", "203.0.113.8"), ("alice", "203.0.113.9")]
    with smtp(vouching, user=None, source=WEBMAIL) as client:
        for user, address in people:
            tell(client, f"ADDR={address} PORT=1 LOGIN={user}@example.com")
            client.mail(message(), sender=f"{user}@example.com")
    told = {(told_on(c)["ADDR"], told_on(c)["LOGIN"], c.saw("MAIL")[0].split()[1]) for c in server.used()}
    assert told == {(address, f"{user}@example.com", f"FROM:<{user}@example.com>") for user, address in people}
    assert [c.messages for c in server.used()] == [1, 1, 1]


def test_several_commands_add_up(trusting, server):
    with smtp(trusting, user=None, source=WEBMAIL) as client:
        client.ask("XCLIENT NAME=home.example.net", "220 ")
        client.ask("XCLIENT HELO=phone.example.net", "220 ")
        tell(client, "ADDR=203.0.113.7 PORT=4711")
        client.login().mail(message())
    heard = upstream_heard(server)
    assert (heard["NAME"], heard["HELO"], heard["ADDR"]) == ("home.example.net", "phone.example.net", "203.0.113.7")


# ---- logins ----

def test_a_login_that_is_told_needs_no_password(vouching, server):
    with smtp(vouching, user=None, source=WEBMAIL) as client:
        offered = tell(client, "LOGIN=Alice ADDR=203.0.113.7 PORT=1")
        assert not [line for line in offered if line.startswith("AUTH")]
        client.ask("AUTH PLAIN", "503 5.5.1 ")
        client.mail(message())
    assert upstream_heard(server)["LOGIN"] == "alice@example.com"  # canonical: lower case, with the realm
    vouching.wait_event("login", account="alice@example.com", client="203.0.113.7:1")
    vouching.wait_event("message_accepted", account="alice@example.com")


@pytest.mark.parametrize("login", ["a+20b", "COMPANY+5Cana", "a%25b", "a@b@c", "@example.com", "ana+0Aevil", "x" * 256])
def test_a_login_that_can_be_no_account_is_refused(vouching, login):
    with smtp(vouching, user=None, source=WEBMAIL) as client:
        client.ask(f"XCLIENT LOGIN={login}", "501 5.5.4 ")
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 ")


def test_nobody_is_logged_in_behind_with_the_password_of_another(new_gateway, new_smtp):
    """identity = "password": who was named has none that could be repeated."""
    server = new_smtp(extensions=(*EXTENSIONS, "AUTH PLAIN"))
    gateway = new_gateway(server, listener={"xclient_login_from": [WEBMAIL]}, upstream={"identity": "password"})
    with smtp(gateway, source=WEBMAIL) as client:
        tell(client, "LOGIN=bob@example.com")
        client.ask("MAIL FROM:<bob@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.3.5 ")
    assert not server.used("MAIL")


# ---- syntax and sequence ----

@pytest.mark.parametrize("what", [
    "", "ADDR", "ADDR=", "ADDR=2001:db8::7", "ADDR=IPV6:203.0.113.7", "ADDR=host.example", "PORT=65536", "FOO=bar",
    "ADDR=203.0.113.7 ADDR=203.0.113.8", "NAME=a+0D+0Ab", "HELO=a=b", "NAME=a+2", "HELO=<x>"])
def test_wrong_attributes_are_501_and_change_nothing(trusting, server, what):
    with smtp(trusting, source=WEBMAIL) as client:
        client.ask(f"XCLIENT {what}", "501 5.5.4 ")
        client.mail(message())
    assert upstream_heard(server)["ADDR"] == WEBMAIL


def test_within_an_envelope_it_is_503_and_the_message_goes_on(trusting, server):
    with smtp(trusting, source=WEBMAIL) as client:
        client.envelope()
        client.ask(f"XCLIENT {TOLD}", "503 5.5.1 ")
        client.text(message())
    assert upstream_heard(server)["ADDR"] == WEBMAIL


def test_commands_behind_it_in_one_segment_are_taken(trusting):
    with smtp(trusting, user=None, source=WEBMAIL) as client:
        client.send([f"XCLIENT {TOLD}", "EHLO x", "NOOP"])
        client.expect("220 ")
        client.expect("250 ")
        client.expect("250 2.0.0 ")


# ---- before STARTTLS: what it tells survives, all else is forgotten ----

def before_tls(gateway):
    client = Smtp(gateway.port("submission"), tls=None, source=WEBMAIL)
    client.expect("220 ")
    assert [line for line in client.hello() if line.startswith("XCLIENT")]
    return client


@pytest.mark.parametrize("says_ehlo_again", [True, False])
def test_what_is_told_before_starttls_holds_behind_it(vouching, server, says_ehlo_again):
    """Roundcube goes on with STARTTLS at once."""
    with before_tls(vouching) as client:
        client.ask("XCLIENT LOGIN=alice@example.com ADDR=203.0.113.7", "220 ")
        if says_ehlo_again:
            client.hello()
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 Must issue a STARTTLS command first")
        client.starttls()
        client.ask("MAIL FROM:<alice@example.com>", "503 5.5.1 Send EHLO first")
        client.hello()
        client.mail(message())
    heard = upstream_heard(server)
    assert heard["ADDR"] == "203.0.113.7" and heard["LOGIN"] == "alice@example.com"


def test_a_password_is_needed_behind_starttls_where_no_login_was_told(trusting):
    with before_tls(trusting) as client:
        client.ask("XCLIENT ADDR=203.0.113.7", "220 ")
        client.starttls()
        client.hello()
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 Authentication required")
        client.login().mail(message())


# ---- clients ----

def test_phpmailers_order_works(trusting, server):
    """PHPMailer (since 6.7): AUTH, then XCLIENT with all that it knows, then MAIL at once."""
    with smtp(trusting, source=WEBMAIL) as client:
        client.ask("XCLIENT NAME=home.example.net ADDR=203.0.113.7 PORT=4711 PROTO=ESMTP HELO=phone.example.net "
                   "DESTADDR=192.0.2.1 DESTPORT=465", "220 ")
        client.mail(message())
    assert upstream_heard(server)["HELO"] == "phone.example.net"


@pytest.mark.parametrize("order", [["--xclient-before-starttls"], []])
def test_swaks(vouching, server, order):
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(vouching.port("submission")), "--tls",
         "--local-interface", WEBMAIL, "--from", "alice@example.com", "--to", "x@dest.example", *order,
         "--xclient", "LOGIN=alice@example.com ADDR=203.0.113.7 PORT=4711"],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert upstream_heard(server)["ADDR"] == "203.0.113.7" and len(server.messages) == 1


# ---- porteirod -t ----

@pytest.fixture
def checked(new_gateway, new_smtp):
    """What porteirod -t says of these networks of xclient_login_from; `wrapper` runs it elsewhere."""
    gateway = new_gateway(new_smtp(), start=False)

    def check(networks, wrapper=()):
        gateway.write_config(listeners={"submissions": {"xclient_login_from": networks}})
        if not wrapper:
            return run_porteirod("-t", "-c", gateway.config_file)
        return subprocess.run([*wrapper, build.PORTEIROD, "-t", "-c", gateway.config_file],
                              capture_output=True, text=True, timeout=60)

    return check


def test_loopback_that_may_vouch_is_warned_of(checked):
    for network in ("127.0.0.1", "127.0.0.0/8", "127.0.0.8/32", "::1"):
        done = checked([network])
        assert done.returncode == 0
        assert re.search(rf"porteiro\.conf:\d+: .*xclient_login_from: {re.escape(network)} is this machine", done.stdout)
    assert "xclient_login_from" not in checked(["198.51.100.7"]).stdout


@pytest.mark.parametrize("network", ["10.0.0.5/8", "10.0.0.0/33", "webmail.example.com", "10.0.0.0/", "*"])
def test_what_is_no_network_is_refused(checked, network):
    done = checked([network])
    assert done.returncode == 1 and re.search(r"porteiro\.conf:\d+: .*xclient_login_from", done.stderr)


# A network of its own, with a default router each and what the kernel shows of a bridge (whether or not it knows them).
MACHINE = """
ip link set lo up; ip link add d0 type veth peer name b0
ip address add 10.9.0.5/24 dev d0; ip address add 2001:db8::5/64 dev d0 nodad; ip address add 172.30.0.1/16 dev b0
ip link set d0 up; ip link set b0 up
ip route add default via 10.9.0.1 && ip -6 route add default via 2001:db8::1 &&
mount -t tmpfs none /sys/class/net && mkdir -p /sys/class/net/b0/bridge /sys/class/net/d0 && exec "$@"
"""
ELSEWHERE = ["unshare", "--net", "--mount", "sh", "-c", MACHINE, "sh"]
MAY_MAKE_IT = shutil.which("ip") and subprocess.run([*ELSEWHERE, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not MAY_MAKE_IT, reason="needs ip, and the right to make a network of its own")
@pytest.mark.parametrize("networks, is_good", [
    (["10.9.0.0/24"], False), (["10.9.0.1"], False), (["0.0.0.0/0"], False), (["198.51.100.7", "172.30.0.0/16"], False),
    (["10.9.0.7"], True), (["172.30.0.9"], True), (["2001:db8::1"], False), (["2001:db8::9"], True), (["::/0"], False)])
def test_networks_with_the_default_router_or_a_bridge_may_not_vouch(checked, networks, is_good):
    """NAT shows whoever comes through it as that address: an open relay."""
    done = checked(networks, wrapper=ELSEWHERE)
    assert done.returncode == (0 if is_good else 1), done.stderr
    assert ("whoever comes through its NAT" in done.stderr) == (not is_good)


# ---- one person after the other ----

def test_the_next_person_is_not_logged_in_as_the_one_before(trusting, server):
    with smtp(trusting, user=None, source=WEBMAIL) as client:
        tell(client, "ADDR=203.0.113.1")
        client.login("alice")
        client.mail(message())
        assert any(e.startswith("AUTH ") for e in tell(client, "ADDR=203.0.113.2"))
        client.ask("MAIL FROM:<bob@example.com>", "530 5.7.0 Authentication required")
        client.login("bob")
        client.mail(message())
    trusting.wait_event("message_accepted", count=2)
    assert [e["account"] for e in trusting.events("message_accepted")] == ["alice@example.com", "bob@example.com"]


def test_the_next_persons_mail_goes_up_with_his_own_password(new_gateway, new_smtp):
    server = new_smtp(extensions=(*EXTENSIONS, "AUTH PLAIN")).on("AUTH", "235 2.7.0 ok")
    gateway = new_gateway(server, listener={"xclient_from": [WEBMAIL]}, upstream={"identity": "password", "tls": "none"})
    with smtp(gateway, user=None, source=WEBMAIL) as client:
        for person, user in (("203.0.113.1", "alice"), ("203.0.113.2", "bob")):
            tell(client, f"ADDR={person}")
            client.login(user)
            client.mail(message())
    logins = [c.commands for c in server.connections if any(x.startswith("AUTH") for x in c.commands)]
    assert len(logins) == 2 and len(server.messages) == 2


def test_a_login_that_is_withdrawn_is_gone(vouching):
    with smtp(vouching, user=None, source=WEBMAIL) as client:
        tell(client, "LOGIN=alice@example.com ADDR=203.0.113.1")
        client.mail(message())
        tell(client, "LOGIN=[UNAVAILABLE] ADDR=[UNAVAILABLE]")
        client.ask("MAIL FROM:<alice@example.com>", "530 5.7.0 Authentication required")
        assert vouching.session(client)["client"].startswith(WEBMAIL)


def test_networks_that_may_vouch_are_small(checked):
    done = checked(["198.0.0.0/8"])
    assert done.returncode == 1 and "198.0.0.0/8 is wide" in done.stderr
