"""Access: from where, at which hours and with which certificate somebody is let in."""
import datetime
import time

import pytest

from fixtures.clients import PASSWORDS, message, plain_response, pop3, smtp, tls_context
from fixtures.mmdb import mmdb
from fixtures.waiting import until

ALICE = "alice@example.com"
OFFICE, HOME = "127.0.0.7", "127.0.0.8"
UTC = "Etc/UTC"


def day(distance=0):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=distance)


def at_other_hours():
    """Hours that it isn't now, nor in the next days."""
    return {"hours": [f"{day(3):%a} 08:00-09:00"], "timezone": UTC}


def access(**rules):
    """Of the listeners: a policy with these rules."""
    return {"policies": {"company": {"access": rules}}, "listener": {"policy": "company"}}


def cannot_read(gateway, said, user=ALICE, **options):
    with pop3(gateway, user=None, **options) as client:
        client.ask(f"USER {user}", "+OK")
        return client.ask(f"PASS {PASSWORDS[user.partition('@')[0]]}", f"-ERR [SYS/PERM] {said}")


def cannot_send(gateway, said, **options):
    """The login is right; and of a batch nothing is taken."""
    with smtp(gateway, **options) as client:
        client.send(["MAIL FROM:<alice@example.com>", "RCPT TO:<someone@dest.example>", "DATA"])
        refusal = client.expect(f"550 5.7.1 {said}")
        client.expect("503 5.5.1 ")
        client.expect("503 5.5.1 ")
        return refusal


def ended(client, said):
    client.expect(said)
    assert client.is_closed()


# ---- a company ----

@pytest.fixture
def company(new_gateway, postfix, dovecot, folder):
    """Its mailboxes are read at the office, in working hours."""
    holidays = folder / "holidays"
    holidays.write_text(f"{day(100):%m-%d} # of every year\n")
    dovecot.fill(ALICE, [message(), message()])
    gateway = new_gateway(postfix, dovecot, contact="https://help.example.com", **access(office={
        "when": {"accounts": [ALICE]}, "networks": [f"{OFFICE}/32"], "hours": ["Mon-Sun 00:00-24:00"],
        "timezone": UTC, "closed": str(holidays), "end_sessions": True}))
    gateway.holidays = holidays
    return gateway


def test_who_is_elsewhere_neither_reads_nor_sends_and_is_told_why(company):
    said = "office: no access from this network ("
    refusal = cannot_read(company, said, source=HOME)
    assert refusal.endswith("; https://help.example.com)")
    cannot_send(company, said, source=HOME)
    company.wait_event("decision", count=2, rule="office", verdict="reject", account=ALICE,
                       reason="office: no access from this network")
    assert company.events("decision")[0]["session"] in refusal
    refused = {listener["name"]: listener["access_refused"] for listener in company.status()["listeners"]}
    assert (refused["pop3s"], refused["submissions"]) == (1, 1)
    pop3(company, source=OFFICE).quit()
    smtp(company, source=OFFICE).mail(message())
    pop3(company, user="bob@example.com", source=HOME).quit()  # whom the rule is not for


def test_at_closing_time_open_sessions_end_and_nothing_is_deleted(company, dovecot):
    reader, idle, sending = (client(company, source=OFFICE) for client in (pop3, smtp, smtp))
    other = pop3(company, user="bob@example.com", source=HOME)
    reader.ask("DELE 1", "+OK")
    sending.envelope()
    sending.ask("DATA", "354 ")
    company.holidays.write_text(f"{day():%Y-%m-%d}\n{day(1):%Y-%m-%d}\n")
    ended(reader, "-ERR [SYS/PERM] office: closed today; closing (")
    ended(idle, "421 4.7.0 office: closed today; closing (")
    sending.send_bytes(message() + b".\r\n")  # what was begun is ended
    sending.expect("250 2.0.0 ")
    ended(sending, "421 4.7.0 office: closed today; closing (")
    other.ask("STAT", "+OK ")
    company.wait_event("session_ending", count=3, reason="over", account=ALICE)
    cannot_read(company, "office: closed today (", source=OFFICE)
    cannot_send(company, "office: closed today (", source=OFFICE)  # and it isn't ended before it is told
    assert dovecot.count(ALICE) == 2
    company.holidays.write_text(f"{day(100):%m-%d}\n")
    until(lambda: company.events("list_taken", file=str(company.holidays), count="1"))
    pop3(company, source=OFFICE).quit()


