"""Password backends other than sasldb: saslauthd, and SQL by a plugin of libsasl2."""
import base64
import json
import os
import pty
import select
import shutil
import sqlite3
import subprocess
import time

import pytest

from fixtures import build, scram
from fixtures.clients import PASSWORDS, plain_response, pop3, smtp
from fixtures.processes import end
from fixtures.waiting import until

RIGHT = plain_response("alice@example.com", PASSWORDS["alice"])


def log_in(gateway, name="alice", password=PASSWORDS["alice"], reply="235 2.7.0 "):
    with smtp(gateway, user=None, timeout=60) as client:
        client.ask(f"AUTH PLAIN {plain_response(name, password)}", reply)


@pytest.fixture
def saslauthd(new_saslauthd):
    return new_saslauthd()


@pytest.fixture
def behind(new_gateway, new_smtp, new_pop3, saslauthd):
    """A gateway that asks saslauthd, every time."""
    return new_gateway(new_smtp(), new_pop3(), auth=saslauthd.settings(cache="0s", realm="example.com"))


# ---- saslauthd ----

@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_saslauthd_lets_in_with_the_right_password_alone(behind, mechanism):
    for password, reply in ((PASSWORDS["alice"], "235 2.7.0 "), ("wrong", "535 5.7.8 ")):
        with smtp(behind, user=None) as client:
            if mechanism == "PLAIN":
                client.ask(f"AUTH PLAIN {plain_response('Alice', password)}", reply)
            else:
                client.ask("AUTH LOGIN", "334 ")
                client.ask(base64.b64encode(b"Alice").decode(), "334 ")
                client.ask(base64.b64encode(password.encode()).decode(), reply)
    behind.wait_event("login", account="alice@example.com")


def test_saslauthd_is_told_the_local_part_and_the_service(behind, saslauthd):
    log_in(behind, "Alice@EXAMPLE.com")
    assert saslauthd.asked() == [f"{saslauthd.service} alice"]


def test_passwords_with_spaces_quotes_and_backslashes_pass_saslauthd(behind):
    log_in(behind, "carol", PASSWORDS["carol"])


def test_an_account_of_another_domain_is_not_who_has_the_same_local_part(behind, saslauthd):
    log_in(behind, "alice@elsewhere.example", reply="535 5.7.8 ")
    log_in(behind, "al%ice", reply="535 5.7.8 ")
    assert saslauthd.asked() == []


def test_nobody_speaks_for_somebody_else_with_saslauthd(behind):
    with smtp(behind, user=None) as client:
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'], identity='bob')}", "535 5.7.8 ")
        client.ask(f"AUTH PLAIN {plain_response('alice', PASSWORDS['alice'], identity='ALICE@example.com')}",
                   "235 2.7.0 ")


def test_a_forgotten_sasldb_lets_nobody_in(new_gateway, new_smtp, saslauthd):
    saslauthd.set_passwords({"alice": "a-new-one"})
    gateway = new_gateway(new_smtp(), auth=saslauthd.settings(realm="example.com"))
    assert (gateway.folder / "sasldb2").exists()
    log_in(gateway, reply="535 5.7.8 ")
    log_in(gateway, "alice", "a-new-one")


def test_with_saslauthd_only_plain_and_login_are_offered(behind):
    with smtp(behind, user=None) as client:
        auth = [e for e in client.hello() if e.startswith("AUTH ")]
        assert [set(e.split()[1:]) for e in auth] == [{"PLAIN", "LOGIN"}]


def test_what_saslauthd_has_said_is_known_for_a_while(new_gateway, new_smtp, saslauthd):
    gateway = new_gateway(new_smtp(), auth=saslauthd.settings(realm="example.com"))
    for _ in range(4):
        log_in(gateway)
    assert len(saslauthd.asked()) == 1


