"""What tests/bench/run measures with: processes and what they cost, a temporary folder with
certificate and users, the sink, and the peers that are measured on the same work."""
import contextlib
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKERS = 2               # of the gateway; HAProxy's threads
DESCRIPTORS = 50_000      # for the row with the most clients, where the system allows it
SPARE_CLIENTS = 200       # that HAProxy lets in beyond those of the row


class Failed(Exception):
    """Something could not be measured; the text says what."""


# ---- processes ----

def say(text):
    print(text, file=sys.stderr, flush=True)


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-12:]
        raise Failed(f"{' '.join(map(str, command))}:\n" + "\n".join(last))
    return done.stdout


def version(program):
    """Of a program that tells it, each in its way."""
    asked = {"redis-server": ["--version"], "postconf": ["-dh", "mail_version"]}
    said = subprocess.run([program, *asked.get(program, ["-v"])],
                          capture_output=True, text=True, check=True)
    return f"{program} {re.search(r'[0-9]+(?:[.][0-9]+)+', said.stdout + said.stderr)[0]}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(at, process, what):
    """Until it listens at a port of 127.0.0.1, or at a path."""
    end = time.monotonic() + 15
    family, to = (socket.AF_INET, ("127.0.0.1", at)) if isinstance(at, int) \
        else (socket.AF_UNIX, str(at))
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.socket(family) as s:
            s.connect(to)
            return
        time.sleep(0.05)
    raise Failed(f"{what} does not listen")


def own_ns():
    """What we and all that we started and waited for have run."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used) * 1e9


def raise_descriptors():
    """As many as the row with the most clients needs, or as many as there may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, DESCRIPTORS),) * 2)
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def clients_allowed():
    """For how many a program between them and the sink may have descriptors."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100) // 2 - SPARE_CLIENTS


class Tree:
    """A process and all that it forks: they stay in the session that it begins."""

    def __init__(self, command, log, **options):
        self.process = subprocess.Popen(command, start_new_session=True, stderr=log, **options)
        self.leader = self.process.pid

    def pids(self):
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError):
                if os.getsid(int(entry)) == self.leader:
                    yield int(entry)

    def cpu_ns(self):
        """What it has run so far, in user and system mode, with threads and children that are gone.

        schedstat is what stat's utime and stime are made of, in nanoseconds instead of ticks."""
        tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
                own, children = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
                try:
                    tasks = os.listdir(f"/proc/{pid}/task")
                    total += sum(int(read(f"/proc/{pid}/task/{task}/schedstat").split()[0])
                                 for task in tasks)
                except FileNotFoundError:
                    total += own * tick
                total += children * tick
        return total

    def pss_kib(self):
        """Its memory, with what processes share divided among them."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                text = read(f"/proc/{pid}/smaps_rollup")
                total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
        return total

    def stop(self):
        """Ends it and waits; what it left in its session is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def read(path):
    return pathlib.Path(path).read_text()


def busy_ns():
    """What all processes of the machine have run, and what was stolen from it."""
    user, nice, system, _, _, irq, softirq, steal = map(int, read("/proc/stat").split()[1:9])
    ticks = user + nice + system + irq + softirq + steal
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


# ---- the place ----

