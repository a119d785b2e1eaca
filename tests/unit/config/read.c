#include "config/config.h"

#include "folder.h"

#define MIN  (60 * 1000)
#define HOUR (60 * MIN)

/* ---- what is there when little is said ---- */

START_TEST(the_smallest_useful_file_is_a_certificate_and_an_upstream)
{
    ck_assert_ptr_nonnull(config_of(HOSTNAME TLS UPSTREAMS));
    count_is(0, 0);
}
END_TEST

/* What porteiro.conf(5) promises. */
START_TEST(the_defaults_are_those_of_the_contract)
{
    const struct config *c = config_of(HOSTNAME TLS UPSTREAMS);
    ck_assert_str_eq(c->user, "porteiro");
    ck_assert_str_eq(c->auth_user, "porteiro-auth");
    ck_assert_str_eq(c->helper_user, "porteiro-helper");
    ck_assert_int_eq(c->workers, 0);
    ck_assert_str_eq(c->state_dir, "/var/lib/porteiro");
    ck_assert_str_eq(c->spool_dir, "/var/lib/porteiro/spool");
    ck_assert_str_eq(c->control, "/run/porteiro/control.sock");
    ck_assert_int_eq(c->max_connections, 20000);
    ck_assert_int_eq(c->shutdown_grace_ms, 30 * 1000);
    ck_assert_int_eq(c->reload_grace_ms, 2 * HOUR);
    ck_assert_int_eq(c->drain_delay_ms, 10 * 1000);
    ck_assert_uint_eq(c->control_group_count, 0);
    ck_assert_uint_eq(c->http.count, 0); /* this version serves none */
    ck_assert_str_eq(c->log.target, "stderr");
    ck_assert_int_eq(c->log.format, LOG_FORMAT_TEXT);
    ck_assert_int_eq(log_facility(&c->log), 2 << 3); /* RFC 5424: mail */
    ck_assert_str_eq(c->auth.sasldb, "/etc/porteiro/sasldb2");
    ck_assert_int_eq(c->auth.processes, 2);
    ck_assert_uint_eq(c->tls_count, 1);
    ck_assert_uint_eq(c->tls[0].names.count, 0);
    ck_assert_int_eq(c->tls[0].min_version, TLS_VERSION_1_2);
    ck_assert_str_eq(c->tls[0].ciphers, "");
}
END_TEST

START_TEST(an_upstreams_defaults_are_those_of_the_contract)
{
    const struct upstream_config *u = &config_of(HOSTNAME TLS UPSTREAMS)->upstreams[0];
    ck_assert_int_eq(u->protocol, UPSTREAM_SMTP);
    ck_assert_int_eq(u->tls, UPSTREAM_TLS_OPPORTUNISTIC);
    ck_assert_int_eq(u->identity, IDENTITY_NONE);
    ck_assert_int_eq(u->max_connections, 20);
    ck_assert_int_eq(u->wait_timeout_ms, 5 * 1000);
    ck_assert_int_eq(u->connect_timeout_ms, 5 * 1000);
    ck_assert_int_eq(u->command_timeout_ms, 5 * MIN);
    ck_assert_int_eq(u->final_timeout_ms, 10 * MIN);
    ck_assert_int_eq(u->idle_timeout_ms, 60 * 1000);
    ck_assert_int_eq(u->health_check_ms, 10 * 1000);
}
END_TEST

START_TEST(a_listeners_defaults_are_those_of_the_contract)
{
    const struct config *c =
        config_of(HOSTNAME TLS UPSTREAMS "listeners = {\n"
                                         "a = { bind = [\"*:465\"] upstream = \"smtp\" } }\n");
    const struct listener_config *l = &c->listeners[0];
    count_is(0, 0);
    ck_assert_int_eq(l->role, ROLE_SUBMISSION);
    ck_assert_int_eq(l->tls, LISTENER_TLS_IMPLICIT);
    ck_assert_str_eq(l->certificate, "default");
    ck_assert_int_eq(l->client_certificate, CLIENT_CERTIFICATE_NONE);
    ck_assert_str_eq(l->client_ca, "");
    ck_assert_str_eq(l->client_crl, "");
    ck_assert_int_eq(l->max_message_size, 50 * 1024 * 1024);
    ck_assert_int_eq(l->max_recipients, 100);
    ck_assert_int_eq(l->idle_timeout_ms, 5 * MIN);
}
END_TEST

#define POP3 \
    "pop3 = { protocol = \"pop3\" servers = { legacy = { address = \"192.0.2.5:110\" } } }\n"
#define SMTP "smtp = { servers = { legacy = { address = \"192.0.2.5:25\" } } }\n"

static void is_listener(size_t i, const char *name, const char *bind, int role, int tls,
                        const char *upstream)
{
    const struct listener_config *l = &config->listeners[i];
    ck_assert_str_eq(l->name, name);
    ck_assert_uint_eq(l->bind.count, 1);
    ck_assert_str_eq(l->bind.items[0], bind);
    ck_assert_int_eq(l->role, role);
    ck_assert_int_eq(l->tls, tls);
    ck_assert_str_eq(l->upstream, upstream);
    ck_assert_int_eq(l->idle_timeout_ms, role == ROLE_POP3 ? 10 * MIN : 5 * MIN);
}

