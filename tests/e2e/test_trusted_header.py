"""Who sends for others, whom a header of each message names."""
import pytest

from fixtures.clients import message, smtp, stuffed
from fixtures.scripted import EXTENSIONS, XCLIENT

WEB = {"logins": ["alice@example.com"], "account_from": "header:X-Account"}


@pytest.fixture
def server(new_smtp):
    return new_smtp()


@pytest.fixture
def web(new_gateway, server):
    """web(limits={...}, KEY=VALUE ...): a gateway at which alice sends for others."""
    def make(limits=None, start=True, **trusted):
        policies = {"policies": {"out": {"limits": limits}}} if limits else {}
        return new_gateway(server, start=start, workers=1, **policies, listener={
            "trusted": {"web": {**WEB, **trusted}}, **({"policy": "out"} if limits else {})})
    yield make


def of(account, **what):
    return f"X-Account: {account}\r\n".encode() + message(**what)


def limit(key="account", **keys):
    return {"key": [key], **keys}


def test_each_message_is_of_the_account_that_its_header_names_and_goes_on_without_it(web, server):
    gateway = web()
    names = {"shop@example.com": "shop@example.com", "Blog": "blog@example.com", "  n+w@Example.org ": "n+w@example.org"}
    text = message()
    with smtp(gateway) as client:
        for name in names:
            client.mail(b"x-ACCOUNT: " + name.encode() + b"\r\n" + text)
    gateway.wait_event("message_accepted", count=3)
    accepted = gateway.events("message_accepted")
    assert [e["account"] for e in accepted] == list(names.values())
    assert {e["login"] for e in accepted} == {"alice@example.com"}
    for sent in server.messages:
        assert b"account" not in sent.data.lower() and sent.data.endswith(text)


