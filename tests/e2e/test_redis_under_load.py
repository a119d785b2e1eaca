"""Redis in trouble while eight clients send: what they are told, and that nothing is counted wrongly."""
import signal
import threading

import pytest

from fixtures.clients import message, smtp
from fixtures.redis import move_slot, node_of
from fixtures.waiting import until

CLIENTS, WORKERS = 8, 4
TAKEN, REFUSED, UNKNOWN = "250 2.1.5", "451 4.7.1", "451 4.3.0"


class Load:
    """Clients that send messages of one recipient each, until it is left. `replies`: what RCPT was
    answered since `then` was called last; `taken`: messages that the gateway has answered for."""

    def __init__(self, gateway):
        self.gateway, self.is_over, self.lock = gateway, threading.Event(), threading.Lock()
        self.replies, self.taken, self.failed = [], 0, []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CLIENTS)]

    def send(self, client):
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        said = client.send("RCPT TO:<someone@dest.example>").reply()[:9]
        with self.lock:
            self.replies.append(said)
        if said != TAKEN:
            client.ask("RSET", "250 ")
            return
        client.text(message())
        with self.lock:
            self.taken += 1

    def run(self):
        try:
            while not self.is_over.is_set():
                with smtp(self.gateway) as client:
                    for _ in range(20):    # who is refused for long is sent away for that
                        self.send(client)
        except Exception as failure:    # of whatever kind: the test fails with it
            self.failed.append(repr(failure))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.then()
        return self

    def __exit__(self, *error):
        self.is_over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.failed

    def then(self, count=5 * CLIENTS):
        """What the next replies are, some for each client."""
        with self.lock:
            self.replies = []
        until(lambda: len(self.replies) >= count or self.failed, f"{count} replies")
        with self.lock:
            return set(self.replies)


def counting(new_gateway, server, redis, rate, **keys):
    limits = {"day": {"key": ["account"], "count": "recipients", "rate": rate}}
    return new_gateway(server, workers=WORKERS, policies={"out": {"limits": limits}}, listener={"policy": "out"},
                       redis={"timeout": "500ms", **redis, **keys})


def at(*servers):
    return {"address": [f"127.0.0.1:{server.port}" for server in servers]}



TROUBLES = {
    "full": (lambda r: r.cli("CONFIG", "SET", "maxmemory", "1"), lambda r: r.cli("CONFIG", "SET", "maxmemory", "0")),
    "read-only": (lambda r: r.cli("REPLICAOF", "127.0.0.1", "1"), lambda r: r.cli("REPLICAOF", "NO", "ONE")),
    "hung": (lambda r: r.process.send_signal(signal.SIGSTOP), lambda r: r.process.send_signal(signal.SIGCONT)),
    "killed": (lambda r: r.kill(), lambda r: r.start()),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("on_failure", [
    "tempfail", pytest.param("memory", marks=pytest.mark.long), pytest.param("accept", marks=pytest.mark.long)])
def test_trouble_under_load_costs_no_session_and_ends_with_it(new_gateway, new_smtp, new_redis, trouble, on_failure):
    server, redis = new_smtp(), new_redis()
    make, mend = TROUBLES[trouble]
    gateway = counting(new_gateway, server, at(redis), "1000000/1d", on_failure=on_failure)
    with Load(gateway) as load:
        assert load.then() == {TAKEN}
        make(redis)
        gateway.wait_event("redis_lost")
        assert load.then() <= ({TAKEN, UNKNOWN} if on_failure == "tempfail" else {TAKEN})
        mend(redis)
        until(lambda: len(gateway.events("redis_back")) == len(gateway.events("redis_lost")), "all are back")
        assert load.then() == {TAKEN}
    assert len(server.messages) == load.taken


def test_a_redis_that_is_flushed_under_load_is_none_that_is_lost(new_gateway, new_smtp, new_redis):
    server, redis = new_smtp(), new_redis()
    gateway = counting(new_gateway, server, at(redis), "1000000/1d", on_failure="tempfail")
    with Load(gateway) as load:
        for words in (("FLUSHALL",), ("SCRIPT", "FLUSH"), ("FLUSHALL",)):
            redis.cli(*words)
            assert load.then() == {TAKEN}
    assert not gateway.events("redis_lost") and len(server.messages) == load.taken


def until_refused(load):
    """Until all are refused, and nobody is answered otherwise any more."""
    until(lambda: load.then() == {REFUSED}, "refusals alone", 60)


@pytest.mark.long
def test_exactly_as_many_pass_with_sentinels(new_gateway, new_smtp, new_sentinels):
    _, _, sentinels = new_sentinels()
    redis = {"sentinels": [f"127.0.0.1:{s.port}" for s in sentinels], "master": "mail"}
    with Load(counting(new_gateway, new_smtp(), redis, "100/1d")) as load:
        until_refused(load)
    assert load.taken == 100


@pytest.mark.long
def test_exactly_as_many_pass_in_a_cluster_whose_slot_moves(new_gateway, new_smtp, new_cluster):
    nodes = new_cluster()
    owner = node_of(nodes, "porteiro")
    other = next(n for n in nodes if n is not owner)
    gateway = counting(new_gateway, new_smtp(), at(*nodes), "300/1d", on_failure="tempfail")
    with Load(gateway) as load:
        until(lambda: load.taken >= 100, "a third of it")
        move_slot(owner, other, "porteiro")
        until_refused(load)
    gateway.wait_event("redis_moved", redis=f"127.0.0.1:{other.port}")
    assert load.taken == 300


@pytest.mark.long
def test_a_failover_while_all_send_forgets_its_last_second_at_most(new_gateway, new_smtp, new_sentinels):
    master, replica, sentinels = new_sentinels()
    redis = {"sentinels": [f"127.0.0.1:{s.port}" for s in sentinels], "master": "mail"}
    server = new_smtp()
    gateway = counting(new_gateway, server, redis, "300/1d", on_failure="tempfail")
    with Load(gateway) as load:
        until(lambda: load.taken >= 100, "a third of it")
        assert master.cli("WAIT", "1", "5000").strip() == "1"
        known = load.taken - CLIENTS    # a take may come between WAIT and the look at it
        master.kill()
        lost = load.taken - known
        until(lambda: gateway.events("redis_back", redis=f"127.0.0.1:{replica.port}"), "the replica", 30)
        until_refused(load)
    assert 300 - CLIENTS <= load.taken <= 300 + lost
    assert len(server.messages) == load.taken
