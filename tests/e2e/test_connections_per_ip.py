"""max_connections_per_ip: of one address so many, over all ports, workers and generations."""
import os
import signal

import pytest

from fixtures.clients import Pop3, Session, Smtp, message, pop3, smtp
from fixtures.waiting import until

CLIENT, OTHER = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def few(new_gateway, new_smtp, new_pop3):
    """Three of an address, and no address is many people's."""
    return new_gateway(new_smtp(), new_pop3([message()]), max_connections_per_ip=3, shared_networks=[])


def is_sent_away(gateway, count=1):
    for _ in range(count):
        with Smtp(gateway.port("submission"), tls=None, source=CLIENT) as client:
            client.expect("421 4.3.2 Too many connections from your address")
            assert client.is_closed()


def greeted(gateway, source=CLIENT):
    client = Smtp(gateway.port("submission"), tls=None, source=source)
    client.expect("220 ")
    return client


def test_one_more_of_an_address_is_sent_away_before_tls_whatever_the_door(few):
    kept = [smtp(few, source=CLIENT), smtp(few, door="submission", source=CLIENT), pop3(few, source=CLIENT)]
    is_sent_away(few, 5)
    with Pop3(few.port("pop3"), tls=None, source=CLIENT) as client:
        client.expect("-ERR [SYS/TEMP] Too many connections from your address")
        assert client.is_closed()
    for door in ("submissions", "pop3s"):
        with Session(few.port(door), tls=None, source=CLIENT) as client:
            assert client.is_closed()
    few.wait_event("refused_crowd", count=8)
    with smtp(few, source=OTHER) as client:
        client.mail(message())
    kept[0].mail(message())  # those that are there don't notice
    kept.pop().quit()
    few.wait_sessions(2)
    with smtp(few, source=CLIENT) as client:
        client.mail(message())


def test_places_of_a_killed_worker_are_given_back(few):
    kept = [greeted(few) for _ in range(3)]
    is_sent_away(few)
    few.may_lose = {"process_died"}
    workers = few.pids("worker")
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    few.wait_replaced("worker", workers)
    kept += [greeted(few) for _ in range(3)]
    is_sent_away(few)


def test_sessions_of_an_old_generation_count(few):
    kept = [greeted(few) for _ in range(2)]
    few.reload()
    kept.append(greeted(few))
    is_sent_away(few)
    few.reload(max_connections_per_ip=4)
    kept.append(greeted(few))
    is_sent_away(few)


def test_clients_that_come_and_go_lose_no_place(few):
    for turn in range(10):
        for number, client in enumerate([greeted(few) for _ in range(3)]):
            client.drop(reset=(number + turn) % 2 == 0)
        few.wait_sessions(0)


def test_shared_networks_have_no_such_bound(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), max_connections_per_ip=1, shared_networks=[f"{CLIENT}/32"])
    kept = [greeted(gateway) for _ in range(5)]
    kept.append(greeted(gateway, OTHER))
    with Smtp(gateway.port("submission"), tls=None, source=OTHER) as client:
        client.expect("421 4.3.2 ")
    until(lambda: gateway.status()["sessions"] == len(kept))


def test_by_default_there_are_fifty(new_gateway, new_smtp):
    gateway = new_gateway(new_smtp(), shared_networks=[])
    kept = [greeted(gateway) for _ in range(50)]
    is_sent_away(gateway)
    assert len(kept) == len(gateway.sessions())
