"""Redis: who connects, and what is said when it is away."""
import pytest

from fixtures.gateway import run_porteirod
from fixtures.processes import free_port
from fixtures.redis import node_of
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


def test_what_is_wrong_is_told_before_the_start(new_gateway, postfix):
    gateway = new_gateway(smtp=postfix, start=False, redis={"address": ["redis.example:6379"], "prefix": "{x}", "username": "porteiro",
                                              "timeout": "1ms"})
    told = gateway.check().stderr
    for part in ("redis.address: ", "redis.prefix: ", "redis.timeout: ", "redis.password_file: is missing"):
        assert part in told