def test_saslauthd_is_awaited_without_keeping_others_waiting(new_gateway, new_smtp, saslauthd):
    """One auth process, and PAM that takes a second: the others don't wait for one another."""
    saslauthd.slow()
    gateway = new_gateway(new_smtp(), auth=saslauthd.settings(realm="example.com", processes=1))
    began = time.monotonic()
    clients = [smtp(gateway, user=None) for _ in range(3)]  # as many as saslauthd has processes
    for client in clients:
        client.send(f"AUTH PLAIN {RIGHT}")
    for client in clients:
        client.expect("235 2.7.0 ")
    assert len(saslauthd.asked()) == 3
    assert 1 <= time.monotonic() - began
    waiting, quick = smtp(gateway, user=None), smtp(gateway, user=None)
    waiting.send(f"AUTH PLAIN {plain_response('bob', 'wrong')}")
    quick.ask("AUTH PLAIN !!!", "501 5.5.2 ")
    quick.ask(f"AUTH PLAIN {RIGHT}", "235 2.7.0 ")  # the cache's
    waiting.expect("535 5.7.8 ")


def test_more_logins_than_saslauthd_takes_wait_for_their_turn(behind):
    clients = [smtp(behind, user=None) for _ in range(60)]
    for client in clients:
        client.send(f"AUTH PLAIN {RIGHT}")
    # Under load saslauthd itself says NO to a right password now and then: that is its answer, in its turn.
    replies = [client.reply()[:9] for client in clients]
    assert set(replies) <= {"235 2.7.0", "535 5.7.8"} and replies.count("235 2.7.0") >= 50


def test_a_saslauthd_that_is_dead_is_454_and_never_535(behind, saslauthd):
    end(saslauthd.process)
    for password in (PASSWORDS["alice"], "wrong"):
        log_in(behind, password=password, reply="454 4.7.0 ")
    with pop3(behind, user=None) as reader:
        reader.ask("USER alice", "+OK")
        reader.ask(f"PASS {PASSWORDS['alice']}", "-ERR [SYS/TEMP] ")
    refused = behind.wait_event("login_unavailable", count=3)
    assert str(saslauthd.socket) in refused["reason"]
    saslauthd.start()
    log_in(behind)
    log_in(behind, password="wrong", reply="535 5.7.8 ")


def test_the_log_says_once_that_the_backend_is_away_and_when_it_is_back(behind, saslauthd):
    end(saslauthd.process)
    for _ in range(5):
        log_in(behind, reply="454 4.7.0 ")
    saslauthd.start()
    for _ in range(5):
        log_in(behind)
    behind.wait_event("backend_back")
    away, back = behind.events("backend_away"), behind.events("backend_back")
    assert len(away) == len(back) == 1
    assert str(saslauthd.socket) in away[0]["reason"]


@pytest.mark.long
def test_a_saslauthd_that_hangs_is_454_and_goes_on_when_it_is_awake(behind, saslauthd):
    saslauthd.pause()
    clients = [smtp(behind, user=None, timeout=60) for _ in range(40)]  # its backlog is smaller
    for client in clients:
        client.send(f"AUTH PLAIN {RIGHT}")
    with smtp(behind, user=None) as other:
        other.ask("AUTH PLAIN !!!", "501 5.5.2 ")  # the auth process itself isn't held up
    for client in clients:
        client.expect("454 4.7.0 ")
    saslauthd.resume()
    log_in(behind)


def test_a_client_that_leaves_while_saslauthd_is_asked_disturbs_nobody(behind, saslauthd):
    saslauthd.pause()
    for _ in range(20):
        with smtp(behind, user=None) as client:
            client.send(f"AUTH PLAIN {RIGHT}")
    saslauthd.resume()
    log_in(behind)


def test_a_saslauthd_that_is_killed_while_it_is_asked_is_454(behind, saslauthd):
    saslauthd.slow()
    with smtp(behind, user=None) as client:
        client.send(f"AUTH PLAIN {RIGHT}")
        until(saslauthd.asked, "saslauthd is asked")
        end(saslauthd.process, patience=0)
        client.expect("454 4.7.0 ")


def test_a_reload_moves_from_sasldb_to_saslauthd(new_gateway, new_smtp, saslauthd):
    saslauthd.set_passwords({"alice": "a-new-one"})
    gateway = new_gateway(new_smtp(), auth={"realm": "example.com"})
    log_in(gateway)
    gateway.reload(auth=saslauthd.settings())
    log_in(gateway, reply="535 5.7.8 ")
    log_in(gateway, "alice", "a-new-one")


