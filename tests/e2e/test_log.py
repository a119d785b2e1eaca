"""Observability: one line an event, the same keys in text and JSON, no credentials, no control characters."""
import json
import os
import re
import signal
import socket
import threading
from datetime import datetime, timedelta, timezone

import pytest

from fixtures import build
from fixtures.clients import PASSWORDS, Smtp, message, plain_response, pop3, smtp
from fixtures.gateway import check_no_passwords, parse_line
from fixtures.load import Load
from fixtures.processes import descriptors_of
from fixtures.waiting import until


def all_sorts(gateway):
    """A conversation that makes many kinds of lines."""
    with smtp(gateway, source="127.0.0.66") as client:
        client.mail(message())
        client.ask("MAIL FROM:<wrong", "501 ")
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<bad@dest.example>", "550 ")
        client.ask("RCPT TO:<x@dest.example>", "250 ")
        client.ask("DATA", "354 ")
        client.send_bytes(b"Subject: abandoned\r\n")
    with smtp(gateway, user=None, source="127.0.0.66") as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', 'wrong')}", "535 ")
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}", "235 ")
        client.quit()
    with Smtp(gateway.port("submissions"), tls=None, source="127.0.0.66") as client:
        client.send_bytes(b"no TLS\r\n").end_stream()
        while client.socket.recv(4096):
            pass
    with pop3(gateway, source="127.0.0.66") as client:
        client.ask("NOOP", "+OK")
        client.quit()
    gateway.ctl("status")
    gateway.ctl("undrain")
    gateway.reload()


def kinds(gateway):
    """{event: {its sets of keys}} of lines of sessions, and of the commands."""
    found = {}
    for event in gateway.events():
        if event["event"] in ("process_started", "upstream_up", "upstream_down", "generation_ended"):
            continue  # how many there are depends on the moment
        found.setdefault(event["event"], set()).add(frozenset(event))
    return found


@pytest.fixture
def new_pair(new_gateway, new_smtp, new_pop3):
    """new_pair(FORMAT): a gateway with that format and servers behind, through all_sorts."""
    def make(style):
        server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "bad@" in line else None)
        gateway = new_gateway(server, new_pop3(), log={"format": style})
        all_sorts(gateway)
        gateway.signal(signal.SIGTERM)
        gateway.wait()
        return gateway
    return make


# ---- lines ----

def test_json_lines_parse_and_text_has_the_same_keys(new_pair):
    text, as_json = new_pair("text"), new_pair("json")
    for line in as_json.log_text().splitlines():
        fields = json.loads(line)
        assert isinstance(fields, dict) and line.startswith('{"time":"')
    assert kinds(as_json) == kinds(text)
    assert {"message_accepted", "recipient_refused", "command_refused", "message_abandoned", "login", "login_failed",
            "tls_failed", "mailbox_opened", "session_ended", "control_command", "reloaded"} <= set(kinds(text))


def test_numbers_are_numbers_in_json(new_pair):
    gateway = new_pair("json")
    lines = [json.loads(line) for line in gateway.log_text().splitlines()]
    accepted = next(line for line in lines if line["event"] == "message_accepted")
    assert accepted["code"] == 250 and accepted["recipients"] == 1
    assert isinstance(accepted["bytes"], int) and isinstance(accepted["duration"], float)


def test_every_line_has_only_known_keys_and_events(new_pair):
    for style in ("text", "json"):
        for event in new_pair(style).events():
            assert set(event) <= build.log_keys()
            assert event["event"] in build.log_events()
            assert {"time", "level", "event", "process"} <= set(event)
            assert event["level"] in ("debug", "info", "warning", "error")


def test_lines_of_a_session_have_its_id_listener_and_client(new_pair):
    gateway = new_pair("text")
    ids = {}
    for event in gateway.events():
        if "session" in event:
            ids.setdefault(event["session"], set()).add((event["listener"], event["client"].split(":")[0]))
    assert len(ids) == 4
    assert all(len(seen) == 1 and next(iter(seen))[1] == "127.0.0.66" for seen in ids.values())


def test_every_session_has_one_end(new_pair):
    gateway = new_pair("text")
    ends = [event["session"] for event in gateway.events("session_ended")]
    begun = [event["session"] for event in gateway.events("connected")]
    assert sorted(ends) == sorted(begun)


def test_time_is_utc_with_milliseconds(new_pair):
    gateway = new_pair("text")
    for event in gateway.events():
        when = datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        assert abs(datetime.now(timezone.utc) - when) < timedelta(minutes=5)


def test_an_abandoned_message_is_logged_with_its_size(new_pair):
    abandoned, = new_pair("text").events("message_abandoned")
    assert abandoned["bytes"] == str(len(b"Subject: abandoned\r\n"))


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_a_client_says_makes_no_line_and_no_control_character(new_gateway, new_smtp, style):
    gateway = new_gateway(new_smtp(), log={"format": style})
    for name in ("x\nevent=login account=root", "\x1b[2Jx", "a\x85b", "\"quoted\" \\", "\x7f", "\udcff\udcfe"):
        with smtp(gateway, user=None) as client:
            client.ask(f"AUTH PLAIN {plain_response(name, 'wrong') if name.isascii() else 'AA=='}", "5")
    with smtp(gateway, user=None) as client:
        client.ask('MAIL FROM:<"a\\"b=c d"@example.com>', "530 ")
        client.login()
        client.ask('MAIL FROM:<"a\\"b=c d"@example.com>', "250 ")
        client.ask("RCPT TO:<x@dest.example>", "250 ")
        client.text(message())
        client.ask("FOO \x1b[31m event=login", "500 ")
        client.ask("MAIL FROM:<\u009b31m@example.com>", "55")
    gateway.wait_event("session_ended", count=7)
    text = gateway.log_text()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]", text)
    assert not gateway.events("login", account="root")
    assert gateway.events("message_accepted")[0]["sender"] == '"a\\"b=c d"@example.com'


