"""Policy servers are asked as Postfix asks them, and their word counts."""
import json
import ssl

import pytest

from fixtures.clients import Smtp, id_of, message, smtp, tls_context
from fixtures.gateway import merge
from fixtures.postfix import Postfix
from fixtures.scripted import CLOSE, HANG, RESET, Gate
from fixtures.waiting import until

ALICE, BOB, CAROL = "alice@example.com", "bob@dest.example", "carol@dest.example"


def delegate(server, *at, more=None, **keys):
    """A policy with one rule, and `more`."""
    rule = {"address": server.address, "at": list(at) or ["rcpt"], "timeout": "5s", **keys}
    return {"listener": {"policy": "outbound"}, "policies": {"outbound": {"delegate": {"quota": rule, **(more or {})}}}}


@pytest.fixture
def policy(new_policy_server):
    return new_policy_server()


@pytest.fixture
def behind(new_smtp):
    return new_smtp()


# ---- what is asked ----

def test_it_is_asked_at_each_stage_with_what_is_known_by_then(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy, "mail", "rcpt", "data", "eom"))
    text = message()
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<{ALICE}> SIZE=1234", "250 2.1.0 ")
        client.ask(f"RCPT TO:<{BOB}>", "250 ")
        message_id = id_of(client.text(text))
        port = client.local_port
    asked = {r["protocol_state"]: r for r in policy.asked()}
    assert list(asked) == ["MAIL", "RCPT", "DATA", "END-OF-MESSAGE"]
    assert all(r["sender"] == ALICE and r["queue_id"] == r["instance"] == message_id for r in asked.values())
    assert [r["recipient"] for r in asked.values()] == ["", BOB, BOB, BOB]
    assert [r["recipient_count"] for r in asked.values()] == ["0", "0", "1", "1"]
    assert [r["size"] for r in asked.values()] == ["1234"] * 3 + [str(len(text))]
    rcpt = asked["RCPT"]
    assert rcpt.items() >= {
        "request": "smtpd_access_policy", "protocol_name": "ESMTP", "client_address": "127.0.0.1",
        "client_name": "unknown", "client_port": str(port), "server_address": "127.0.0.1",
        "server_port": str(gateway.port("submissions")), "helo_name": "client.example.net", "sasl_method": "PLAIN",
        "sasl_username": ALICE, "sasl_sender": "", "encryption_protocol": "TLSv1.3", "stress": "", "etrn_domain": ""}.items()


# ---- what is answered ----

REFUSALS = {
    "REJECT": "554 5.7.1 Access denied (",
    "reject You may not": "554 5.7.1 You may not (",
    "REJECT 5.1.1 No such user": "554 5.1.1 No such user (",
    "DEFER": "450 4.7.1 Access denied (",
    "DEFER 5.2.2 Full": "450 4.2.2 Full (",
    "DEFER_IF_PERMIT Greylisted": "450 4.7.1 Greylisted (",
    "451 4.3.0 Later": "451 4.3.0 Later (",
    "550 No": "550 5.7.1 No (",
    "550": "550 5.7.1 Access denied (",
    "REJECT \xe9\x01": "554 5.7.1 ??? (",
}
PASSES = ("DUNNO", "OK", "permit", "1", "DEFER_IF_REJECT Later", "WARN Look here", "INFO So it is", "HOLD", "REDIRECT x@example.com",
          "FILTER smtp:[127.0.0.1]", "BCC x@example.com")


def by_recipient(answers):
    """Recipients r0@dest.example, ... and what is answered of them."""
    names = {f"r{n}@dest.example": action for n, action in enumerate(answers)}
    return names, lambda asked: names[asked["recipient"]]


def test_a_recipient_is_refused_in_the_words_of_the_server(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy))
    names, answer = by_recipient([*REFUSALS, "DUNNO"])
    policy.on("RCPT", answer)
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 2.1.0 ")
        for name, action in names.items():
            client.ask(f"RCPT TO:<{name}>", REFUSALS.get(action, "250 "))
        client.text(message())
    assert [m.recipients for m in behind.messages] == [[f"RCPT TO:<r{len(REFUSALS)}@dest.example>"]]
    decision = gateway.wait_event("decision", recipient="r1@dest.example")
    assert (decision["rule"], decision["verdict"], decision["action"], decision["reason"]) == ("quota", "reject", "reject", "You may not")
    assert gateway.events("decision", recipient="r5@dest.example", verdict="defer", action="DEFER_IF_PERMIT")


