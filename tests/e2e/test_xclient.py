"""Identity xclient: the server behind is told who the client is."""
import re

from fixtures.clients import message, smtp, token
from fixtures.scripted import EXTENSIONS, XCLIENT
from fixtures.waiting import settled, until

XCLIENT_TOO = (*EXTENSIONS, XCLIENT)


def test_postfix_is_told_the_clients_address_and_login(new_gateway, postfix_xclient):
    recipient = f"{token()}@dest.example"
    gateway = new_gateway(postfix_xclient, upstream={"identity": "xclient"})
    with smtp(gateway, source="127.0.0.99") as client:
        client.mail(message(), recipients=[recipient])
    assert "(unknown [127.0.0.99])" in postfix_xclient.delivered(recipient)[0].decode()
    until(lambda: re.search(r"client=unknown\[127\.0\.0\.99\],.* sasl_username=alice@example\.com",
                            postfix_xclient.log()))


def test_postfix_is_told_the_clients_helo_name(new_gateway, postfix_xclient):
    """An EHLO behind XCLIENT says it anew: that must not be our own name."""
    recipient = f"{token()}@dest.example"
    gateway = new_gateway(postfix_xclient, upstream={"identity": "xclient"})
    with smtp(gateway) as client:
        client.mail(message(), recipients=[recipient])
    assert "Received: from client.example.net (" in postfix_xclient.delivered(recipient)[0].decode()


def test_postfix_is_told_by_tls_too(new_gateway, postfix_xclient):
    recipient = f"{token()}@dest.example"
    gateway = new_gateway(postfix_xclient, upstream={"identity": "xclient", "tls": "require"})
    with smtp(gateway, source="127.0.0.98") as client:
        for _ in range(2):
            client.mail(message(), recipients=[recipient])
    for content in postfix_xclient.delivered(recipient, 2):
        of_postfix = content.decode().split("by legacy.example")[0]
        assert "(unknown [127.0.0.98])" in of_postfix and "using TLSv1.3" in of_postfix


def test_what_xclient_tells(new_gateway, new_smtp):
    server = new_smtp(extensions=XCLIENT_TOO)
    gateway = new_gateway(server, upstream={"identity": "xclient"})
    with smtp(gateway, source="127.0.0.97") as client:
        client.mail(message())
        port, door = client.local_port, gateway.port("submissions")
    told = " ".join(server.used()[0].saw("XCLIENT"))
    values = dict(re.findall(r"(\w+)=(\S+)", told))
    assert values == {
        "NAME": "[UNAVAILABLE]", "ADDR": "127.0.0.97", "PORT": str(port), "PROTO": "ESMTP",
        "HELO": "client.example.net", "LOGIN": "alice@example.com", "DESTADDR": "127.0.0.1", "DESTPORT": str(door)}
    last = server.used()[0].saw("XCLIENT")[-1]
    assert "ADDR=" in last and "PORT=" in last  # ADDR last, PORT in the same command
    assert all(len(command) <= 510 for command in server.used()[0].saw("XCLIENT"))
    verbs = [command.split()[0] for command in server.used()[0].commands if command != "QUIT"]
    assert verbs[-4:] == ["EHLO", "MAIL", "RCPT", "DATA"]  # EHLO again after the last XCLIENT


def test_where_the_client_came_to_is_what_who_speaks_for_it_says(new_gateway, new_smtp):
    server = new_smtp(extensions=XCLIENT_TOO)
    gateway = new_gateway(server, listener={"xclient_from": ["127.0.0.0/8"]}, upstream={"identity": "xclient"})
    with smtp(gateway, user=None) as webmail:
        webmail.ask("XCLIENT DESTADDR=IPV6:2001:db8::5 DESTPORT=587", "220 ")
        webmail.hello()
        webmail.ask("XCLIENT ADDR=192.0.2.7", "220 ")
        webmail.hello()
        webmail.login()
        webmail.mail(message())
    values = dict(re.findall(r"(\w+)=(\S+)", " ".join(server.used()[0].saw("XCLIENT"))))
    assert (values["ADDR"], values["DESTADDR"], values["DESTPORT"]) == ("192.0.2.7", "IPV6:2001:db8::5", "587")


