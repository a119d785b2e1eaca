#include "config/check.h"

#include "folder.h"

#define SERVERS(address) "servers = { legacy = { address = \"" address "\" } }"
#define SMTP(keys)       "smtp = { " SERVERS("192.0.2.5:25") " " keys " }\n"
#define POP3(keys)       "pop3 = { protocol = \"pop3\" " SERVERS("10.0.0.5:110") " " keys " }\n"

/* ---- names ---- */

START_TEST(without_a_hostname_it_is_that_of_the_host)
{
    char name[256];
    ck_assert_int_eq(gethostname(name, sizeof name), 0);
    const struct config *c = config_of(TLS UPSTREAMS);
    ck_assert_msg(strncmp(c->hostname, name, strcspn(name, ".")) == 0 ||
                      strchr(c->hostname, '.') != NULL,
                  "%s on %s", c->hostname, name);
    ck_assert_uint_eq(errors_count(findings), 0);
    (void)config_of("hostname = \"\"\n" TLS UPSTREAMS);
    ck_assert_str_ne(config->hostname, "");
}
END_TEST

START_TEST(a_hostname_without_a_domain_is_warned_of)
{
    (void)config_of("\nhostname = \"mail\"\n" TLS UPSTREAMS);
    warning_is("porteiro.conf:2: hostname: ", "mail.example.com");
    count_is(0, 1);
}
END_TEST

START_TEST(the_realm_is_the_hostname_without_its_first_label)
{
    static const struct {
        const char *text, *realm;
    } cases[] = {
        {"hostname = \"mail.example.com\"\n", "example.com"},
        {"hostname = \"a.b.example.com\"\n", "b.example.com"},
        {"hostname = \"mail\"\n", "mail"},
        {"hostname = \"mail.example.com\"\nauth = { realm = \"r.example\" }\n", "r.example"},
        {"hostname = \"mail.example.com\"\nauth = { realm = \"\" }\n", "example.com"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, "%s%s%s", cases[i].text, TLS, UPSTREAMS); /* fits */
        ck_assert_str_eq(config_of(text)->auth.realm, cases[i].realm);
    }
}
END_TEST

/* ---- where it is told ---- */

START_TEST(what_is_wrong_with_a_key_is_told_at_its_line_and_what_is_missing_at_its_groups)
{
    (void)config_of(HOSTNAME TLS UPSTREAMS "listeners = { x = {\n"
                                           "bind = [\"*:465\"]\n"
                                           "certificate = \"none\"\n"
                                           "upstream = \"nowhere\" }\n"
                                           "y = { bind = [\"*:466\"] } }\n");
    error_is("porteiro.conf:6: listeners.x.certificate: ", "none");
    error_is("porteiro.conf:7: listeners.x.upstream: ", "nowhere");
    error_is("porteiro.conf:8: listeners.y.upstream: ", "is missing");
}
END_TEST

/* ---- what refers to what ---- */

START_TEST(a_listener_finds_its_certificate_and_its_upstream)
{
    const struct config *c = config_of(
        HOSTNAME "tls = { default = { certificate = [\"/1\"] key = [\"/2\"] }\n"
                 "other = { certificate = [\"/3\"] key = [\"/4\"] } }\n"
                 "upstreams = { " SMTP("")
                     POP3("") " }\n"
                              "listeners = { a = { bind = [\"*:465\"] upstream = \"smtp\" }\n"
                              "b = { bind = [\"*:995\"] role = \"pop3\" upstream = \"pop3\" "
                              "certificate = \"other\" }\n"
                              "c = { bind = [\"*:25\"] role = \"refuse\" } }\n");
    count_is(0, 0);
    ck_assert_ptr_eq(c->listeners[0].tls_block, &c->tls[0]);
    ck_assert_ptr_eq(c->listeners[1].tls_block, &c->tls[1]);
    ck_assert_ptr_null(c->listeners[2].tls_block);
    ck_assert_ptr_eq(c->listeners[0].upstream_config, &c->upstreams[0]);
    ck_assert_ptr_eq(c->listeners[1].upstream_config, &c->upstreams[1]);
    ck_assert_ptr_null(c->listeners[2].upstream_config);
    ck_assert_ptr_eq(config_find_tls(c, "other"), &c->tls[1]);
    ck_assert_ptr_null(config_find_tls(c, "Other"));
    ck_assert_ptr_eq(config_find_upstream(c, "pop3"), &c->upstreams[1]);
    ck_assert_ptr_null(config_find_upstream(c, ""));
}
END_TEST

