"""Submission as RFC 5321 and 6409 have it: commands, their order and their limits."""
import pytest

from fixtures.clients import id_of, message, smtp, token
from fixtures.scripted import HANG
from fixtures.waiting import until


@pytest.fixture
def client(gateway):
    with smtp(gateway) as session:
        yield session


# ---- EHLO ----

def test_ehlo_offers_our_own_extensions_and_what_the_probes_found(client):
    assert client.ask("EHLO x", "250 ").split("\n")[0] == "250-mail.example.com"
    offered = client.hello()
    assert {"PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES", "SIZE 52428800"} <= set(offered)  # max_message_size
    assert "LIMITS RCPTMAX=100" in offered  # max_recipients, RFC 9422
    assert {"8BITMIME", "SMTPUTF8", "DSN"} <= set(offered)  # Postfix's
    assert not {"BINARYMIME", "ETRN", "VRFY", "XCLIENT"} & {line.split()[0] for line in offered}


def test_ehlo_offers_no_extension_that_the_server_behind_lacks(new_gateway, new_smtp):
    with smtp(new_gateway(new_smtp(extensions=["PIPELINING", "DSN"]))) as client:
        offered = client.hello()
        client.ask("MAIL FROM:<alice@example.com> BODY=8BITMIME", "555 5.5.4 ")
        client.ask("MAIL FROM:<alice@example.com> SMTPUTF8", "555 5.5.4 ")
        client.ask("MAIL FROM:<alice@example.com> RET=FULL", "250 2.1.0 ")
    assert "DSN" in offered and not {"8BITMIME", "SMTPUTF8"} & set(offered)


def test_ehlo_offers_only_what_every_server_behind_has(new_gateway, new_smtp):
    first = new_smtp(extensions=["8BITMIME", "DSN", "SIZE 1000000"])
    second = new_smtp(extensions=["8BITMIME", "SMTPUTF8", "SIZE 2000000"])
    with smtp(new_gateway([first, second])) as client:
        offered = client.hello()
    assert "8BITMIME" in offered and not {"DSN", "SMTPUTF8"} & set(offered)
    assert "SIZE 1000000" in offered


def test_before_the_first_probe_has_answered_no_extension_of_it_is_offered(new_gateway, new_smtp):
    server = new_smtp().on("EHLO", HANG)
    gateway = new_gateway(server, start=False).start(is_awaited=False)
    until(lambda: server.connections and server.connections[0].saw("EHLO"))
    until(lambda: gateway.events("started"))
    with smtp(gateway) as client:
        offered = client.hello()
    assert not {"8BITMIME", "SMTPUTF8", "DSN"} & set(offered)
    assert {"PIPELINING", "ENHANCEDSTATUSCODES"} <= set(offered)


def test_helo_has_no_extensions(client):
    assert client.ask("HELO client.example.net", "250 mail.example.com") == "250 mail.example.com"
    client.ask("MAIL FROM:<alice@example.com> SIZE=100", "555 5.5.4 ")
    client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")


@pytest.mark.parametrize("name", ["", " ", "two names", "x" * 256, "<script>", "me@here", "[192.0.2.1", "b\udcfcro"])
def test_ehlo_needs_one_name(client, name):
    client.ask(f"EHLO {name}", "501 5.5.4 ")


@pytest.mark.parametrize("name", ["[127.0.0.1]", "[IPv6:::1]", "WIN-PC_2", "localhost", "xn--gre-6ka.example",
                                  "192.0.2.1", "2001:db8::1", "[::1]", "büro-pc", "x" * 255])
def test_ehlo_takes_the_names_that_clients_really_send(client, name):
    client.hello(name)


# ---- small commands ----

