"""A listener without TLS: who is trusted sends, as a printer does, and nobody else; nobody logs in."""
import subprocess

import pytest

from fixtures.clients import Smtp, id_of, message, token
from fixtures.processes import free_port

PRINTERS = {"printers": {"networks": ["127.0.0.2/32"], "account": "printers@example.com"}}
PRINTER = "127.0.0.2"


def plain(trusted=PRINTERS, **keys):
    """A listener `printers` beside the others."""
    return {"listeners": {"printers": {"bind": [f"127.0.0.1:{free_port()}"], "role": "submission", "tls": "none",
                                       "upstream": "smtp", "trusted": trusted, **keys}}}


def connect(gateway, source=None):
    client = Smtp(gateway.port("printers"), tls=None, source=source)
    client.expect("220 ")
    return client


def swaks(gateway, recipient, **how):
    return ["swaks", "--server", "127.0.0.1", "--port", str(gateway.port("printers")), "--local-interface", PRINTER,
            "--protocol", "SMTP", "--from", "scan@example.com", "--to", recipient]


def msmtp(gateway, recipient):
    return ["msmtp", "--host=127.0.0.1", f"--port={gateway.port('printers')}", "--tls=off", "--auth=off",
            f"--source-ip={PRINTER}", "--from=scan@example.com", recipient]


def curl(gateway, recipient):
    return ["curl", "-sS", "--interface", PRINTER, "--url", f"smtp://127.0.0.1:{gateway.port('printers')}",
            "--mail-from", "scan@example.com", "--mail-rcpt", recipient, "--upload-file", "-"]


@pytest.mark.parametrize("client", [swaks, msmtp, curl])
def test_a_printer_sends_to_a_real_postfix(new_gateway, postfix, client):
    """swaks says HELO, as simple ones do."""
    recipient = f"{token()}@dest.example"
    gateway = new_gateway(smtp=postfix, **plain())
    done = subprocess.run(client(gateway, recipient), input=message(recipient=recipient).decode(), text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(postfix.delivered(recipient)) == 1
    accepted = gateway.wait_event("message_accepted")
    assert (accepted["listener"], accepted["account"]) == ("printers", "printers@example.com")


def test_neither_tls_nor_a_login_is_offered_or_taken(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **plain())
    for source in (None, PRINTER):
        with connect(gateway, source) as client:
            extensions = client.hello()
            assert "STARTTLS" not in extensions and not any(e.startswith("AUTH") for e in extensions)
            client.ask("STARTTLS", "502 5.5.1 There is neither TLS nor a login here")
            client.ask("AUTH PLAIN AGJvYgBib2I=", "502 5.5.1 There is neither TLS nor a login here")
            client.ask("NOOP", "250 ")
    assert not gateway.events("login_failed") and "AGJvYgBib2I" not in gateway.log_text()


def test_everybody_else_is_told_where_to_go(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, **plain())
    with connect(gateway) as client:
        client.hello()
        for command in ("MAIL FROM:<scan@example.com>", "VRFY bob"):
            client.ask(command, "550 5.7.1 Only trusted hosts send here: use port 465 or 587 and log in")
        client.ask("RCPT TO:<bob@example.com>", "550 5.7.1 ")
        client.quit()
    refused = gateway.wait_event("command_refused", command="MAIL")
    assert (refused["code"], refused["listener"]) == ("550", "printers") and not server.used("RCPT")


def test_who_speaks_for_another_is_not_of_the_network(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **plain(xclient_from=["127.0.0.0/8"]))
    with connect(gateway, PRINTER) as client:
        client.hello()
        client.ask("XCLIENT ADDR=192.0.2.7", "220 ")
        client.hello()
        client.ask("MAIL FROM:<a@example.com>", "550 5.7.1 Only trusted hosts")


def test_a_webmail_may_say_who_has_logged_in_there(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, **plain(trusted={}, xclient_login_from=["127.0.0.1/32"]))
    with connect(gateway) as client:
        client.hello()
        client.ask("MAIL FROM:<a@example.com>", "550 5.7.1 Only trusted hosts")
        client.ask("XCLIENT LOGIN=alice", "220 ")
        client.hello()
        assert id_of(client.envelope().text(message()))
    assert gateway.wait_event("message_accepted")["account"] == "alice@example.com"


def test_a_reload_makes_one_of_it(new_gateway, new_smtp):
    """The same port, with TLS and without."""
    gateway = new_gateway(new_smtp(), **plain(tls="starttls"))
    with connect(gateway, PRINTER) as client:
        assert "STARTTLS" in client.hello()
        gateway.reload(listeners={"printers": {"tls": "none"}})
        with connect(gateway, PRINTER) as after:
            assert "STARTTLS" not in after.hello()
            after.mail(message())


@pytest.mark.parametrize("keys, said", [
    ({"trusted": {}}, "listeners.printers.tls: nobody can log in without TLS, and here is nobody who needn't"),
    ({"trusted": {"web": {"logins": ["web1"], "account_from": "mail-auth"}}}, "here is nobody who needn't"),
    ({"trusted": {**PRINTERS, "web": {"logins": ["web1"], "account_from": "mail-auth"}}},
     'listeners.printers.trusted.web.logins: with tls = "none" nobody can log in'),
    ({"client_certificate": "optional", "client_ca": "/etc/ssl/certs/ca-certificates.crt"},
     'listeners.printers.client_certificate: with tls = "none" nobody shows one'),
    ({"role": "pop3", "upstream": "pop3", "trusted": None}, "listeners.printers.tls: who reads mail logs in"),
])
def test_one_at_which_somebody_would_have_to_log_in_is_refused(new_gateway, new_smtp, new_pop3, keys, said):
    gateway = new_gateway(new_smtp(), pop3=new_pop3(), start=False, **plain(**keys))
    if keys.get("trusted", PRINTERS) is None:
        gateway.write_config(listeners={"printers": {"trusted": None}})
    done = gateway.check()
    assert done.returncode == 1 and said in done.stderr and f"{gateway.config_file}:" in done.stderr


def test_it_needs_no_certificate_at_all(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), start=False, **plain())
    gateway.write_config(tls=None, listeners={"submissions": None, "submission": None})
    done = gateway.check()
    assert done.returncode == 0, done.stderr