def test_what_does_not_refuse_lets_pass(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy))
    names, answer = by_recipient(PASSES)
    policy.on("RCPT", answer)
    with smtp(gateway) as client:
        client.mail(message(), recipients=names)
    for n, action in enumerate(PASSES[5:], 5):
        said = gateway.wait_event("policy_server_says", recipient=f"r{n}@dest.example")
        assert (said["action"], said.get("reason", "")) == (action.partition(" ")[0], action.partition(" ")[2])
    assert not gateway.events("decision")


def test_all_of_a_batch_is_asked_together_and_answered_in_order(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy))
    gate = Gate("REJECT no")
    policy.on("RCPT", gate, "DUNNO")
    with smtp(gateway) as client:
        client.send_bytes(b"".join([f"MAIL FROM:<{ALICE}>\r\n".encode(), *(f"RCPT TO:<r{n}@dest.example>\r\n".encode() for n in range(40))]))
        policy.wait_asked("RCPT", 40)  # while one waits
        gate.open()
        client.expect("250 2.1.0 ")
        replies = {f"r{n}@dest.example": client.reply()[:3] for n in range(40)}
    refused = policy.asked()[0]["recipient"]
    assert {name for name, code in replies.items() if code == "554"} == {refused}
    assert policy.connections <= 10


@pytest.mark.parametrize("at, state", [("data", "DATA"), ("eom", "END-OF-MESSAGE")])
def test_all_of_a_message_is_refused(new_gateway, behind, policy, at, state):
    gateway = new_gateway(behind, **delegate(policy, at))
    policy.on(state, "REJECT 5.3.4 Too much", "DUNNO")
    with smtp(gateway) as client:
        client.envelope()
        if at == "data":
            client.ask("DATA", "554 5.3.4 Too much (")
        else:
            client.text(message(), "554 5.3.4 Too much (")
        client.mail(message())
    assert len(behind.messages) == 1
    assert gateway.wait_event("message_refused")["reason"] == "policy"


def test_mail_is_refused_and_what_stands_behind_it(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy, "mail"))
    policy.on("MAIL", "550 5.7.0 Not you", "DUNNO")
    with smtp(gateway) as client:
        client.send_bytes(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n".encode())
        client.expect("550 5.7.0 Not you (")
        client.expect("550 5.7.0 Not you (")
        client.expect("503 5.5.1 ")
        client.mail(message())
    assert len(behind.messages) == 1


def test_what_is_prepended_stands_in_front_of_the_message(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy, "rcpt", "data", "eom"))
    policy.on("RCPT", "PREPEND X-First: 1", "prepend X-Second: \xe9", "PREPEND no header", "PREPEND X-Long: " + "x" * 2000)
    policy.on("DATA", "PREPEND X-Third: 3")
    policy.on("END-OF-MESSAGE", "PREPEND X-Late: 4")
    text = message()
    with smtp(gateway) as client:
        client.mail(text, recipients=[f"r{n}@dest.example" for n in range(4)])
    data = behind.messages[0].data
    assert data.startswith(b"X-First: 1\r\nX-Second: ??\r\nX-Third: 3\r\nReceived: ")
    assert data.endswith(text) and b"X-L" not in data
    gateway.wait_event("prepend_failed", 3)


def test_a_message_is_discarded(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy))
    policy.on("RCPT", "DISCARD spam", "DUNNO")
    with smtp(gateway) as client:
        client.envelope(recipients=[BOB, CAROL])
        reply = client.text(message(), "250 2.0.0 Ok: discarded as ")
        client.mail(message())
    assert len(behind.messages) == 1
    assert gateway.wait_event("message_discarded")["message"] == reply.split()[-1]


@pytest.mark.parametrize("at, state", [("mail", "MAIL"), ("data", "DATA"), ("eom", "END-OF-MESSAGE")])
def test_a_message_is_discarded_at_every_stage(new_gateway, behind, policy, at, state):
    gateway = new_gateway(behind, **delegate(policy, at))
    policy.on(state, "DISCARD spam", "DUNNO")
    with smtp(gateway) as client:
        client.envelope()
        client.text(message(), "250 2.0.0 Ok: discarded as ")
        client.mail(message())
    assert len(behind.messages) == 1
    gateway.wait_event("message_discarded")


