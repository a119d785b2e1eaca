"""contrib/notify: the scripts that write a mail or call a web server, as they are."""
import email
import email.policy
import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from fixtures.clients import smtp
from fixtures.waiting import until

SCRIPTS = Path(__file__).parents[2] / "contrib/notify"
SENDER, ADMIN = "porteiro@mail.example.com", "postmaster@dest.example"

LIMIT = {"event": "limit", "time": "2026-11-28T06:00:00.000Z", "gateway": "mail.example.com",
         "account": "ana@example.com", "contact": "owner@dest.example", "rule": "hour", "used": 3, "left": 0,
         "limit": "at most 1 recipients in 1h, 3 at once", "wait": 3599.5, "folded": 0,
         "addresses": ["192.0.2.7", "2001:db8::1"], "recipients": ["x@a.example"]}


def run(script, *arguments, told=LIMIT, status=0, **options):
    text = told if isinstance(told, str) else json.dumps(told)
    done = subprocess.run([SCRIPTS / script, *map(str, arguments)], input=text + "\n", text=True,
                          capture_output=True, timeout=60, **options)
    assert done.returncode == status, done.stderr
    return done


# ---- mail ----

def msmtp(postfix):
    return ["--", "/usr/bin/msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={postfix.port}",
            "--auth=off", "--tls=off"]


@pytest.fixture
def written(tmp_path):
    """written(TOLD, ...): what a sendmail is given: its arguments, and the message."""
    sendmail = tmp_path / "sendmail"
    sendmail.write_text('#!/bin/sh\nhere=${0%/*}\nprintf "%s\\n" "$@" > "$here/arguments"\ncat > "$here/message"\n')
    sendmail.chmod(0o755)

    def make(told, *arguments):
        for name in ("arguments", "message"):
            (tmp_path / name).unlink(missing_ok=True)
        done = run("mail", "--from", SENDER, *arguments, "--", sendmail, told=told)
        if not (tmp_path / "message").exists():
            return None, done.stderr
        content = (tmp_path / "message").read_bytes()
        assert content.isascii() and max(map(len, content.split(b"\n"))) <= 80, content
        return (tmp_path / "arguments").read_text().split("\n")[:-1], email.message_from_bytes(
            content, policy=email.policy.default)
    return make


def test_postfix_takes_the_mail_to_the_contact_and_the_copy(postfix):
    run("mail", "--from", SENDER, "--to", ADMIN, *msmtp(postfix))
    for recipient in ("owner@dest.example", ADMIN):
        (content,) = postfix.delivered(recipient)
        sent = email.message_from_bytes(content, policy=email.policy.default)
        assert sent["To"] == "owner@dest.example" and sent["From"] == SENDER
        assert sent["Return-Path"] == f"<{SENDER}>" and sent["Auto-Submitted"] == "auto-generated"
        assert sent["Subject"] == "ana@example.com has reached the limit hour"
        text = " ".join(sent.get_content().split())
        assert "ana@example.com has sent as much as it may for now through mail.example.com" in text
        assert "at most 1 recipients in 1h, 3 at once" in text and "Passes again in: 60 minutes" in text
        assert "Used lately from: 192.0.2.7, 2001:db8::1" in text and "Lately to: x@a.example" in text


def test_the_sendmail_of_postfix_takes_it_too(postfix):
    run("mail", "--from", SENDER, "--", "/usr/sbin/sendmail", "-C", postfix.folder / "conf",
        told={**LIMIT, "contact": "by-sendmail@dest.example"})
    assert b"has reached the limit" in postfix.delivered("by-sendmail@dest.example")[0]


@pytest.mark.parametrize("told, subject, part", [
    ({"event": "near"}, "is close to the limit hour", "Nothing was refused yet"),
    ({"event": "suspend", "until": "2026-11-29T06:00:00Z"}, "may not send for now", "Until (UTC)"),
    ({"event": "suspend", "scope": "sending", "until": "resumed"}, "may not send for now",
     "Until (UTC): somebody lifts it"),
    ({"event": "suspend", "scope": "all"}, "may not send for now", "may neither send nor log in"),
    ({"event": "flood", "count": 10}, "hour suspends nobody for now", "has suspended 10 lately"),
    ({"event": "ban", "network": "192.0.2.0/24"}, "192.0.2.0/24 is banned", "takes no connections from 192.0.2.0/24"),
    ({"event": "expiry", "file": "/etc/tls/a.pem", "days": 3}, "A certificate ends in 3 days", "/etc/tls/a.pem"),
    ({"event": "something new"}, "something new", "tells of: something new"),
    ({"folded": 7}, "has reached", "it has happened 7 times"),
    ({"folded": 1}, "has reached", "it has happened once"),
])
def test_each_event_has_its_words(written, told, subject, part):
    arguments, message = written({**LIMIT, **told}, "--to", ADMIN)
    is_admins = told.get("event") in ("flood", "expiry")
    assert arguments[4:] == ([ADMIN] if is_admins else [LIMIT["contact"], ADMIN])
    assert subject in message["Subject"] and part in " ".join(message.get_content().split())


def test_without_a_contact_the_admin_is_told_and_without_him_nobody(written):
    told = {key: value for key, value in LIMIT.items() if key != "contact"}
    arguments, message = written(told, "--to", ADMIN)
    assert arguments == ["-i", "-f", SENDER, "--", ADMIN] and message["To"] == ADMIN
    assert written(told) == (None, "there is nobody to write to\n")