def test_a_check_warns_when_saslauthd_is_not_there(new_gateway, new_smtp, folder):
    gateway = new_gateway(new_smtp(), start=False, auth={"backend": "saslauthd", "saslauthd": str(folder / "mux")})
    done = gateway.check()
    assert done.returncode == 0
    assert "warning" in done.stdout and f"auth.saslauthd: {folder}/mux: No such file" in done.stdout


def test_a_check_refuses_a_saslauthd_that_auth_user_cannot_reach(new_gateway, new_smtp, saslauthd):
    saslauthd.folder.chmod(0o700)
    gateway = new_gateway(new_smtp(), start=False, auth=saslauthd.settings())
    done = gateway.check()
    assert done.returncode == 1
    assert "auth.saslauthd: as user porteiro-auth" in done.stderr and "adduser porteiro-auth sasl" in done.stderr


def test_auth_user_reaches_saslauthd_as_a_member_of_its_group(new_gateway, new_smtp, saslauthd):
    """Debian's /run/saslauthd is root:sasl 710."""
    group = f"porteiro-t{os.getpid()}"
    subprocess.run(["groupadd", "-U", "porteiro-auth", group], check=True)
    try:
        saslauthd.folder.chmod(0o710)
        subprocess.run(["chgrp", group, saslauthd.folder], check=True)
        log_in(new_gateway(new_smtp(), auth=saslauthd.settings(realm="example.com")))
    finally:
        subprocess.run(["groupdel", group], check=True)


# ---- auxprop: SQL ----

SELECT = "SELECT password FROM users WHERE name = '%u' AND realm = '%r' AND '%p' = 'userPassword'"


@pytest.fixture
def database(folder):
    path = folder / "users.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE users (name TEXT, realm TEXT, password TEXT)")
        db.executemany("INSERT INTO users VALUES (?, 'example.com', ?)", PASSWORDS.items())
    db.close()
    shutil.chown(path, "porteiro-auth")
    path.chmod(0o600)
    return path


def sql(database, options_file=None, **more):
    """The settings of auth; the database is named in the file, where there is one."""
    options = ["auxprop_plugin=sql", "sql_engine=sqlite3", f"sql_select={SELECT}"]
    if options_file:
        options_file.write_text(f"# secret\nsql_database: {database}\n")
        shutil.chown(options_file, "porteiro-auth")
        options_file.chmod(0o600)
        more["options_file"] = str(options_file)
    else:
        options.append(f"sql_database={database}")
    return {"backend": "auxprop", "options": options, "cache": "0s", "realm": "example.com", **more}


@pytest.mark.parametrize("has_file", [False, True])
def test_a_plugin_of_libsasl2_checks_passwords_in_sql(new_gateway, new_smtp, database, folder, has_file):
    gateway = new_gateway(new_smtp(), auth=sql(database, folder / "options" if has_file else None))
    log_in(gateway, "Alice")
    log_in(gateway, "carol@EXAMPLE.com", PASSWORDS["carol"])
    log_in(gateway, password="wrong", reply="535 5.7.8 ")
    log_in(gateway, "nobody", reply="535 5.7.8 ")
    log_in(gateway, "alice@elsewhere.example", reply="535 5.7.8 ")
    gateway.wait_event("login", account="alice@example.com")


def test_scram_logs_in_with_a_password_in_sql(new_gateway, new_smtp, database):
    gateway = new_gateway(new_smtp(), auth=sql(database))
    with smtp(gateway, user=None) as session:
        assert scram.exchange(session, scram.Scram("alice", PASSWORDS["alice"])).startswith("235 2.7.0 ")
    with smtp(gateway, user=None) as session:
        assert scram.exchange(session, scram.Scram("alice", "wrong")).startswith("535 5.7.8 ")


def test_a_forgotten_sasldb_lets_nobody_in_beside_sql(new_gateway, new_smtp, database):
    with sqlite3.connect(database) as db:
        db.execute("UPDATE users SET password = 'a-new-one' WHERE name = 'alice'")
    db.close()
    gateway = new_gateway(new_smtp(), auth=sql(database))
    assert (gateway.folder / "sasldb2").exists()
    log_in(gateway, reply="535 5.7.8 ")
    log_in(gateway, password="a-new-one")