START_TEST(an_address_to_listen_on_is_parsed)
{
    const struct config *c =
        config_of(HOSTNAME TLS UPSTREAMS
                  "listeners = { a = { bind = [\"*:465\", \"127.0.0.1:1465\", \"[::1]:2465\"]\n"
                  "upstream = \"smtp\" } }\n");
    static const char *const expected[] = {"0.0.0.0:465", "[::]:465", "127.0.0.1:1465",
                                           "[::1]:2465"};
    count_is(0, 0);
    ck_assert_uint_eq(c->listeners[0].address_count, 4);
    for (size_t i = 0; i < 4; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_format(&c->listeners[0].addresses[i], text);
        ck_assert_str_eq(text, expected[i]);
    }
}
END_TEST

START_TEST(an_address_of_a_server_is_parsed)
{
    char text[ADDRESS_TEXT_SIZE];
    (void)config_of(HOSTNAME TLS UPSTREAMS);
    address_format(&config->upstreams[0].servers[0].to, text);
    ck_assert_str_eq(text, "192.0.2.5:25");
}
END_TEST

/* One mistake in the last line of each, told there and once. */
static void is_wrong(const char *text, const char *start, const char *part)
{
    char whole[256];
    unsigned line = 0;
    for (const char *c = text; *c != '\0'; c++)
        line += *c == '\n';
    (void)config_of(text);
    (void)snprintf(whole, sizeof whole, "porteiro.conf:%u: %s", line, start); /* fits */
    error_is(whole, part);
    count_is(1, 0);
}

static void is_right(const char *text)
{
    (void)config_of(text);
    count_is(0, 0);
}

#define BEFORE HOSTNAME TLS "upstreams = { " SMTP("") POP3("") " }\n"

START_TEST(a_name_that_nothing_defines_is_told)
{
    is_wrong(BEFORE "listeners = { a = { bind = [\"*:465\"] upstream = \"nobody\" } }\n",
             "listeners.a.upstream: ", "\"nobody\"");
    is_wrong(BEFORE "listeners = { a = { bind = [\"*:465\"] } }\n",
             "listeners.a.upstream: ", "missing");
    is_wrong(BEFORE "listeners = { a = { bind = [\"*:465\"] upstream = \"smtp\" "
                    "certificate = \"none\" } }\n",
             "listeners.a.certificate: ", "\"none\"");
}
END_TEST

#define DOOR(rest) \
    BEFORE "listeners = { a = { bind = [\"*:465\"] upstream = \"smtp\" " rest " } }\n"

START_TEST(a_certificate_is_asked_for_with_authorities_alone)
{
    is_wrong(DOOR("client_certificate = \"required\""), "listeners.a.client_ca: ", "is missing");
    is_wrong(DOOR("client_certificate = \"optional\" client_crl = \"/crl\""),
             "listeners.a.client_ca: ", "is missing");
    (void)config_of(DOOR("client_certificate = \"optional\" client_ca = \"/ca\""));
    count_is(0, 0);
}
END_TEST

START_TEST(authorities_for_certificates_that_nobody_asks_for_are_told)
{
    (void)config_of(DOOR("client_ca = \"/ca\""));
    warning_is("porteiro.conf:", "listeners.a.client_ca: nobody is asked");
    count_is(0, 1);
    (void)config_of(DOOR("client_crl = \"/crl\""));
    warning_is("porteiro.conf:", "listeners.a.client_crl: nobody is asked");
    count_is(0, 1);
}
END_TEST

START_TEST(implied_listeners_need_a_certificate_too)
{
    (void)config_of(HOSTNAME UPSTREAMS);
    error_is("porteiro.conf: listeners.submissions.certificate: ", "tls = { default = ");
    error_is("porteiro.conf: listeners.submission.certificate: ", "tls = { default = ");
    count_is(2, 0);
}
END_TEST

