"""Other names of accounts, and watched files as such."""
import os
import signal

import pytest

from fixtures.clients import PASSWORDS, message, plain_response, pop3, smtp
from fixtures.waiting import until

ALIASES = """\
# other name: account
COMPANY\\alice: alice@example.com
Ana Maria: alice@example.com
COMPANY\\*: *@example.com
*@old.example: *@example.com
"""


def write(path, text):
    """Replaces it in one step, as editors do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


@pytest.fixture
def aliases(folder):
    path = folder / "aliases"
    path.write_text(ALIASES)
    return path


@pytest.fixture
def aliased(new_gateway, new_smtp, new_pop3, aliases):
    return new_gateway(new_smtp(), new_pop3(), auth={"aliases": str(aliases), "realm": "example.com"})


def log_in(gateway, name, user="alice", reply="235 2.7.0 "):
    with smtp(gateway, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response(name, PASSWORDS[user])}", reply)
        return gateway.session(client)["account"] if reply.startswith("2") else None


def lets_in(gateway, name):
    with smtp(gateway, user=None) as client:
        return client.send(f"AUTH PLAIN {plain_response(name, PASSWORDS['alice'])}").reply().startswith("235")


# ---- names ----

@pytest.mark.parametrize("name, user", [
    ("COMPANY\\alice", "alice"), ("company\\ALICE", "alice"), ("ana maria", "alice"), ("company\\bob", "bob"),
    ("alice@OLD.example", "alice"), ("alice", "alice")])
def test_an_alias_is_its_account(aliased, name, user):
    assert log_in(aliased, name, user) == f"{user}@example.com"
    assert log_in(aliased, name, user) == f"{user}@example.com"  # what is known by now
    aliased.wait_event("login", count=2, account=f"{user}@example.com")


def test_names_that_no_alias_maps_are_refused_as_ever(aliased):
    for name in ("other\\alice", "ana  maria", "alice%example.com", "company\\al ice"):
        log_in(aliased, name, reply="535 5.7.8 ")


def test_an_alias_has_the_password_of_its_account(aliased):
    log_in(aliased, "company\\alice", user="bob", reply="535 5.7.8 ")


def test_who_acts_for_himself_may_say_so_by_another_name(aliased):
    with smtp(aliased, user=None) as client:
        response = plain_response("company\\alice", PASSWORDS["alice"], identity="alice@old.example")
        client.ask(f"AUTH PLAIN {response}", "235 2.7.0 ")
    with smtp(aliased, user=None) as client:
        response = plain_response("company\\alice", PASSWORDS["alice"], identity="company\\bob")
        client.ask(f"AUTH PLAIN {response}", "535 5.7.8 ")


@pytest.mark.parametrize("how, told", [("account", "alice@example.com"), ("local", "alice")])
def test_a_pop3_server_behind_is_told_the_login_name(new_gateway, new_pop3, aliases, how, told):
    server = new_pop3()
    gateway = new_gateway(pop3=server, auth={"aliases": str(aliases), "login_name": how})
    with pop3(gateway, user=None) as reader:
        reader.ask("USER COMPANY\\alice", "+OK")
        reader.ask(f"PASS {PASSWORDS['alice']}", "+OK")
    assert server.connections[-1].saw("USER") == [f"USER {told}"]


def test_saslauthd_is_told_a_given_name_as_it_is(new_gateway, new_pop3, new_saslauthd, aliases):
    saslauthd, server = new_saslauthd(), new_pop3()
    saslauthd.set_passwords({"COMPANY\\alice": PASSWORDS["alice"]})
    gateway = new_gateway(pop3=server, auth=saslauthd.settings(
        aliases=str(aliases), realm="example.com", login_name="given"))
    with pop3(gateway, user=None) as reader:
        reader.ask("USER COMPANY\\alice", "+OK")
        reader.ask(f"PASS {PASSWORDS['alice']}", "+OK")
        assert gateway.session(reader)["account"] == "alice@example.com"
    assert server.connections[-1].saw("USER") == ["USER COMPANY\\alice"]


# ---- the file, watched ----

def test_a_change_counts_without_a_signal_in_every_process(aliased, aliases):
    assert not lets_in(aliased, "maria")
    write(aliases, ALIASES + "maria: alice@example.com\n")
    assert aliased.wait_event("list_taken", file=str(aliases))["count"] == "5"
    until(lambda: all(lets_in(aliased, "maria") for _ in range(6)), "all processes know it")


def test_a_file_that_is_written_in_place_or_behind_a_link_is_seen(new_gateway, new_smtp, aliases, folder):
    link = folder / "link"
    link.symlink_to(aliases)
    gateway = new_gateway(new_smtp(), auth={"aliases": str(link), "realm": "example.com"})
    with aliases.open("a") as file:
        file.write("maria: alice@example.com\n")
    gateway.wait_event("list_taken", file=str(link))
    until(lambda: lets_in(gateway, "maria"), "the new line counts")
    other = folder / "other"
    other.write_text("eva: alice@example.com\n")
    link.unlink()
    link.symlink_to(other)
    gateway.wait_event("list_taken", 2)
    until(lambda: lets_in(gateway, "eva"), "the other file counts")


def test_a_wrong_file_leaves_the_old_in_force_and_is_logged_with_its_lines(aliased, aliases):
    write(aliases, "maria: alice@example.com\nwrong\na*b*: c\n")
    aliased.wait_event("list_refused", reason=f'{aliases}:2: write it as "KEY: value", with a blank behind the colon')
    refused = aliased.events("list_refused")
    assert [e["reason"].split(": ")[0] for e in refused] == [f"{aliases}:2", f"{aliases}:3"]
    assert log_in(aliased, "ana maria") == "alice@example.com"
    assert not lets_in(aliased, "maria")
    write(aliases, "maria: alice@example.com\n")
    aliased.wait_event("list_taken")
    until(lambda: lets_in(aliased, "maria"), "the mended file counts")


def test_a_file_that_is_gone_leaves_the_old_in_force_and_is_told_once(aliased, aliases):
    aliases.rename(aliases.with_suffix(".away"))
    aliased.wait_event("list_refused", file=str(aliases), reason="No such file or directory")
    assert log_in(aliased, "ana maria") == "alice@example.com"
    write(aliases, "maria: alice@example.com\n")
    aliased.wait_event("list_taken")
    assert len(aliased.events("list_refused")) == 1


def test_processes_that_are_replaced_have_the_newest_list(aliased, aliases):
    aliased.may_lose.update({"process_died"})
    write(aliases, "maria: alice@example.com\n")
    aliased.wait_event("list_taken")
    for role in ("worker", "auth"):
        old = aliased.pids(role)
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        aliased.wait_replaced(role, old)
    assert log_in(aliased, "maria") == "alice@example.com"


def test_a_control_that_dies_is_asked_again_as_another(aliased, aliases):
    aliased.may_lose.update({"process_died"})
    control = aliased.pids("control")
    os.kill(control[0], signal.SIGSTOP)
    write(aliases, "maria: alice@example.com\n")
    os.kill(control[0], signal.SIGKILL)
    aliased.wait_replaced("control", control)
    aliased.wait_event("list_taken")
    until(lambda: lets_in(aliased, "maria"), "the file counts")


def test_a_reload_reads_the_file_at_once(aliased, aliases):
    write(aliases, "maria: alice@example.com\n")
    aliased.reload()
    assert log_in(aliased, "maria") == "alice@example.com"


def test_a_reload_with_a_wrong_file_is_refused_with_its_line(aliased, aliases):
    write(aliases, "wrong\n")
    assert f"{aliases}:1: write it as" in aliased.ctl("reload", status=1).stderr
    assert log_in(aliased, "ana maria") == "alice@example.com"


def test_a_check_tells_all_that_is_wrong_in_the_file_with_its_own_lines(new_gateway, new_smtp, aliases):
    aliases.write_text("wrong\nfine: alice\nx: y z\n")
    gateway = new_gateway(new_smtp(), start=False, auth={"aliases": str(aliases), "sasldb": "/nowhere"})
    done = gateway.check()
    assert done.returncode == 1
    assert f"{aliases}:1: write it as" in done.stderr
    assert f'{aliases}:3: "y z" is no account' in done.stderr
    assert "auth.sasldb" in done.stderr


def test_a_check_refuses_a_file_that_is_not_there(new_gateway, new_smtp, folder):
    gateway = new_gateway(new_smtp(), start=False, auth={"aliases": str(folder / "none")})
    done = gateway.check()
    assert done.returncode == 1
    assert f"auth.aliases: {folder}/none: No such file" in done.stderr


def test_whom_a_webmail_or_a_trusted_login_names_is_looked_up_too(new_gateway, new_smtp, aliases):
    gateway = new_gateway(new_smtp(), auth={"aliases": str(aliases), "realm": "example.com"}, listener={
        "xclient_login_from": ["127.0.0.8"],
        "trusted": {"web": {"logins": ["bob@example.com"], "account_from": "mail-auth"}}})
    with smtp(gateway, user=None, source="127.0.0.8") as webmail:
        webmail.ask("XCLIENT LOGIN=Ana+20Maria", "220 ")
        webmail.hello()
        webmail.mail(message())
    assert gateway.wait_event("message_accepted")["account"] == "alice@example.com"
    with smtp(gateway, user="bob") as web:
        web.ask("MAIL FROM:<a@example.net> AUTH=shop@old.example", "250 ")
        web.ask("RCPT TO:<b@example.net>", "250 ")
        web.text(message())
    assert gateway.wait_event("message_accepted", login="bob@example.com")["account"] == "shop@example.com"