def test_a_name_is_no_sql(new_gateway, new_smtp, database):
    gateway = new_gateway(new_smtp(), auth=sql(database))
    for name in ("alice'", "x'--", "x'or'1'='1"):
        log_in(gateway, name, reply="535 5.7.8 ")
    log_in(gateway)


def test_a_database_that_is_away_is_454_and_never_535(new_gateway, new_smtp, database):
    gateway = new_gateway(new_smtp(), auth=sql(database))
    away = database.rename(database.with_suffix(".away"))
    for password in (PASSWORDS["alice"], "wrong"):
        log_in(gateway, password=password, reply="454 4.7.0 ")
    away.rename(database)
    log_in(gateway)
    gateway.wait_event("backend_back")
    assert len(gateway.events("backend_away")) == 1


def test_an_auxprop_backend_without_a_plugin_is_refused(new_gateway, new_smtp, database):
    gateway = new_gateway(new_smtp(), start=False, auth=sql(database))
    gateway.write_config(auth={"options": ["sql_engine=sqlite3"]})
    assert "auth.options: backend \"auxprop\" needs the name of a plugin" in gateway.check().stderr
    gateway.write_config(auth={"options": ["auxprop_plugin=no-such"]})
    assert "no plugin \"no-such\"" in gateway.check().stderr
    gateway.write_config(auth={"options": ["auxprop_plugin=sql", "pwcheck_method=x"]})
    assert "the gateway's own to set" in gateway.check().stderr


def test_options_that_others_can_read_are_warned_of_and_unreadable_ones_refused(
        new_gateway, new_smtp, database, folder):
    gateway = new_gateway(new_smtp(), start=False, auth=sql(database, folder / "options"))
    assert "warning" not in gateway.check().stdout.replace("warnings", "")
    (folder / "options").chmod(0o644)
    assert "auth.options_file" in gateway.check().stdout
    shutil.chown(folder / "options", "root")
    (folder / "options").chmod(0o600)
    assert f"{folder}/options: Permission denied" in gateway.check().stderr


# ---- what the backend and the server behind are told ----

@pytest.mark.parametrize("how, told", [
    ("given", "Alice@EXAMPLE.com"), ("account", "alice@example.com"), ("local", "alice"), ("", "alice")])
def test_login_name_says_what_saslauthd_and_the_server_behind_are_told(
        new_gateway, new_pop3, new_saslauthd, how, told):
    saslauthd, server = new_saslauthd(), new_pop3()
    saslauthd.set_passwords({told: PASSWORDS["alice"]})
    gateway = new_gateway(pop3=server, auth=saslauthd.settings(realm="example.com", login_name=how))
    with pop3(gateway, user=None) as reader:
        reader.ask("USER Alice@EXAMPLE.com", "+OK")
        reader.ask(f"PASS {PASSWORDS['alice']}", "+OK")
        assert gateway.session(reader)["account"] == "alice@example.com"
    assert saslauthd.asked() == [f"{saslauthd.service} {told}"]
    assert server.connections[-1].saw("USER") == [f"USER {told}"]


def test_with_sasldb_the_server_behind_is_told_the_account(new_gateway, new_pop3):
    server = new_pop3()
    gateway = new_gateway(pop3=server)
    with pop3(gateway, user=None) as reader:
        reader.ask("USER Alice", "+OK")
        reader.ask(f"PASS {PASSWORDS['alice']}", "+OK")
    assert server.connections[-1].saw("USER") == ["USER alice@example.com"]


# ---- porteiroctl forget, login-test ----

def login_test(gateway, name, password, status=0, *options, wrapper=()):
    done = subprocess.run([*wrapper, build.PORTEIROCTL, "-s", gateway.config["control"], *options, "login-test", name],
                          input=password + "\n", capture_output=True, text=True, timeout=90)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_what_is_forgotten_is_asked_about_again_in_all_workers_and_generations(new_gateway, new_smtp, saslauthd):
    gateway = new_gateway(new_smtp(), auth=saslauthd.settings(realm="example.com"))
    old = smtp(gateway, user=None)
    log_in(gateway)
    gateway.reload()
    log_in(gateway)
    saslauthd.set_passwords({"alice": "a-new-one"})
    log_in(gateway)  # known still
    assert gateway.ctl("forget", "Alice").stdout == "alice@example.com: the next login asks the backend\n"
    for _ in range(4):
        log_in(gateway, reply="535 5.7.8 ")
    old.ask(f"AUTH PLAIN {RIGHT}", "535 5.7.8 ")  # of the old generation
    assert gateway.ctl("forget", "bob").stdout == "bob@example.com: nothing was known\n"
    assert json.loads(gateway.ctl("--json", "forget", "bob").stdout)["ok"] is True
    assert "nobody's name" in gateway.ctl("forget", "a%b", status=1).stderr
    gateway.wait_event("control_command", command="forget", uid=os.geteuid())