def test_a_reload_with_other_hours_is_for_those_who_come_then(company):
    with pop3(company, source=OFFICE) as before:
        company.reload(policies={"company": {"access": {"office": at_other_hours()}}})
        cannot_read(company, f"office: closed now; open {day(3):%a} 08:00-09:00 (Etc/UTC) (", source=OFFICE)
        before.ask("STAT", "+OK ")
        company.ctl("kick", ALICE)
        ended(before, "-ERR [SYS/TEMP] ")


def test_sessions_from_before_a_reload_end_on_a_day_that_is_closed_since(company):
    before = pop3(company, source=OFFICE)
    company.holidays.write_text(f"{day(99):%m-%d}\n")  # not looked at before the reload
    company.reload(policies={"company": {"access": {"office": {"networks": [f"{OFFICE}/32", f"{HOME}/32"]}}}})
    within = pop3(company, source=HOME)
    company.wait_event("list_taken", file=str(company.holidays))
    before.ask("NOOP", "+OK")
    company.holidays.write_text(f"{day():%Y-%m-%d}\n{day(1):%Y-%m-%d}\n")
    for reader in (before, within):
        ended(reader, "-ERR [SYS/PERM] office: closed today; closing (")


@pytest.mark.long
def test_the_last_minute_of_the_hours_is_the_end(new_gateway, dovecot):
    now = day()
    end = now + datetime.timedelta(minutes=1, seconds=5)
    noon = f"Etc/GMT{now.hour - 12:+d}"  # where no day begins meanwhile: west of Greenwich it is +
    hours = f"06:00-{12 + (end.hour - now.hour) % 24}:{end:%M}"
    gateway = new_gateway(pop3=dovecot, **access(office={"hours": [hours], "timezone": noon}))
    with pop3(gateway) as reader:
        reader.socket.settimeout(90)
        ended(reader, "-ERR [SYS/PERM] office: closed now; open ")
        assert abs(time.time() % 60) < 3
    cannot_read(gateway, "office: closed now; open ")


# ---- one rule ----

@pytest.mark.parametrize("backend", ["sasldb", "upstream"])
def test_outside_the_hours_a_right_password_is_not_called_wrong(new_gateway, dovecot, backend):
    auth = {"auth": {"backend": "upstream", "upstream": "pop3"}} if backend == "upstream" else {}
    gateway = new_gateway(pop3=dovecot, **auth, **access(office=at_other_hours()))
    cannot_read(gateway, "office: closed now; open ")
    with pop3(gateway, user=None) as client:
        client.ask(f"USER {ALICE}", "+OK")
        client.ask("PASS wrong", "-ERR [AUTH] ")
    assert not gateway.events("mailbox_opened")


def test_of_several_rules_all_must_be_satisfied_and_those_that_monitor_only_say_so(new_gateway, new_pop3):
    gateway = new_gateway(pop3=new_pop3(), **access(
        place={"networks": [f"{OFFICE}/32"]}, tried={**at_other_hours(), "mode": "monitor"},
        guests={"deny": True, "when": {"accounts": ["bob@example.com"]}}))
    pop3(gateway, source=OFFICE).quit()
    event = gateway.wait_event("decision")
    assert (event["rule"], event["verdict"], event["account"]) == ("tried", "monitor", ALICE)
    cannot_read(gateway, "place: ", source=HOME)
    cannot_read(gateway, "guests: no access (", user="bob@example.com", source=OFFICE)