START_TEST(a_role_needs_an_upstream_of_its_protocol)
{
    is_wrong(BEFORE "listeners = { a = { bind = [\"*:465\"] upstream = \"pop3\" } }\n",
             "listeners.a.upstream: ", "protocol = \"smtp\"");
    is_wrong(BEFORE
             "listeners = { a = { bind = [\"*:995\"] role = \"pop3\" upstream = \"smtp\" } }\n",
             "listeners.a.upstream: ", "protocol = \"pop3\"");
}
END_TEST

START_TEST(nobody_logs_in_without_tls)
{
    is_wrong(BEFORE
             "listeners = { a = { bind = [\"*:587\"] tls = \"none\" upstream = \"smtp\" } }\n",
             "listeners.a.tls: ", "\"starttls\"");
    is_wrong(BEFORE "listeners = { a = { bind = [\"*:110\"] tls = \"none\" role = \"pop3\" "
                    "upstream = \"pop3\" } }\n",
             "listeners.a.tls: ", "\"implicit\"");
}
END_TEST

START_TEST(a_port_that_refuses_takes_no_tls)
{
    is_wrong(BEFORE
             "listeners = { a = { bind = [\"*:25\"] role = \"refuse\" tls = \"starttls\" } }\n",
             "listeners.a.tls: ", "refuse");
    is_right(BEFORE "listeners = { a = { bind = [\"*:25\"] role = \"refuse\" tls = \"none\" } }\n");
}
END_TEST

/* ---- addresses ---- */

START_TEST(an_address_that_another_listener_has_is_told)
{
#define TWO(one, other)                                                   \
    BEFORE "listeners = { a = { bind = [" one "] upstream = \"smtp\" }\n" \
           "b = { bind = [" other "] upstream = \"smtp\" } }\n"
    is_wrong(TWO("\"192.0.2.1:465\"", "\"192.0.2.1:465\""),
             "listeners.b.bind: ", "192.0.2.1:465 is taken by listener \"a\"");
    is_wrong(TWO("\"*:465\"", "\"0.0.0.0:465\""), "listeners.b.bind: ", "0.0.0.0:465");
    is_wrong(TWO("\"*:465\"", "\"[::]:465\""), "listeners.b.bind: ", "[::]:465");
    is_wrong(TWO("\"*:1\", \"127.0.0.1:465\"", "\"*:2\", \"localhost:465\""),
             "listeners.b.bind: ", "127.0.0.1:465");
    is_right(TWO("\"*:465\"", "\"*:587\""));
    is_right(TWO("\"192.0.2.1:465\"", "\"192.0.2.2:465\""));
    is_right(TWO("\"127.0.0.1:465\"", "\"[::1]:465\""));
}
END_TEST

/* The second cannot be bound: what -t calls good would not start. */
START_TEST(an_address_that_is_listed_twice_is_told)
{
    is_wrong(BEFORE
             "listeners = { a = { bind = [\"[::1]:465\", \"[::1]:465\"] upstream = \"smtp\" } }\n",
             "listeners.a.bind: ", "465");
}
END_TEST

/* Linux binds no address of a port whose wildcard is listened on (EADDRINUSE). */
START_TEST(an_address_that_a_wildcard_covers_is_told)
{
    is_wrong(TWO("\"*:465\"", "\"127.0.0.1:465\""), "listeners.b.bind: ", "127.0.0.1:465");
}
END_TEST

#define LOOP(bind, address)                                                            \
    HOSTNAME TLS "listeners = { a = { bind = [\"" bind "\"] upstream = \"smtp\" } }\n" \
                 "upstreams = { smtp = { " SERVERS(address) " } }\n"

START_TEST(an_upstream_that_is_our_own_listener_is_told)
{
    static const char *const part = "own listener \"a\"";
    is_wrong(LOOP("127.0.0.1:2525", "127.0.0.1:2525"), "upstreams.smtp/legacy: ", part);
    is_wrong(LOOP("192.0.2.1:25", "192.0.2.1:25"), "upstreams.smtp/legacy: ", part);
    is_wrong(LOOP("[2001:db8::1]:25", "[2001:db8::1]:25"), "upstreams.smtp/legacy: ", part);
    is_wrong(LOOP("*:2525", "127.0.0.1:2525"), "upstreams.smtp/legacy: ", part);
    is_wrong(LOOP("*:2525", "127.1.2.3:2525"), "upstreams.smtp/legacy: ", part);
    is_wrong(LOOP("0.0.0.0:2525", "localhost:2525"), "upstreams.smtp/legacy: ", part);
    is_wrong(LOOP("*:2525", "0.0.0.0:2525"), "upstreams.smtp/legacy: ", part);
}
END_TEST

