"""Who sends most: porteiroctl top, from what control hears as it writes the log."""
import json
import os
import re
import subprocess

import pytest

from fixtures.clients import PASSWORDS, message, smtp
from fixtures.waiting import until

READ = "games"  # a group that Debian always has


def limit(*key, **keys):
    return {"key": list(key), **keys}


SCRIPT = limit("account", "header:X-PHP-Originating-Script", count="messages", rate="600/1h")


@pytest.fixture
def new_sender(new_gateway, new_smtp):
    """A gateway with these limits, before a server that knows no "bad" recipient."""
    def make(changes=None, **limits):
        server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "bad" in line else None)
        return new_gateway(server, policies={"out": {"limits": limits or {"script": SCRIPT}}},
                           listener={"policy": "out"}, **(changes or {}))
    return make


def serves(gateway):
    """For one whose log doesn't say that it has started."""
    try:
        return {"worker", "auth", "control"} <= {p["role"] for p in gateway.processes() if p["state"] == "serving"}
    except OSError:
        return False


def top(gateway, *arguments):
    return json.loads(gateway.ctl("--json", "top", *arguments).stdout)


def rows(gateway, *arguments):
    """{name: (messages, recipients, refused)}, in the order of the answer."""
    return {row["name"]: (row["messages"], row["recipients"], row["refused"]) for row in top(gateway, *arguments)["senders"]}


def send(client, recipients, text=None, sender="alice@example.com", refused=0):
    client.envelope(sender=sender, recipients=[f"r{n}@dest.example" for n in range(recipients)])
    for _ in range(refused):
        client.ask("RCPT TO:<bad@dest.example>", "550 ")
    client.text(text or message())


def test_who_has_sent_most_is_told_by_account_address_domain_and_script(new_sender):
    gateway = new_sender()
    with smtp(gateway) as client, smtp(gateway, user="bob", source="127.0.0.66") as other:
        send(client, 3, b"X-PHP-Originating-Script: 33:mailer.php\r\n" + message())
        send(client, 2, refused=2)
        send(other, 4, sender="bob@shop.example")
    until(lambda: len(rows(gateway)) == 2 and rows(gateway)["bob@example.com"][0] == 1)
    assert list(rows(gateway).items()) == [("alice@example.com", (2, 5, 2)), ("bob@example.com", (1, 4, 0))]
    assert rows(gateway, "--by", "login") == rows(gateway)
    assert rows(gateway, "--by", "ip") == {"127.0.0.1": (2, 5, 2), "127.0.0.66": (1, 4, 0)}
    assert rows(gateway, "--by", "sender_domain") == {"example.com": (2, 5, 2), "shop.example": (1, 4, 0)}
    assert rows(gateway, "--by", "script") == {"33:mailer.php": (1, 3, 0)}
    assert gateway.wait_event("message_accepted", script="33:mailer.php")
    shown = gateway.ctl("top", "--last", "1h").stdout
    assert re.search(r"^alice@example\.com +2 +5 +2$", shown, re.M) and re.search(r"^since \d\d:\d\d$", shown, re.M)


def test_the_script_of_a_web_site_is_named(new_sender, folder):
    """PHP's mail(), which hands messages to msmtp and says who calls it."""
    gateway = new_sender()
    config, script = folder / "msmtprc", folder / "contact.php"
    config.write_text(f"""\
account default
host 127.0.0.1
port {gateway.port("submissions")}
tls on
tls_starttls off
tls_certcheck off
auth plain
user alice@example.com
password {PASSWORDS["alice"]}
from alice@example.com
""")
    config.chmod(0o600)
    script.write_text("<?php exit(mail('x@dest.example', 'Hello', 'A message.') ? 0 : 1);\n")
    for _ in range(2):
        subprocess.run(["php", "-d", "mail.add_x_header=On", "-d", f"sendmail_path=msmtp -C {config} -t", script],
                       check=True, timeout=60)
    until(lambda: rows(gateway, "--by", "script") == {f"{os.getuid()}:contact.php": (2, 2, 0)})


def test_what_policy_refuses_counts_once_each(new_sender):
    gateway = new_sender(few=limit("account", count="recipients", rate="2/1h"),
                         small=limit("account", count="bytes", rate="1000/1h", action="reject"))
    with smtp(gateway) as client:
        client.envelope(recipients=("a@dest.example", "b@dest.example"))
        client.ask("RCPT TO:<c@dest.example>", "451 ")
        client.text(message() + b"x" * 2000 + b"\r\n", "55")
    refused = gateway.wait_event("message_refused")
    assert refused["reason"] == "policy" and [e["rule"] for e in gateway.events("decision")] == ["few", "small"]
    until(lambda: rows(gateway) == {"alice@example.com": (0, 0, 2)})


@pytest.mark.parametrize("style", ["text", "json"])
def test_it_counts_whatever_the_log_has(new_sender, style):
    gateway = new_sender({"log": {"level": "error", "format": style}, "start": False})
    gateway.start(is_awaited=False)
    until(lambda: serves(gateway))
    with smtp(gateway) as client:
        send(client, 2)
    until(lambda: rows(gateway) == {"alice@example.com": (1, 2, 0)})
    assert not gateway.events("message_accepted")


def test_who_may_ask_and_for_what(new_sender):
    gateway = new_sender({"control_groups": {READ: "read"}}, hour=limit("account", count="recipients", rate="600/1h"))
    wrapper = ["setpriv", "--reuid=nobody", "--regid=nogroup", f"--groups={READ}"]
    said = gateway.ctl("top", "--by", "script", wrapper=wrapper).stdout
    assert said.startswith("nothing was sent, or refused, since ") and "no rule goes by a header" in said
    assert "by is account, login, script, ip or sender_domain" in gateway.ctl("top", "--by", "mood", status=1).stderr
    assert "last is 1min to 1h" in gateway.ctl("top", "--last", "2h", status=1).stderr
    gateway.ctl("top", "--last", "soon", status=2)
