"""What a POP3 server behind is told of the client, and how the gateway logs in there."""
import base64
import re

import pytest

from fixtures.clients import PASSWORDS, message, pop3
from fixtures.waiting import until

ALICE = "alice@example.com"


# ---- xclient ----

def test_dovecot_is_told_the_clients_address(new_gateway, dovecot_trusting):
    dovecot_trusting.fill(ALICE, [message()])
    gateway = new_gateway(pop3=dovecot_trusting, upstream={"identity": "xclient"})
    with pop3(gateway, source="127.0.0.99") as client:
        client.ask("STAT", "+OK 1 ")
        row, port = gateway.session(client), client.local_port
        client.quit()
    line = until(lambda: re.search(r"Login: user=<.*127\.0\.0\.99.*", dovecot_trusting.log()), "Dovecot's line")[0]
    assert f"user=<{ALICE}>, rip=127.0.0.99, rport={port}, " in line and f"session=<{row['session']}>" in line
    assert "forward_account=" + ALICE in dovecot_trusting.log()


def test_what_xclient_tells(new_gateway, new_pop3):
    server = new_pop3().on("CONNECT", "+OK [XCLIENT] scripted ready")
    gateway = new_gateway(pop3=server, upstream={"identity": "xclient"})
    with pop3(gateway) as client:
        session, port = gateway.session(client)["session"], client.local_port
    connection, = server.used("PASS")
    told, user, password = connection.commands[:3]
    verb, *pairs = told.split(" ")
    told = dict(pair.split("=", 1) for pair in pairs)
    forward = base64.b64decode(told.pop("FORWARD")).decode().split("\t")
    assert verb == "XCLIENT" and told == {
        "ADDR": "127.0.0.1", "PORT": str(port), "DESTADDR": "127.0.0.1", "DESTPORT": str(gateway.port("pop3s")),
        "SESSION": session, "TTL": "4", "CLIENT-TRANSPORT": "TLS"}
    assert forward == [f"account={ALICE}", "listener=pop3s"]
    assert (user, password) == (f"USER {ALICE}", f"PASS {PASSWORDS['alice']}")


def test_a_dovecot_that_does_not_trust_us_gets_no_login(new_gateway, dovecot):
    """It says +OK to XCLIENT all the same."""
    gateway = new_gateway(pop3=dovecot, upstream={"identity": "xclient"})
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] The mail server refuses the gateway")
    assert "login_trusted_networks" in gateway.wait_event("upstream_refuses", upstream="pop3/a")["reason"]


@pytest.mark.parametrize("reply", ["-ERR Invalid parameters", "-ERR [SYS/TEMP] not now"])
def test_a_refused_xclient_is_never_passed_over(new_gateway, new_pop3, reply):
    server = new_pop3().on("CONNECT", "+OK [XCLIENT] scripted ready").on("XCLIENT", reply)
    gateway = new_gateway(pop3=server, upstream={"identity": "xclient"})
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] The mail server refuses the gateway")
    assert not server.used("USER") and len(server.used("XCLIENT")) == 1
    assert reply in gateway.wait_event("upstream_refuses", upstream="pop3/a")["reason"]