@pytest.mark.parametrize("contact", ["-oQ/tmp@dest.example", "a@b, c@d.example", "a@b\r\nBcc: c@d.example", "a@[x]", "a b@c"])
def test_what_is_no_address_is_not_written_to(written, contact):
    assert written({**LIMIT, "contact": contact}) == (None, "there is nobody to write to\n")


def test_nothing_that_is_told_begins_a_field_or_a_line(written):
    evil = "x\r\nBcc: evil@dest.example\r\n\r\n\x1b[2Jbody \u2028 \u202e {account} %s"
    told = {**{key: evil for key in LIMIT}, "event": "near", "contact": LIMIT["contact"], "folded": 2,
            "recipients": [evil, "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 500], "wait": 1, "limit": "word" * 1000}
    arguments, message = written(told)
    assert arguments[-1] == "owner@dest.example" and arguments[:-1] == ["-i", "-f", SENDER, "--"]
    assert set(message.keys()) == {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
                                   "Content-Transfer-Encoding", "MIME-Version"}
    text = message.get_content()
    assert not any(line.startswith("Bcc:") for line in text.splitlines())
    assert max(map(len, text.split("\n"))) <= 80 and all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("told", ["", "{", "[]", '"x"', "{}"])
def test_what_is_no_message_writes_none(tmp_path, told):
    run("mail", "--from", SENDER, "--to", ADMIN, "--", "/bin/false", told=told, status=1)


# ---- webhook ----

class Web(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.server.seen.append((self.path, dict(self.headers), body))
        self.send_response(status)
        if status == 301:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.seen, server.statuses = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def headers(folder):
    path = folder / "headers"
    path.write_text("Authorization: Bearer Xyzzy-2291\nX-Panel: 1\n")
    path.chmod(0o644)
    return path


def test_a_web_server_gets_the_json_as_it_is_with_the_secret_header(web, headers):
    run("webhook", web.url, headers)
    (path, fields, body), = web.seen
    assert path == "/hook" and body == json.dumps(LIMIT).encode() + b"\n"
    assert fields["Content-Type"] == "application/json"
    assert fields["Authorization"] == "Bearer Xyzzy-2291" and fields["X-Panel"] == "1"


def test_the_url_may_stand_in_a_file(web, folder):
    file = folder / "url"
    file.write_text(f'url = "{web.url}?token=Xyzzy"\n')
    run("webhook", file)
    assert web.seen[0][0] == "/hook?token=Xyzzy"


def test_no_argument_has_the_secret(web, headers, folder):
    """A curl before the real one shows what it was called with."""
    wrapper = folder / "curl"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/arguments\nexec /usr/bin/curl "$@"\n')
    wrapper.chmod(0o755)
    run("webhook", web.url, headers, env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
    assert web.seen[0][1]["Authorization"].endswith("Xyzzy-2291")
    assert "Xyzzy" not in (folder / "arguments").read_text()


def test_a_server_that_stumbles_is_asked_again_and_one_that_refuses_is_told(web):
    web.statuses = [503]
    run("webhook", web.url)
    assert len(web.seen) == 2 and web.seen[0][2] == web.seen[1][2]
    for status in (404, 301):
        web.statuses = [status]
        assert f"the server says {status}" in run("webhook", web.url, status=1).stderr
    assert len(web.seen) == 4


@pytest.mark.parametrize("arguments", [[], ["ftp://x/"], ["-o"], ["http://x", "a", "b"]])
def test_what_it_does_not_understand_it_says(arguments):
    assert "usage: webhook" in run("webhook", *arguments, status=2).stderr


def test_headers_that_cannot_be_read_are_told(web, folder):
    assert "can't be read" in run("webhook", web.url, folder / "nowhere", status=1).stderr
    assert not web.seen


# ---- as commands of a gateway ----

def test_the_gateway_tells_both(new_gateway, new_smtp, postfix, web, headers, folder):
    scripts = shutil.copytree(SCRIPTS, folder / "scripts")  # where helper_user can read them
    contacts = folder / "contacts"
    contacts.write_text("alice: alices-owner@dest.example\n")
    hour = {"key": ["account"], "count": "recipients", "rate": "1/1h", "action": "reject"}
    gateway = new_gateway(
        new_smtp(), contacts=str(contacts), policies={"out": {"limits": {"hour": hour}}}, listener={"policy": "out"},
        auth={"realm": "example.com"}, notify={
            "mail": {"command": " ".join([f"{scripts}/mail", "--from", SENDER, *msmtp(postfix)])},
            "hook": {"command": f"{scripts}/webhook {web.url} {headers}", "events": ["limit"]}})
    with smtp(gateway) as client:
        client.envelope()
        client.ask("RCPT TO:<other@dest.example>", "550 5.7.1 hour: ")
    assert b"alice@example.com has reached the limit hour" in postfix.delivered("alices-owner@dest.example")[0]
    told = json.loads(until(lambda: web.seen)[0][2])
    assert told["account"] == "alice@example.com" and told["verdict"] == "reject" and told["notify"] == "hook"
    gateway.wait_event("notified", count=2)
    assert not gateway.events("command_failed")