START_TEST(without_listeners_upstream_smtp_is_served_on_465_and_587_and_pop3_on_995)
{
    ck_assert_ptr_nonnull(config_of(HOSTNAME TLS "upstreams = { " POP3 SMTP " }\n"));
    count_is(0, 0);
    ck_assert_uint_eq(config->listener_count, 3);
    is_listener(0, "submissions", "*:465", ROLE_SUBMISSION, LISTENER_TLS_IMPLICIT, "smtp");
    is_listener(1, "submission", "*:587", ROLE_SUBMISSION, LISTENER_TLS_STARTTLS, "smtp");
    is_listener(2, "pop3s", "*:995", ROLE_POP3, LISTENER_TLS_IMPLICIT, "pop3");
}
END_TEST

START_TEST(an_upstream_that_is_not_there_is_not_served)
{
    (void)config_of(HOSTNAME TLS "listeners = { }\nupstreams = { " POP3 " }\n");
    count_is(0, 0);
    ck_assert_uint_eq(config->listener_count, 1);
    is_listener(0, "pop3s", "*:995", ROLE_POP3, LISTENER_TLS_IMPLICIT, "pop3");
    (void)config_of(HOSTNAME TLS UPSTREAMS);
    ck_assert_uint_eq(config->listener_count, 2);
}
END_TEST

START_TEST(with_a_listener_no_other_is_implied)
{
    (void)config_of(HOSTNAME TLS UPSTREAMS
                    "listeners = { a = { bind = [\"127.0.0.1:2525\"] upstream = \"smtp\" } }\n");
    count_is(0, 0);
    ck_assert_uint_eq(config->listener_count, 1);
    ck_assert_str_eq(config->listeners[0].name, "a");
}
END_TEST

START_TEST(nothing_to_serve_is_told)
{
    (void)config_of(HOSTNAME TLS);
    error_is("porteiro.conf: ", "\"smtp\"");
    count_is(1, 0);
    (void)config_of(
        HOSTNAME TLS
        "upstreams = { other = { servers = { a = { address = \"192.0.2.5:25\" } } } }\n");
    error_is("porteiro.conf: ", "\"pop3\"");
    count_is(1, 0);
    (void)config_of(HOSTNAME TLS "upstreams = { smtp = { protocol = \"pop3\" "
                                 "servers = { a = { address = \"192.0.2.5:110\" } } } }\n");
    error_is("porteiro.conf: ", "nothing to do");
    count_is(1, 0);
}
END_TEST

START_TEST(pop3_has_ten_minutes_its_users_password_and_tls)
{
    (void)config_of(HOSTNAME TLS "upstreams = { " POP3 " }\n"
                                 "listeners = {\n"
                                 "a = { bind = [\"*:995\"] role = \"pop3\" upstream = \"pop3\" }\n"
                                 "b = { bind = [\"*:110\"] role = \"pop3\" tls = \"starttls\"\n"
                                 "      upstream = \"pop3\" idle_timeout = \"11min\" }\n}\n");
    count_is(0, 0);
    ck_assert_int_eq(config->upstreams[0].identity, IDENTITY_PASSWORD);
    ck_assert_int_eq(config->upstreams[0].tls, UPSTREAM_TLS_REQUIRE);
    ck_assert_int_eq(config->listeners[0].idle_timeout_ms, 10 * MIN);
    ck_assert_int_eq(config->listeners[1].idle_timeout_ms, 11 * MIN);
}
END_TEST

START_TEST(what_is_said_of_pop3_is_not_overruled)
{
    (void)config_of(HOSTNAME TLS "upstreams = { pop3 = { protocol = \"pop3\" tls = \"implicit\"\n"
                                 "  servers = { legacy = { address = \"192.0.2.5:995\" } } } }\n");
    count_is(0, 0);
    ck_assert_int_eq(config->upstreams[0].tls, UPSTREAM_TLS_IMPLICIT);
}
END_TEST

START_TEST(a_port_that_refuses_has_no_tls)
{
    (void)config_of(HOSTNAME TLS UPSTREAMS
                    "listeners = { a = { bind = [\"*:465\"] upstream = \"smtp\" }\n"
                    "smtp = { bind = [\"*:25\"] role = \"refuse\" } }\n");
    count_is(0, 0);
    ck_assert_int_eq(config->listeners[1].tls, LISTENER_TLS_NONE);
}
END_TEST

/* ---- what is said ---- */

