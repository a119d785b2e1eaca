"""Redis: who connects, who is followed, and what is said when it can't count."""
import signal

import pytest

from fixtures.clients import smtp
from fixtures.gateway import run_porteirod
from fixtures.processes import free_port
from fixtures.redis import move_slot, node_of
from fixtures.waiting import until


def connections(redis):
    return sum(" user=" in line and "cmd=client" not in line for line in redis.cli("CLIENT", "LIST").splitlines())


def gateways(redis):
    """How many connections have called the script, and so are a gateway's."""
    return sum(" cmd=eval" in line for line in redis.cli("CLIENT", "LIST").splitlines())


def test_each_worker_has_one_connection(new_gateway, postfix, new_redis):
    redis = new_redis()
    gateway = new_gateway(smtp=postfix, redis={"address": [f"127.0.0.1:{redis.port}"]}, workers=2)
    until(lambda: connections(redis) == 2, "two connections")
    assert not gateway.events("redis_lost")


def test_a_server_that_is_away_is_told_once_and_found_again(new_gateway, postfix, new_redis):
    redis = new_redis()
    redis.stop()
    gateway = new_gateway(smtp=postfix, redis={"address": [f"127.0.0.1:{redis.port}"]}, workers=1)
    gateway.wait_event("redis_lost", redis=f"127.0.0.1:{redis.port}")
    redis.start()
    gateway.wait_event("redis_back")
    assert len(gateway.events("redis_lost")) == 1


def test_a_unix_socket_that_root_alone_can_open_is_reached_from_the_empty_root(new_gateway, postfix, new_redis):
    redis = new_redis()
    gateway = new_gateway(smtp=postfix, redis={"address": [f"unix:{redis.socket}"]}, workers=2)
    until(lambda: connections(redis) == 2, "two connections")
    redis.stop()
    gateway.wait_event("redis_lost", count=2)
    redis.start()
    gateway.wait_event("redis_back", count=2)


def test_a_user_of_the_acl_is_who_connects(new_gateway, postfix, new_redis, folder):
    redis = new_redis()
    redis.cli("ACL", "SETUSER", "porteiro", "on", ">a-password", "~{porteiro}:*", "+@all")
    password = folder / "redis.password"
    password.write_text("a-password\n")
    password.chmod(0o600)
    gateway = new_gateway(smtp=postfix, redis={"address": [f"127.0.0.1:{redis.port}"], "username": "porteiro", "password_file": password},
                          workers=1)
    until(lambda: "user=porteiro" in redis.cli("CLIENT", "LIST"), "the user")
    assert "a-password" not in gateway.log_text()
    assert "a-password" not in run_porteirod("-T", "-c", gateway.config_file).stdout


@pytest.fixture
def tls_redis(new_redis, certificates):
    """Over TLS alone, but for the test's own questions, which go over the socket; it has `tls_port`."""
    port = free_port()
    redis = new_redis("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", certificates.authority.certificate,
                      "--tls-cert-file", certificates.behind.certificate, "--tls-key-file", certificates.behind.key)
    redis.tls_port = port
    return redis


def test_tls_is_spoken_to_a_server_whose_certificate_is_right(new_gateway, postfix, tls_redis, certificates):
    new_gateway(smtp=postfix, redis={"address": [f"127.0.0.1:{tls_redis.tls_port}"], "tls": True,
                                     "ca": certificates.authority.certificate}, workers=1)
    until(lambda: f"laddr=127.0.0.1:{tls_redis.tls_port}" in tls_redis.cli("CLIENT", "LIST"), "a connection")


def test_a_certificate_of_another_ca_is_no_redis(new_gateway, postfix, tls_redis, certificates):
    gateway = new_gateway(smtp=postfix, redis={"address": [f"127.0.0.1:{tls_redis.tls_port}"], "tls": True,
                                               "ca": certificates.other.certificate}, workers=1)
    assert "TLS: " in gateway.wait_event("redis_lost")["reason"]


def test_a_server_without_tls_is_no_redis(new_gateway, postfix, new_redis, certificates):
    gateway = new_gateway(smtp=postfix, redis={"address": [f"127.0.0.1:{new_redis().port}"], "tls": True, "timeout": "300ms",
                                               "ca": certificates.authority.certificate}, workers=1)
    assert "TLS" in gateway.wait_event("redis_lost")["reason"]