def test_filters_see_what_policy_servers_let_pass_and_prepend_nothing_less(new_gateway, behind, policy, filter):
    gateway = new_gateway(behind, milters={"test": {"address": filter.address}}, **merge(
        delegate(policy, "mail", "rcpt", "eom"), {"listener": {"milters": ["test"]}}))
    policy.on("MAIL", "DUNNO", "DISCARD", "REJECT No", "DUNNO").on("RCPT", "PREPEND X-First: 1", "DUNNO", "REJECT No", "DUNNO")
    text = message()
    with smtp(gateway) as client:
        client.mail(text)
        client.envelope()
        client.text(text, "250 2.0.0 Ok: discarded as ")
        client.ask(f"MAIL FROM:<{ALICE}>", "554 5.7.1 No (")
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask(f"RCPT TO:<{BOB}>", "554 5.7.1 No (")
        client.ask(f"RCPT TO:<{CAROL}>", "250 ")
        client.text(text)
    assert [m.data.split(b":")[0] for m in behind.messages] == [b"X-First", b"Received"]
    assert all(m.data.endswith(text) for m in behind.messages)
    assert [r["protocol_state"] for r in policy.asked()].count("MAIL") == 4


def test_the_last_word_of_a_server_ends_the_session(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy))
    policy.on("RCPT", "421 4.7.0 Go away")
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask(f"RCPT TO:<{BOB}>", "421 4.7.0 Go away (")
        assert client.is_closed()


# ---- several rules ----

@pytest.mark.parametrize("first, second, reply", [
    ("DEFER_IF_PERMIT Wait", "DUNNO", "450 4.7.1 Wait "),
    ("DEFER_IF_PERMIT Wait", "REJECT No", "554 5.7.1 No "),
    ("DEFER_IF_REJECT Wait", "REJECT No", "450 4.7.1 Wait "),
    ("DEFER_IF_REJECT Wait", "DUNNO", "250 "),
    ("OK", "REJECT No", "250 "),
])
def test_rules_are_heard_in_their_order(new_gateway, behind, new_policy_server, first, second, reply):
    a, b = new_policy_server().on("RCPT", first), new_policy_server().on("RCPT", second)
    gateway = new_gateway(behind, **delegate(a, more={"second": {"address": b.address}}))
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask(f"RCPT TO:<{BOB}>", reply)


def test_monitor_asks_and_changes_nothing(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy, "mail", "rcpt", "eom", mode="monitor"))
    policy.on("RCPT", "REJECT No").on("MAIL", "PREPEND X-A: b").on("END-OF-MESSAGE", "DISCARD")
    with smtp(gateway) as client:
        client.mail(message())
    assert behind.messages[0].data.startswith(b"Received: ")
    assert gateway.wait_event("decision")["verdict"] == "monitor"


def test_who_is_excepted_is_not_asked_about(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy, when={"accounts": ["@example.com"]}, **{"except": {"accounts": [ALICE]}}))
    with smtp(gateway) as client, smtp(gateway, user="bob") as other:
        client.mail(message())
        other.mail(message(), sender="bob@example.com")
    assert [r["sasl_username"] for r in policy.asked()] == ["bob@example.com"]


def test_limits_come_first_and_what_is_refused_gives_back(new_gateway, behind, policy):
    config = delegate(policy)
    config["policies"]["outbound"]["limits"] = {"few": {"key": ["account"], "rate": "2/1h", "action": "defer"}}
    gateway = new_gateway(behind, **config)
    policy.on("RCPT", "REJECT", "REJECT", "REJECT", "DUNNO")
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        for expected in ("554 ", "554 ", "554 ", "250 ", "250 ", "451 4.7.1 ", "451 4.7.1 "):
            client.ask(f"RCPT TO:<{BOB}>", expected)
    assert len(policy.asked()) == 5


def test_where_a_header_names_the_account_it_is_asked_at_the_end(new_gateway, behind, policy):
    gateway = new_gateway(behind, **merge(delegate(policy, "mail", "rcpt", "eom"), {"listener": {"trusted": {"web": {
        "logins": [ALICE], "account_from": "header:X-Account"}}}}))
    policy.on("RCPT", lambda asked: "REJECT Not today" if asked["sasl_username"] == "shop@example.com" else "PREPEND X-Late: 1")
    with smtp(gateway) as client:
        for account, reply in (("shop", "554 5.7.1 Not today ("), ("blog", "250 2.0.0 Ok: queued as ")):
            client.envelope(recipients=[BOB, CAROL])
            assert not policy.asked()
            client.text(f"X-Account: {account}@example.com\r\n".encode() + message(), reply)
            states = [r["protocol_state"] for r in policy.asked()]
            assert states.count("RCPT") == 2 and set(states) == {"MAIL", "RCPT"} | ({"END-OF-MESSAGE"} if account == "blog" else set())
            assert {r["sasl_username"] for r in policy.asked()} == {f"{account}@example.com"}
            with policy.lock:
                policy.requests.clear()
    assert len(behind.messages) == 1 and b"X-Late" not in behind.messages[0].data
    gateway.wait_event("prepend_failed", 2)