START_TEST(an_upstream_that_only_looks_like_our_own_listener_is_taken)
{
    is_right(LOOP("127.0.0.1:2525", "127.0.0.1:2526"));
    is_right(LOOP("127.0.0.1:2525", "127.0.0.2:2525"));
    is_right(LOOP("*:25", "192.0.2.5:25"));
    is_right(LOOP("*:25", "[2001:db8::5]:25"));
    is_right(LOOP("0.0.0.0:2525", "[2001:db8::5]:2525"));
}
END_TEST

/* An IPv4 address within IPv6 leads to the same place. */
START_TEST(a_mapped_address_of_our_own_is_told)
{
    is_wrong(LOOP("127.0.0.1:2525", "[::ffff:127.0.0.1]:2525"), "upstreams.smtp/legacy: ", "own");
    is_wrong(LOOP("*:2525", "[::ffff:127.0.0.1]:2525"), "upstreams.smtp/legacy: ", "own");
}
END_TEST

/* Linux connects to this machine when asked for the wildcard. */
START_TEST(a_wildcard_as_an_upstream_is_our_own_listener)
{
    is_wrong(LOOP("127.0.0.1:2525", "0.0.0.0:2525"), "upstreams.smtp/legacy: ", "");
}
END_TEST

START_TEST(a_port_that_refuses_is_no_upstream_either)
{
    is_wrong(HOSTNAME TLS "listeners = { a = { bind = [\"*:2465\"] upstream = \"smtp\" }\n"
                          "r = { bind = [\"*:25\"] role = \"refuse\" } }\n"
                          "upstreams = { smtp = { " SERVERS("127.0.0.1:25") " } }\n",
             "upstreams.smtp/legacy: ", "own listener \"r\"");
}
END_TEST

START_TEST(the_place_of_a_loop_is_that_of_the_server)
{
    (void)config_of(HOSTNAME TLS "listeners = { a = { bind = [\"*:2525\"] upstream = \"smtp\" } }\n"
                                 "upstreams = {\n  smtp = {\n    servers = {\n"
                                 "      good = { address = \"192.0.2.5:25\" }\n"
                                 "      bad = {\n        address = \"127.0.0.1:2525\" } } } }\n");
    error_is("porteiro.conf:8: upstreams.smtp/bad: ", "127.0.0.1:2525");
    count_is(1, 0);
}
END_TEST

/* ---- identities ---- */

#define UPSTREAM(keys) HOSTNAME TLS "upstreams = { " SMTP("") " x = { " keys " }\n}\n"

#define MASTER "master_user = \"gw\" master_password_file = \"/p\" "

START_TEST(an_identity_is_one_of_its_protocol)
{
    (void)config_of(UPSTREAM("identity = \"master\" " MASTER SERVERS("10.0.0.5:25")));
    error_is("porteiro.conf:4: upstreams.x.identity: ", "\"xclient\"");
    count_is(1, 0);
    (void)config_of(UPSTREAM("protocol = \"pop3\" identity = \"none\" " SERVERS("10.0.0.5:110")));
    error_is("porteiro.conf:4: upstreams.x.identity: ", "\"password\"");
    count_is(1, 0);
    is_right(UPSTREAM("identity = \"xclient\" " SERVERS("10.0.0.5:25")));
    is_right(UPSTREAM("identity = \"password\" " SERVERS("10.0.0.5:25")));
    ck_assert_int_eq(config->upstreams[1].tls, UPSTREAM_TLS_REQUIRE);
    ck_assert(upstream_needs_password(&config->upstreams[1]));
    is_right(UPSTREAM("protocol = \"pop3\" identity = \"password\" " SERVERS("10.0.0.5:110")));
    is_right(UPSTREAM("protocol = \"pop3\" identity = \"xclient\" " SERVERS("10.0.0.5:110")));
    ck_assert(upstream_needs_password(&config->upstreams[1])); /* beside what XCLIENT tells */
}
END_TEST