@pytest.mark.parametrize("command, reply", [
    ("NOOP", "250 2.0.0 "), ("NOOP with words", "250 2.0.0 "), ("noop", "250 2.0.0 "),
    ("RSET", "250 2.0.0 "), ("RSET now", "501 5.5.4 "),
    ("VRFY alice", "252 2.5.2 "), ("VRFY", "501 5.5.4 "),
    ("HELP", "214 2.0.0 "), ("HELP MAIL", "214 2.0.0 "),
    ("QUIT now", "501 5.5.4 "),
    ("DATA", "503 5.5.1 "), ("RCPT TO:<x@dest.example>", "503 5.5.1 "),
    ("EXPN list", "500 5.5.2 "), ("TURN", "500 5.5.2 "), ("BDAT 0 LAST", "503 5.5.1 "),
    ("", "500 5.5.2 "), ("x" * 100, "500 5.5.2 "), ("MAILFROM:<a@b.example>", "500 5.5.2 ")])
def test_commands_outside_of_a_message(client, command, reply):
    client.ask(command, reply)
    client.ask("NOOP", "250 ")


def test_quit_ends_the_session_in_good_order(client):
    client.quit()


def test_an_overlong_command_is_500_5_5_2_and_the_session_goes_on(client):
    client.ask("NOOP " + "x" * 100000, "500 5.5.2 ")
    client.ask("NOOP", "250 2.0.0 ")


def test_commands_of_512_octets_are_read_and_longer_ones_not(client):
    client.ask("NOOP " + "x" * (512 - len("NOOP \r\n")), "250 2.0.0 ")
    client.ask("NOOP " + "x" * (513 - len("NOOP \r\n")), "500 5.5.2 ")


@pytest.mark.parametrize("line", [b"NOOP\n", b"NO\rOP\r\n", b"NOOP \0\r\n", b"NOOP \x1b[2J\r\n", b"\r\r\n"])
def test_lines_with_bare_cr_lf_or_control_characters_are_no_commands(client, line):
    client.send_bytes(line)
    client.expect("500 5.5.2 ")
    client.ask("NOOP", "250 ")


def test_a_command_may_come_octet_by_octet(client):
    for octet in b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<x@dest.example>\r\n":
        client.send_bytes(bytes([octet]))
    client.expect("250 2.1.0 ")
    client.expect("250 2.1.5 ")


# ---- MAIL and RCPT ----

@pytest.mark.parametrize("argument, reply", [
    ("FROM:<alice@example.com>", "250 2.1.0 "),
    ("from:<alice@example.com>", "250 2.1.0 "),
    ("FROM: <alice@example.com>", "250 2.1.0 "),
    ("FROM:<>", "250 2.1.0 "),
    ('FROM:<"a b"@example.com>', "250 2.1.0 "),
    ("FROM:<alice@[192.0.2.1]>", "250 2.1.0 "),
    ("FROM:<@relay.example,@other.example:alice@example.com>", "250 2.1.0 "),
    ("FROM:<alice@example.com> SIZE=1000 BODY=8BITMIME", "250 2.1.0 "),
    ("FROM:<alice@example.com> body=7bit size=0", "250 2.1.0 "),
    ("FROM:<alice@example.com> AUTH=<>", "250 2.1.0 "),
    ("", "501 5.1.7 "),
    ("TO:<alice@example.com>", "501 5.1.7 "),
    ("FROM:alice@example.com", "501 5.1.7 "),
    ("FROM:<alice>", "501 5.1.7 "),
    ("FROM:<alice@>", "501 5.1.7 "),
    ("FROM:<@example.com>", "501 5.1.7 "),
    ("FROM:<a..b@example.com>", "501 5.1.7 "),
    ("FROM:<a b@example.com>", "501 5.1.7 "),
    ("FROM:<alice@exa mple.com>", "501 5.1.7 "),
    ("FROM:<alice@example.com", "501 5.1.7 "),
    ("FROM:<alice@[192.0.2]>", "501 5.1.7 "),
    (f"FROM:<{'x' * 65}@example.com>", "501 5.1.7 "),
    (f"FROM:<alice@{'x' * 64}.example>", "501 5.1.7 "),
    ("FROM:<grüße@example.com>", "553 5.6.7 "),
    ("FROM:<alice@example.com> FOO", "555 5.5.4 "),
    ("FROM:<alice@example.com> FOO=BAR", "555 5.5.4 "),
    ("FROM:<alice@example.com> SIZE=x", "501 5.5.4 "),
    ("FROM:<alice@example.com> SIZE=-1", "501 5.5.4 "),
    ("FROM:<alice@example.com> SIZE=99999999999999999999999", "501 5.5.4 "),
    ("FROM:<alice@example.com> BODY=9BIT", "501 5.5.4 "),
    ("FROM:<alice@example.com> RET=ALL", "501 5.5.4 "),
])
def test_mail(client, argument, reply):
    client.ask(f"MAIL {argument}", reply)