def test_login_test_tells_each_step(new_gateway, new_smtp, saslauthd, folder):
    (folder / "aliases").write_text("COMPANY\\*: *@example.com\n")
    gateway = new_gateway(new_smtp(), auth=saslauthd.settings(realm="example.com", aliases=str(folder / "aliases")))
    said = login_test(gateway, "COMPANY\\Alice", PASSWORDS["alice"]).stdout
    steps = dict(line.split(None, 1) for line in said.splitlines() if not line.startswith("is told"))
    assert {key: value.strip() for key, value in steps.items() if key != "took"} == {
        "name": "COMPANY\\Alice", "alias": "yes", "account": "alice@example.com", "backend": "saslauthd",
        "outcome": "good"}
    assert "is told      alice\n" in said
    told = json.loads(login_test(gateway, "alice", PASSWORDS["alice"], 0, "--json").stdout)
    assert told["is_alias"] is False and told["login_name"] == "alice" and told["duration"] > 0
    assert len(saslauthd.asked()) == 2  # the cache is neither asked nor told
    gateway.wait_event("login_tested", count=2, account="alice@example.com", verdict="good")


def test_login_test_says_what_is_wrong(behind, saslauthd):
    wrong = login_test(behind, "alice", "wrong", status=1)
    assert "outcome      wrong" in wrong.stdout and "password is wrong" in wrong.stderr
    nobody = login_test(behind, "alice@elsewhere.example", "x", status=1)
    assert "no account can be called so" in nobody.stderr
    end(saslauthd.process)
    away = login_test(behind, "alice", PASSWORDS["alice"], status=1)
    assert "outcome      unavailable" in away.stdout and str(saslauthd.socket) in away.stderr


def test_login_test_says_nothing_good_where_only_sessions_ask(new_gateway, new_pop3):
    gateway = new_gateway(pop3=new_pop3(), auth={"backend": "upstream", "upstream": "pop3", "realm": "example.com"},
                          upstream={"tls": "none"})
    assert "log in with a mail client" in login_test(gateway, "alice", "wrong", status=1).stderr


def test_login_test_shows_no_password_on_a_terminal(behind):
    controller, terminal = pty.openpty()
    process = subprocess.Popen([build.PORTEIROCTL, "-s", behind.config["control"], "login-test", "alice"],
                               stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    shown = b""
    while b"Password: " not in shown:
        shown += os.read(controller, 1000)
    os.write(controller, PASSWORDS["alice"].encode() + b"\n")
    # Our own end stays open: what was written can be lost when the last one closes.
    while b"outcome" not in shown and select.select([controller], [], [], 10)[0]:
        shown += os.read(controller, 1000)
    assert process.wait() == 0 and b"outcome      good" in shown
    assert PASSWORDS["alice"].encode() not in shown


def test_forget_and_login_test_are_for_the_role_support(new_gateway, new_smtp, saslauthd):
    gateway = new_gateway(new_smtp(), auth=saslauthd.settings(realm="example.com"),
                          control_groups={"games": "read", "news": "support"})

    def member(group):
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", f"--groups={group}"]
    assert '"support"' in gateway.ctl("forget", "alice", status=1, wrapper=member("games")).stderr
    assert '"support"' in login_test(gateway, "alice", "x", 1, wrapper=member("games")).stderr
    gateway.ctl("forget", "alice", wrapper=member("news"))
    login_test(gateway, "alice", PASSWORDS["alice"], wrapper=member("news"))
    assert saslauthd.asked() == [f"{saslauthd.service} alice"]
