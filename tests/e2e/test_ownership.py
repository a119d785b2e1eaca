"""Who may send as whom: MAIL FROM, and From, Sender and Resent-From, against the account's addresses."""
import pytest

from fixtures.clients import message, smtp, stuffed, token
from fixtures.waiting import until

OWN = {"envelope": "own", "header": "own"}
WEB = {"logins": ["alice@example.com"], "account_from": "header:X-Account"}
FOREIGN = "boss@bank.example is not an address of alice@example.com"


@pytest.fixture
def file(folder):
    path = folder / "addresses"
    path.write_text("# who may send as whom\n"
                    "alice@example.com: alice@example.com, Alice.S@Example.COM, @shop.example\n"
                    "bob: bob+*@example.com\n"
                    "carol: *\n")
    return path


@pytest.fixture
def new_checked(new_gateway):
    """new_checked(SERVER, {keys of sender}, ...): a gateway that asks who may send as whom."""
    def make(server, sender=None, limits=None, policy=None, **changes):
        rules = {"sender": {**OWN, **(sender or {})}, **({"limits": limits} if limits else {}), **(policy or {})}
        listener = {"policy": "out", **changes.pop("listener", {})}
        return new_gateway(server, auth={"realm": "example.com"}, policies={"out": rules}, listener=listener, **changes)
    return make


def headed(head, mark=""):
    return head + f"\r\nSubject: test {mark}\r\n\r\nFrom: a@body.example\r\n".encode()


def send(client, text, way="DATA"):
    """The answer to the end of a text, whichever way it comes."""
    if way == "BDAT":
        half = len(text) // 2
        client.send_bytes(b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (half, text[:half], len(text) - half, text[half:]))
        first, last = client.reply(), client.reply()
        return last if first.startswith("250 ") else first  # whose refusal ends it
    client.ask("DATA", "354 ")
    dotted = text[:1] == b"."  # not doubled: who receives it takes it away
    whole, step = (text if dotted else stuffed(text)) + b".\r\n", 5 if way == "in pieces" else 1 << 20
    for at in range(0, len(whole), step):
        client.send_bytes(whole[at:at + step])
    return client.reply()


GOOD = [
    b"From: alice@example.com",
    b"FROM : \"Alice <boss@bank.example>\" <ALICE@Example.com>",
    b"From:\r\n =?utf-8?Q?boss=40bank.example?=\r\n (boss@bank.example)\r\n\t<@relay.example:alice@example.com>",
    b"From: \"alice\" @ example . com, Alice <alice@example.com>",
    b"From: Team: alice@example.com;\r\nSender: Alice <alice@example.com>\r\nResent-From: alice@example.com\r\n"
    b"Resent-From: alice@example.com\r\nReply-To: boss@bank.example",
]

BAD = [
    (b"From: Boss <boss@bank.example>", f"From: {FOREIGN}"),
    (b"From: alice@example.com, boss@bank.example", f"From: {FOREIGN}"),
    (b"From: Alice <alice@example.com>,\r\n\tBoss\r\n\t<boss@\r\n bank.example>", f"From: {FOREIGN}"),
    (b"From: Team: alice@example.com, boss@bank.example;", f"From: {FOREIGN}"),
    (b"From \t: boss@bank.example", f"From: {FOREIGN}"),
    (b".From: boss@bank.example", f"From: {FOREIGN}"),
    (b"From: <@example.com:boss@bank.example>", f"From: {FOREIGN}"),
    (b"From: alice@example.com\r\nSender: BOSS@bank.example", f"Sender: {FOREIGN}"),
    (b"From: alice@example.com\r\nResent-From: alice@example.com\r\nresent-from: boss@bank.example", f"Resent-From: {FOREIGN}"),
    (b"From: alice@example.com.bank.example", "From: alice@example.com.bank.example is not an address of "),
    (b"From: alice@example.com\r\nFrom: alice@example.com", "The message has more than one From"),
    (b"To: alice@example.com", "The message has no From"),
    (b"From boss@bank.example\r\nFrom: alice@example.com", "The message has no From"),
    (b"From\r\n : boss@bank.example\r\nFrom: alice@example.com", "The message has no From"),
    (b" From: alice@example.com\r\nFrom: alice@example.com", "The message has no From"),
    (b"Subject: a\r\n \r\nFrom: alice@example.com\r\n \r\n\t, boss@bank.example", f"From: {FOREIGN}"),
    (b"From: Team:;", "From can't be read: it names no address"),
    (b"From: alice@example.com <boss@bank.example>", "From can't be read: an address stands in it where a name should"),
    (b"From: boss@bank.example <alice@example.com>", "From can't be read: an address stands in it where a name should"),
    (b"From: =?utf-8?Q?boss=40bank.example=2C?=@example.com", "From can't be read: an address in it is encoded"),
    (b"From: alice@example.com@bank.example", "From can't be read: an address in it has two @"),
    (b"From: Jos\xe9 <alice@example.com>", "From can't be read: it is not UTF-8"),
    (b"From: alice@example.com\r\nSender: alice", "Sender can't be read: a name stands in it without an address"),
]




