"""porteiro.conf: -t finds every error at once with FILE:LINE, -T prints what is in force."""
import re
import subprocess
from pathlib import Path

import pytest

from fixtures import build
from fixtures.gateway import check_no_passwords, run_porteirod, servers, to_text


@pytest.fixture
def configuration(new_gateway):
    """A gateway that isn't started, in front of servers that aren't there."""
    return new_gateway(smtp=1025, pop3=1110, start=False, max_connections=500)


@pytest.fixture
def file(folder):
    """file(TEXT): a configuration file with that text."""
    def write(text, name="porteiro.conf"):
        path = folder / name
        path.write_text(text)
        return path
    return write


def findings(text):
    """(line, what) of each "FILE:LINE: what"."""
    return [(int(line), what) for line, what in re.findall(r"^(?:warning: )?/\S+?:(\d+): (.*)$", text, re.M)]


def check_text(path):
    done = run_porteirod("-T", "-c", path)
    return done, findings(done.stderr)


# ---- options and exit status ----

def test_t_says_good_on_standard_output_with_status_0(configuration):
    done = configuration.check()
    *notes, last = done.stdout.split("\n")[:-1]
    assert (done.returncode, last, done.stderr) == (0, f"{configuration.config_file}: good", "")
    assert all(note.startswith("note: ") for note in notes)


def test_t_writes_errors_to_standard_error_with_status_1(configuration):
    done = configuration.write_config(upstreams={"smtp": {"identity": "nobody"}}).check()
    assert done.returncode == 1 and "identity" in done.stderr
    assert "identity" not in done.stdout and "good" not in done.stdout