START_TEST(what_is_said_is_taken)
{
    const struct config *c = config_of(
        HOSTNAME
        "user = \"a\"  auth_user = \"b\"  helper_user = \"c\"  workers = 3\n"
        "state_dir = \"/s\"  spool_dir = \"/t\"  secret = \"/v\"  control = \"/u\"  http = []\n"
        "max_connections = 7  shutdown_grace = \"1min\"  reload_grace = \"3d\"  drain_delay = 0\n"
        "log = { target = \"/l\"  format = \"json\"  level = \"debug\"  facility = \"local7\" }\n"
        "auth = { backend = \"sasldb\"  sasldb = \"/d\"  realm = \"r.example\"  processes = 5 }\n"
        "control_groups = { ops = \"admin\"  help-desk = \"support\"  all = \"read\" }\n"
        "tls = { default = { certificate = [\"/1\", \"/2\"]  key = [\"/3\", \"/4\"]\n"
        "  names = [\"a.example\"]  min_version = \"TLSv1.3\"  ciphers = \"x\" }\n"
        "  other = { certificate = [\"/5\"]  key = [\"/6\"] } }\n"
        "upstreams = { u = { protocol = \"smtp\"  tls = \"require\"  identity = \"xclient\"\n"
        "  max_connections = 9  wait_timeout = \"1s\"  connect_timeout = \"2s\"\n"
        "  command_timeout = \"3s\"  final_timeout = \"4s\"  idle_timeout = \"5s\"\n"
        "  health_check = \"6s\"\n"
        "  servers = { one = { address = \"192.0.2.1:25\" }\n"
        "              two = { address = \"[2001:db8::2]:25\" } } } }\n"
        "listeners = { l = { bind = [\"*:1465\", \"127.0.0.1:1587\"]  role = \"submission\"\n"
        "  tls = \"starttls\"  certificate = \"other\"  upstream = \"u\"\n"
        "  max_message_size = \"1M\"  max_recipients = 8  idle_timeout = \"7s\"\n"
        "  client_certificate = \"required\"  client_ca = \"/ca\"  client_crl = \"/crl\" } }\n");
    count_is(0, 0);
    ck_assert_str_eq(c->hostname, "mail.example.com");
    ck_assert_str_eq(c->user, "a");
    ck_assert_str_eq(c->auth_user, "b");
    ck_assert_str_eq(c->helper_user, "c");
    ck_assert_int_eq(c->workers, 3);
    ck_assert_str_eq(c->state_dir, "/s");
    ck_assert_str_eq(c->spool_dir, "/t");
    ck_assert_str_eq(c->control, "/u");
    ck_assert_str_eq(c->secret, "/v");
    ck_assert_int_eq(c->max_connections, 7);
    ck_assert_int_eq(c->shutdown_grace_ms, MIN);
    ck_assert_int_eq(c->reload_grace_ms, 72 * HOUR);
    ck_assert_int_eq(c->drain_delay_ms, 0);
    ck_assert_str_eq(c->log.target, "/l");
    ck_assert_int_eq(c->log.format, LOG_FORMAT_JSON);
    ck_assert_int_eq(log_facility(&c->log), 23 << 3); /* RFC 5424: local7 */
    ck_assert_str_eq(c->auth.sasldb, "/d");
    ck_assert_str_eq(c->auth.realm, "r.example");
    ck_assert_int_eq(c->auth.processes, 5);
    ck_assert_uint_eq(c->control_group_count, 3);
    ck_assert_str_eq(c->control_groups[1].group, "help-desk");
    ck_assert_int_eq(c->control_groups[0].role, CONTROL_ADMIN);
    ck_assert_int_eq(c->control_groups[1].role, CONTROL_SUPPORT);
    ck_assert_int_eq(c->control_groups[2].role, CONTROL_READ);
    ck_assert_uint_eq(c->tls_count, 2);
    ck_assert_str_eq(c->tls[0].certificate.items[1], "/2");
    ck_assert_str_eq(c->tls[0].key.items[0], "/3");
    ck_assert_str_eq(c->tls[0].names.items[0], "a.example");
    ck_assert_int_eq(c->tls[0].min_version, TLS_VERSION_1_3);
    ck_assert_str_eq(c->tls[0].ciphers, "x");
    const struct upstream_config *u = &c->upstreams[0];
    ck_assert_int_eq(u->tls, UPSTREAM_TLS_REQUIRE);
    ck_assert_int_eq(u->identity, IDENTITY_XCLIENT);
    ck_assert_int_eq(u->max_connections, 9);
    ck_assert_int_eq(u->wait_timeout_ms, 1000);
    ck_assert_int_eq(u->connect_timeout_ms, 2000);
    ck_assert_int_eq(u->command_timeout_ms, 3000);
    ck_assert_int_eq(u->final_timeout_ms, 4000);
    ck_assert_int_eq(u->idle_timeout_ms, 5000);
    ck_assert_int_eq(u->health_check_ms, 6000);
    ck_assert_uint_eq(u->server_count, 2);
    ck_assert_str_eq(u->servers[1].name, "u/two");
    ck_assert_str_eq(u->servers[1].address, "[2001:db8::2]:25");
    const struct listener_config *l = &c->listeners[0];
    ck_assert_uint_eq(l->bind.count, 2);
    ck_assert_str_eq(l->bind.items[1], "127.0.0.1:1587");
    ck_assert_int_eq(l->tls, LISTENER_TLS_STARTTLS);
    ck_assert_str_eq(l->certificate, "other");
    ck_assert_int_eq(l->max_message_size, 1024 * 1024);
    ck_assert_int_eq(l->max_recipients, 8);
    ck_assert_int_eq(l->idle_timeout_ms, 7000);
    ck_assert_int_eq(l->client_certificate, CLIENT_CERTIFICATE_REQUIRED);
    ck_assert_str_eq(l->client_ca, "/ca");
    ck_assert_str_eq(l->client_crl, "/crl");
}
END_TEST

START_TEST(a_command_is_told_of_what_it_names_or_of_all)
{
    const struct config *c =
        config_of(HOSTNAME TLS UPSTREAMS
                  "notify = { all = { command = \"/n\" }\n"
                  "some = { command = \"/n 1\" events = [\"near\", \"ban\"] every = \"1d\" } }\n");
    count_is(0, 0);
    ck_assert_uint_eq(c->notify_count, 2);
    ck_assert_str_eq(c->notify[0].name, "all");
    ck_assert_uint_eq(c->notify[0].notices, (1u << NOTICE_COUNT) - 1);
    ck_assert_int_eq(c->notify[0].every_ms, 60 * MIN);
    ck_assert_str_eq(c->notify[1].command, "/n 1");
    ck_assert_uint_eq(c->notify[1].notices, 1u << NOTICE_near | 1u << NOTICE_ban);
    ck_assert_int_eq(c->notify[1].every_ms, 24 * 60 * MIN);
}
END_TEST