START_TEST(a_password_does_not_travel_where_tls_may_be_left_out)
{
    (void)config_of(
        UPSTREAM("protocol = \"pop3\" tls = \"opportunistic\" " SERVERS("10.0.0.5:110")));
    error_is("porteiro.conf:4: upstreams.x.tls: ", "\"require\"");
    count_is(1, 0);
    is_right(UPSTREAM("protocol = \"pop3\" tls = \"require\" " SERVERS("192.0.2.5:110")));
    is_right(UPSTREAM("protocol = \"pop3\" tls = \"verify\" " SERVERS("192.0.2.5:110")));
    is_right(UPSTREAM("protocol = \"pop3\" tls = \"implicit\" " SERVERS("192.0.2.5:995")));
}
END_TEST

#define BEHIND(keys)    UPSTREAM(keys SERVERS("10.0.0.5:25"))
#define FINGERPRINT(ab) "fingerprint = \"" ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab "\" "

START_TEST(what_is_set_for_a_check_that_does_not_take_place_is_an_error)
{
    static const char *const modes[] = {"none", "opportunistic"};
    char text[4096];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(text, sizeof text, BEHIND("tls = \"%s\" ca = \"/ca.pem\" "),
                       modes[i]); /* fits */
        (void)config_of(text);
        error_is("porteiro.conf:4: upstreams.x.ca: ", "\"verify\"");
        count_is(1, 0);
        (void)snprintf(text, sizeof text, BEHIND("tls = \"%s\" " FINGERPRINT("abcd")),
                       modes[i]); /* fits */
        (void)config_of(text);
        error_is("porteiro.conf:4: upstreams.x.fingerprint: ", "\"verify\"");
        count_is(1, 0);
    }
    (void)config_of(BEHIND("tls = \"verify\" ca = \"/ca.pem\" " FINGERPRINT("abcd")));
    error_is("porteiro.conf:4: upstreams.x.fingerprint: ", "instead of ca");
    count_is(1, 0);
    (void)config_of(BEHIND("tls = \"none\" client_certificate = \"/c\" client_key = \"/k\" "));
    error_is("porteiro.conf:4: upstreams.x.client_certificate: ", "nobody sees it");
    count_is(1, 0);
}
END_TEST

START_TEST(a_servers_certificate_is_looked_at_where_something_says_which)
{
    is_right(BEHIND("tls = \"require\" "));
    ck_assert(!upstream_is_checked(&config->upstreams[1]));
    is_right(BEHIND("tls = \"verify\" "));
    ck_assert(upstream_is_checked(&config->upstreams[1]));
    is_right(BEHIND("tls = \"implicit\" ca = \"/ca.pem\" "));
    ck_assert(upstream_is_checked(&config->upstreams[1]));
    is_right(BEHIND("tls = \"require\" " FINGERPRINT("A1:c2:")));
    ck_assert(upstream_is_checked(&config->upstreams[1]));
}
END_TEST

#define ACCOUNT "username = \"gw\" password_file = \"/p\" "

START_TEST(identity_auth_needs_a_name_and_a_password)
{
    is_right(BEHIND("identity = \"auth\" mechanism = \"LOGIN\" " ACCOUNT));
    ck_assert_int_eq(config->upstreams[1].tls, UPSTREAM_TLS_REQUIRE); /* a password travels */
    (void)config_of(BEHIND("identity = \"auth\" "));
    error_is("porteiro.conf:4: upstreams.x.username: ", "is missing");
    error_is("porteiro.conf:4: upstreams.x.password_file: ", "is missing");
    count_is(2, 0);
    (void)config_of(BEHIND("identity = \"auth\" tls = \"opportunistic\" " ACCOUNT));
    error_is("porteiro.conf:4: upstreams.x.tls: ", "\"require\"");
    count_is(1, 0);
}
END_TEST