def test_tls_that_protects_nothing_is_told_before_the_start(new_gateway, postfix, certificates):
    ca = certificates.authority.certificate
    told = new_gateway(smtp=postfix, start=False, redis={"address": ["127.0.0.1:6379"], "ca": ca}).check().stderr
    assert "redis.ca: " in told
    told = new_gateway(smtp=postfix, start=False, redis={"address": ["unix:/run/redis.sock"], "tls": True}).check().stderr
    assert "redis.tls: " in told


@pytest.mark.long
def test_a_failover_is_followed(new_gateway, postfix, new_sentinels):
    master, replica, sentinels = new_sentinels()
    gateway = new_gateway(smtp=postfix, redis={"sentinels": [f"127.0.0.1:{s.port}" for s in sentinels], "master": "mail"}, workers=2)
    until(lambda: connections(master) >= 2 and not gateway.events("redis_lost"), "two connections")
    master.kill()
    gateway.wait_event("redis_lost", count=2, redis=f"127.0.0.1:{master.port}")
    gateway.wait_event("redis_moved", count=2, redis=f"127.0.0.1:{replica.port}")
    gateway.wait_event("redis_back", count=2, redis=f"127.0.0.1:{replica.port}")
    assert len(gateway.events("redis_lost")) == 2
    assert replica.cli("ROLE").startswith("master")


@pytest.mark.long
def test_a_failover_by_hand_is_followed_though_the_old_master_lives(new_gateway, postfix, new_sentinels):
    master, replica, sentinels = new_sentinels()
    gateway = new_gateway(smtp=postfix, redis={"sentinels": [f"127.0.0.1:{s.port}" for s in sentinels], "master": "mail"}, workers=1)
    until(lambda: gateways(master) == 1, "a connection")
    sentinels[0].ask("FAILOVER", "mail")
    gateway.wait_event("redis_moved", redis=f"127.0.0.1:{replica.port}")
    gateway.wait_event("redis_back")
    assert gateways(master) == 0


def test_the_node_of_the_keys_is_found_by_way_of_any_other(new_gateway, postfix, new_cluster):
    nodes = new_cluster()
    owner = node_of(nodes, "porteiro")
    seeds = [n for n in nodes if n is not owner]
    gateway = new_gateway(smtp=postfix, redis={"address": [f"127.0.0.1:{n.port}" for n in seeds]}, workers=2)
    until(lambda: gateways(owner) == 2, "two connections")
    assert not gateway.events("redis_lost")
    owner.kill()
    gateway.wait_event("redis_lost", count=2, redis=f"127.0.0.1:{owner.port}")


def test_keys_that_do_not_go_together_are_told_before_the_start(new_gateway, postfix):
    def told(**redis):
        return new_gateway(smtp=postfix, start=False, redis=redis).check().stderr
    sentinels = {"sentinels": ["127.0.0.1:26379"], "master": "mail"}
    assert "redis.address: " in told(**sentinels, address=["127.0.0.1:6379"])
    assert "redis.address: " in told(address=[])
    assert "redis.master: is missing" in told(sentinels=["127.0.0.1:26379"])
    assert "redis.master: there are no sentinels" in told(master="mail")
    assert "redis.sentinel_password_file: is missing" in told(**sentinels, sentinel_username="gw")
    assert "redis.address: unix:/run/redis.sock: " in told(address=["127.0.0.1:6379", "unix:/run/redis.sock"])
    assert "redis.database: " in told(address=["127.0.0.1:6379", "127.0.0.1:6380"], database=1)
    assert "redis." not in told(**sentinels, database=1)


# ---- a server that can't count ----

def counting(new_gateway, new_smtp, redis, rate="1000/1h", **keys):
    """A gateway that counts recipients there, and refuses where it can't."""
    return new_gateway(new_smtp(), workers=1, policies={"out": {"limits": {"hour": {"key": ["account"], "count": "recipients", "rate": rate}}}},
                       listener={"policy": "out"}, redis={"on_failure": "tempfail", **redis, **keys})


def said_to(client, name="a"):
    client.send(f"RCPT TO:<{name}@dest.example>")
    return client.reply()[:9]