@pytest.mark.parametrize("program", [build.PORTEIROD, build.PORTEIROCTL])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_goes_to_standard_output_and_fits_a_terminal(program, option):
    done = subprocess.run([program, option], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(f"usage: {Path(program).name} ")
    assert [line for line in done.stdout.split("\n") if len(line) > 80] == []


@pytest.mark.parametrize("arguments", [["-x"], ["-c"], ["file"], ["-t", "file"], ["--nonsense"]])
def test_wrong_options_are_status_2_with_the_usage_on_standard_error(arguments):
    done = run_porteirod(*arguments)
    assert done.returncode == 2 and done.stdout == "" and "usage: porteirod" in done.stderr


def test_v_prints_the_version():
    done = run_porteirod("-V")
    assert done.returncode == 0 and re.fullmatch(r"porteirod \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("option", ["-t", "-T"])
def test_a_file_that_is_not_there_is_an_error_with_its_name(folder, option):
    done = run_porteirod(option, "-c", folder / "nowhere.conf")
    assert done.returncode == 1 and f"{folder}/nowhere.conf" in done.stderr
    assert "No such file or directory" in done.stderr


def test_a_start_with_a_wrong_configuration_is_status_1(configuration):
    configuration.write_config(workers=-1).start(is_awaited=False)
    assert configuration.wait() == 1
    configuration.exit_status = 1
    assert f"{configuration.config_file}:" in configuration.stderr_text()


def test_t_starts_nothing(configuration):
    configuration.check()
    assert not configuration.log_text()
    assert not (configuration.folder / "control.sock").exists()


@pytest.mark.parametrize("arguments, status", [
    (["--help"], 0), (["--version"], 0), ([], 2), (["nonsense"], 2), (["--nonsense"], 2),
    (["reload", "more"], 2), (["drain", "--wait", "soon"], 2), (["-s", "/nowhere/socket", "status"], 1)])
def test_exit_status_of_porteiroctl(arguments, status):
    done = subprocess.run([build.PORTEIROCTL, *arguments], capture_output=True, text=True)
    assert done.returncode == status
    assert (done.stderr == "") == (status == 0)


# ---- the smallest file, and -T ----

SMALLEST = """\
hostname = "mail.example.com"
tls = { default = { certificate = ["/etc/cert.pem"] key = ["/etc/key.pem"] } }
upstreams = {
  smtp = { servers = { legacy = { address = "10.0.0.5:25" } } }
  pop3 = { protocol = "pop3" servers = { legacy = { address = "10.0.0.5:110" } } }
}
"""


def listeners_of(text):
    """NAME: settings, of the listeners that -T prints."""
    block = text[text.index("\nlisteners = {"):]
    return {name: dict(re.findall(r"(\w+) = (.*)", inner))
            for name, inner in re.findall(r"^    (\w+) = \{\n(.*?)^    \}", block, re.M | re.S)}


def test_the_smallest_file_serves_465_587_and_995(file):
    done = run_porteirod("-T", "-c", file(SMALLEST))
    assert done.returncode == 0, done.stderr
    found = listeners_of(done.stdout)
    expected = {
        "submissions": ('["*:465"]', '"submission"', '"implicit"', '"smtp"', '"5min"'),
        "submission": ('["*:587"]', '"submission"', '"starttls"', '"smtp"', '"5min"'),
        "pop3s": ('["*:995"]', '"pop3"', '"implicit"', '"pop3"', '"10min"')}
    assert {name: tuple(l[key] for key in ("bind", "role", "tls", "upstream", "idle_timeout"))
            for name, l in found.items()} == expected


def test_without_an_upstream_named_pop3_nothing_listens_on_995(file):
    text = "\n".join(line for line in SMALLEST.splitlines() if "pop3" not in line)
    found = listeners_of(run_porteirod("-T", "-c", file(text)).stdout)
    assert set(found) == {"submissions", "submission"}


def test_T_is_accepted_by_t_again_and_means_the_same(configuration):
    first = run_porteirod("-T", "-c", configuration.config_file)
    assert first.returncode == 0
    again = configuration.folder / "again.conf"
    again.write_text(first.stdout)
    checked = run_porteirod("-t", "-c", again)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert run_porteirod("-T", "-c", again).stdout == first.stdout


def test_T_is_accepted_by_t_again_where_there_is_something_to_warn_of(configuration):
    configuration.write_config(hostname="mail", auth={"realm": "example.com"})
    printed = run_porteirod("-T", "-c", configuration.config_file).stdout
    again = configuration.folder / "again.conf"
    again.write_text(printed)
    done = run_porteirod("-t", "-c", again)
    assert done.returncode == 0, done.stderr


def test_T_prints_every_key_of_the_example_that_this_version_knows(configuration):
    text = run_porteirod("-T", "-c", configuration.config_file).stdout
    for key in ("hostname", "user", "auth_user", "helper_user", "workers", "state_dir", "spool_dir", "control",
                "http", "max_connections", "max_connections_per_ip", "shutdown_grace", "reload_grace", "drain_delay",
                "control_groups"):
        assert re.search(rf"^{key} = ", text, re.M), key


def test_T_has_the_defaults_of_the_example(file):
    text = run_porteirod("-T", "-c", file(SMALLEST)).stdout
    for line in ('user = "porteiro"', 'auth_user = "porteiro-auth"', "workers = 0", "max_connections = 20000",
                 'shutdown_grace = "30s"', 'reload_grace = "2h"', 'drain_delay = "10s"', 'target = "stderr"',
                 'format = "text"', 'level = "info"', 'sasldb = "/etc/porteiro/sasldb2"', "processes = 2",
                 'tls = "opportunistic"', 'identity = "none"', "max_connections = 20", 'wait_timeout = "5s"',
                 'connect_timeout = "5s"', 'command_timeout = "5min"', 'final_timeout = "10min"',
                 'health_check = "10s"', 'max_message_size = "50M"', "max_recipients = 100"):
        assert re.search(rf"^ *{re.escape(line)}$", text, re.M), line
    assert 'identity = "password"' in text and 'tls = "require"' in text  # pop3: a password travels


def test_T_holds_no_key_and_no_password(configuration):
    text = run_porteirod("-T", "-c", configuration.config_file).stdout
    check_no_passwords(text)
    assert "PRIVATE KEY" not in text


# ---- errors ----

def test_all_errors_come_at_once_each_with_its_line(file):
    done, found = check_text(file("""\
hostname = "mail example"
worker = 2
workers = "two"
shutdown_grace = "soon"
log = { target = "somewhere"  format = "xml" }
tls = { default = { certificate = ["/c"] key = ["/k"] min_version = "TLSv1.1" } }
upstreams = {
  smtp = {
    servers = { a = { address = "mail.internal:25" } }
    identity = "friend"
    max_connections = 0
  }
}
listeners = {
  one = { bind = ["*:70000"] upstream = "smtp" }
  two = { bind = ["*:2525"] upstream = "nowhere" }
  three = { bind = ["*:2526"] upstream = "smtp" certificate = "absent" }
  four = { bind = ["*:2527"] role = "mx" upstream = "smtp" }
}
auth = { backend = "pam" }
"""))
    assert done.returncode == 1 and "workers =" not in done.stdout
    wanted = {1: "hostname", 2: "worker", 3: "workers", 4: "shutdown_grace", 5: "log.target", 6: "min_version",
              9: "address", 10: "identity", 11: "max_connections", 15: "bind", 16: "upstream",
              17: "certificate", 18: "role", 20: "backend"}
    lines = {}
    for line, what in found:
        lines.setdefault(line, []).append(what)
    for line, word in wanted.items():
        assert any(word in what for what in lines.get(line, [])), f"line {line} ({word}): {done.stderr}"
    assert any("log.format" in what for what in lines[5])


@pytest.mark.parametrize("address, hint", [
    ("mail.internal:25", "numeric"), ("legacy:25", "numeric"), ("127.0.0.1", "port"), ("127.0.0.1:0", "port"),
    ("127.0.0.1:99999", "port"), ("2001:db8::1:25", "brackets"), ("unix:/run/x", "unix"), ("", "empty")])
def test_an_address_that_is_not_numeric_with_a_port_is_refused_with_a_hint(configuration, address, hint):
    done = configuration.write_config(upstreams={"smtp": {"servers": {"a": {"address": address}}}}).check()
    assert done.returncode == 1
    (line, what), = findings(done.stderr)
    assert hint in what and "upstreams.smtp" in what
    assert configuration.config_file.read_text().splitlines()[line - 1].strip().startswith(("address", "a ="))


@pytest.mark.parametrize("address", ["localhost:1025", "127.0.0.1:1025", "[::1]:1025", "[2001:db8::5]:25"])
def test_numeric_addresses_and_localhost_are_good(configuration, address):
    done = configuration.write_config(upstreams={"smtp": {"servers": {"a": {"address": address}}}}).check()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text, line, words", [
    ('workers = 2\nlog = { level = "info" ', 2, "never closed"),
    ('x = ["a" "b"]', 1, "a comma is missing"),
    ('listeners = { a = { bind = ["*:1", "*:2",] } }', 1, "take it out"),
    ("workers = yes", 1, "write true"),
    ("workers = off", 1, "write false"),
    ("workers = 99999999999", 1, "in quotes"),
    ("idle = 5min", 1, "put the value in quotes"),
    ('hostname = "mail', 1, "closing quote"),
    ("\n\nworkers", 3, "a value"),
    ("workers = 1\n}", 2, "closes what isn't open"),
    ('tls = { mail.example.com = { } }', 1, "can't be a name"),
    ('control_groups = { 2nd = "read" }', 1, "can't be a name"),
    ("workers = 1\nworkers = 2", 2, "duplicate"),
])
def test_what_libconfig_would_swallow_or_only_call_a_syntax_error_is_explained(file, text, line, words):
    done, found = check_text(file(text))
    assert done.returncode == 1
    assert any(at == line and words in what for at, what in found), done.stderr