class Place:
    """A temporary folder with certificate, users and programs; what runs there ends with it."""

    def __init__(self, build, stack):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="porteiro-bench-"))
        stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        self.dir.chmod(0o755)    # the gateway's users look in
        self.build = build
        self.log = open(self.dir / "log", "ab")
        stack.callback(self.log.close)
        self.loadgen = find(build, "bench-loadgen")
        self.sink = find(build, "bench-sink")
        self.porteirod = find(build, "porteirod")
        self.version = self.find_version()    # of what was built, whatever is committed meanwhile
        self.users = self.find_users()
        self.make_certificate()
        self.make_accounts()

    def find(self, name):
        return find(self.build, name)

    def find_version(self):
        revision = subprocess.run(["git", "--no-optional-locks", "-C", ROOT, "describe", "--always",
                                   "--dirty"], capture_output=True, text=True, check=False)
        return f"{output(self.porteirod, '-V').split()[-1]} " \
               f"({revision.stdout.strip() or 'no git'})"

    @staticmethod
    def find_users():
        """Three that exist; the gateway asks for three, and the bench makes none."""
        for names in (("porteiro", "porteiro-auth", "porteiro-helper"),
                      ("nobody", "daemon", "games")):
            with contextlib.suppress(KeyError):
                return [pwd.getpwnam(name) for name in names]
        raise Failed("no users for the gateway: nobody, daemon, games")

    def make_certificate(self):
        """ECDSA P-256, self-signed: what certbot makes by default, without the chain."""
        output("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "30", "-subj", "/CN=mail.example.com",
               "-addext", "subjectAltName=DNS:mail.example.com",
               "-keyout", self.dir / "key.pem", "-out", self.dir / "cert.pem")
        (self.dir / "both.pem").write_text(read(self.dir / "cert.pem") + read(self.dir / "key.pem"))

    def make_accounts(self):
        for i in range(16):
            output("saslpasswd2", "-p", "-c", "-f", self.dir / "sasldb2", "-u", "example.com",
                   f"user{i}", input="secret")
        if os.geteuid() == 0:
            shutil.chown(self.dir / "sasldb2", self.users[1].pw_uid)

    def folder(self, name, *inside):
        """A folder for a peer, with some in it that its processes write to."""
        made = self.dir / name
        for path in (made, *(made / n for n in inside)):
            path.mkdir(mode=0o755 if path == made else 0o700, exist_ok=True)
            if os.geteuid() == 0 and path != made:
                shutil.chown(path, self.users[0].pw_uid)
        return made

    def start(self, stack, command, **options):
        tree = Tree(list(map(str, command)), self.log, **options)
        stack.callback(tree.stop)
        return tree

    def last_words(self):
        self.log.flush()
        lines = []
        for path in (self.dir / "log", *sorted(self.dir.glob("*/porteiro.log"))):
            with contextlib.suppress(OSError):
                lines += path.read_text(errors="replace").splitlines()[-8:]
        return "\n".join(lines)


def find(build, name):
    found = [p for p in sorted(build.rglob(name)) if p.is_file() and os.access(p, os.X_OK)]
    if not found:
        raise Failed(f"{build}: no {name} there")
    return found[0]


class Sink:
    """The server behind, with what it has counted."""

    def __init__(self, place, stack, row):
        self.tree = place.start(stack, [place.sink, "--mailbox", 10, "--size", row.size,
                                        *(["--xclient"] if row.is_told else [])],
                                stdout=subprocess.PIPE, text=True)
        words = self.tree.process.stdout.readline()
        self.ports = {name: int(port) for name, port in re.findall(r"(\w+)=(\d+)", words)}
        if len(self.ports) != 2:
            raise Failed("the sink does not start")

    def counted(self):
        self.tree.process.send_signal(signal.SIGUSR1)
        words = self.tree.process.stdout.readline()
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", words)}


FOUR_LIMITS = '''
outbound = { limits = {
  account-hour = { key = ["account"] count = "recipients" rate = "100/1h" burst = 1000000000 }
  account-day = { key = ["account"] count = "recipients" rate = "1000/1d" burst = 1000000000 }
  domain-hour = { key = ["recipient_domain"] count = "recipients" rate = "100/1h"
                  burst = 1000000000 }
  address-hour = { key = ["ip"] count = "recipients" rate = "100/1h" burst = 1000000000 }
} }
'''

HOSTING = f'''
@include "{ROOT}/etc/profiles/hosting.conf"
outbound = {{ base = "hosting" limits = {{
  hosting-minute = {{ burst = 1000000000 }}
  hosting-hour = {{ burst = 1000000000 }}
  hosting-day = {{ burst = 1000000000 }}
  hosting-sessions = {{ max = 1000000 }}
}} }}
'''