# ---- a server in trouble ----

FAILURES = {
    "hangs": HANG, "closes": CLOSE, "resets": RESET, "speaks HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "has no action": b"result=OK\n\n", "knows another action": "MAYBE", "says a megabyte": b"action=" + b"x" * 2**20,
}


@pytest.mark.parametrize("on_failure, reply", [("accept", "250 "), ("tempfail", "451 4.7.1 quota: "), ("reject", "550 5.7.1 quota: ")])
def test_without_an_answer_on_failure_holds(new_gateway, behind, policy, on_failure, reply):
    gateway = new_gateway(behind, **delegate(policy, on_failure=on_failure, timeout="300ms"))
    names, answer = by_recipient(FAILURES.values())
    policy.on("RCPT", answer)
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        for name in names:
            client.ask(f"RCPT TO:<{name}>", reply)
        policy.kill()
        client.ask("RCPT TO:<r0@dest.example>", reply)
        gateway.wait_event("policy_server_away", delegate=policy.address)
        assert len(gateway.events("policy_server_away")) <= 2  # "MAYBE" is an answer of a server that is there
        told = gateway.wait_event("policy_server_says" if on_failure == "accept" else "decision", action="MAYBE")
        assert told["reason"] == "no action of access(5)"
        policy.listen().on("RCPT", "DUNNO")
        client.ask(f"RCPT TO:<{BOB}>", "250 ")
        gateway.wait_event("policy_server_back")


def test_a_connection_that_died_meanwhile_is_replaced_unseen(new_gateway, behind, policy):
    gateway = new_gateway(behind, workers=1, **delegate(policy))
    with smtp(gateway) as client:
        for _ in range(3):
            client.mail(message())
        assert policy.connections == 1
        policy.close_connections()
        client.mail(message())
        policy.on("RCPT", CLOSE, "DUNNO")  # as it was asked
        client.mail(message())
    assert policy.connections == 3
    assert not gateway.events("policy_server_away")


def test_a_client_that_leaves_disturbs_nobody(new_gateway, behind, policy):
    gateway = new_gateway(behind, workers=1, **delegate(policy))
    policy.on("RCPT", gate := Gate("REJECT"), "DUNNO")
    with smtp(gateway) as client, smtp(gateway) as other:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.send(f"RCPT TO:<{BOB}>")
        gate.wait_reached()
        assert gateway.session(client)["state"] == "policy server"
        client.drop(reset=True)
        other.mail(message())
        gate.open()
        gateway.wait_sessions(1)
        other.mail(message())
    assert policy.connections == 2


def test_a_unix_socket_is_dialled_by_the_master(new_gateway, behind, new_policy_server, folder):
    policy = new_policy_server(folder / "policy.sock")
    gateway = new_gateway(behind, workers=1, **delegate(policy))
    with smtp(gateway) as client:
        client.mail(message())
        client.mail(message())
        assert policy.connections == 1 and len(policy.asked("RCPT")) == 2
        policy.kill()
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask(f"RCPT TO:<{BOB}>", "451 4.7.1 quota: ")
        policy.listen()
        client.ask(f"RCPT TO:<{BOB}>", "250 ")


# ---- real ones ----

def test_postgrey_defers_first_and_prepends_when_the_mail_comes_again(new_gateway, behind, postgrey):
    gateway = new_gateway(behind, **delegate(postgrey))
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask(f"RCPT TO:<{BOB}>", "450 4.2.0 Greylisted")

        def passes():
            client.send(f"RCPT TO:<{BOB}>")
            return client.reply().startswith("250 ")
        until(passes, "postgrey lets it pass")
        client.text(message())
    assert behind.messages[0].data.startswith(b"X-Greylist: delayed ")


def test_postfwd_counts_recipients_and_looks_at_sizes(new_gateway, behind, postfwd):
    gateway = new_gateway(behind, **delegate(postfwd, "rcpt", "eom"))
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask("RCPT TO:<nobody@dest.example>", "554 5.1.1 no such user (")
        client.ask(f"RCPT TO:<{BOB}>", "250 ")
        client.text(message(body="x" * 70 + "\r\n" + "y\r\n" * 2000), "552 5.3.4 too much from alice@example.com (")
        client.mail(message(), recipients=[BOB, CAROL])
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        client.ask(f"RCPT TO:<{BOB}>", "450 4.7.1 at most 3 an hour (")
    assert len(behind.messages) == 1


