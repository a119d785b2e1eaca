"""Filters that people use do their work on mail that passes."""
import re

import pytest

from fixtures.clients import Smtp, smtp, stuffed, token
from fixtures.postfix import Postfix
from fixtures.processes import free_port

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

# What a signature with simple/simple covers to the octet: folds, blanks at the ends of lines, lines of
# dots, octets past 127, and what is removed or added at the end.
AWKWARD = ("two  blanks \t\r\n\r\n.\r\n..\r\n.dot\r\n" + "x" * 900 + "\r\n\u00e9t\u00e9 =\r\n \r\nend\r\n\r\n\r\n")


# What may stand between a client and the mailbox.
CHAINS = [("rspamd",), ("signer", "verifier"), ("spamass",), ("clamav",),
          ("rspamd", "spamass", "clamav", "signer", "verifier")]


class Front:
    """Postfix with a chain of filters on each of its doors."""
    who = "nobody"

    def __init__(self, filters, server):
        self.filters, self.server = filters, server

    def client(self, *names):
        for name in names:
            self.filters[name].start()
        return self.connect("-".join(names))

    def connect(self, door):
        client = Smtp(self.server.doors[door], tls=None)
        client.expect("220 ")
        client.hello()
        return client


class GatewayFront(Front):
    """The gateway with the same filters, but for the one that verifies: the server behind has that."""
    who = "alice@example.com"

    def __init__(self, filters, server, gateway):
        super().__init__(filters, server)
        self.gateway = gateway

    def connect(self, door):
        return smtp(self.gateway, door=door)


@pytest.fixture(scope="session")
def postfix_chains(base_folder, filters):
    chains = {"-".join(names): [filters[name].address for name in names] for names in CHAINS}
    chains["verifier"] = [filters["verifier"].address]
    door_settings = {name: [f"smtpd_milters = {' '.join(addresses)}"] for name, addresses in chains.items()}
    server = Postfix(base_folder / "postfix-chains", doors=door_settings).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def gateway_chains(long_gateway, filters, postfix_chains):
    filters["verifier"].start()
    listeners = {"-".join(names): {"bind": [f"127.0.0.1:{free_port()}"], "tls": "implicit", "upstream": "smtp",
                                   "milters": [name for name in names if name != "verifier"]} for names in CHAINS}
    with long_gateway("gateway-chains", postfix_chains.doors["verifier"], listeners=listeners,
                      milters={name: {"address": one.address} for name, one in filters.items()}) as gateway:
        yield gateway


@pytest.fixture(params=["postfix", "gateway"])
def front(request, filters, postfix_chains):
    if request.param == "postfix":
        yield Front(filters, postfix_chains)
    else:
        gateway = request.getfixturevalue("gateway_chains")
        yield GatewayFront(filters, postfix_chains, gateway)
        gateway.inspect()


def said_of(front, names, subject="test", body="hello", head="", sender="alice@example.com"):
    """The reply to a message; what has arrived of it."""
    recipient = f"{token()}@dest.example"
    data = (f"From: Alice <alice@example.com>\r\nTo: {recipient}\r\nSubject: {subject}\r\n{head}"
            f"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n{body}\r\n").encode()
    with front.client(*names) as client:
        client.envelope(sender=sender, recipients=[recipient])
        client.ask("DATA", "354 ")
        client.send_bytes(stuffed(data) + b".\r\n")
        reply = client.reply()
    arrived = front.server.delivered(recipient)[0].decode() if reply.startswith("250 ") else None
    return reply, arrived


def test_rspamd_refuses_what_is_spam(front):
    assert said_of(front, ["rspamd"], body=GTUBE)[0] == "554 5.7.1 Gtube pattern"


def test_rspamd_asks_to_come_again(front):
    assert said_of(front, ["rspamd"], "soft")[0] == "451 4.7.1 come back in a minute"


def test_rspamd_marks_what_is_suspect(front):
    _, arrived = said_of(front, ["rspamd"], "suspect")
    head = arrived.split("\n\n")[0]
    assert "Message-ID: <1@example.com>\nX-Spamd-Result: default: False [7.00 / 15.00];\n\tSUSPECT(7.00)[" in head
    assert head.endswith("\nX-Spam: Yes")


def test_rspamd_is_told_who_sends(front):
    _, arrived = said_of(front, ["rspamd"], "suspect")
    to = re.search(r"^To: (.*)$", arrived, re.M)[1]
    assert f"[{front.who}/127.0.0.1/client.example.net/alice@example.com/{to}]" in re.sub(r"\n\t", "", arrived)


@pytest.mark.parametrize("body", [AWKWARD, "", "\r\n\r\n", "no end"], ids=["awkward", "empty", "blank", "short"])
def test_a_signature_verifies_behind(front, body):
    _, arrived = said_of(front, ["signer", "verifier"], head="X-Long: a\r\n\tfolded \r\n  line\r\n", body=body)
    assert re.search(r"^DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=example\.com; s=s1;$", arrived, re.M)
    assert re.search(r"^Authentication-Results: verifier\.example;\n\tdkim=pass ", arrived, re.M), arrived


def test_spamassassin_puts_a_report_in_place_of_the_body(front):
    _, arrived = said_of(front, ["spamass"], body="suspect words")
    head, body = arrived.split("\n\n", 1)
    assert "\nX-Spam-Flag: YES\n" in head and "\nContent-Type: multipart/mixed; boundary=" in head
    assert body.startswith("This is a multi-part message in MIME format.\n")
    assert "\n\nsuspect words\n\n" in body


def test_spamassassin_refuses_what_is_spam(front):
    assert said_of(front, ["spamass"], body="bad words")[0] == "550 5.7.1 Blocked by SpamAssassin"


def test_clamav_refuses_a_virus(front):
    assert said_of(front, ["clamav"], body="marked as a virus")[0] == "550 5.7.1 found Test.Marked.UNOFFICIAL"


def test_clamav_lets_pass_what_is_clean(front):
    assert "\nX-Virus-Status: Clean\n\nhello\n" in said_of(front, ["clamav"])[1]


def test_each_filter_sees_what_those_before_it_have_changed(front):
    chain = ["rspamd", "spamass", "clamav", "signer", "verifier"]
    _, arrived = said_of(front, chain, "suspect", body="suspect words")
    for mark in ("X-Spamd-Result: ", "X-Spam-Flag: YES", "X-Virus-Status: Clean", "This is a multi-part message"):
        assert f"\n{mark}" in arrived
    assert "\n\tdkim=pass " in arrived  # of the body that another had put in place of the first