def start_milter(place, stack):
    """The filter: where it listens, as a socket that all may speak to, and what it is."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="milter-", dir=place.dir)) / "socket"
    path.parent.chmod(0o755)
    tree = place.start(stack, [place.find("bench-milter"), f"unix:{path}"], stdout=place.log)
    wait_for(path, tree.process, "bench-milter")
    path.chmod(0o777)
    return f"unix:{path}", tree


class Gateway:
    """porteirod as users have it, but for the ports: its log is on, at the level info."""
    name = "gateway"
    policies = redis = ""  # what limits add to the file; the listeners name "outbound"
    milters = ""           # likewise a milter, "bench"
    beside = None          # what runs for it without being part of it

    def __init__(self, place, stack, sink, clients, is_told):
        self.ports = {"smtp": free_port(), "pop3": free_port()}
        policy = 'policy = "outbound"' if self.policies else ""
        milter = 'milters = ["bench"]' if self.milters else ""
        doors = "\n".join(
            f'  {protocol} = {{ bind = ["127.0.0.1:{self.ports[protocol]}"] role = "{role}"'
            f' tls = "implicit" upstream = "{protocol}"'
            f' {f"{policy} {milter}" if role == "submission" else ""} }}'
            for protocol, role in (("smtp", "submission"), ("pop3", "pop3")))
        behind = "\n".join(
            f'  {protocol} = {{ protocol = "{protocol}" tls = "none" identity = "{identity}"'
            f' max_connections = {min(10000, max(20, 2 * clients))}\n'
            f'    servers = {{ sink = {{ address = "127.0.0.1:{sink.ports[protocol]}" }} }} }}'
            for protocol, identity in (("smtp", "xclient" if is_told else "none"),
                                       ("pop3", "password")))
        user, auth_user, helper_user = (u.pw_name for u in place.users)
        d, own = place.dir, place.folder(self.name, "state", "spool")
        config = own / "porteiro.conf"
        config.write_text(f'''\
hostname = "mail.example.com"
user = "{user}"  auth_user = "{auth_user}"  helper_user = "{helper_user}"
workers = {WORKERS}
state_dir = "{own}/state"  spool_dir = "{own}/spool"  control = "{own}/control.sock"
http = []
log = {{ target = "{own}/porteiro.log" }}
tls = {{ default = {{ certificate = ["{d}/cert.pem"]  key = ["{d}/key.pem"] }} }}
auth = {{ backend = "sasldb"  sasldb = "{d}/sasldb2" }}
listeners = {{
{doors}
}}
upstreams = {{
{behind}
}}
policies = {{
{self.policies}
}}
{self.redis}
{self.milters}
''')
        self.tree = place.start(stack, [place.porteirod, "-c", config], stdout=place.log)
        wait_for(self.ports["smtp"], self.tree.process, "the gateway")


class GatewayLimits(Gateway):
    """With four limits, counted in memory. None is ever reached: what is refused is cheaper."""
    name = "memory"
    policies = FOUR_LIMITS


class GatewayRedis(GatewayLimits):
    """With the same, counted in a Redis of its own on a unix socket."""
    name = "Redis"

    def __init__(self, place, stack, sink, clients, is_told):
        path = place.folder(self.name) / "redis.sock"
        self.beside = place.start(stack, ["redis-server", "--port", 0, "--unixsocket", path,
                                          "--unixsocketperm", 777, "--save", "",
                                          "--dir", place.dir], stdout=place.log)
        self.redis = f'redis = {{ address = ["unix:{path}"] }}'
        wait_for(path, self.beside.process, "redis-server")
        super().__init__(place, stack, sink, clients, is_told)


class GatewayProfile(Gateway):
    """With what hosting providers begin with, but for figures that are reached."""
    name = "hosting"
    policies = HOSTING


class GatewayMilter(Gateway):
    """With a filter that is shown everything and wants nothing."""
    name = "milter"

    def __init__(self, place, stack, sink, clients, is_told):
        address, self.beside = start_milter(place, stack)
        self.milters = f'milters = {{ bench = {{ address = "{address}" }} }}'
        super().__init__(place, stack, sink, clients, is_told)


class PostfixMilter:
    """Postfix 3.7 in the gateway's place, with the same filter, TLS and logins by libsasl2. It has a
    queue, on a disk."""
    name = "Postfix"

    def __init__(self, place, stack, sink, clients, _is_told):
        milter, self.beside = start_milter(place, stack)
        self.ports = {"smtp": free_port()}
        d, own = place.dir, pathlib.Path(tempfile.mkdtemp(prefix="postfix-", dir=place.dir))
        own.chmod(0o755)
        for path in (own / "queue", own / "data", own / "sasl"):
            path.mkdir(mode=0o755)
        shutil.chown(own / "data", "postfix")
        shutil.copy(d / "sasldb2", own / "sasl" / "sasldb2")
        shutil.chown(own / "sasl" / "sasldb2", "postfix")
        (own / "sasl" / "smtpd.conf").write_text(
            f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\n"
            f"sasldb_path: {own}/sasl/sasldb2\n")
        (own / "main.cf").write_text(f'''\
compatibility_level = 3.6
myhostname = mail.example.com
mydestination =
inet_interfaces = 127.0.0.1
queue_directory = {own}/queue
data_directory = {own}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {own}/log
maillog_file_prefixes = /
alias_maps =
default_process_limit = {2 * clients + 20}
smtpd_client_connection_count_limit = 0
relayhost = [127.0.0.1]:{sink.ports["smtp"]}
default_destination_concurrency_limit = {clients}
smtpd_tls_cert_file = {d}/cert.pem
smtpd_tls_key_file = {d}/key.pem
smtpd_sasl_auth_enable = yes
cyrus_sasl_config_path = {own}/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_milters = {milter}
milter_default_action = tempfail
''')
        services = ["pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup",
                    "qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite",
                    "bounce unix - - n - 0 bounce", "defer unix - - n - 0 bounce",
                    "trace unix - - n - 0 bounce", "smtp unix - - n - - smtp",
                    "error unix - - n - - error", "retry unix - - n - - error",
                    "anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache",
                    "tlsmgr unix - - n 1000? 1 tlsmgr", "proxymap unix - - n - - proxymap",
                    "postlog unix-dgram n - n - 1 postlogd"]
        (own / "master.cf").write_text("\n".join(
            [f"127.0.0.1:{self.ports['smtp']} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes",
             *services]) + "\n")
        self.tree = place.start(stack, ["postfix", "-c", own, "start-fg"], stdout=place.log)
        stack.callback(subprocess.run, ["postfix", "-c", own, "stop"], stderr=place.log, check=False)
        wait_for(self.ports["smtp"], self.tree.process, "Postfix")
        self.tree.leader = int(read(own / "queue" / "pid" / "master.pid"))    # of its own session


class HAProxy:
    """A blind TLS terminator, with as many threads as the gateway has workers. It logs nothing."""
    name = "HAProxy"
    beside = None

    def __init__(self, place, stack, sink, clients, _is_told):
        self.ports = {"smtp": free_port(), "pop3": free_port()}
        doors = "\n".join(f'''\
frontend {protocol}-in
  bind 127.0.0.1:{port} ssl crt {place.dir}/both.pem
  default_backend {protocol}
backend {protocol}
  server sink 127.0.0.1:{sink.ports[protocol]}''' for protocol, port in self.ports.items())
        config = place.dir / "haproxy.cfg"
        config.write_text(f'''\
global
  nbthread {WORKERS}
  maxconn {clients + SPARE_CLIENTS}
defaults
  mode tcp
  timeout connect 5s
  timeout client 5m
  timeout server 5m
{doors}
''')
        self.tree = place.start(stack, ["haproxy", "-db", "-f", config], stdout=place.log)
        wait_for(self.ports["smtp"], self.tree.process, "HAProxy")


class Nginx:
    """nginx' mail proxy: it reads the login, and passes bytes on from then. Who may log in, and where
    to, is asked by HTTP; its own HTTP server says the same to all of them."""
    name = "nginx"
    beside = None
    modules = pathlib.Path("/usr/lib/nginx/modules")

    def __init__(self, place, stack, sink, clients, is_told):
        self.ports = {"smtp": free_port(), "pop3": free_port()}
        asked = free_port()
        doors = "\n".join(
            f"  server {{ listen 127.0.0.1:{port} ssl; protocol {protocol};"
            f" {protocol}_auth plain; }}" for protocol, port in self.ports.items())
        folder = place.folder(self.name)
        config = folder / "nginx.conf"
        config.write_text(f'''\
load_module {self.modules}/ngx_mail_module.so;
daemon off;
worker_processes {WORKERS};
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections {3 * clients + SPARE_CLIENTS}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_auth_protocol $behind {{ smtp {sink.ports["smtp"]}; pop3 {sink.ports["pop3"]}; }}
  server {{
    listen 127.0.0.1:{asked};
    location / {{
      add_header Auth-Status OK;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port $behind;
      return 204;
    }}
  }}
}}
mail {{
  server_name mail.example.com;
  auth_http 127.0.0.1:{asked}/;
  ssl_certificate {place.dir}/both.pem;
  ssl_certificate_key {place.dir}/both.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
  xclient {"on" if is_told else "off"};
  smtp_capabilities PIPELINING "SIZE 52428800" 8BITMIME;
{doors}
}}
''')
        self.tree = place.start(stack, ["nginx", "-e", "stderr", "-c", config], stdout=place.log)
        wait_for(self.ports["smtp"], self.tree.process, "nginx")
