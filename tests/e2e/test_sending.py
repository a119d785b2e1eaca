"""Mail goes out: through 465 and 587, by real clients, to a real Postfix."""
import hashlib
import re
import smtplib
import ssl
import subprocess

import pytest

from fixtures.clients import PASSWORDS, Smtp, id_of, message, smtp, tls_context, token
from fixtures.postfix import parts
from fixtures.waiting import until

DOORS = ["submissions", "submission"]


@pytest.fixture
def mark():
    return token()


@pytest.fixture
def recipient(mark):
    return f"{mark}@dest.example"


def run(*arguments, **options):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, f"{arguments[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def delivered_text(postfix, recipient):
    """The one message for the recipient, as it was sent, CRLF again."""
    found = postfix.delivered(recipient)
    assert len(found) == 1
    return parts(found[0])[1].replace(b"\n", b"\r\n")


# ---- clients ----

@pytest.mark.parametrize("door, tls", [("submissions", "--tls-on-connect"), ("submission", "--tls")])
def test_swaks_sends(gateway, postfix, folder, recipient, mark, door, tls):
    sent = message(mark, recipient=recipient)
    (folder / "mail").write_bytes(sent)
    run("swaks", "--server", "127.0.0.1", "--port", gateway.port(door), tls, "--auth", "PLAIN",
        "--auth-user", "alice@example.com", "--auth-password", PASSWORDS["alice"], "--from",
        "alice@example.com", "--to", recipient, "--data", f"@{folder}/mail")
    assert delivered_text(postfix, recipient).strip() == sent.strip()


@pytest.mark.parametrize("door, scheme", [("submissions", "smtps"), ("submission", "smtp")])
def test_curl_sends(gateway, postfix, folder, recipient, mark, door, scheme):
    sent = message(mark, recipient=recipient)
    (folder / "mail").write_bytes(sent)
    run("curl", "-sS", "-k", "--ssl-reqd", "--url", f"{scheme}://127.0.0.1:{gateway.port(door)}",
        "--user", f"alice@example.com:{PASSWORDS['alice']}", "--mail-from", "alice@example.com",
        "--mail-rcpt", recipient, "--upload-file", folder / "mail")
    assert delivered_text(postfix, recipient) == sent


@pytest.mark.parametrize("mechanism", ["plain", "login"])
@pytest.mark.parametrize("door, starttls", [("submissions", "off"), ("submission", "on")])
def test_msmtp_sends(gateway, postfix, folder, recipient, mark, door, starttls, mechanism):
    sent = message(mark, recipient=recipient)
    config = folder / "msmtprc"
    config.write_text(f"""\
account default
host 127.0.0.1
port {gateway.port(door)}
tls on
tls_starttls {starttls}
tls_certcheck off
auth {mechanism}
user alice@example.com
password {PASSWORDS['alice']}
from alice@example.com
""")
    config.chmod(0o600)
    run("msmtp", "-C", config, recipient, input=sent.decode().replace("\r\n", "\n"))
    assert delivered_text(postfix, recipient) == sent


@pytest.mark.parametrize("door", DOORS)
def test_smtplib_sends(gateway, postfix, recipient, mark, door):
    sent = message(mark, recipient=recipient)
    if gateway.is_implicit(door):
        client = smtplib.SMTP_SSL("127.0.0.1", gateway.port(door), context=tls_context())
    else:
        client = smtplib.SMTP("127.0.0.1", gateway.port(door))
        client.starttls(context=tls_context())
    with client:
        client.login("alice@example.com", PASSWORDS["alice"])
        assert client.sendmail("alice@example.com", [recipient], sent) == {}
    assert delivered_text(postfix, recipient) == sent


# ---- what arrives ----

def test_received_line_is_on_top_without_the_clients_address(gateway, postfix, recipient, mark):
    with smtp(gateway, source="127.0.0.77") as client:
        client.mail(message(mark), recipients=[recipient])
    received, _ = parts(postfix.delivered(recipient)[0])
    of_postfix, of_gateway = received
    assert "by legacy.example" in of_postfix
    assert of_gateway.startswith("Received: by mail.example.com ")
    assert "127.0.0" not in of_gateway and "client.example.net" not in of_gateway
    assert re.search(r"with ESMTPSA id \w+\n\t\(using TLSv1\.[23] with cipher \S+\);\n\t\w{3}, \d", of_gateway)


