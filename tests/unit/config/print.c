#include "config/grammar.h"

#include "folder.h"

static char printed[64 * 1024];

/* What -T says, in `printed`. */
static const char *print(const struct config *c)
{
    struct buffer out = {.limit = sizeof printed - 1};
    ck_assert_ptr_nonnull(c);
    ck_assert_int_eq(config_print(c, &out), 0);
    (void)span_copy(buffer_bytes(&out), printed, sizeof printed);
    buffer_clear(&out);
    return printed;
}

static const char *print_reference(bool as_roff)
{
    struct buffer out = {.limit = sizeof printed - 1};
    ck_assert_int_eq(config_reference_print(as_roff, &out), 0);
    (void)span_copy(buffer_bytes(&out), printed, sizeof printed);
    buffer_clear(&out);
    return printed;
}

/* What is printed can be read, and is then printed as it was. */
static void survives(const char *text)
{
    static char first[sizeof printed];
    const struct config *c = config_of(text);
    count_is(0, 0);
    memcpy(first, print(c), sizeof first);
    c = config_of(first);
    count_is(0, 0);
    ck_assert_str_eq(print(c), first);
}

START_TEST(the_smallest_file_prints_what_can_be_read_again)
{
    survives(HOSTNAME TLS UPSTREAMS);
}
END_TEST

START_TEST(all_that_can_be_said_prints_what_can_be_read_again)
{
    survives(
        HOSTNAME
        "user = \"a\"  auth_user = \"b\"  helper_user = \"c\"  workers = 3\n"
        "state_dir = \"/s\"  spool_dir = \"/t\"  control = \"/u\"  http = []\n"
        "secret = \"/v\"  max_connections = 7  shutdown_grace = \"90s\"  reload_grace = \"36h\"  "
        "drain_delay = 0\n"
        "log = { target = \"/l\"  format = \"json\"  level = \"debug\"  facility = \"local7\" }\n"
        "auth = { backend = \"sasldb\"  sasldb = \"/d\"  realm = \"r.example\"  processes = 5 }\n"
        "control_groups = { ops = \"admin\"  help-desk = \"support\"  all = \"read\" }\n"
        "notify = { panel = { command = \"/n one\"  events = [\"near\"]  every = \"1d\" } }\n"
        "milters = { m = { address = \"inet:[::1]:1\"  on_failure = \"reject\"\n"
        "  quarantine = \"tempfail\"  connect_timeout = \"1s\"  reply_timeout = \"2s\"\n"
        "  message_timeout = \"3s\"  when = { networks = [\"192.0.2.0/24\"] } }\n"
        "  n = { address = \"unix:/n\"  except = { listeners = [\"l\"] } } }\n"
        "tls = { default = { certificate = [\"/1\", \"/2\"]  key = [\"/3\", \"/4\"]\n"
        "  names = [\"a.example\", \"b.example\"]  min_version = \"TLSv1.3\"  ciphers = \"x\" }\n"
        "  other = { certificate = [\"/5\"]  key = [\"/6\"] } }\n"
        "upstreams = { u = { tls = \"require\"  identity = \"xclient\"  max_connections = 9\n"
        "  wait_timeout = \"1500ms\"  connect_timeout = \"2s\"  command_timeout = \"3s\"\n"
        "  final_timeout = \"1h\"  idle_timeout = \"5s\"  health_check = \"100ms\"\n"
        "  servers = { one = { address = \"192.0.2.1:25\" }\n"
        "              two = { address = \"[2001:db8::2]:25\" } } }\n"
        "  p = { protocol = \"pop3\"  servers = { one = { address = \"10.0.0.1:110\" } } } }\n"
        "listeners = { l = { bind = [\"*:1465\", \"127.0.0.1:1587\"]  tls = \"starttls\"\n"
        "  certificate = \"other\"  upstream = \"u\"  max_message_size = 65537\n"
        "  max_recipients = 8  idle_timeout = \"7s\"  client_certificate = \"optional\"\n"
        "  client_ca = \"/ca\"  client_crl = \"/crl\"  milters = [\"n\", \"m\"] }\n"
        "  q = { bind = [\"*:995\"]  role = \"pop3\"  upstream = \"p\" }\n"
        "  r = { bind = [\"*:25\"]  role = \"refuse\" } }\n");
}
END_TEST