START_TEST(commands_have_their_number)
{
    char text[4096] = HOSTNAME TLS UPSTREAMS "notify = {\n";
    size_t used = strlen(text);
    for (int i = 0; i <= NOTIFY_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "n%d = { command = \"/n\" }\n",
                                 i); /* fits */
    (void)snprintf(text + used, sizeof text - used, "}\n");
    config_of(text);
    error_is("porteiro.conf:21: notify.n16: ", "16");
    count_is(1, 0);
}
END_TEST

START_TEST(what_is_included_is_taken)
{
    folder_write("tls.conf", TLS);
    folder_write("sub/upstreams.conf", UPSTREAMS);
    (void)config_of(HOSTNAME "@include \"tls.conf\"\n@include \"sub/upstreams.conf\"\n");
    count_is(0, 0);
    ck_assert_uint_eq(config->upstream_count, 1);
    ck_assert_str_eq(config->upstreams[0].place.file, folder_path("sub/upstreams.conf"));
    ck_assert_uint_eq(config->upstreams[0].place.line, 1);
}
END_TEST

START_TEST(what_was_read_lives_without_the_file)
{
    (void)config_of(HOSTNAME TLS UPSTREAMS);
    ck_assert_int_eq(unlink(folder_path("porteiro.conf")), 0);
    ck_assert_str_eq(config->file, folder_path("porteiro.conf"));
    ck_assert_str_eq(config->upstreams[0].servers[0].address, "192.0.2.5:25");
    ck_assert_str_eq(config->upstreams[0].place.file, folder_path("porteiro.conf"));
}
END_TEST

START_TEST(each_part_knows_where_it_stands)
{
    (void)config_of("\n\n" HOSTNAME "workers = 1\nlog = {\n}\nauth = { }\n\n" TLS
                    "upstreams = {\n\n  smtp = {\n    servers = {\n"
                    "      legacy = { address = \"192.0.2.5:25\" } } } }\n"
                    "listeners = {\n  a = { bind = [\"*:465\"] upstream = \"smtp\" }\n}\n"
                    "control_groups = {\n  ops = \"admin\"\n}\n");
    count_is(0, 0);
    ck_assert_uint_eq(config_place(config, "hostname").line, 3);
    ck_assert_uint_eq(config_place(config, "workers").line, 4);
    ck_assert_uint_eq(config_place(config, "user").line, 0);
    ck_assert_str_eq(config_place(config, "user").file, config->file);
    ck_assert_uint_eq(config->log.place.line, 5);
    ck_assert_uint_eq(config->auth.place.line, 7);
    ck_assert_uint_eq(config->tls[0].place.line, 9);
    ck_assert_uint_eq(config->upstreams[0].place.line, 12);
    ck_assert_uint_eq(config->upstreams[0].servers[0].place.line, 14);
    ck_assert_uint_eq(config->listeners[0].place.line, 16);
    ck_assert_uint_eq(config->control_groups[0].place.line, 19);
}
END_TEST

/* ---- what is wrong ---- */

#define UP(text) \
    "upstreams = { smtp = { servers = { a = { address = \"192.0.2.5:25\" } }\n" text " } }\n"
#define LISTEN(text) "listeners = { l = { upstream = \"smtp\"\n" text " } }\n"
#define BOUND        "bind = [\"*:465\"] "