def test_a_country_that_is_not_known_is_none_of_those_that_are_let_in(new_gateway, new_pop3, folder):
    countries = folder / "countries.mmdb"
    countries.write_bytes(mmdb({"127.0.1.0/24": "BR", "127.0.2.0/24": "DE"}))
    gateway = new_gateway(pop3=new_pop3(), geoip=countries, **access(brazil={"countries": ["BR"]}))
    pop3(gateway, source="127.0.1.1").quit()
    for elsewhere in ("127.0.2.1", "127.0.3.1"):
        cannot_read(gateway, "brazil: no access from this country (", source=elsewhere)


def test_a_certificate_is_asked_for_or_ones_own(new_gateway, new_pop3, authority):
    gateway = new_gateway(pop3=new_pop3(), policies={"company": {"access": {
        "any": {"certificate": "any"}, "own": {"certificate": "own", "when": {"accounts": [ALICE]}}}}},
        listener={"policy": "company", "client_certificate": "optional", "client_ca": authority.certificate})

    def showing(certificate):
        context = tls_context()
        context.load_cert_chain(certificate.certificate, certificate.key)
        return context

    cannot_read(gateway, "any: no access without a client certificate (")
    cannot_read(gateway, "own: no access with another's client certificate (", context=showing(authority.bruno))
    pop3(gateway, context=showing(authority.ana)).quit()
    pop3(gateway, user="bob@example.com", context=showing(authority.ana)).quit()


def test_where_a_header_names_the_account_its_rule_is_asked_at_the_end(new_gateway, new_smtp):
    server = new_smtp()
    web = {"logins": [ALICE], "account_from": "header:X-Account"}
    gateway = new_gateway(server, policies={"company": {"access": {
        "shop": {**at_other_hours(), "when": {"accounts": ["shop@example.com"]}}}}},
        listener={"policy": "company", "trusted": {"web": web}})
    with smtp(gateway) as client:
        client.envelope()
        client.text(b"X-Account: shop@example.com\r\n" + message(), "550 5.7.1 shop: closed now; open ")
        client.mail(b"X-Account: blog@example.com\r\n" + message())
    event = gateway.wait_event("decision")
    assert (event["rule"], event["account"]) == ("shop", "shop@example.com")
    assert len(server.messages) == 1


def test_login_is_right_where_sending_is_not_allowed(new_gateway, new_smtp):
    """Clients take an error of AUTH for a wrong password."""
    gateway = new_gateway(new_smtp(), **access(office=at_other_hours()))
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'])}", "235 2.7.0 ")
        client.ask("MAIL FROM:<alice@example.com>", "550 5.7.1 office: closed now; open ")
        client.ask("NOOP", "250 ")


# ---- what is refused at the start ----

@pytest.mark.parametrize("rule, said", [
    ({"countries": ["BR"]}, "countries: needs a file of countries"),
    ({"hours": ["Monday 8-18"]}, '"Monday 8-18" are no hours'),
    ({"hours": ["08:00-18:00"], "timezone": "America/Sao_Paul"}, "office.timezone: /usr/share/zoneinfo/America/Sao_Paul: No such file"),
    ({"networks": ["10.0.0.0/33"]}, "10.0.0.0/33"),
    ({"closed": "/nowhere/holidays"}, "office.closed: /nowhere/holidays: No such file"),
    ({"end_sessions": True}, "office: asks for nothing"),
    ({"certificate": "own"}, "certificate: listeners.pop3s asks for none"),
])
def test_what_is_wrong_is_refused_with_its_line(new_gateway, new_pop3, rule, said):
    gateway = new_gateway(pop3=new_pop3(), start=False, **access(office=rule))
    done = gateway.check()
    assert done.returncode == 1
    line = next(line for line in done.stderr.split("\n") if said in line)
    assert f"{gateway.config_file}:" in line and line.split(":")[1].isdigit(), line