TROUBLES = {
    "out of memory": (lambda r: r.cli("CONFIG", "SET", "maxmemory", "1"), lambda r: r.cli("CONFIG", "SET", "maxmemory", "0"), "OOM"),
    "made a replica": (lambda r: r.cli("REPLICAOF", "127.0.0.1", "1"), lambda r: r.cli("REPLICAOF", "NO", "ONE"), "READONLY"),
    "without its replicas": (lambda r: r.cli("CONFIG", "SET", "min-replicas-to-write", "1"),
                             lambda r: r.cli("CONFIG", "SET", "min-replicas-to-write", "0"), "NOREPLICAS"),
    "forbidden to us": (lambda r: r.cli("ACL", "SETUSER", "default", "-time"),
                        lambda r: r.cli("ACL", "SETUSER", "default", "+time"), ""),
    "hung": (lambda r: r.process.send_signal(signal.SIGSTOP), lambda r: r.process.send_signal(signal.SIGCONT), "no answer in time"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_server_that_can_not_count_is_told_once_and_used_again_when_it_can(new_gateway, new_smtp, new_redis, trouble):
    make, mend, reason = TROUBLES[trouble]
    redis = new_redis()
    gateway = counting(new_gateway, new_smtp, {"address": [f"127.0.0.1:{redis.port}"]})
    with smtp(gateway) as client:
        client.envelope(recipients=())
        until(lambda: said_to(client) == "250 2.1.5", "a count")
        make(redis)
        assert [said_to(client) for _ in range(3)] == ["451 4.3.0"] * 3
        assert reason in gateway.wait_event("redis_lost")["reason"]
        mend(redis)
        gateway.wait_event("redis_back")
        assert said_to(client) == "250 2.1.5"
    assert len(gateway.events("redis_lost")) == 1


def test_a_server_that_was_flushed_counts_from_nothing_and_no_call_is_lost(new_gateway, new_smtp, new_redis):
    redis = new_redis()
    gateway = counting(new_gateway, new_smtp, {"address": [f"127.0.0.1:{redis.port}"]}, rate="2/1h")
    for _ in range(2):
        with smtp(gateway) as client:
            client.envelope(recipients=())
            assert [said_to(client, name) for name in "abc"] == ["250 2.1.5", "250 2.1.5", "451 4.7.1"]
            redis.cli("FLUSHALL")
            redis.cli("SCRIPT", "FLUSH")
    assert not gateway.events("redis_lost")


@pytest.mark.long
def test_counters_live_through_a_failover(new_gateway, new_smtp, new_sentinels):
    master, replica, sentinels = new_sentinels()
    gateway = counting(new_gateway, new_smtp, {"sentinels": [f"127.0.0.1:{s.port}" for s in sentinels], "master": "mail"}, rate="3/1h")
    with smtp(gateway) as client:
        client.envelope(recipients=())
        assert [said_to(client, name) for name in "ab"] == ["250 2.1.5"] * 2
        assert master.cli("WAIT", "1", "5000").strip() == "1"
        master.kill()
        gateway.wait_event("redis_lost")
        assert said_to(client) == "451 4.3.0"
        gateway.wait_event("redis_back", redis=f"127.0.0.1:{replica.port}")
        assert [said_to(client, name) for name in "cd"] == ["250 2.1.5", "451 4.7.1"]


@pytest.mark.long
def test_a_slot_that_moves_takes_its_counters_along_and_no_call_is_lost(new_gateway, new_smtp, new_cluster):
    nodes = new_cluster()
    owner = node_of(nodes, "porteiro")
    other = next(n for n in nodes if n is not owner)
    gateway = counting(new_gateway, new_smtp, {"address": [f"127.0.0.1:{n.port}" for n in nodes]}, rate="4/1h")
    with smtp(gateway) as client:
        client.envelope(recipients=())
        assert [said_to(client, name) for name in "ab"] == ["250 2.1.5"] * 2
        move_slot(owner, other, "porteiro")
        assert [said_to(client, name) for name in "cde"] == ["250 2.1.5", "250 2.1.5", "451 4.7.1"]
    gateway.wait_event("redis_moved", redis=f"127.0.0.1:{other.port}")
    assert not gateway.events("redis_lost")


def test_what_is_wrong_is_told_before_the_start(new_gateway, postfix):
    gateway = new_gateway(smtp=postfix, start=False, redis={"address": ["redis.example:6379"], "prefix": "{x}", "username": "porteiro",
                                              "timeout": "1ms"})
    told = gateway.check().stderr
    for part in ("redis.address: ", "redis.prefix: ", "redis.timeout: ", "redis.password_file: is missing"):
        assert part in told