/* In each, line 2 has one mistake: it is told with FILE:LINE, the key, and what would do. */
static const struct mistake {
    const char *before, *line, *after, *start, *parts[3];
} mistakes[] = {
    /* the top level: a value of another kind, past its bounds, not of its form */
    {HOSTNAME, "user = 5\n", TLS UPSTREAMS, "user: ", {"text", "quotes", ""}},
    {"\n",
     "hostname = \"mail_host\"\n",
     TLS UPSTREAMS,
     "hostname: ",
     {"mail_host", "mail.example.com", ""}},
    {HOSTNAME, "workers = \"2\"\n", TLS UPSTREAMS, "workers: ", {"number", "without quotes", ""}},
    {HOSTNAME, "workers = 1000\n", TLS UPSTREAMS, "workers: ", {"1000", "0", "256"}},
    {HOSTNAME, "workers = -1\n", TLS UPSTREAMS, "workers: ", {"-1", "0", "256"}},
    {HOSTNAME, "workers = true\n", TLS UPSTREAMS, "workers: ", {"number", "", ""}},
    {HOSTNAME, "max_connections = 0\n", TLS UPSTREAMS, "max_connections: ", {"0", "1", ""}},
    {HOSTNAME, "state_dir = \"var\"\n", TLS UPSTREAMS, "state_dir: ", {"var", "/", ""}},
    {HOSTNAME, "control = [\"/x\"]\n", TLS UPSTREAMS, "control: ", {"text", "quotes", ""}},
    {HOSTNAME, "shutdown_grace = 30\n", TLS UPSTREAMS, "shutdown_grace: ", {"unit", "\"30s\"", ""}},
    {HOSTNAME,
     "shutdown_grace = \"30\"\n",
     TLS UPSTREAMS,
     "shutdown_grace: ",
     {"30", "\"30s\"", ""}},
    {HOSTNAME,
     "shutdown_grace = \"1w\"\n",
     TLS UPSTREAMS,
     "shutdown_grace: ",
     {"1w", "\"1h\"", ""}},
    {HOSTNAME, "reload_grace = \"8d\"\n", TLS UPSTREAMS, "reload_grace: ", {"8d", "7d", ""}},
    {HOSTNAME, "http = \"127.0.0.1:8025\"\n", TLS UPSTREAMS, "http: ", {"list", "[\"", ""}},
    {HOSTNAME, "http = [\"127.0.0.1:8025\"]\n", TLS UPSTREAMS, "http: ", {"no HTTP", "[]", ""}},
    {HOSTNAME,
     "log = { level = \"loud\" }\n",
     TLS UPSTREAMS,
     "log.level: ",
     {"loud", "\"debug\"", "\"error\""}},
    {HOSTNAME,
     "log = { format = true }\n",
     TLS UPSTREAMS,
     "log.format: ",
     {"\"text\"", "\"json\"", "quotes"}},
    {HOSTNAME,
     "log = { target = \"file\" }\n",
     TLS UPSTREAMS,
     "log.target: ",
     {"file", "\"syslog\"", "absolute path"}},
    {HOSTNAME,
     "log = { facility = \"news\" }\n",
     TLS UPSTREAMS,
     "log.facility: ",
     {"news", "\"mail\"", "\"local7\""}},
    {HOSTNAME,
     "auth = { backend = \"ldap\" }\n",
     TLS UPSTREAMS,
     "auth.backend: ",
     {"ldap", "\"sasldb\"", ""}},
    {HOSTNAME,
     "auth = { sasldb = \"sasldb2\" }\n",
     TLS UPSTREAMS,
     "auth.sasldb: ",
     {"sasldb2", "/", ""}},
    {HOSTNAME, "auth = { realm = \"a b\" }\n", TLS UPSTREAMS, "auth.realm: ", {"a b", "", ""}},
    {HOSTNAME, "auth = { processes = 0 }\n", TLS UPSTREAMS, "auth.processes: ", {"0", "1", "32"}},
    {HOSTNAME,
     "control_groups = { ops = \"root\" }\n",
     TLS UPSTREAMS,
     "control_groups.ops: ",
     {"root", "\"read\"", "\"admin\""}},
    {HOSTNAME,
     "notify = { panel = { command = \"/n\" events = [\"ban\", \"suspended\"] } }\n",
     TLS UPSTREAMS,
     "notify.panel.events: ",
     {"\"suspended\"", "\"limit\"", "\"expiry\""}},
    {HOSTNAME,
     "notify = { panel = { command = \"/n\" events = [] } }\n",
     TLS UPSTREAMS,
     "notify.panel.events: ",
     {"", "", ""}},
    {HOSTNAME,
     "notify = { panel = { command = \"bin/notify\" } }\n",
     TLS UPSTREAMS,
     "notify.panel.command: ",
     {"bin/notify", "/", ""}},
    {HOSTNAME,
     "notify = { panel = { command = \"/n | mail root\" } }\n",
     TLS UPSTREAMS,
     "notify.panel.command: ",
     {"shell", "script", ""}},
    {HOSTNAME,
     "notify = { panel = { every = \"1h\" } }\n",
     TLS UPSTREAMS,
     "notify.panel.command: ",
     {"missing", "/etc/porteiro/notify", ""}},
    {HOSTNAME,
     "notify = { panel = { command = \"/n\" every = \"10ms\" } }\n",
     TLS UPSTREAMS,
     "notify.panel.every: ",
     {"10ms", "1s", ""}},
    {HOSTNAME, "notify = { panel = \"/n\" }\n", TLS UPSTREAMS, "notify.panel: ", {"group", "", ""}},
    {HOSTNAME,
     "control_groups = { ops = 5 }\n",
     TLS UPSTREAMS,
     "control_groups.ops: ",
     {"\"support\"", "quotes", ""}},
    /* tls */
    {HOSTNAME,
     "tls = { default = { certificate = \"/c\" key = [\"/k\"] } }\n",
     UPSTREAMS,
     "tls.default.certificate: ",
     {"list", "", ""}},
    {HOSTNAME,
     "tls = { default = { certificate = [\"c\"] key = [\"/k\"] } }\n",
     UPSTREAMS,
     "tls.default.certificate: ",
     {"\"c\"", "/", ""}},
    {HOSTNAME,
     "tls = { default = { certificate = [1] key = [\"/k\"] } }\n",
     UPSTREAMS,
     "tls.default.certificate: ",
     {"list", "", ""}},
    {HOSTNAME,
     "tls = { default = { key = [\"/k\"] } }\n",
     UPSTREAMS,
     "tls.default.certificate: ",
     {"missing", "certificate = [", ""}},
    {HOSTNAME,
     "tls = { default = { certificate = [\"/c\"] } }\n",
     UPSTREAMS,
     "tls.default.key: ",
     {"missing", "key = [", ""}},
    {HOSTNAME,
     "tls = { default = { certificate = [\"/c\", \"/d\"] key = [\"/k\"] } }\n",
     UPSTREAMS,
     "tls.default.key: ",
     {"1 ", "2 ", ""}},
    {HOSTNAME,
     "tls = { default = { certificate = [\"/c\"] key = [\"/k\"] min_version = \"TLSv1.1\" } }\n",
     UPSTREAMS,
     "tls.default.min_version: ",
     {"TLSv1.1", "\"TLSv1.2\"", "\"TLSv1.3\""}},
    /* upstreams */
    {HOSTNAME TLS,
     UP("protocol = \"imap\""),
     "",
     "upstreams.smtp.protocol: ",
     {"imap", "\"smtp\"", "\"pop3\""}},
    {HOSTNAME TLS,
     UP("tls = \"always\""),
     "",
     "upstreams.smtp.tls: ",
     {"always", "\"none\"", "\"implicit\""}},
    {HOSTNAME TLS,
     UP("identity = \"ident\""),
     "",
     "upstreams.smtp.identity: ",
     {"ident", "\"none\"", "\"xclient\""}},
    {HOSTNAME TLS,
     UP("max_connections = 0"),
     "",
     "upstreams.smtp.max_connections: ",
     {"0", "1", ""}},
    {HOSTNAME TLS,
     UP("connect_timeout = \"1ms\""),
     "",
     "upstreams.smtp.connect_timeout: ",
     {"1ms", "100ms", "10min"}},
    {HOSTNAME TLS,
     UP("final_timeout = 600"),
     "",
     "upstreams.smtp.final_timeout: ",
     {"unit", "", ""}},
    /* listeners */
    {HOSTNAME TLS UPSTREAMS,
     LISTEN("bind = \"*:465\""),
     "",
     "listeners.l.bind: ",
     {"list", "", ""}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN("bind = [\"465\"]"),
     "",
     "listeners.l.bind: ",
     {"465", "HOST:PORT", ""}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN("bind = [\"mail.example.com:465\"]"),
     "",
     "listeners.l.bind: ",
     {"mail.example.com", "numeric", ""}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN("bind = [\"*:465\", \"::1:587\"]"),
     "",
     "listeners.l.bind: ",
     {"::1:587", "brackets", ""}},
    {HOSTNAME TLS UPSTREAMS, LISTEN("bind = []"), "", "listeners.l.bind: ", {"empty", "", ""}},
    {HOSTNAME TLS UPSTREAMS, LISTEN("bind = [465]"), "", "listeners.l.bind: ", {"list", "", ""}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN(BOUND "role = \"mx\""),
     "",
     "listeners.l.role: ",
     {"mx", "\"submission\"", "\"refuse\""}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN(BOUND "tls = \"ssl\""),
     "",
     "listeners.l.tls: ",
     {"ssl", "\"implicit\"", "\"starttls\""}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN(BOUND "max_message_size = \"5MB\""),
     "",
     "listeners.l.max_message_size: ",
     {"5MB", "\"50M\"", ""}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN(BOUND "max_message_size = 1000"),
     "",
     "listeners.l.max_message_size: ",
     {"1000", "64K", ""}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN(BOUND "max_recipients = 0"),
     "",
     "listeners.l.max_recipients: ",
     {"0", "1", "10000"}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN(BOUND "idle_timeout = \"1ms\""),
     "",
     "listeners.l.idle_timeout: ",
     {"1ms", "1s", ""}},
    /* servers */
    {HOSTNAME TLS,
     "upstreams = { smtp = { servers = { a = { address = \"legacy:25\" } } } }\n",
     "",
     "upstreams.smtp.servers.a.address: ",
     {"legacy", "numeric", ""}},
    {HOSTNAME TLS,
     "upstreams = { smtp = { servers = { a = { address = \"*:25\" } } } }\n",
     "",
     "upstreams.smtp.servers.a.address: ",
     {"*:25", "", ""}},
    {HOSTNAME TLS,
     "upstreams = { smtp = { servers = { a = { address = \"\" } } } }\n",
     "",
     "upstreams.smtp.servers.a.address: ",
     {"empty", "\"10.0.0.5:25\"", ""}},
    {HOSTNAME TLS,
     "upstreams = { smtp = { servers = { a = { } } } }\n",
     "",
     "upstreams.smtp.servers.a.address: ",
     {"missing", "\"10.0.0.5:25\"", ""}},
    {HOSTNAME TLS,
     "upstreams = { smtp = { } }\n",
     "",
     "upstreams.smtp.servers: ",
     {"missing", "address", ""}},
    /* what should be a group */
    {HOSTNAME, "log = \"stderr\"\n", TLS UPSTREAMS, "log: ", {"group", "{", ""}},
    {HOSTNAME, "auth = []\n", TLS UPSTREAMS, "auth: ", {"group", "{", ""}},
    {HOSTNAME, "listeners = 465\n", TLS UPSTREAMS, "listeners: ", {"group", "{", ""}},
    {HOSTNAME, "control_groups = \"ops\"\n", TLS UPSTREAMS, "control_groups: ", {"group", "{", ""}},
    {HOSTNAME TLS UPSTREAMS,
     "listeners = { a = 465 l = { bind = [\"*:465\"] upstream = \"smtp\" } }\n",
     "",
     "listeners.a: ",
     {"group", "{", ""}},
    {HOSTNAME UPSTREAMS,
     "tls = { cert = \"/c\" default = { certificate = [\"/c\"] key = [\"/k\"] } }\n",
     "",
     "tls.cert: ",
     {"group", "{", ""}},
    {HOSTNAME TLS,
     "upstreams = { smtp = { servers = { a = { address = \"192.0.2.5:25\" } b = \"x\" } } }\n",
     "",
     "upstreams.smtp.servers.b: ",
     {"group", "{", ""}},
    /* unknown keys, and what was meant */
    {HOSTNAME, "hostnam = \"x\"\n", TLS UPSTREAMS, "hostnam: ", {"unknown", "hostname", ""}},
    {HOSTNAME, "listener = { }\n", TLS UPSTREAMS, "listener: ", {"unknown", "listeners", ""}},
    {HOSTNAME, "zzz = 5\n", TLS UPSTREAMS, "zzz: ", {"unknown", "workers", "upstreams"}},
    {HOSTNAME,
     "log = { levl = \"info\" }\n",
     TLS UPSTREAMS,
     "log.levl: ",
     {"unknown", "level", ""}},
    {HOSTNAME,
     "log = { colour = \"red\" }\n",
     TLS UPSTREAMS,
     "log.colour: ",
     {"unknown", "format", "facility"}},
    {HOSTNAME TLS, UP("server = { }"), "", "upstreams.smtp.server: ", {"unknown", "servers", ""}},
    {HOSTNAME TLS,
     "upstreams = { smtp = { servers = { a = { address = \"192.0.2.5:25\" weight = 1 } } } }\n",
     "",
     "upstreams.smtp.servers.a.weight: ",
     {"unknown", "address", ""}},
    {HOSTNAME TLS UPSTREAMS,
     LISTEN(BOUND "max_recipient = 5"),
     "",
     "listeners.l.max_recipient: ",
     {"unknown", "max_recipients", ""}},
    /* keys of another role */
    {HOSTNAME TLS UPSTREAMS,
     "listeners = { a = { bind = [\"*:465\"] upstream = \"smtp\" } r = { bind = [\"*:25\"] role = "
     "\"refuse\" max_recipients = 5 } }\n",
     "",
     "listeners.r.max_recipients: ",
     {"refuse", "", ""}},
    {HOSTNAME TLS UPSTREAMS,
     "listeners = { a = { bind = [\"*:465\"] upstream = \"smtp\" } r = { bind = [\"*:25\"] role = "
     "\"refuse\" certificate = \"default\" } }\n",
     "",
     "listeners.r.certificate: ",
     {"refuse", "", ""}},
    {HOSTNAME TLS "upstreams = { " POP3 " }\n",
     "listeners = { p = { bind = [\"*:995\"] role = \"pop3\" upstream = \"pop3\" "
     "max_message_size = \"1M\" } }\n",
     "",
     "listeners.p.max_message_size: ",
     {"pop3", "", ""}},
    /* twice, and what the parser says of it */
    {HOSTNAME, "workers = 1 workers = 2\n", TLS UPSTREAMS, "", {"duplicate", "", ""}},
    {HOSTNAME, "log = { } log = { }\n", TLS UPSTREAMS, "", {"duplicate", "", ""}},
};