@pytest.mark.parametrize("argument, reply", [
    ("TO:<x@dest.example>", "250 2.1.5 "),
    ("to: <x@dest.example>", "250 2.1.5 "),
    ("TO:<@relay.example:x@dest.example>", "250 2.1.5 "),
    ("TO:<x@dest.example> NOTIFY=NEVER", "250 2.1.5 "),
    ("TO:<>", "501 5.1.3 "),
    ("TO:x@dest.example", "501 5.1.3 "),
    ("TO:<x y@dest.example>", "501 5.1.3 "),
    ("TO:<x@>", "501 5.1.3 "),
    ("FROM:<x@dest.example>", "501 5.1.3 "),
    ("TO:<grüße@dest.example>", "553 5.6.7 "),
    ("TO:<x@dest.example> FOO=BAR", "555 5.5.4 "),
    ("TO:<x@dest.example> NOTIFY=NEVER,SUCCESS", "501 5.5.4 "),
    ("TO:<x@dest.example> NOTIFY=SOMETIMES", "501 5.5.4 "),
    ("TO:<x@dest.example> ORCPT=rfc822;x+0D+0ADATA", "501 5.5.4 "),
    ("TO:<x@dest.example> ORCPT=utf-8;grüße@dest.example", "553 5.6.7 "),
])
def test_rcpt(client, argument, reply):
    client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
    client.ask(f"RCPT {argument}", reply)
    client.ask("RCPT TO:<y@dest.example>", "250 2.1.5 ")