def test_comments_of_all_kinds_leave_the_line_numbers_right(file):
    done, found = check_text(file("# one\n// two\n/* three\n four */\nworkers = 0 # five\n\nworker = 1\n"))
    assert (7, "worker: unknown key; did you mean workers?") in found


@pytest.mark.parametrize("group, key, meant", [
    ("", "hostnam", "hostname"), ("log", "taget", "target"), ("auth", "sasl_db", "sasldb")])
def test_an_unknown_key_is_an_error_that_names_what_was_meant(configuration, group, key, meant):
    changes = {group: {key: "x"}} if group else {key: "x"}
    done = configuration.write_config(**changes).check()
    (_, what), = findings(done.stderr)
    assert done.returncode == 1
    assert what == f"{group}{'.' if group else ''}{key}: unknown key; did you mean {meant}?"


def test_an_unknown_key_unlike_any_other_is_answered_with_the_known_ones(configuration):
    done = configuration.write_config(log={"zzzzzzzz": 1}).check()
    (_, what), = findings(done.stderr)
    assert all(key in what for key in ("target", "format", "level", "facility"))


@pytest.mark.parametrize("changes, words", [
    ({"log": {"format": "xml"}}, ["log.format", "text", "json"]),
    ({"log": {"level": "loud"}}, ["log.level", "debug", "info", "warning", "error"]),
    ({"listeners": {"submissions": {"tls": "maybe"}}}, ["listeners.submissions.tls", "implicit", "starttls"]),
    ({"upstreams": {"smtp": {"tls": "maybe"}}}, ["upstreams.smtp.tls", "opportunistic", "require"]),
    ({"listeners": {"submissions": {"max_message_size": "big"}}}, ["max_message_size"]),
    ({"listeners": {"submissions": {"idle_timeout": "0s"}}}, ["idle_timeout"]),
    ({"listeners": {"submissions": {"max_recipients": 0}}}, ["max_recipients"]),
    ({"max_connections": 0}, ["max_connections"]),
    ({"control": "relative/path"}, ["control", "absolute"]),
    ({"control_groups": {"root": "king"}}, ["control_groups.root", "read", "support", "admin"]),
    ({"tls": "none"}, ["tls", "group"]),
    ({"http": ["127.0.0.1:8025"]}, ["http", "[]"]),
    ({"auth": {"realm": "not a domain"}}, ["auth.realm"]),
    ({"listeners": {"pop3s": {"max_recipients": 5}}}, ["max_recipients", "pop3"]),
    ({"listeners": {"submissions": {"upstream": "pop3"}}}, ["upstream", "protocol"]),
    ({"listeners": {"submissions": {"tls": "none"}}}, ["listeners.submissions.tls", "TLS"]),
    ({"upstreams": {"pop3": {"identity": "none"}}}, ["upstreams.pop3.identity", "password"]),
    ({"auth": {"options": ["auxprop_plugin=sql", "sql_passwd=hunter2"]}}, ["auth.options", '"sql_passwd"', "options_file"]),
    ({"shared_networks": ["10.0.0.0/99", "::1", "nowhere"]}, ["shared_networks", "10.0.0.0/99", "; and ", "nowhere"]),
    ({"upstreams": {"smtp": {"identity": "master"}}}, ["upstreams.smtp.identity"]),
    ({"upstreams": {"pop3": {"tls": "opportunistic"}}}, ["upstreams.pop3.tls", "password"]),
    ({"upstreams": {"smtp": {"tls": "opportunistic", "ca": "/etc/ca.pem"}}}, ["upstreams.smtp.ca", "verify"]),
    ({"upstreams": {"smtp": {"tls": "require", "fingerprint": "AB:CD"}}}, ["upstreams.smtp.fingerprint", "openssl x509"]),
    ({"upstreams": {"smtp": {"tls": "verify", "ca": "/etc/ca.pem", "fingerprint": 64 * "a"}}},
     ["upstreams.smtp.fingerprint", "instead of ca"]),
    ({"upstreams": {"smtp": {"tls": "verify", "ca": "/nowhere/ca.pem"}}}, ["upstreams.smtp.ca", "/nowhere/ca.pem"]),
    ({"upstreams": {"smtp": {"tls": "require", "client_certificate": "/etc/c.pem"}}},
     ["upstreams.smtp.client_key", "go together"]),
    ({"upstreams": {"smtp": {"tls": "require", "tls_min_version": "SSLv3"}}},
     ["upstreams.smtp.tls_min_version", "TLSv1", "TLSv1.3"]),
    ({"upstreams": {"smtp": {"tls": "require", "tls_min_version": "TLSv1"}}},
     ["upstreams.smtp.tls_min_version", "SECLEVEL=0"]),
    ({"upstreams": {"smtp": {"tls": "require", "tls_ciphers": "ENIGMA"}}}, ["upstreams.smtp.tls_ciphers", "ENIGMA"]),
    ({"upstreams": {"smtp": {"tls": "require", "identity": "auth", "username": "a"}}},
     ["upstreams.smtp.password_file", "/etc/porteiro/"]),
    ({"upstreams": {"smtp": {"tls": "require", "identity": "auth", "username": "a", "password_file": "/nowhere/p"}}},
     ["upstreams.smtp.password_file", "/nowhere/p"]),
    ({"upstreams": {"smtp": {"tls": "opportunistic", "identity": "auth", "username": "a", "password_file": "/dev/null"}}},
     ["upstreams.smtp.tls", "require"]),
    ({"upstreams": {"smtp": {"username": "a"}}}, ["upstreams.smtp.username", 'identity = "auth"']),
    ({"upstreams": {"smtp": {"tls": "require", "identity": "auth", "username": "a", "token_command": "token"}}},
     ["upstreams.smtp.token_command", "absolute"]),
    ({"upstreams": {"smtp": {"mechanism": "CRAM-MD5"}}}, ["upstreams.smtp.mechanism", "PLAIN", "LOGIN"]),
    ({"upstreams": {"pop3": {"servers": servers(1110, 1111)}}}, ["upstreams.pop3.servers", "one"]),
    ({"upstreams": {"smtp": {"servers": {"a": None}}}}, ["upstreams.smtp.servers"]),
    ({"listeners": {"submissions": {"bind": []}}}, ["listeners.submissions.bind"]),
    ({"control_groups": {"no-such-group": "read"}}, ["no-such-group", "groupadd"]),
    ({"user": "no-such-user"}, ["user", "no-such-user", "useradd"]),
    ({"user": "root"}, ["user", "root"]),
    ({"user": "porteiro-auth"}, ["user", "three users"]),
    ({"state_dir": "/nowhere/state"}, ["state_dir", "/nowhere/state", "install -d"]),
    ({"spool_dir": "/etc/passwd"}, ["spool_dir", "/etc/passwd"]),
    ({"log": {"target": "/nowhere/log"}}, ["log.target", "/nowhere/log"]),
    ({"auth": {"sasldb": "/nowhere/sasldb2"}}, ["auth.sasldb", "/nowhere/sasldb2", "saslpasswd2"]),
])
def test_each_error_names_file_and_line_the_key_and_what_would_do(configuration, changes, words):
    done = configuration.write_config(**changes).check()
    assert done.returncode == 1
    found = findings(done.stderr)
    assert len(found) == len(done.stderr.splitlines()) > 0, f"an error without FILE:LINE: {done.stderr}"
    assert any(all(word in what for word in words) for _, what in found), done.stderr