static unsigned lines_of(const char *text)
{
    unsigned lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

static void load_mistake(const struct mistake *m, char start[256])
{
    static char text[4096];
    ck_assert_int_lt(snprintf(text, sizeof text, "%s%s%s", m->before, m->line, m->after),
                     (int)sizeof text);
    (void)config_of(text);
    /* The mistake is in the last line of `line`. */
    (void)snprintf(start, 256, "porteiro.conf:%u: %s", lines_of(m->before) + lines_of(m->line),
                   m->start); /* fits */
}

START_TEST(a_mistake_is_told_with_its_line_its_key_and_what_would_do)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        char start[256];
        load_mistake(&mistakes[i], start);
        for (size_t n = 0; n < 3; n++)
            error_is(start, mistakes[i].parts[n]);
    }
}
END_TEST

START_TEST(a_mistake_is_told_once)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        char start[256];
        load_mistake(&mistakes[i], start);
        ck_assert_msg(errors_count(findings) == 1, "%zu errors in %s", errors_count(findings),
                      mistakes[i].line);
    }
}
END_TEST

/* A certificate is required: none is as good as a missing key. */
START_TEST(an_empty_list_of_certificates_is_told)
{
    (void)config_of(HOSTNAME UPSTREAMS "tls = { default = { certificate = [] key = [] } }\n");
    error_is("porteiro.conf:3: tls.default.certificate: ", "");
    (void)config_of(HOSTNAME UPSTREAMS "tls = { default = { certificate = [\"/c\"] key = [] } }\n");
    error_is("porteiro.conf:3: tls.default.key: ", "");
}
END_TEST

