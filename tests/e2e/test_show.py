"""What is known of a session, a message, an account or an address: porteiroctl show."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios

from fixtures import build
from fixtures.clients import message, plain_response, pop3, smtp
from fixtures.waiting import until

READ, SUPPORT = "games", "irc"  # groups that Debian always has
UNKNOWN = 3


def policy(**limits):
    """Of the listeners: a policy with these limits."""
    return {"policies": {"out": {"limits": limits}}, "listener": {"policy": "out"}}


HOUR = {"key": ["account"], "count": "recipients", "rate": "60/1h", "burst": 3}


def show(gateway, who):
    return json.loads(gateway.ctl("--json", "show", who).stdout)


def events(shown):
    return [line["event"] for line in shown["lines"]]


def until_shown(gateway, who, event):
    def found():
        done = subprocess.run([build.PORTEIROCTL, "-s", gateway.config["control"], "--json", "show", who],
                              capture_output=True, text=True, check=False)
        shown = json.loads(done.stdout) if done.returncode == 0 else {"lines": []}
        return shown if event in events(shown) else None
    return until(found, f"{who} has {event}")


def test_who_asks_for_an_account_a_session_a_message_or_an_address_is_told_all(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(hour=HOUR))
    with smtp(gateway, source="127.0.0.66") as client:
        client.envelope(recipients=[f"r{n}@dest.example" for n in range(3)])
        said = client.ask("RCPT TO:<r4@dest.example>", "451 4.7.1 hour: ")
        session = re.search(r"\((\w{12})\)", said)[1]
        client.text(message())
        until_shown(gateway, "alice", "message_accepted")
        for who in ("alice", "alice@example.com", "127.0.0.66", session, session.upper()):
            shown = show(gateway, who)
            assert {"login", "decision", "message_accepted"} <= set(events(shown))
            assert [row["session"] for row in shown["sessions"]] == [session]
        assert shown["account"] == "alice@example.com" and shown["client"] == "127.0.0.66"
        assert [(row["rule"], row["used"]) for row in shown["limits"]] == [("hour", 3), ("auth.guessing", 0)]
        accepted = next(line for line in shown["lines"] if line["event"] == "message_accepted")
        assert (accepted["rule"], accepted["left"], accepted["code"]) == ("hour", 0, 250)
    until_shown(gateway, session, "session_ended")
    shown = show(gateway, accepted["message"])
    assert shown["is"] == "message" and shown["session"] == session and shown["sessions"] == []
    gateway.ctl("ban", "192.0.2.0/24", "--reason", "ticket 4711")
    assert [ban["reason"] for ban in show(gateway, "192.0.2.7")["bans"]] == ["ticket 4711"]


def test_what_is_shown_fits_a_terminal(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(hour=HOUR))
    with smtp(gateway) as client:
        client.mail(message())
    until_shown(gateway, "alice", "session_ended")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen([build.PORTEIROCTL, "-s", gateway.config["control"], "show", "alice"], stdout=theirs) as shown:
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 65536):
                text += piece
        except OSError:
            pass  # its last end is closed
    os.close(ours)
    lines = text.decode().splitlines()
    assert shown.returncode == 0 and max(map(len, lines)) <= 80, "\n".join(lines)
    assert lines[0] == "account alice account=alice@example.com"
    assert any(re.match(r"\w{3} [ \d]\d \d\d:\d\d:\d\d message_accepted ", line) for line in lines)


def test_of_whom_nothing_is_known_the_status_tells_and_since_when(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), control_groups={READ: "read", SUPPORT: "support"}, **policy(hour=HOUR))
    said = gateway.ctl("show", "nobody@example.com", status=UNKNOWN).stderr
    assert re.search(r"nothing is known of nobody@example\.com since \w+ +\d+ \d\d:\d\d:\d\d; what is older isn't kept", said)
    assert json.loads(gateway.ctl("--json", "show", "192.0.2.7", status=UNKNOWN).stdout)["lines"] == []
    gateway.ctl("show", "a b", status=1)
    gateway.ctl("show", status=2)
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup"]
    assert '"support"' in gateway.ctl("show", "alice", status=1, wrapper=[*as_nobody, f"--groups={READ}"]).stderr
    gateway.ctl("show", "alice", status=UNKNOWN, wrapper=[*as_nobody, f"--groups={SUPPORT}"])
    gateway.wait_event("control_command", command="show", uid=65534)


def test_what_is_known_outlives_control_and_a_reload(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), **policy(hour=HOUR))
    with smtp(gateway) as client:
        first = client.mail(message())
    until_shown(gateway, first, "message_accepted")
    gateway.may_lose = {"process_died"}
    old = gateway.pids("control")
    os.kill(old[0], signal.SIGKILL)
    gateway.wait_replaced("control", old)
    until_shown(gateway, first, "message_accepted")
    gateway.reload()
    with smtp(gateway) as client:
        second = client.mail(message())
    until_shown(gateway, second, "message_accepted")
    assert "message_accepted" in events(show(gateway, first))
    row, = json.loads(gateway.ctl("--json", "top").stdout)["senders"]
    assert (row["name"], row["messages"]) == ("alice@example.com", 2)


def test_logins_are_told_with_who_is_in_now(new_gateway, new_smtp, new_pop3):
    gateway = new_gateway(new_smtp(), new_pop3([message()]))
    with smtp(gateway, source="127.0.0.66") as inside, pop3(gateway, source="127.0.0.67"):
        pop3(gateway, source="127.0.0.67").quit()
        with smtp(gateway, user=None, source="127.0.0.68") as guesser:
            guesser.ask(f"AUTH PLAIN {plain_response('alice', 'wrong')}", "535 5.7.8 ")
        session = gateway.session(inside)["session"]

        def told():
            shown = json.loads(gateway.ctl("--json", "logins", "alice").stdout)
            return shown if len(shown["lines"]) == 4 else None

        shown = until(told)
        assert [line["event"] for line in shown["lines"]] == ["login", "login", "login", "login_failed"]
        assert shown["lines"][-1]["client"].startswith("127.0.0.68:")
        assert {row["listener"] for row in shown["sessions"]} == {"submissions", "pop3s"}
        text = gateway.ctl("logins", "Alice@Example.com").stdout
        assert text.startswith("alice@example.com: 2 sessions, 4 logins since ") and session in text
    assert "nobody has tried bob since" in gateway.ctl("logins", "bob", status=UNKNOWN).stderr


def test_only_control_has_it_in_its_memory(new_gateway, new_smtp):
    """A worker that was taken over must not read who has written to whom."""
    gateway = new_gateway(new_smtp())
    sizes = {role: [size_of_shared(pid) for pid in gateway.pids(role)] for role in ("control", "worker", "auth")}
    all_but_control = {size for role in ("worker", "auth") for size in sizes[role]}
    assert min(sizes["control"]) - max(all_but_control) >= 8 * 2**20, sizes


def size_of_shared(pid):
    """Octets of anonymous mappings that processes share."""
    total = 0
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        for line in maps:
            if "/dev/zero (deleted)" in line:
                first, last = line.split()[0].split("-")
                total += int(last, 16) - int(first, 16)
    return total