def test_an_address_of_a_server_behind_that_is_our_own_is_refused(configuration):
    port = configuration.port("submissions")
    done = configuration.write_config(upstreams={"smtp": {"servers": servers(port)}}).check()
    assert done.returncode == 1 and "own listener" in done.stderr


def test_an_address_of_two_listeners_is_refused(configuration):
    bind = configuration.config["listeners"]["submissions"]["bind"]
    done = configuration.write_config(listeners={"submission": {"bind": bind}}).check()
    assert done.returncode == 1 and 'is taken by listener "submissions"' in done.stderr


def test_a_password_store_that_auth_user_can_not_read_is_refused(configuration):
    (configuration.folder / "sasldb2").chmod(0o000)
    done = configuration.check()
    assert done.returncode == 1 and "Permission denied" in done.stderr and "auth.sasldb" in done.stderr


def test_t_warns_of_a_password_store_that_everybody_can_read(configuration):
    (configuration.folder / "sasldb2").chmod(0o644)
    done = configuration.check()
    assert done.returncode == 0 and "can be read by everybody" in done.stdout


def test_t_warns_of_passwords_that_travel_in_clear_to_no_private_address(configuration):
    done = configuration.write_config(upstreams={"pop3": {"servers": {"a": {"address": "192.0.2.1:110"}}}}).check()
    assert done.returncode == 0 and "passwords travel in clear" in done.stdout