START_TEST(all_mistakes_are_told_at_once)
{
    folder_write("more.conf", "listeners = {\n  a = { bind = [\"x\"] upstream = \"none\" }\n"
                              "  b = { bind = [\"*:587\"] max_recipient = 5 }\n}\n");
    (void)config_of("hostname = \"a_b\"\nworkers = \"many\"\nlog = {\n  level = \"loud\"\n"
                    "  colour = \"red\"\n}\n@include \"more.conf\"\nupstreams = {\n"
                    "  smtp = { protocol = \"imap\" }\n}\n");
    error_is("porteiro.conf:1: hostname: ", "a_b");
    error_is("porteiro.conf:2: workers: ", "number");
    error_is("porteiro.conf:4: log.level: ", "loud");
    error_is("porteiro.conf:5: log.colour: ", "unknown");
    error_is("more.conf:2: listeners.a.bind: ", "HOST:PORT");
    error_is("more.conf:2: listeners.a.upstream: ", "none");
    error_is("more.conf:3: listeners.b.max_recipient: ", "max_recipients");
    error_is("more.conf:3: listeners.b.upstream: ", "missing");
    error_is("porteiro.conf:9: upstreams.smtp.protocol: ", "imap");
    error_is("porteiro.conf:9: upstreams.smtp.servers: ", "missing");
    ck_assert_uint_eq(told(FINDING_ERROR, "more.conf:2: listeners.a.certificate: ", "not in tls"),
                      1);
}
END_TEST