def test_only_the_names_that_the_server_lists_are_told(new_gateway, new_smtp):
    server = new_smtp(extensions=[*EXTENSIONS, "XCLIENT ADDR LOGIN"])
    gateway = new_gateway(server, upstream={"identity": "xclient"})
    with smtp(gateway) as client:
        client.mail(message())
    names = re.findall(r"(\w+)=", " ".join(server.used()[0].saw("XCLIENT")))
    assert sorted(names) == ["ADDR", "LOGIN"]


def test_a_connection_that_was_told_belongs_to_one_session(new_gateway, new_smtp):
    server = new_smtp(extensions=XCLIENT_TOO)
    gateway = new_gateway(server, workers=1, upstream={"identity": "xclient"})
    for user in ("alice", "bob", "alice"):
        with smtp(gateway, user=user) as client:
            for _ in range(3):
                client.mail(message(), sender=f"{user}@example.com")
            client.quit()
    logins = [re.search(r"LOGIN=(\S+)", " ".join(c.saw("XCLIENT")))[1] for c in server.used()]
    assert sorted(logins) == ["alice@example.com", "alice@example.com", "bob@example.com"]  # spares are used in any order
    assert [c.messages for c in server.used()] == [3, 3, 3]
    until(lambda: not [c for c in server.used() if c.is_open])


def test_a_connection_that_was_told_gets_rset_and_stays(new_gateway, new_smtp):
    server = new_smtp(extensions=XCLIENT_TOO)
    with smtp(new_gateway(server, upstream={"identity": "xclient"})) as client:
        client.envelope()
        client.ask("RSET", "250 ")
        client.mail(message())
    connection, = server.used()
    assert "RSET" in connection.commands and connection.messages == 1


def test_a_told_connection_ends_after_idle_timeout_and_the_next_message_takes_a_fresh_one(new_gateway, new_smtp):
    server = new_smtp(extensions=XCLIENT_TOO)
    gateway = new_gateway(server, workers=1, upstream={"identity": "xclient", "idle_timeout": "300ms"})
    with smtp(gateway) as client:
        client.mail(message())
        until(lambda: not server.used()[0].is_open)
        client.mail(message())
    assert [c.messages for c in server.used()] == [1, 1]
    assert all(c.saw("XCLIENT") for c in server.used())


def test_two_fresh_connections_are_kept_ready_for_each_worker(new_gateway, new_smtp):
    server = new_smtp(extensions=XCLIENT_TOO)
    gateway = new_gateway(server, workers=1, upstream={"identity": "xclient"})
    with smtp(gateway) as client:
        client.mail(message())

        def ready():
            fresh = [c for c in server.connections if c.is_open and not c.saw("XCLIENT")]
            return len(fresh) == 2 and all(c.commands == ["EHLO mail.example.com"] for c in fresh) and fresh

        first, second = server.wait_for(ready)
        with smtp(gateway) as another:
            another.mail(message())
        assert first.messages + second.messages == 1


def test_no_fresh_connection_is_made_past_half_of_max_connections(new_gateway, new_smtp):
    server = new_smtp(extensions=XCLIENT_TOO)
    gateway = new_gateway(server, workers=1, upstream={
        "identity": "xclient", "max_connections": 4, "health_check": "1h"})
    server.wait_connections(0)
    clients = [smtp(gateway) for _ in range(2)]
    for client in clients:
        client.mail(message())
    assert server.peak <= 4
    assert settled(lambda: server.open_now) <= 3  # two in use, and one that was begun before the second came


def test_a_server_that_does_not_offer_xclient_is_451_4_3_5(new_gateway, postfix):
    gateway = new_gateway(postfix, upstream={"identity": "xclient"})
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.3.5 ")
        client.ask("DATA", "554 5.5.1 ")
    assert "XCLIENT" in gateway.wait_event("upstream_refuses", upstream="smtp/a")["reason"]


def test_a_server_that_refuses_xclient_is_451_4_3_5(new_gateway, new_smtp):
    server = new_smtp(extensions=XCLIENT_TOO).on("XCLIENT", "550 5.7.0 insufficient authorization")
    gateway = new_gateway(server, upstream={"identity": "xclient"})
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
        client.ask("RCPT TO:<x@dest.example>", "451 4.3.5 ")
    gateway.wait_event("upstream_refuses", upstream="smtp/a")
    assert not server.used("MAIL")