def test_a_source_route_does_not_travel_on(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        client.mail(message(), recipients=["@relay.example:x@dest.example"])
    assert server.messages[0].recipients == ["RCPT TO:<x@dest.example>"]


# ---- sequence ----

def test_mail_after_mail_is_503_and_the_message_goes_on(client):
    client.envelope()
    client.ask("MAIL FROM:<bob@example.com>", "503 5.5.1 ")
    client.text(message())


def test_rset_gives_the_envelope_up(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        client.envelope(recipients=["first@dest.example"])
        client.ask("RSET", "250 2.0.0 ")
        client.ask("RCPT TO:<x@dest.example>", "503 5.5.1 ")
        client.ask("DATA", "503 5.5.1 ")
        client.mail(message(), recipients=["second@dest.example"])
    assert [m.recipients for m in server.messages] == [["RCPT TO:<second@dest.example>"]]


@pytest.mark.parametrize("hello", ["EHLO", "HELO"])
def test_ehlo_within_an_envelope_gives_it_up(new_gateway, new_smtp, hello):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        client.envelope(recipients=["first@dest.example"])
        client.ask(f"{hello} again", "250 ")
        client.ask("RCPT TO:<x@dest.example>", "503 5.5.1 ")
        client.mail(message(), recipients=["second@dest.example"])
    assert [m.recipients for m in server.messages] == [["RCPT TO:<second@dest.example>"]]


def test_data_without_recipients_is_554_5_5_1(client):
    client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
    client.ask("DATA", "554 5.5.1 ")


def test_noop_and_vrfy_disturb_no_envelope(client):
    client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
    client.ask("NOOP", "250 ")
    client.ask("RCPT TO:<x@dest.example>", "250 2.1.5 ")
    client.ask("VRFY x", "252 ")
    client.ask("HELP", "214 ")
    client.text(message())


def test_a_wrong_rcpt_leaves_the_right_ones(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
        client.ask("RCPT TO:<x@dest.example>", "250 2.1.5 ")
        client.ask("RCPT TO:<wrong", "501 5.1.3 ")
        client.ask("RCPT TO:<y@dest.example>", "250 2.1.5 ")
        client.text(message())
    assert server.messages[0].recipients == ["RCPT TO:<x@dest.example>", "RCPT TO:<y@dest.example>"]


# ---- pipelining ----

def test_a_batch_in_one_segment_gets_its_replies_in_order(client):
    client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<x@dest.example>", "RCPT TO:<no-one@dest.example>",
                 "RCPT TO:<wrong", "RCPT TO:<y@dest.example>", "DATA"])
    client.expect("250 2.1.0 ")
    client.expect("250 2.1.5 ")
    client.expect("550 5.1.1 ")
    client.expect("501 5.1.3 ")
    client.expect("250 2.1.5 ")
    client.expect("354 ")
    client.send_bytes(message() + b".\r\n")
    client.expect("250 2.0.0 Ok: queued as ")


def test_whole_messages_in_one_segment_are_taken(new_gateway, new_smtp):
    server = new_smtp()
    texts = [message() for _ in range(5)]
    with smtp(new_gateway(server)) as client:
        # RFC 2920 forbids a client to send text before 354; what it sends anyway is taken as text.
        client.send_bytes(b"".join(
            b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<x@dest.example>\r\nDATA\r\n" + text + b".\r\n"
            for text in texts) + b"QUIT\r\n")
        ids = set()
        for _ in texts:
            client.expect("250 2.1.0 ")
            client.expect("250 2.1.5 ")
            client.expect("354 ")
            ids.add(id_of(client.expect("250 ")))
        client.expect("221 ")
        assert client.is_closed()
    assert len(ids) == 5
    assert all(sent.endswith(text) for sent, text in zip(server.texts(), texts))


def test_pipelined_rset_and_the_next_envelope_are_answered_in_order(client):
    client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<x@dest.example>", "RSET",
                 "MAIL FROM:<alice@example.com>", "RCPT TO:<no-one@dest.example>",
                 "RCPT TO:<y@dest.example>", "NOOP", "RSET", "QUIT"])
    for reply in ("250 2.1.0 ", "250 2.1.5 ", "250 2.0.0 ", "250 2.1.0 ", "550 5.1.1 ", "250 2.1.5 ",
                  "250 2.0.0 ", "250 2.0.0 ", "221 2.0.0 "):
        client.expect(reply)


def test_every_refusal_has_the_sessions_id_and_the_log_has_it_too(gateway, client):
    session = gateway.session(client)["session"]
    assert client.ask("MAIL FROM:<wrong", "501 5.1.7 ").endswith(f" ({session})")
    assert client.ask("FOO", "500 5.5.2 ").endswith(f" ({session})")
    gateway.wait_event("command_refused", session=session, code=501)
    gateway.wait_event("command_refused", session=session, code=500)


def test_a_recipient_refused_by_the_server_behind_is_in_the_log(gateway, client):
    mark = token()
    client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
    client.ask(f"RCPT TO:<no-{mark}@dest.example>", "550 5.1.1 ")
    refused = gateway.wait_event("recipient_refused", recipient=f"no-{mark}@dest.example", code=550)
    assert refused["account"] == "alice@example.com" and refused["upstream"] == "smtp/a"
    assert "User unknown" in refused["reply"]


# ---- limits ----

def test_size_declared_too_large_is_552_5_3_4_at_mail(client):
    client.ask("MAIL FROM:<alice@example.com> SIZE=52428801", "552 5.3.4 ")
    client.ask("MAIL FROM:<alice@example.com> SIZE=52428800", "250 2.1.0 ")