@pytest.mark.parametrize("way", ["DATA", "in pieces", "BDAT"])
def test_headers_that_name_others_are_refused_and_nothing_of_them_arrives(new_checked, postfix, way):
    gateway = new_checked(postfix, contact="https://help.example.com")
    recipient = f"{token()}@dest.example"
    with smtp(gateway) as client:
        for head, reason in BAD:
            if head.startswith(b".") and way == "BDAT":
                continue
            client.envelope(recipients=[recipient])
            said = send(client, headed(head), way)
            assert said.startswith(f"550 5.7.1 {reason}") and "https://help.example.com" in said, said
            client.mail(message(recipient=recipient), recipients=[recipient])  # and so errors are forgiven
    bad = len(BAD) - (way == "BDAT")
    postfix.delivered(recipient, bad)
    assert postfix.count(recipient) == bad
    decisions = gateway.wait_event("decision", count=bad) and gateway.events("decision")
    assert {(d["rule"], d["verdict"], d["account"]) for d in decisions} == {("sender", "reject", "alice@example.com")}
    assert decisions[0]["key"] == "sender boss@bank.example" and decisions[0]["reason"] == f"From: {FOREIGN}"
    gateway.wait_event("message_refused", reason="policy", count=bad)


@pytest.mark.parametrize("way", ["DATA", "in pieces", "BDAT"])
def test_headers_with_the_accounts_own_address_pass_however_it_is_written(new_checked, postfix, way):
    gateway = new_checked(postfix)
    recipient = f"{token()}@dest.example"
    with smtp(gateway) as client:
        for head in GOOD:
            client.envelope(recipients=[recipient])
            assert send(client, headed(head), way).startswith("250 2.0.0 Ok: queued")
    assert len(postfix.delivered(recipient, len(GOOD))) == len(GOOD)
    gateway.wait_event("message_accepted", count=len(GOOD))
    assert not gateway.events("decision")


def test_an_envelope_of_another_is_refused_at_mail_with_all_that_was_pipelined_behind_it(new_checked, postfix):
    gateway = new_checked(postfix, contact="https://help.example.com")
    recipient = f"{token()}@dest.example"
    with smtp(gateway) as client:
        client.send(["MAIL FROM:<boss@bank.example>", f"RCPT TO:<{recipient}>", "DATA"])
        said = client.expect(f"553 5.7.1 MAIL FROM: {FOREIGN}")
        assert "https://help.example.com" in said
        client.expect("503 ")
        client.expect("503 ")
        for sender in ("alice@example.com", "ALICE@Example.Com", '"alice"@example.com', ""):
            client.mail(message(recipient=recipient), sender=sender, recipients=[recipient])
        client.envelope(sender="", recipients=[recipient])
        client.text(headed(b"From: boss@bank.example"), f"550 5.7.1 From: {FOREIGN}")
        for sender in ("alice@example.com.bank.example", "bob@example.com", "alice+x@example.com", '"a b"@example.com'):
            client.ask(f"MAIL FROM:<{sender}>", "553 5.7.1 MAIL FROM: ")
    assert len(postfix.delivered(recipient, 4)) == 4
    decision = gateway.wait_event("decision", key="sender boss@bank.example", reason=f"MAIL FROM: {FOREIGN}")
    assert (decision["sender"], decision["verdict"]) == ("boss@bank.example", "reject")


def test_a_file_says_who_may_send_as_whom_and_is_watched(new_checked, new_smtp, file):
    gateway = new_checked(new_smtp(), {"addresses": str(file)})
    def may(user, sender):
        with smtp(gateway, user=user) as client:
            return client.send(f"MAIL FROM:<{sender}>").reply()[:3] == "250"
    assert may("alice", "alice@example.com") and may("alice", "alice.s@example.com") and may("alice", "any@SHOP.example")
    assert not may("alice", "bob@example.com") and not may("alice", "any@sub.shop.example")
    assert may("bob", "bob+news@example.com") and not may("bob", "bob@example.com")
    assert may("carol", "boss@bank.example")
    file.write_text(file.read_text().replace("bob+*@", "bob@b\u00fccher.example, bob+*@"))
    assert gateway.wait_event("list_taken", file=str(file))["count"] == "6"
    until(lambda: all(may("bob", "bob@xn--bcher-kva.example") for _ in range(4)), "both workers know it")
    file.write_text("alice: *\nbob: nobody\n")
    assert f'{file}:2: "nobody" is no address' in gateway.ctl("reload", "--files", status=1).stderr
    file.write_text("alice: *\n")
    gateway.wait_event("list_refused", reason="it has fewer than half of the lines in force; if that is meant, porteiroctl reload --files takes it")
    assert may("carol", "boss@bank.example") and not may("alice", "bob@example.com")
    gateway.ctl("reload", "--files")
    until(lambda: may("alice", "bob@example.com"))