START_TEST(a_token_command_stands_instead_of_a_password)
{
#define TOKEN "identity = \"auth\" username = \"gw\" token_command = \"/bin/t a\" "
    is_right(BEHIND(TOKEN));
    is_right(BEHIND(TOKEN "mechanism = \"XOAUTH2\" "));
    (void)config_of(BEHIND(TOKEN "password_file = \"/p\" "));
    error_is("porteiro.conf:4: upstreams.x.token_command: ", "instead of password_file");
    count_is(1, 0);
    (void)config_of(BEHIND(TOKEN "mechanism = \"PLAIN\" "));
    error_is("porteiro.conf:4: upstreams.x.mechanism: ", "XOAUTH2");
    count_is(1, 0);
    (void)config_of(BEHIND("identity = \"auth\" mechanism = \"XOAUTH2\" username = \"gw\" "));
    error_is("porteiro.conf:4: upstreams.x.token_command: ", "is missing");
    count_is(1, 0);
}
END_TEST

START_TEST(the_keys_of_an_account_mean_nothing_without_identity_auth)
{
    (void)config_of(BEHIND("mechanism = \"PLAIN\" " ACCOUNT));
    error_is("porteiro.conf:4: upstreams.x.username: ", "identity = \"auth\"");
    error_is("porteiro.conf:4: upstreams.x.password_file: ", "identity = \"auth\"");
    error_is("porteiro.conf:4: upstreams.x.mechanism: ", "identity = \"auth\"");
    count_is(3, 0);
}
END_TEST

#define BEHIND_POP3(settings) UPSTREAM("protocol = \"pop3\" " settings SERVERS("10.0.0.5:110"))

START_TEST(identity_master_needs_a_name_and_a_password)
{
    is_right(BEHIND_POP3("identity = \"master\" " MASTER));
    ck_assert_int_eq(config->upstreams[1].tls, UPSTREAM_TLS_REQUIRE); /* a password travels */
    ck_assert_str_eq(config->upstreams[1].master_separator, "*");
    ck_assert(!upstream_needs_password(&config->upstreams[1]));
    (void)config_of(BEHIND_POP3("identity = \"master\" "));
    error_is("porteiro.conf:4: upstreams.x.master_user: ", "is missing");
    error_is("porteiro.conf:4: upstreams.x.master_password_file: ", "is missing");
    count_is(2, 0);
    (void)config_of(BEHIND_POP3("identity = \"master\" master_separator = \"\" " MASTER));
    error_is("porteiro.conf:4: upstreams.x.master_separator: ", "write \"*\"");
    count_is(1, 0);
}
END_TEST

START_TEST(the_keys_of_a_master_user_mean_nothing_without_identity_master)
{
    (void)config_of(BEHIND_POP3("master_separator = \"%\" " MASTER));
    error_is("porteiro.conf:4: upstreams.x.master_user: ", "identity = \"master\"");
    error_is("porteiro.conf:4: upstreams.x.master_password_file: ", "identity = \"master\"");
    error_is("porteiro.conf:4: upstreams.x.master_separator: ", "identity = \"master\"");
    count_is(3, 0);
}
END_TEST

#define ASKED(auth, settings)                                               \
    HOSTNAME TLS                                                            \
        "listeners = { a = { bind = [\"*:2465\"] upstream = \"smtp\" } }\n" \
        "auth = { backend = \"upstream\" " auth " }\n"                      \
        "upstreams = { smtp = { " settings SERVERS(                         \
            "10.0.0.5:25") " }\n"                                           \
                           "pop3 = { protocol = \"pop3\" " SERVERS("10.0.0.5:110") " } }\n"

START_TEST(who_is_asked_for_passwords_is_the_listeners_own_or_a_named_one)
{
    is_right(ASKED("", ""));
    ck_assert_ptr_eq(config_asked_upstream(config, &config->listeners[0]), &config->upstreams[0]);
    ck_assert(!config_is_asked_anyway(config, &config->listeners[0]));
    ck_assert_int_eq(config->upstreams[0].tls, UPSTREAM_TLS_REQUIRE); /* passwords travel */
    ck_assert_int_eq(config->auth.login_name, LOGIN_NAME_GIVEN);
    is_right(ASKED("", "identity = \"password\" "));
    ck_assert(config_is_asked_anyway(config, &config->listeners[0]));
    is_right(ASKED("upstream = \"pop3\"", ""));
    ck_assert_ptr_eq(config_asked_upstream(config, &config->listeners[0]), &config->upstreams[1]);
    ck_assert_int_eq(config->upstreams[0].tls, UPSTREAM_TLS_OPPORTUNISTIC);
    is_right(ASKED("upstream = \"pop3\"", "identity = \"password\" "));
    ck_assert(!config_is_asked_anyway(config, &config->listeners[0]));
}
END_TEST