def test_a_message_too_large_is_552_5_3_4_at_the_dot_and_not_sent(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, listener={"max_message_size": "64K"})
    with smtp(gateway) as client:
        assert "SIZE 65536" in client.hello()
        client.envelope()
        client.text(message(body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 1000), "552 5.3.4 ")
        fits = message()
        fits += b"z" * (65536 - len(fits) - 2) + b"\r\n"
        client.mail(fits)  # exactly max_message_size; the session has gone on
    assert len(server.messages) == 1 and server.messages[0].data.endswith(fits)
    gateway.wait_event("message_refused", code=552)


def test_one_octet_more_than_max_message_size_is_too_large(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server, listener={"max_message_size": "64K"})) as client:
        text = message()
        text += b"z" * (65537 - len(text) - 2) + b"\r\n"
        client.envelope()
        client.text(text, "552 5.3.4 ")
    assert not server.messages


def test_size_is_no_more_than_the_server_behind_takes(new_gateway, new_smtp):
    with smtp(new_gateway(new_smtp(extensions=["SIZE 100000"]))) as client:
        assert "SIZE 100000" in client.hello()


def test_recipients_past_max_recipients_are_452_4_5_3(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, listener={"max_recipients": 3})
    with smtp(gateway) as client:
        client.envelope(recipients=[f"r{n}@dest.example" for n in range(3)])
        client.ask("RCPT TO:<r3@dest.example>", "452 4.5.3 ")
        client.ask("RCPT TO:<r4@dest.example>", "452 4.5.3 ")
        client.text(message())
        client.envelope(recipients=[f"r{n}@dest.example" for n in range(3)])  # counted by message
    assert len(server.messages[0].recipients) == 3


def test_100_recipients_are_taken_by_default_and_one_more_is_not(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        client.send(["MAIL FROM:<alice@example.com>"] + [f"RCPT TO:<r{n}@dest.example>" for n in range(101)])
        client.expect("250 2.1.0 ")
        for _ in range(100):
            client.expect("250 2.1.5 ")
        client.expect("452 4.5.3 ")
        client.text(message())
    assert len(server.messages[0].recipients) == 100


def test_10000_rcpt_in_a_session(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        for n in range(100):
            client.send(["MAIL FROM:<alice@example.com>"]
                        + [f"RCPT TO:<r{n}-{i}@dest.example>" for i in range(100)] + ["DATA"])
            client.expect("250 2.1.0 ")
            for _ in range(100):
                client.expect("250 2.1.5 ")
            client.expect("354 ")
            client.send_bytes(message() + b".\r\n")
            client.expect("250 2.0.0 ")
    assert sum(len(m.recipients) for m in server.messages) == 10000


def test_10000_recipients_of_one_message(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, listener={"max_recipients": 10000})
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
        for start in range(0, 10000, 500):
            client.send([f"RCPT TO:<r{n}@dest.example>" for n in range(start, start + 500)])
            for _ in range(500):
                client.expect("250 2.1.5 ")
        client.ask("RCPT TO:<more@dest.example>", "452 4.5.3 ")
        client.text(message())
    assert server.messages[0].recipients == [f"RCPT TO:<r{n}@dest.example>" for n in range(10000)]


def test_a_batch_of_1000_rcpt_in_one_segment_is_answered(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "7@" in line else None)
    gateway = new_gateway(server, listener={"max_recipients": 10000})
    with smtp(gateway) as client:
        client.send(["MAIL FROM:<alice@example.com>"]
                    + [f"RCPT TO:<r{n}@dest.example>" for n in range(1000)] + ["DATA"])
        client.expect("250 2.1.0 ")
        for n in range(1000):
            client.expect("550 5.1.1 no" if n % 10 == 7 else "250 2.1.5 ")
        client.expect("354 ")
        client.send_bytes(message() + b".\r\n")
        client.expect("250 2.0.0 ")
    assert len(server.messages[0].recipients) == 900
