"""Identity auth: the gateway has an account of its own at the server behind."""
import pytest

from fixtures.clients import PASSWORDS, message, smtp, token
from fixtures.processes import has_in_memory
from fixtures.scripted import EXTENSIONS

SECRET = "open sesame, ü"


def offering(mechanisms):
    return (*EXTENSIONS, f"AUTH {mechanisms}")


@pytest.fixture
def new_gateway_with(new_gateway, folder):
    """new_gateway_with(SERVER, secret=..., KEY=VALUE ...): a gateway that logs in with `secret`."""
    def make(server, secret=SECRET, workers=1, username="gateway@example.com", **upstream):
        file = folder / f"secret{len(list(folder.glob('secret*')))}"
        file.write_text(secret + "\n")
        file.chmod(0o600)
        gateway = new_gateway(server, workers=workers, upstream={
            "identity": "auth", "username": username, "password_file": str(file), **upstream})
        gateway.secret_file = file
        return gateway
    return make


def is_refused(gateway, code="451 4.3.5 "):
    with smtp(gateway) as client:
        client.ask("MAIL FROM:<alice@example.com>", "250 ")
        client.ask("RCPT TO:<x@dest.example>", code)


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "LOGIN"])
def test_postfix_takes_mail_from_the_gateways_account(new_gateway_with, postfix_sasl, mechanism):
    recipient = f"{token()}@dest.example"
    gateway = new_gateway_with(postfix_sasl, PASSWORDS["bob"], tls="require", username="bob@example.com",
                               mechanism=mechanism)
    for user in ("alice", "bob"):
        with smtp(gateway, user=user) as client:
            client.mail(message(), sender=f"{user}@example.com", recipients=[recipient])
    received = [content.decode() for content in postfix_sasl.delivered(recipient, 2)]
    assert all("Authenticated sender: bob@example.com" in content for content in received)
    assert postfix_sasl.log().count("sasl_username=bob@example.com") >= 2


def test_tls_is_required_by_default_where_the_gateway_logs_in(new_gateway, new_smtp, server_tls, folder):
    server = new_smtp(extensions=offering("PLAIN"))
    (folder / "secret").write_text(SECRET)
    gateway = new_gateway(server, start=False)
    del gateway.config["upstreams"]["smtp"]["tls"]
    gateway.write_config(upstreams={"smtp": {
        "identity": "auth", "username": "gateway", "password_file": str(folder / "secret")}}).start()
    is_refused(gateway, "451 4.4.1 ")
    assert not server.used("AUTH")


@pytest.mark.parametrize("offered, wanted, login", [
    ("PLAIN LOGIN", "", ["PLAIN", f"\0gateway@example.com\0{SECRET}"]),
    ("LOGIN", "", ["LOGIN", "gateway@example.com", SECRET]),
    ("CRAM-MD5 plain login", "LOGIN", ["LOGIN", "gateway@example.com", SECRET])])
def test_the_best_mechanism_that_both_know_is_used(new_gateway_with, new_smtp, offered, wanted, login):
    server = new_smtp(extensions=offering(offered))
    with smtp(new_gateway_with(server, mechanism=wanted)) as client:
        client.mail(message())
    assert server.messages[0].connection.login == login


def test_old_servers_that_announce_auth_with_an_equals_sign_are_understood(new_gateway_with, new_smtp):
    server = new_smtp(extensions=(*EXTENSIONS, "AUTH=LOGIN"))
    with smtp(new_gateway_with(server)) as client:
        client.mail(message())
    assert server.messages[0].connection.login[0] == "LOGIN"


def test_connections_stay_shared(new_gateway_with, new_smtp):
    server = new_smtp(extensions=offering("PLAIN"))
    gateway = new_gateway_with(server)
    for user in ("alice", "bob"):
        with smtp(gateway, user=user) as client:
            client.mail(message(), sender=f"{user}@example.com")
            client.quit()
    connection, = server.used()
    assert connection.messages == 2 and len(connection.saw("AUTH")) == 1


def test_probes_do_not_log_in(new_gateway_with, new_smtp):
    server = new_smtp(extensions=offering("PLAIN"))
    new_gateway_with(server, health_check="100ms")
    server.wait_for(lambda: len([c for c in server.connections if c.saw("QUIT")]) >= 3)
    assert not server.used("AUTH")


def test_a_login_that_is_refused_is_451_4_3_5_logged_once_and_not_repeated(new_gateway_with, new_smtp):
    server = new_smtp(extensions=offering("PLAIN")).on("AUTH", "535 5.7.8 Error: authentication failed")
    gateway = new_gateway_with(server, workers=2)
    clients = [smtp(gateway) for _ in range(12)]
    for client in clients:
        client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<x@dest.example>"])
    for client in clients:
        client.expect("250 ")
        client.expect("451 4.3.5 ")
    for _ in range(3):
        is_refused(gateway)
    assert len(server.used("AUTH")) <= 2  # each worker's first; 10 s of silence afterwards
    gateway.wait_event("upstream_refuses")
    event, = gateway.events("upstream_refuses")
    assert event["upstream"] == "smtp/a" and "535" in event["reason"]
    assert not server.used("MAIL")


def test_a_login_that_is_refused_for_now_takes_the_server_out(new_gateway_with, new_smtp):
    server = new_smtp(extensions=offering("PLAIN")).on("AUTH", "454 4.7.0 Temporary failure", None)
    gateway = new_gateway_with(server)
    is_refused(gateway, "451 4.4.1 ")
    gateway.wait_event("upstream_up", upstream="smtp/a", count=2)
    with smtp(gateway) as client:
        client.mail(message())
    assert not gateway.events("upstream_refuses")


def test_another_server_that_takes_the_login_serves_instead(new_gateway_with, new_smtp):
    bad = new_smtp(extensions=offering("PLAIN")).on("AUTH", "535 5.7.8 no")
    good = new_smtp(extensions=offering("PLAIN"))
    gateway = new_gateway_with([bad, good])
    for _ in range(4):
        with smtp(gateway) as client:
            client.mail(message())
            client.quit()
    assert len(good.messages) == 4 and len(bad.used("AUTH")) <= 1


def test_a_server_that_offers_no_auth_is_451_4_3_5(new_gateway_with, new_smtp):
    gateway = new_gateway_with(new_smtp())
    is_refused(gateway)
    assert "AUTH" in gateway.wait_event("upstream_refuses", upstream="smtp/a")["reason"]


def test_a_reload_with_another_password_is_tried_at_once(new_gateway_with, new_smtp):
    server = new_smtp(extensions=offering("LOGIN")).on(
        "AUTH", lambda line: None if line.endswith("YmV0dGVy") else "535 5.7.8 no")
    gateway = new_gateway_with(server, "worse")
    is_refused(gateway)
    gateway.secret_file.write_text("better")
    gateway.reload()
    with smtp(gateway) as client:
        client.mail(message())


def test_the_password_is_in_no_log_and_in_no_memory_but_the_masters_and_the_workers(new_gateway_with, new_smtp):
    server = new_smtp(extensions=offering("LOGIN")).on("AUTH", "535 5.7.8 no", None)
    gateway = new_gateway_with(server, "Xyzzy-Plugh-8412")
    is_refused(gateway)
    assert "Xyzzy-Plugh-8412" not in gateway.log_text() + gateway.stderr_text()
    assert has_in_memory(gateway.pids("worker")[0], b"Xyzzy-Plugh-8412")
    for role in ("auth", "control"):
        assert not has_in_memory(gateway.pids(role)[0], b"Xyzzy-Plugh-8412")