START_TEST(mistakes_that_the_parser_would_swallow_stand_beside_the_others)
{
    (void)config_of(HOSTNAME "workers = 300\nhttp = [\"a\" \"b\"]\n" TLS UPSTREAMS);
    error_is("porteiro.conf:2: workers: ", "256");
    error_is("porteiro.conf:3: b: ", "comma is missing");
}
END_TEST

START_TEST(a_text_that_cannot_be_parsed_is_no_configuration)
{
    ck_assert_ptr_null(config_of("hostname = yes\n"));
    error_is("porteiro.conf:1: yes: ", "true");
    ck_assert_ptr_null(config_of("a = 1;;\n"));
    error_is("porteiro.conf:1: ", "");
    folder_write("more.conf", "\nx = 1\nx = 2\n");
    ck_assert_ptr_null(config_of("a = 1\n@include \"more.conf\"\n"));
    error_is("more.conf:3: ", "duplicate");
    count_is(1, 0);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_no_configuration)
{
    config = config_load(folder_path("nowhere.conf"), findings);
    ck_assert_ptr_null(config);
    error_is("nowhere.conf: ", "No such file");
    count_is(1, 0);
}
END_TEST

#define X60 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

START_TEST(a_name_has_60_characters_at_most)
{
    (void)config_of(HOSTNAME TLS "upstreams = { " X60
                                 " = { servers = { a = { address = \"192.0.2.5:25\" } } } }\n"
                                 "listeners = { a = { bind = [\"*:465\"] upstream = \"" X60
                                 "\" } }\n");
    count_is(0, 0);
    (void)config_of(HOSTNAME TLS UPSTREAMS "listeners = {\n  " X60
                                           "x = { bind = [\"*:465\"] upstream = \"smtp\" } }\n");
    error_is("porteiro.conf:5: listeners." X60 "x: ", "60");
}
END_TEST

/* libconfig itself forgets a text when the token behind it is a mistake. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig";
}

/* porteiro.conf is read by the master as root: nothing of it may be taken for more than it is. */
START_TEST(any_text_is_read_or_told_to_be_wrong)
{
    static const char *const words[] = {
        "hostname", "listeners", "upstreams", "tls",     "log",  "control_groups",
        "smtp",     "servers",   "bind",      "address", " = ",  " = {",
        " = [",     "\"*:465\"", "]",         "}",       "5",    "true",
        "\"x\"",    "\n",        " ",         ",",       "(",    ")",
        "1.5",      "0x10",      "5L",        ";",       "auth", "role",
        "{ }",      "[ ]"};
    uint32_t seed = 6;
    for (int round = 0; round < 1500; round++) {
        char text[512] = "";
        size_t used = 0;
        for (int n = 0; n < 25; n++) {
            seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
            const char *word = words[(seed >> 16) % (sizeof words / sizeof *words)];
            memcpy(text + used, word, strlen(word));
            used += strlen(word);
        }
        bool is_parsed = config_of(text) != NULL;
        ck_assert(is_parsed || errors_count(findings) > 0);
    }
}
END_TEST

START_TEST(freeing_twice_is_freeing)
{
    (void)config_of(HOSTNAME TLS UPSTREAMS);
    config_free(&config);
    ck_assert_ptr_null(config);
    config_free(&config);
}
END_TEST

SUITE(read)
{
    folder_use(tests);
    TEST(the_smallest_useful_file_is_a_certificate_and_an_upstream);
    TEST(the_defaults_are_those_of_the_contract);
    TEST(an_upstreams_defaults_are_those_of_the_contract);
    TEST(a_listeners_defaults_are_those_of_the_contract);
    TEST(without_listeners_upstream_smtp_is_served_on_465_and_587_and_pop3_on_995);
    TEST(an_upstream_that_is_not_there_is_not_served);
    TEST(with_a_listener_no_other_is_implied);
    TEST(nothing_to_serve_is_told);
    TEST(pop3_has_ten_minutes_its_users_password_and_tls);
    TEST(what_is_said_of_pop3_is_not_overruled);
    TEST(a_port_that_refuses_has_no_tls);
    TEST(what_is_said_is_taken);
    TEST(a_command_is_told_of_what_it_names_or_of_all);
    TEST(commands_have_their_number);
    TEST(what_is_included_is_taken);
    TEST(what_was_read_lives_without_the_file);
    TEST(each_part_knows_where_it_stands);
    TEST(a_mistake_is_told_with_its_line_its_key_and_what_would_do);
    TEST(a_mistake_is_told_once);
    TEST(an_empty_list_of_certificates_is_told);
    TEST(all_mistakes_are_told_at_once);
    TEST(mistakes_that_the_parser_would_swallow_stand_beside_the_others);
    TEST(a_text_that_cannot_be_parsed_is_no_configuration);
    TEST(a_file_that_cannot_be_read_is_no_configuration);
    TEST(a_name_has_60_characters_at_most);
    TEST(any_text_is_read_or_told_to_be_wrong);
    TEST(freeing_twice_is_freeing);
}