START_TEST(characters_that_mean_something_print_what_can_be_read_again)
{
    survives(HOSTNAME TLS UPSTREAMS
             "user = \"a\\\"b\\\\c\"\nlog = { target = \"/a b#c//d/*e*/{f}\\x01\\n\\t\" }\n"
             "auth = { sasldb = \"/j\xc3\xb6rg\" }\n");
    ck_assert_str_eq(config->user, "a\"b\\c");
    ck_assert_str_eq(config->log.target, "/a b#c//d/*e*/{f}\x01\n\t");
    ck_assert_str_eq(config->auth.sasldb, "/j\xc3\xb6rg");
}
END_TEST

START_TEST(what_was_implied_is_printed)
{
    const char *text = print(config_of(
        "hostname = \"mail.example.com\"\n" TLS
        "upstreams = { pop3 = { protocol = \"pop3\" servers = { a = { address = \"10.0.0.5:110\" } "
        "} } }\n"));
    static const char *const parts[] = {
        "hostname = \"mail.example.com\"\n",
        "realm = \"example.com\"\n",
        "pop3s = {\n",
        "bind = [\"*:995\"]\n",
        "role = \"pop3\"\n",
        "tls = \"implicit\"\n",
        "idle_timeout = \"10min\"\n",
        "identity = \"password\"\n",
        "tls = \"require\"\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "no %s in\n%s", parts[i], text);
}
END_TEST

START_TEST(keys_of_another_role_are_not_printed)
{
    const char *text = print(config_of(HOSTNAME TLS UPSTREAMS
                                       "listeners = { r = { bind = [\"*:25\"] role = \"refuse\" } "
                                       "}\n"));
    const char *listeners = strstr(text, "listeners = {");
    ck_assert_ptr_nonnull(listeners);
    ck_assert_ptr_nonnull(strstr(listeners, "role = \"refuse\""));
    ck_assert_ptr_null(strstr(listeners, "max_recipients"));
    ck_assert_ptr_null(strstr(listeners, "certificate"));
    ck_assert_ptr_null(strstr(listeners, "idle_timeout"));
}
END_TEST

START_TEST(every_key_is_printed)
{
    static const struct section *const sections[] = {
        &section_top,  &section_log,      &section_tls,   &section_listener,
        &section_auth, &section_upstream, &section_server};
    const char *text = print(config_of(HOSTNAME TLS UPSTREAMS));
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        for (const struct setting *key = sections[i]->settings; key->name != NULL; key++) {
            char start[64];
            (void)snprintf(start, sizeof start, "%s = ", key->name); /* fits */
            ck_assert_msg(strstr(text, start) != NULL, "%s", key->name);
        }
}
END_TEST

START_TEST(what_has_no_room_is_told)
{
    const struct config *c = config_of(HOSTNAME TLS UPSTREAMS);
    size_t whole = strlen(print(c));
    for (size_t limit = 0; limit < whole; limit += 7) {
        struct buffer out = {.limit = limit};
        ck_assert_int_ne(config_print(c, &out), 0);
        buffer_clear(&out);
    }
    struct buffer out = {.limit = whole};
    ck_assert_int_eq(config_print(c, &out), 0);
    buffer_clear(&out);
}
END_TEST

/* ---- the reference ---- */

START_TEST(the_reference_is_a_file_that_is_taken)
{
    static char text[sizeof printed];
    memcpy(text, print_reference(false), sizeof text);
    (void)config_of(text);
    ck_assert_uint_eq(errors_count(findings), 0);
}
END_TEST

static void cut(char *text, const char *group, const char *next)
{
    char *from = strstr(text, group), *to = strstr(text, next);
    ck_assert(from != NULL && to != NULL && from < to);
    memmove(from, to, strlen(to) + 1);
}

/* Said once: whoever copies it has what was there without it. */
START_TEST(the_reference_says_the_defaults)
{
    static char without[sizeof printed], with[sizeof printed];
    memcpy(with, print_reference(false), sizeof with);
    memcpy(with, print(config_of(with)), sizeof with);
    (void)config_of("tls = { default = { certificate = [\"/etc/porteiro/tls/fullchain.pem\"]\n"
                    "key = [\"/etc/porteiro/tls/privkey.pem\"] } }\n"
                    "upstreams = { smtp = { servers = { legacy = {\n"
                    "address = \"10.0.0.5:25\" } } } }\n"
                    "listeners = { submissions = { bind = [\"*:465\"] upstream = \"smtp\" } }\n");
    memcpy(without, print(config), sizeof without);
    /* Policies are an example that nobody is held to until a listener names it. Redis is used where
     * its block stands. */
    cut(with, "policies = {\n", "listeners = {\n");
    cut(without, "policies = {\n", "listeners = {\n");
    cut(with, "redis = {\n", "tls = {\n");
    ck_assert_msg(strcmp(with, without) == 0, "the reference changes what is in force");
}
END_TEST

START_TEST(the_reference_has_every_key_with_its_help)
{
    static const struct section *const sections[] = {
        &section_top,  &section_log,      &section_tls,   &section_listener,
        &section_auth, &section_upstream, &section_server};
    const char *text = print_reference(false);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        for (const struct setting *key = sections[i]->settings; key->name != NULL; key++) {
            ck_assert_msg(strstr(text, key->name) != NULL, "%s", key->name);
            ck_assert_msg(strstr(text, key->help) != NULL, "%s", key->name);
        }
    ck_assert_ptr_nonnull(strstr(text, "control_groups"));
}
END_TEST

START_TEST(the_reference_fits_a_hundred_columns)
{
    struct span text = span_of(print_reference(false));
    while (text.size > 0) {
        struct span line = span_split(&text, '\n');
        bool is_comment = span_trim(line).size > 0 && span_trim(line).data[0] == '#';
        ck_assert_msg(line.size <= 100 || is_comment, "%.*s", (int)line.size, line.data);
    }
}
END_TEST

/* groff_man(7): a macro begins a line with a dot; a bare backslash or hyphen means something else.
 */
START_TEST(the_rows_of_the_manual_are_roff)
{
    struct span text = span_of(print_reference(true));
    while (text.size > 0) {
        struct span line = span_split(&text, '\n');
        bool is_macro = line.size > 0 && line.data[0] == '.';
        ck_assert_uint_gt(line.size, 0);
        ck_assert(line.data[0] != '\'');
        if (is_macro)
            ck_assert_msg(span_starts_nocase(line, ".TP") || span_starts_nocase(line, ".BR ") ||
                              span_starts_nocase(line, ".SS "),
                          "%.*s", (int)line.size, line.data);
        unsigned quotes = 0;
        for (size_t i = 0; i < line.size; i++) {
            quotes += line.data[i] == '"';
            bool is_bare = line.data[i] == '-' && (i == 0 || line.data[i - 1] != '\\');
            ck_assert_msg(!is_bare || is_macro, "%.*s", (int)line.size, line.data);
        }
        ck_assert_msg(quotes == 0 || (is_macro && quotes == 2), "%.*s", (int)line.size, line.data);
    }
    ck_assert_ptr_nonnull(strstr(printed, "listeners.NAME.max_recipients"));
    ck_assert_ptr_nonnull(strstr(printed, "upstreams.NAME.servers.NAME.address"));
}
END_TEST

START_TEST(a_reference_that_has_no_room_is_told)
{
    for (int as_roff = 0; as_roff <= 1; as_roff++) {
        size_t whole = strlen(print_reference(as_roff != 0));
        for (size_t limit = 0; limit < whole; limit += 97) {
            struct buffer out = {.limit = limit};
            ck_assert_int_ne(config_reference_print(as_roff != 0, &out), 0);
            buffer_clear(&out);
        }
    }
}
END_TEST

SUITE(print)
{
    folder_use(tests);
    TEST(the_smallest_file_prints_what_can_be_read_again);
    TEST(all_that_can_be_said_prints_what_can_be_read_again);
    TEST(characters_that_mean_something_print_what_can_be_read_again);
    TEST(what_was_implied_is_printed);
    TEST(keys_of_another_role_are_not_printed);
    TEST(every_key_is_printed);
    TEST(what_has_no_room_is_told);
    TEST(the_reference_is_a_file_that_is_taken);
    TEST(the_reference_says_the_defaults);
    TEST(the_reference_has_every_key_with_its_help);
    TEST(the_reference_fits_a_hundred_columns);
    TEST(the_rows_of_the_manual_are_roff);
    TEST(a_reference_that_has_no_room_is_told);
}