def test_log_level_leaves_lesser_lines_out(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), log={"level": "warning"}, start=False)
    gateway.start(is_awaited=False)
    until(lambda: serves(gateway))
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', 'wrong')}", "535 ")
        client.login().mail(message())
    gateway.wait_event("login_failed")
    assert {event["level"] for event in gateway.events()} <= {"warning", "error"}


def serves(gateway):
    """For those whose log doesn't say that they have started."""
    try:
        return {"worker", "auth", "control"} <= {p["role"] for p in gateway.processes() if p["state"] == "serving"}
    except OSError:
        return False


# ---- targets ----

def test_sigusr1_opens_the_file_anew(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    with smtp(gateway) as client:
        client.mail(message())
        gateway.wait_event("message_accepted")
        rotated = gateway.folder / "porteiro.log.1"
        os.rename(gateway.log_file, rotated)
        gateway.inspected = 0
        gateway.signal(signal.SIGUSR1)
        gateway.wait_event("log_reopened")
        size = rotated.stat().st_size
        message_id = client.mail(message())
    gateway.wait_event("message_accepted", message=message_id)
    assert rotated.stat().st_size == size
    assert "message_accepted" in rotated.read_text()
    control, = gateway.pids("control")
    until(lambda: str(rotated) not in descriptors_of(control).values())


def test_no_line_is_lost_at_a_rotation_under_load(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    with Load(gateway) as load:
        for number in range(5):
            load.more(10)
            os.rename(gateway.log_file, gateway.folder / f"rotated.{number}")
            gateway.signal(signal.SIGUSR1)
            until(gateway.log_file.exists)
            gateway.inspected = 0
        load.more(10)
    wanted = len(load.acknowledged)

    def logged():
        paths = [gateway.log_file, *gateway.folder.glob("rotated.*")]
        return sum(path.read_text().count("event=message_accepted") for path in paths) >= wanted

    until(logged)


def test_a_new_log_file_is_not_for_everybody(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp())
    assert gateway.log_file.stat().st_mode & 0o007 == 0


def test_stderr_gets_the_lines_by_default(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), log={"target": "stderr"}, start=False)
    gateway.start(is_awaited=False)
    until(lambda: "event=started" in gateway.stderr_text())
    with smtp(gateway) as client:
        client.mail(message())
    until(lambda: "event=message_accepted" in gateway.stderr_text())
    for line in gateway.stderr_text().splitlines():
        parse_line(line)


def test_a_file_that_can_not_be_written_costs_lines_and_no_mail(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), log={"target": "/dev/full"}, start=False)
    gateway.start(is_awaited=False)
    until(lambda: serves(gateway))
    with smtp(gateway) as client:
        for _ in range(10):
            client.mail(message())
    until(lambda: gateway.status()["counters"]["log_lines_dropped"] > 0)


class Syslog:
    """A /dev/log of our own."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        self.lines = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            while True:
                self.lines.append(self.socket.recv(65536).decode())
        except OSError:
            pass

    def close(self):
        os.unlink("/dev/log")
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def syslog():
    if os.path.lexists("/dev/log"):
        pytest.skip("there is a /dev/log already")
    server = Syslog()
    yield server
    if os.path.lexists("/dev/log"):
        server.close()


def test_syslog_gets_each_line_with_facility_and_priority(new_gateway, new_smtp, syslog):
    gateway = new_gateway(new_smtp(), log={"target": "syslog", "facility": "local3"}, start=False)
    gateway.start(is_awaited=False)
    until(lambda: [line for line in syslog.lines if "event=started" in line])
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', 'wrong')}", "535 ")
        client.login().mail(message())
    until(lambda: [line for line in syslog.lines if "event=message_accepted" in line])
    LOCAL3 = 19 << 3
    priorities = {"debug": 7, "info": 6, "warning": 4, "error": 3}
    for line in syslog.lines:
        found = re.fullmatch(r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d porteirod(?:\[\d+\])?: (.*)", line)
        assert found, line
        event = parse_line(found[2].rstrip("\n"))
        assert int(found[1]) == LOCAL3 | priorities[event["level"]]
    check_no_passwords("\n".join(syslog.lines))


def test_mail_flows_while_syslog_is_away_and_lines_come_again_after(new_gateway, new_smtp, syslog):
    gateway = new_gateway(new_smtp(), log={"target": "syslog"}, start=False)
    gateway.start(is_awaited=False)
    until(lambda: [line for line in syslog.lines if "event=started" in line])
    with smtp(gateway) as client:
        syslog.close()
        for _ in range(5):
            client.mail(message())
        again = Syslog()
        try:
            until(lambda: client.mail(message()) and [l for l in again.lines if "event=message_accepted" in l])
        finally:
            again.close()


def test_syslog_that_is_not_there_is_refused_by_t(new_gateway, new_smtp):
    if os.path.lexists("/dev/log"):
        pytest.skip("there is a /dev/log")
    done = new_gateway(new_smtp(), log={"target": "syslog"}, start=False).check()
    assert done.returncode == 1 and "/dev/log" in done.stderr and "log.target" in done.stderr


def test_the_recipient_in_the_log_is_the_one_who_gets_it(new_gateway, new_smtp):
    server = new_smtp().on("RCPT", lambda line: "550 5.1.1 no" if "no-one" in line else None)
    gateway = new_gateway(server)
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<no-one@dest.example>", "550 ")
        client.ask("RCPT TO:<yes@dest.example>", "250 ")
        client.text(message())
    assert gateway.wait_event("message_accepted")["recipient"] == "yes@dest.example"