def test_message_id_is_the_same_in_reply_received_and_log(gateway, postfix, recipient):
    with smtp(gateway) as client:
        message_id = client.mail(message(), recipients=[recipient])
    received, _ = parts(postfix.delivered(recipient)[0])
    assert f" id {message_id}\n" in received[1]
    accepted = gateway.wait_event("message_accepted", message=message_id)
    assert accepted["recipient"] == recipient and accepted["account"] == "alice@example.com"
    assert accepted["sender"] == "alice@example.com" and accepted["recipients"] == "1"
    assert accepted["code"] == "250" and accepted["upstream"] == "smtp/a"


def test_unknown_recipient_is_refused_at_rcpt_by_the_server_behind_with_its_text(gateway):
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
        client.ask("RCPT TO:<no-one@dest.example>",
                   "550 5.1.1 <no-one@dest.example>: Recipient address rejected: User unknown")
        client.ask("DATA", "554 5.5.1 ")
        client.ask("NOOP", "250 2.0.0 ")


def test_relaying_that_the_server_behind_refuses_is_refused_with_its_text(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", "554 5.7.1 <x@elsewhere.example>: Relay access denied")
    with smtp(new_gateway(server)) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 2.1.0 ")
        client.ask("RCPT TO:<x@elsewhere.example>", "554 5.7.1 <x@elsewhere.example>: Relay access denied")


def test_a_25_mb_message_arrives_with_the_same_sha256(gateway, postfix, recipient, mark):
    line = bytes(range(33, 127)) * 8 + b"\r\n"
    sent = message(mark, body=line * (25 * 1024 * 1024 // len(line) + 1))
    with smtp(gateway) as client:
        client.mail(sent, recipients=[recipient])
    arrived = delivered_text(postfix, recipient)
    assert len(sent) > 25 * 1024 * 1024
    assert hashlib.sha256(arrived).hexdigest() == hashlib.sha256(sent).hexdigest()


def test_eight_bit_text_and_dots_arrive_as_they_were(gateway, postfix, recipient, mark):
    body = ".\r\n..\r\n.dot\r\ngrüße, 漢字\r\n\r\n.".encode() + bytes(range(128, 256)) + b"\r\n"
    sent = message(mark, body=body)
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com> BODY=8BITMIME", "250 2.1.0 ")
        client.ask(f"RCPT TO:<{recipient}>", "250 2.1.5 ")
        client.text(sent)
    assert delivered_text(postfix, recipient) == sent


def test_a_message_to_many_recipients_arrives_once_for_each(gateway, postfix, mark):
    recipients = [f"{mark}-{n}@dest.example" for n in range(20)]
    sent = message(mark)
    with smtp(gateway) as client:
        client.mail(sent, recipients=recipients)
    for recipient in recipients:
        assert delivered_text(postfix, recipient) == sent


def test_many_messages_go_out_in_one_session(gateway, postfix, recipient):
    sent = [message() for _ in range(30)]
    with smtp(gateway) as client:
        ids = {client.mail(one, recipients=[recipient]) for one in sent}
        client.quit()
    assert len(ids) == 30
    arrived = {parts(one)[1].replace(b"\n", b"\r\n") for one in postfix.delivered(recipient, 30)}
    assert arrived == set(sent)


def test_an_empty_message_and_one_without_headers_arrive(gateway, postfix, mark):
    with smtp(gateway) as client:
        client.mail(b"", recipients=[f"{mark}-empty@dest.example"])
        client.mail(b"\r\nonly text\r\n", recipients=[f"{mark}-text@dest.example"])
    postfix.delivered(f"{mark}-empty@dest.example")
    assert postfix.delivered(f"{mark}-text@dest.example")[0].endswith(b"\n\nonly text\n")


def test_the_null_sender_is_sent_as_such(gateway, postfix, recipient, mark):
    with smtp(gateway) as client:
        client.mail(message(mark), sender="", recipients=[recipient])
    assert postfix.delivered(recipient)[0].startswith(b"Return-Path: <>\n")


def test_smtputf8_addresses_reach_a_server_that_takes_them(gateway, postfix, mark):
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com> SMTPUTF8", "250 2.1.0 ")
        client.ask(f"RCPT TO:<{mark}-grüße@dest.example>", "250 2.1.5 ")
        client.text(message(mark))
    received, _ = parts(postfix.delivered(f"{mark}-grüße@dest.example")[0])
    assert "with UTF8SMTPSA id" in received[1]


def test_dsn_parameters_reach_the_server_behind(new_gateway, new_smtp):
    server = new_smtp()
    with smtp(new_gateway(server)) as client:
        client.ask("MAIL FROM:<alice@example.com> RET=HDRS ENVID=QQ+3D314 BODY=8BITMIME", "250 2.1.0 ")
        client.ask("RCPT TO:<x@dest.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@dest.example", "250 ")
        client.text(message())
    sent = server.wait_messages(1)[0]
    assert sent.sender == "MAIL FROM:<alice@example.com> BODY=8BITMIME RET=HDRS ENVID=QQ+3D314"
    assert sent.recipients == ["RCPT TO:<x@dest.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@dest.example"]


def test_a_session_is_listed_with_its_account_and_messages(gateway):
    with smtp(gateway) as client:
        client.mail(message(), recipients=[f"{token()}@dest.example"])
        row = until(lambda: (r := gateway.session(client))["state"] == "command" and r)
    assert row["account"] == "alice@example.com" and row["messages"] == 1 and row["tls"] is True
    assert row["listener"] == "submissions"


def test_tls_of_the_session_is_in_the_log(gateway):
    with smtp(gateway, context=tls_context(maximum_version=ssl.TLSVersion.TLSv1_2)) as client:
        row = gateway.session(client)
    login = gateway.wait_event("login", session=row["session"])
    assert login["tls_version"] == "TLSv1.2" and login["cipher"].startswith("ECDHE-")


def test_the_reply_to_the_dot_has_the_form_that_clients_look_for(gateway):
    """PHPMailer's pattern for the id of a message is "2.0.0 Ok: queued as (.*)"."""
    with smtp(gateway) as client:
        client.envelope()
        reply = client.text(message())
    assert re.fullmatch(r"250 2\.0\.0 Ok: queued as \w+", reply) and id_of(reply)


def test_a_client_that_ends_its_stream_behind_quit_still_reads_every_reply(gateway, postfix, recipient):
    text = message().decode()
    with smtp(gateway) as client:
        client.send(["MAIL FROM:<alice@example.com>", f"RCPT TO:<{recipient}>", "DATA"])
        client.expect("250 2.1.0 ")
        client.expect("250 2.1.5 ")
        client.expect("354 ")
        client.send_bytes(f"{text}.\r\nQUIT\r\n".encode()).end_stream()
        client.expect("250 2.0.0 Ok: queued as ")
        client.expect("221 2.0.0 ")
        assert client.is_closed()
    postfix.delivered(recipient)


def test_a_client_that_ends_its_stream_behind_the_dot_still_reads_the_answer(gateway, postfix, recipient):
    with smtp(gateway) as client:
        client.envelope(recipients=[recipient])
        client.ask("DATA", "354 ")
        client.send_bytes(message() + b".\r\n").end_stream()
        client.expect("250 2.0.0 Ok: queued as ")
        assert client.is_closed()
    postfix.delivered(recipient)


def test_sending_over_ipv6_works(new_gateway, new_smtp):
    server = new_smtp()
    gateway = new_gateway(server, start=False)
    port = gateway.port("submissions")
    gateway.write_config(listeners={"submissions": {"bind": [f"[::1]:{port}"]}}).start()
    with Smtp(port, host="::1") as client:
        client.expect("220 mail.example.com ESMTP")
        client.hello()
        client.login().mail(message())
        assert gateway.session(client)["client"] == f"[::1]:{client.local_port}"
    server.wait_messages(1)