START_TEST(who_is_asked_must_be_there_and_can_not_be_logged_in_already)
{
    (void)config_of(ASKED("upstream = \"nobody\"", ""));
    error_is("porteiro.conf:4: auth.upstream: ", "\"nobody\" is not in upstreams");
    count_is(1, 0);
    (void)config_of(ASKED("", "identity = \"auth\" " ACCOUNT));
    error_is("porteiro.conf:5: upstreams.smtp.identity: ", "auth.upstream");
    count_is(1, 0);
}
END_TEST

START_TEST(a_clients_certificate_and_its_key_go_together)
{
    (void)config_of(BEHIND("tls = \"require\" client_certificate = \"/c\" "));
    error_is("porteiro.conf:4: upstreams.x.client_key: ", "go together");
    count_is(1, 0);
    (void)config_of(BEHIND("tls = \"require\" client_key = \"/k\" "));
    error_is("porteiro.conf:4: upstreams.x.client_certificate: ", "go together");
    count_is(1, 0);
    is_right(BEHIND("tls = \"opportunistic\" client_certificate = \"/c\" client_key = \"/k\" "));
}
END_TEST

/* porteiro.conf(5): none is a warning unless the address is private. */
START_TEST(a_password_in_clear_is_for_private_addresses)
{
    static const char *const text =
        UPSTREAM("protocol = \"pop3\" tls = \"none\" " SERVERS("198.51.100.5:110"));
    (void)config_of(text);
    warning_is("porteiro.conf:4: upstreams.x/legacy: ", "198.51.100.5:110");
    count_is(0, 1);
    is_right(UPSTREAM("protocol = \"pop3\" tls = \"none\" " SERVERS("10.0.0.5:110")));
    is_right(UPSTREAM("protocol = \"pop3\" tls = \"none\" " SERVERS("[fd00::5]:110")));
    is_right(UPSTREAM("tls = \"none\" " SERVERS("198.51.100.5:25")));
}
END_TEST

/* A mailbox has one server. */
START_TEST(a_mailbox_has_one_server)
{
    (void)config_of(UPSTREAM("protocol = \"pop3\" servers = { a = { address = \"10.0.0.5:110\" }\n"
                             "b = { address = \"10.0.0.6:110\" } }"));
    error_is("porteiro.conf:4: upstreams.x.servers: ", "one");
    count_is(1, 0);
}
END_TEST

START_TEST(an_upstream_has_a_server)
{
    (void)config_of(UPSTREAM("servers = { }"));
    error_is("porteiro.conf:4: upstreams.x.servers: ", ":25\"");
    count_is(1, 0);
    (void)config_of(UPSTREAM("protocol = \"pop3\""));
    error_is("porteiro.conf:4: upstreams.x.servers: ", ":110\"");
    count_is(1, 0);
}
END_TEST

/* ---- how many ---- */

static char large[64 * 1024];
static size_t large_size;

static void add(const char *format, unsigned number)
{
    char line[128];
    size_t size = 0;
    for (const char *c = format; *c != '\0'; c++) {
        if (*c == '%')
            size += (size_t)snprintf(line + size, sizeof line - size, "%u", number); /* fits */
        else
            line[size++] = *c;
    }
    ck_assert_uint_lt(large_size + size, sizeof large);
    memcpy(large + large_size, line, size);
    large_size += size;
    large[large_size] = '\0';
}

static const char *with_listeners(unsigned count)
{
    large_size = 0;
    add(HOSTNAME, 0);
    add(TLS, 0);
    add(UPSTREAMS, 0);
    add("listeners = {\n", 0);
    for (unsigned i = 0; i < count; i++)
        add("l% = { bind = [\"127.0.0.1:1%\"] upstream = \"smtp\" }\n", 100 + i);
    add("}\n", 0);
    return large;
}

static const char *with_servers(unsigned count)
{
    large_size = 0;
    add(HOSTNAME, 0);
    add(TLS, 0);
    add("upstreams = { smtp = { servers = {\n", 0);
    for (unsigned i = 0; i < count; i++)
        add("s% = { address = \"192.0.2.5:%\" }\n", 1000 + i);
    add("} } }\n", 0);
    return large;
}

