"""Counters in memory over a restart: in a file of state_dir."""
import signal

import pytest

from fixtures.clients import PASSWORDS, message, plain_response, smtp
from fixtures.waiting import PATIENCE, until

RULES = {"out": {"limits": {"hour": {"key": ["account"], "count": "recipients", "rate": "1/1h", "burst": 5}}}}


@pytest.fixture
def gateway(new_gateway, new_smtp):
    return new_gateway(new_smtp(), policies=RULES, listener={"policy": "out"})


def place(gateway):
    return gateway.folder / "state" / "limits"


def restart(gateway):
    """What has been said to standard error is forgotten."""
    gateway.stop()
    gateway.stderr_file.unlink()
    gateway.start()


def send_to(gateway, count):
    with smtp(gateway) as client:
        client.mail(message(), recipients=[f"r{n}@dest.example" for n in range(count)])


def only_so_many_pass(gateway, count):
    with smtp(gateway) as client:
        client.envelope(recipients=[f"r{n}@dest.example" for n in range(count)])
        client.ask("RCPT TO:<late@dest.example>", "451 4.7.1 ")
        client.ask("RSET", "250 ")


def test_a_restart_keeps_what_counts(gateway):
    send_to(gateway, 3)
    restart(gateway)
    assert "event=limits_restored process=master count=1" in gateway.stderr_text()
    only_so_many_pass(gateway, 2)
    assert place(gateway).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in place(gateway).parent.glob("limits*")] == ["limits"]


def test_a_refusal_that_lasts_goes_on_after_a_restart(new_gateway, new_smtp):
    places = {"key": ["account"], "count": "sessions", "max": 1, "duration": "2h"}
    gateway = new_gateway(new_smtp(), policies={"out": {"limits": {"places": places}}}, listener={"policy": "out"})
    response = plain_response("alice", PASSWORDS["alice"])
    with smtp(gateway), smtp(gateway, user=None) as second:
        second.ask(f"AUTH PLAIN {response}", "454 4.7.0 places: ")
    restart(gateway)
    with smtp(gateway, user=None) as first:
        first.ask(f"AUTH PLAIN {response}", "454 4.7.0 places: at most 1 sessions at once; try again in 2 hours")


def test_what_was_given_back_before_a_restart_does_not_count_after_it(gateway):
    only_so_many_pass(gateway, 5)
    restart(gateway)
    only_so_many_pass(gateway, 5)


def test_a_damaged_file_of_counters_is_said_and_holds_nobody_up(gateway):
    send_to(gateway, 3)
    gateway.stop()
    place(gateway).write_bytes(place(gateway).read_bytes()[:-1])
    gateway.start()
    said = f'event=limits_refused process=master reason="{place(gateway)}: it is not whole"'
    assert said in gateway.stderr_text()
    only_so_many_pass(gateway, 5)
    send_to(gateway, 5)
    restart(gateway)
    only_so_many_pass(gateway, 0)


# ---- the clock ----

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@pytest.fixture
def at_clock(new_gateway, new_smtp):
    """at_clock(OFFSET, rate): a gateway by a clock that is so much ahead; called again: the same one, restarted."""
    made = []

    def start(offset, rate="1/1h"):
        if made:
            made[0].environment["FAKETIME"] = offset
            restart(made[0])
        else:
            limits = {"hour": {"key": ["account"], "count": "recipients", "rate": rate, "burst": 5}}
            made.append(new_gateway(new_smtp(), policies={"out": {"limits": limits}}, listener={"policy": "out"},
                                    environment={"LD_PRELOAD": FAKETIME, "FAKETIME": offset}))
        return made[0]
    return start


@pytest.mark.release
def test_a_clock_that_was_set_forward_lets_pass_what_would_by_then(at_clock):
    send_to(at_clock("+2h"), 5)
    only_so_many_pass(at_clock("+4h"), 2)


@pytest.mark.release
def test_a_clock_that_was_set_back_has_nobody_wait_for_longer(at_clock):
    def passes():
        with smtp(gateway) as client:
            client.envelope(recipients=())
            return client.send("RCPT TO:<late@dest.example>").reply().startswith("250 ")

    send_to(at_clock("+2h", rate="1/1s"), 5)
    gateway = at_clock("+0")
    until(passes, "a second to have passed")


@pytest.mark.long
def test_a_master_that_is_killed_leaves_what_it_has_written(gateway):
    def written():
        return place(gateway).exists() and place(gateway).stat().st_ino

    send_to(gateway, 3)
    for _ in range(2):  # one that was begun after the message
        before = written()
        until(lambda: written() not in (False, before), "the file to be written anew", 2 * PATIENCE)
    gateway.signal(signal.SIGKILL)
    gateway.wait()
    gateway.destroy()
    assert b"hour" in place(gateway).read_bytes()
    gateway.start()
    only_so_many_pass(gateway, 2)