POSTFIX = """\
smtpd_tls_security_level = may
smtpd_tls_cert_file = {tls.rsa.certificate}
smtpd_tls_key_file = {tls.rsa.key}
smtpd_tls_ask_ccert = yes
smtpd_tls_CAfile = {authority.certificate}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {dovecot.folder}/auth
smtpd_delay_reject = no
smtpd_sender_restrictions = check_policy_service {policy.address}
smtpd_recipient_restrictions = check_policy_service {policy.address}, permit
smtpd_data_restrictions = check_policy_service {policy.address}
smtpd_end_of_data_restrictions = check_policy_service {policy.address}
"""
# Its own names and numbers; and it looks the client's name up.
OWN = ("queue_id", "instance", "client_port", "server_port", "client_name", "reverse_client_name")


def test_it_is_told_what_postfix_would_tell_it(new_gateway, policy, dovecot, authority, certificates, folder):
    postfix = Postfix(folder / "asking", POSTFIX.format(tls=certificates, authority=authority, dovecot=dovecot, policy=policy)).start()
    gateway = new_gateway(postfix.port, upstream={"tls": "none"}, **merge(
        delegate(policy, "mail", "rcpt", "data", "eom"),
        {"listener": {"client_certificate": "optional", "client_ca": authority.certificate}}))

    def asked_by(port):
        policy.forget()
        context = tls_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
        context.load_cert_chain(authority.ana.certificate, authority.ana.key)
        with Smtp(port, tls=None) as client:
            client.expect("220 ")
            client.hello()
            client.starttls(context=context)
            client.hello()
            client.login(ALICE)
            client.ask(f"MAIL FROM:<{ALICE}> SIZE=1234 AUTH=a+2Bb@example.com", "250 ")
            client.ask(f"RCPT TO:<{BOB}>", "250 ")
            client.text(text, "250 2.0.0 ")
        return [{name: value for name, value in r.items() if name not in OWN} for r in policy.asked() if r["server_port"] == str(port)]

    text = message()
    theirs, ours = asked_by(postfix.port), asked_by(gateway.port("submission"))
    postfix.stop()
    assert len(theirs) == len(ours) == 4
    for a, b in zip(theirs, ours):
        assert a == {name: b[name] for name in a}, a["protocol_state"]
        assert set(b) - set(a) == {"compatibility_level", "mail_version", "tls_sni"}  # of later versions
        assert b["tls_sni"] == "mail.example.com" and b["sasl_sender"] == "a+2Bb@example.com" and b["ccert_subject"]


# ---- for people ----

def test_explain_says_that_a_server_would_be_asked_and_asks_nobody(new_gateway, behind, policy):
    gateway = new_gateway(behind, **delegate(policy, "rcpt", "eom", more={
        "never": {"address": policy.address, "when": {"accounts": ["bob@example.com"]}},
        "spared": {"address": policy.address, "except": {"accounts": ["@example.com"]}}}))
    rows = json.loads(gateway.ctl("--json", "explain", "--account", "alice", "--to", BOB).stdout)
    told = [(r["rule"], r["stage"], r["verdict"], r["why"]) for r in rows if r["rule"] in ("quota", "never", "spared")]
    assert told == [("quota", "RCPT", "ask", policy.address), ("never", "RCPT", "skip", "when"), ("spared", "RCPT", "skip", "except"),
                    ("quota", "END-OF-MESSAGE", "ask", policy.address)]
    file, line = next(r for r in rows if r["rule"] == "quota")["where"].rsplit(":", 1)
    assert "quota" in open(file, encoding="utf-8").read().splitlines()[int(line) - 1]
    assert not policy.asked()


def test_replay_passes_over_what_servers_have_decided(new_gateway, behind, policy):
    config = delegate(policy)
    config["policies"]["outbound"]["limits"] = {"few": {"key": ["account"], "rate": "1/1h", "action": "defer"}}
    gateway = new_gateway(behind, **config)
    policy.on("RCPT", "REJECT", "DUNNO")
    with smtp(gateway) as client:
        client.ask(f"MAIL FROM:<{ALICE}>", "250 ")
        for name, reply in ((BOB, "554 "), (CAROL, "250 "), (BOB, "451 ")):
            client.ask(f"RCPT TO:<{name}>", reply)
        client.text(message())
    gateway.wait_event("session_ended")
    said = gateway.ctl("replay", str(gateway.log_file), "--config", str(gateway.config_file)).stdout
    assert said == "nothing would have been decided differently\n"