/* The shared mapping is laid out for 256 servers and 64 listeners. */
START_TEST(there_are_64_listeners_and_256_servers_at_most)
{
    is_right(with_listeners(64));
    (void)config_of(with_listeners(65));
    error_is("porteiro.conf: listeners: ", "65");
    count_is(1, 0);
    is_right(with_servers(256));
    (void)config_of(with_servers(257));
    error_is("porteiro.conf: upstreams: ", "257");
    count_is(1, 0);
}
END_TEST

START_TEST(shared_networks_are_networks)
{
    struct address loopback, other;
    struct error why;
    ck_assert_int_eq(address_parse("127.0.0.9:1", &loopback, &why), 0);
    ck_assert_int_eq(address_parse("192.0.2.9:1", &other, &why), 0);
    (void)config_of(HOSTNAME TLS UPSTREAMS);
    ck_assert(networks_hold(&config->shared, &loopback) && !networks_hold(&config->shared, &other));
    (void)config_of(HOSTNAME TLS UPSTREAMS "shared_networks = [\"192.0.2.0/24\"]\n");
    ck_assert(!networks_hold(&config->shared, &loopback) && networks_hold(&config->shared, &other));
    count_is(0, 0);
    (void)config_of(HOSTNAME TLS UPSTREAMS "shared_networks = [\"192.0.2.9/24\"]\n");
    error_is("porteiro.conf:4: shared_networks: ", "is an address within a network");
}
END_TEST

SUITE(check)
{
    folder_use(tests);
    TEST(without_a_hostname_it_is_that_of_the_host);
    TEST(a_hostname_without_a_domain_is_warned_of);
    TEST(the_realm_is_the_hostname_without_its_first_label);
    TEST(what_is_wrong_with_a_key_is_told_at_its_line_and_what_is_missing_at_its_groups);
    TEST(a_listener_finds_its_certificate_and_its_upstream);
    TEST(an_address_to_listen_on_is_parsed);
    TEST(an_address_of_a_server_is_parsed);
    TEST(a_name_that_nothing_defines_is_told);
    TEST(a_certificate_is_asked_for_with_authorities_alone);
    TEST(authorities_for_certificates_that_nobody_asks_for_are_told);
    TEST(implied_listeners_need_a_certificate_too);
    TEST(a_role_needs_an_upstream_of_its_protocol);
    TEST(nobody_logs_in_without_tls);
    TEST(a_port_that_refuses_takes_no_tls);
    TEST(an_address_that_another_listener_has_is_told);
    TEST(an_address_that_is_listed_twice_is_told);
    TEST(an_address_that_a_wildcard_covers_is_told);
    TEST(an_upstream_that_is_our_own_listener_is_told);
    TEST(an_upstream_that_only_looks_like_our_own_listener_is_taken);
    TEST(a_mapped_address_of_our_own_is_told);
    TEST(a_wildcard_as_an_upstream_is_our_own_listener);
    TEST(a_port_that_refuses_is_no_upstream_either);
    TEST(the_place_of_a_loop_is_that_of_the_server);
    TEST(an_identity_is_one_of_its_protocol);
    TEST(a_password_does_not_travel_where_tls_may_be_left_out);
    TEST(what_is_set_for_a_check_that_does_not_take_place_is_an_error);
    TEST(a_servers_certificate_is_looked_at_where_something_says_which);
    TEST(identity_auth_needs_a_name_and_a_password);
    TEST(a_token_command_stands_instead_of_a_password);
    TEST(the_keys_of_an_account_mean_nothing_without_identity_auth);
    TEST(identity_master_needs_a_name_and_a_password);
    TEST(the_keys_of_a_master_user_mean_nothing_without_identity_master);
    TEST(who_is_asked_for_passwords_is_the_listeners_own_or_a_named_one);
    TEST(who_is_asked_must_be_there_and_can_not_be_logged_in_already);
    TEST(a_clients_certificate_and_its_key_go_together);
    TEST(a_password_in_clear_is_for_private_addresses);
    TEST(a_mailbox_has_one_server);
    TEST(an_upstream_has_a_server);
    TEST(there_are_64_listeners_and_256_servers_at_most);
    TEST(shared_networks_are_networks);
}