def test_what_is_refused_gives_back_what_it_has_taken(new_checked, new_smtp):
    server = new_smtp()
    gateway = new_checked(server, limits={"day": {"key": ["account"], "count": "recipients", "rate": "2/1d"}})
    with smtp(gateway) as client:
        for _ in range(3):
            client.envelope(recipients=("a@dest.example", "b@dest.example"))
            client.text(headed(b"From: boss@bank.example"), "550 5.7.1 From: ")
        client.mail(message(), recipients=("a@dest.example", "b@dest.example"))
    assert len(server.messages) == 1 and all(c.abandoned == b"" for c in server.connections)


def test_a_rule_that_is_monitored_changes_nothing_and_one_may_be_for_some_alone(new_checked, new_smtp):
    server = new_smtp()
    gateway = new_checked(server, {"mode": "monitor", "except": {"accounts": ["bob@example.com"]}})
    with smtp(gateway, user="alice") as alice, smtp(gateway, user="bob") as bob:
        alice.mail(headed(b"Sender: a@example.com"), sender="boss@bank.example")
        bob.mail(headed(b"Sender: a@example.com"), sender="boss@bank.example")
    found = gateway.wait_event("decision", count=2) and gateway.events("decision")
    assert [(d["verdict"], d["account"]) for d in found] == [("monitor", "alice@example.com")] * 2
    assert [d["reason"].split(":")[0] for d in found] == ["MAIL FROM", "The message has no From, which says who sends it"]
    assert len(server.messages) == 2


def test_an_account_that_a_header_names_owns_the_envelope_and_the_headers(new_checked, new_smtp, file):
    """Whose message it is is known when the headers are over; nothing of it has gone up."""
    server = new_smtp()
    gateway = new_checked(server, {"addresses": str(file)}, listener={"trusted": {"web": WEB}})
    cases = [("bob", "bob+a@example.com", "bob+b@example.com", "250 2.0.0 "),
             ("bob", "alice@example.com", "bob+b@example.com",
              "550 5.7.1 MAIL FROM: alice@example.com is not an address of bob@example.com"),
             ("bob", "", "alice@example.com", "550 5.7.1 From: alice@example.com is not an address of bob@example.com"),
             ("dave", "dave@example.com", "dave@example.com", "250 2.0.0 "),
             ("carol", "any@bank.example", "boss@bank.example", "250 2.0.0 ")]
    with smtp(gateway) as client:
        for account, sender, author, reply in cases:
            client.envelope(sender=sender)
            client.text(headed(f"From: {author}\r\nX-Account: {account}".encode()), reply)
    assert len(server.messages) == 3 and all(c.abandoned == b"" for c in server.connections)


def test_an_account_that_mail_names_owns_the_envelope_and_the_headers(new_checked, new_smtp):
    server = new_smtp()
    gateway = new_checked(server, listener={"trusted": {"web": {**WEB, "account_from": "mail-auth"}}})
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com> AUTH=shop@example.com", "553 5.7.1 MAIL FROM: alice@example.com is not")
        client.ask("MAIL FROM:<shop@example.com> AUTH=shop@example.com", "250 ")
        client.ask("RCPT TO:<a@dest.example>", "250 ")
        client.text(message(), "550 5.7.1 From: alice@example.com is not an address of shop@example.com")
        client.ask("MAIL FROM:<blog@example.com> AUTH=blog@example.com", "250 ")
        client.ask("RCPT TO:<a@dest.example>", "250 ")
        client.text(headed(b"From: blog@example.com"))
    assert len(server.messages) == 1


def test_where_the_empty_line_is_missing_no_header_is_seen_that_was_not_judged(new_checked, new_smtp):
    server = new_smtp()
    gateway = new_checked(server, listener={"complete_headers": False})
    with smtp(gateway) as client:
        client.mail(b"From: alice@example.com\r\nno header\r\nFrom: boss@bank.example\r\n\r\nbody\r\n")
    head, _, body = server.messages[0].data.partition(b"\r\n\r\n")
    assert b"boss@" not in head and body.startswith(b"no header\r\n")


def test_a_configuration_that_checks_the_envelope_alone_is_warned_of_and_a_wrong_file_is_refused(new_checked, new_smtp, file):
    gateway = new_checked(new_smtp(), {"header": "any"}, start=False)
    done = gateway.check()
    assert done.returncode == 0 and "policies.out.sender.header: the envelope is checked" in done.stdout
    file.write_text("alice@example.com: a@example.com, *@example.com\n")
    gateway = new_checked(new_smtp(), {"addresses": str(file)}, start=False)
    done = gateway.check()
    assert done.returncode == 1 and f'{file}:1: "*@example.com" is no address' in done.stderr
    gateway = new_checked(new_smtp(), {"domain_exists": True}, start=False)
    assert "unknown key" in gateway.check().stderr