@pytest.mark.parametrize("text", [
    b"Subject: a\r\nX-Account:\r\n\tshop@example.com\r\nTo: b\r\n\r\n.dot\r\nX-Account: of the body\r\n",
    b"Subject: a\r\nX-Account: shop@example.com\r\nTo: b\r\n",          # no body
    b"Subject: a\r\nX-Account: shop@example.com\r\nTo: b\r\nno header\r\n",  # no empty line
    b"X-Account: shop@example.com\r\n",
    b"X-Account" + b" " * 100 + b":shop@example.com\r\n\r\nbody\r\n",
], ids=["folded", "headers alone", "no empty line", "nothing else", "spaces"])
@pytest.mark.parametrize("way", ["DATA", "in pieces", "BDAT"])
def test_the_header_is_found_however_it_comes(web, server, text, way):
    gateway = web()
    with smtp(gateway) as client:
        client.envelope()
        if way == "BDAT":
            half = len(text) // 2
            client.send_bytes(b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (half, text[:half], len(text) - half, text[half:]))
            client.expect("250 2.0.0 ")
        else:
            client.ask("DATA", "354 ")
            whole = stuffed(text) + b".\r\n"
            for at in range(0, len(whole), 7 if way == "in pieces" else len(whole)):
                client.send_bytes(whole[at:at + 7 if way == "in pieces" else None])
        client.expect("250 2.0.0 Ok: queued")
    assert gateway.wait_event("message_accepted")["account"] == "shop@example.com"
    head, _, body = server.messages[0].data.partition(b"\r\n\r\n")
    assert b"X-Account" not in head and (b"\r\nSubject: a\r\nTo: b" in head) == (b"Subject" in text)
    assert body == (b"no header\r\n" if b"no header" in text else text.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("head, fallback, reply", [
    (b"", "", "550 5.7.1 Name the account that sends this message: header X-Account"),
    (b"X-Account: \r\n", "", "550 5.7.1 Name the account that sends this message: header X-Account"),
    (b"", "Web", "web@example.com"),
    (b"X-Account:\r\n \r\n", "Web", "web@example.com"),
    (b"X-Account: a@b.example\r\nX-account: a@b.example\r\n", "web", "550 5.7.1 More than one header X-Account"),
    (b"X-Account: a b@c.example\r\n", "web", "550 5.7.1 Header X-Account names no account"),
    (b"X-Account: <a@b.example>\r\nTo: b\r\n", "web", "550 5.7.1 Header X-Account names no account"),
    (b"X-Account: a@b.example, c@d.example\r\n", "web", "550 5.7.1 Header X-Account names no account"),
    (b"X-Account: %s@b.example\r\n" % (b"a" * 300), "web", "550 5.7.1 Header X-Account names no account"),
    (b"X-Account: %s@%sb.example\r\n" % (b"a" * 60, b"abc." * 48), "web", "550 5.7.1 Header X-Account names no account"),
    (b".X-Account: a@b.example\r\nX-Account: c@d.example\r\n", "web", "550 5.7.1 More than one header X-Account"),
])
def test_whose_it_is_that_names_nobody_or_too_many(web, server, head, fallback, reply):
    """A dot that isn't doubled is taken away by who receives it. Nothing of what is refused went up."""
    gateway = web(fallback=fallback)
    with smtp(gateway) as client:
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(head + message() + b".\r\n")
        client.expect("250 " if "@" in reply[:20] else reply)
        client.mail(of("shop@example.com"))
    accepted = gateway.wait_event("message_accepted", account="shop@example.com")
    assert accepted and [len(server.messages), len(gateway.events("message_accepted"))] == [1 + ("@" in reply[:20])] * 2
    if "@" in reply[:20]:
        assert gateway.events("message_accepted")[0]["account"] == reply
    assert all(c.abandoned == b"" for c in server.connections)


def test_headers_that_are_too_large_are_refused_before_they_go_up(web, server):
    gateway = web()
    with smtp(gateway) as client:
        client.envelope()
        client.text(b"X-Long: " + b"a" * 300000 + b"\r\n" + of("shop"), "552 5.3.4 Headers are too big")
        client.mail(of("shop"))
    assert len(server.messages) == 1


def test_limits_of_an_account_are_its_own_and_what_is_refused_never_counts(web, server):
    """The envelope is accepted before anybody knows: all of it or nothing, at the dot."""
    gateway = web(limits={"daily": limit(count="recipients", rate="1/1d", burst=3)})
    many = [f"r{n}@dest.example" for n in range(4)]
    with smtp(gateway) as client:
        client.envelope(recipients=many)
        client.text(of("shop"), "550 5.7.1 daily: ")
        for account, count, reply in (("shop", 3, "250 "), ("shop", 1, "451 4.7.1 daily: "), ("blog", 3, "250 ")):
            client.envelope(recipients=many[:count])
            client.text(of(account), reply)
    assert [len(m.recipients) for m in server.messages] == [3, 3]
    gateway.wait_event("decision", count=2)
    keys = {e["key"] for e in gateway.events("decision")}
    assert keys == {"daily shop@example.com"}


def test_limits_that_need_no_account_are_asked_as_ever(web, server):
    gateway = web(limits={"web": limit("login", count="messages", rate="1/1d")})
    with smtp(gateway) as client:
        client.mail(of("shop"))
        client.ask("MAIL FROM:<a@example.com>", "451 4.7.1 web: ")
    assert len(server.messages) == 1


@pytest.mark.parametrize("count, rate", [("messages", "1/1d"), ("bytes", "2K/1d"), ("recipients", "1/1d")])
def test_whatever_is_counted_of_an_account_is_counted_when_it_is_known(web, server, count, rate):
    gateway = web(limits={"mine": limit(count=count, rate=rate)})
    with smtp(gateway) as client:
        client.mail(of("shop", body="x" * 900 + "\r\n"))
        client.envelope()
        client.text(of("shop", body="x" * 1500 + "\r\n"), "451 4.7.1 mine: ")
        client.mail(of("blog"))
    assert len(server.messages) == 2


def test_what_its_recipients_were_refused_for_is_the_accounts(web, server):
    server.on("RCPT", lambda line: "550 5.1.1 nobody" if "nobody" in line else None)
    gateway = web(limits={"washing": limit(count="rejected_recipients", ratio=30, min=5, window="1h")})
    with smtp(gateway) as client:
        for _ in range(2):
            client.envelope(recipients=("a@dest.example",))
            client.ask("RCPT TO:<nobody@dest.example>", "550 5.1.1")
            client.text(of("shop"))
        client.envelope()
        client.text(of("shop"), "451 4.7.1 washing: ")
        client.mail(of("blog"))
    assert len(server.messages) == 3


def test_a_server_that_is_lost_while_limits_are_asked_is_told(web, server):
    """Nothing is decided twice, and the session goes on."""
    gateway = web(limits={"slow": limit(count="messages", rate="1/1s", burst=1, action="delay", max_delay="5s")})
    with smtp(gateway) as client:
        client.mail(of("shop"))
        client.envelope()
        client.ask("DATA", "354 ")
        client.send_bytes(of("shop") + b".\r\n")
        gateway.wait_event("decision", verdict="delay")
        server.used()[-1].socket.shutdown(2)
        client.expect("451 4.4.2 ")
        client.mail(of("blog"))
    assert len(server.messages) == 2


@pytest.mark.parametrize("value", ["header:", "header:X Account", "header:From", "header:message-id", "headers:X", "X-Account"])
def test_what_can_be_no_such_header_is_refused(web, value):
    gateway = web(start=False, account_from=value)
    done = gateway.check()
    assert done.returncode == 1 and 'as "header:X-Account"' in done.stderr and f"{gateway.config_file}:" in done.stderr


def test_a_server_that_is_told_of_accounts_hears_of_the_login_which_is_warned_of(new_gateway, new_smtp):
    """So one connection does for all."""
    server = new_smtp(extensions=(*EXTENSIONS, XCLIENT))
    gateway = new_gateway(server, listener={"trusted": {"web": WEB}}, upstream={"identity": "xclient"})
    done = gateway.check()
    assert done.returncode == 0 and "is told of the login, not of the account" in done.stdout
    with smtp(gateway) as client:
        for account in ("shop", "blog"):
            client.mail(of(account))
    connection, = server.used()
    assert connection.messages == 2 and "LOGIN=alice@example.com" in " ".join(connection.saw("XCLIENT"))