def test_t_warns_of_a_hostname_without_domain(configuration):
    done = configuration.write_config(hostname="mail", auth={"realm": "example.com"}).check()
    assert done.returncode == 0
    assert any('hostname: "mail"' in what for _, what in findings(done.stdout)), done.stdout


def test_sizes_times_and_numbers_are_read_in_all_their_forms(configuration):
    done = configuration.write_config(
        shutdown_grace="1500ms", reload_grace="2d", drain_delay="5m",
        listeners={"submissions": {"max_message_size": "2G", "idle_timeout": "5min"},
                   "submission": {"max_message_size": 65536}}).check()
    assert done.returncode == 0, done.stderr
    text = run_porteirod("-T", "-c", configuration.config_file).stdout
    for line in ('shutdown_grace = "1500ms"', 'reload_grace = "2d"', 'drain_delay = "5min"',
                 'max_message_size = "2G"', 'max_message_size = "64K"'):
        assert line in text, line


# ---- @include ----

def test_include_is_relative_to_the_main_file(configuration):
    more = configuration.folder / "more.d"
    more.mkdir()
    (more / "log.conf").write_text('log = { target = "stderr" level = "warning" }\n')
    del configuration.config["log"]
    configuration.config_file.write_text('@include "more.d/log.conf"\n' + to_text(configuration.config))
    text = run_porteirod("-T", "-c", configuration.config_file).stdout
    assert 'level = "warning"' in text
    done = subprocess.run([build.PORTEIROD, "-t", "-c", "porteiro.conf"], cwd=configuration.folder,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_error_in_an_included_file_names_that_file_and_its_line(configuration):
    (configuration.folder / "more.conf").write_text("\n\nbogus = 1\n")
    own = configuration.config_file
    own.write_text(f'nonsense = 1\n@include "more.conf"\nrubbish = 1\n{to_text(configuration.config)}')
    done = configuration.check()
    assert f"{configuration.folder}/more.conf:3: bogus: unknown key" in done.stderr
    assert f"{own}:1: nonsense: unknown key" in done.stderr
    assert f"{own}:3: rubbish: unknown key" in done.stderr


def test_a_syntax_error_in_an_included_file_names_that_file(configuration):
    (configuration.folder / "more.conf").write_text('\nx = ["a" "b"]\n')
    configuration.config_file.write_text(f'@include "more.conf"\n{to_text(configuration.config)}')
    done = configuration.check()
    assert f"{configuration.folder}/more.conf:2: " in done.stderr and "a comma is missing" in done.stderr


def test_an_include_that_is_not_there_is_an_error_with_file_line(configuration):
    configuration.config_file.write_text('workers = 1\n@include "nowhere.conf"\n')
    done = configuration.check()
    assert done.returncode == 1
    assert f"{configuration.config_file}:2: " in done.stderr and "nowhere.conf" in done.stderr


def test_an_include_of_itself_ends(configuration):
    configuration.config_file.write_text('@include "porteiro.conf"\n')
    assert configuration.check().returncode == 1
