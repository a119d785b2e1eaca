#include "config/mechanisms.h"

#include "folder.h"

/* Listeners of both kinds behind which the usual servers stand. */
static void configure(const char *auth)
{
    char text[2048];
    (void)snprintf(text, sizeof text,
                   HOSTNAME TLS "upstreams = { smtp = { servers = { a = { address = "
                                "\"192.0.2.5:25\" } } }\n"
                                "  pop3 = { protocol = \"pop3\" servers = { a = { address = "
                                "\"192.0.2.5:110\" } } } }\n"
                                "auth = { %s }\n",
                   auth); /* fits */
    (void)config_of(text);
}

static unsigned offered(const char *listener)
{
    for (size_t i = 0; i < config->listener_count; i++)
        if (strcmp(config->listeners[i].name, listener) == 0)
            return config->listeners[i].mechanisms;
    ck_abort_msg("no listener %s", listener);
}

enum {
    PLAIN = 1 << MECHANISM_PLAIN,
    LOGIN = 1 << MECHANISM_LOGIN,
    SCRAM = 1 << MECHANISM_SCRAM,
    PLUS = 1 << MECHANISM_SCRAM_PLUS,
    CRAM = 1 << MECHANISM_CRAM_MD5,
};

START_TEST(names_and_numbers_agree)
{
    ck_assert_str_eq(mechanism_names[MECHANISM_PLAIN], "PLAIN");
    ck_assert_str_eq(mechanism_names[MECHANISM_LOGIN], "LOGIN");
    ck_assert_str_eq(mechanism_names[MECHANISM_SCRAM], "SCRAM-SHA-256");
    ck_assert_str_eq(mechanism_names[MECHANISM_SCRAM_PLUS], "SCRAM-SHA-256-PLUS");
    ck_assert_str_eq(mechanism_names[MECHANISM_CRAM_MD5], "CRAM-MD5");
    ck_assert_str_eq(mechanism_names[MECHANISM_EXTERNAL], "EXTERNAL");
    ck_assert_ptr_null(mechanism_names[MECHANISM_COUNT]);
}
END_TEST

START_TEST(what_can_not_succeed_is_left_out_and_noted_with_the_reason)
{
    configure("");
    ck_assert_uint_eq(offered("submissions"), PLAIN | LOGIN | SCRAM);
    ck_assert_uint_eq(offered("pop3s"), PLAIN | LOGIN);
    count_is(0, 0);
    told_once(FINDING_NOTE, "", "listeners.pop3s: no SCRAM-SHA-256, EXTERNAL: the server behind");
    told_once(FINDING_NOTE, "", "listeners.submissions: no EXTERNAL: ");
    told_once(FINDING_NOTE, "", "listeners.submission: no EXTERNAL: ");
    ck_assert_uint_eq(told(FINDING_NOTE, "", ""), 3);
}
END_TEST

START_TEST(what_is_asked_for_is_offered_and_nothing_else)
{
    configure("mechanisms = [\"CRAM-MD5\", \"SCRAM-SHA-256-PLUS\", \"PLAIN\"]");
    ck_assert_uint_eq(offered("submission"), PLAIN | PLUS | CRAM);
    ck_assert_uint_eq(offered("pop3s"), PLAIN);
    count_is(0, 0);
}
END_TEST

START_TEST(where_nobody_could_log_in_is_an_error)
{
    configure("mechanisms = [\"SCRAM-SHA-256\"]");
    error_is("", "listeners.pop3s: nobody could log in");
    count_is(1, 0);
}
END_TEST

START_TEST(external_is_offered_where_clients_are_asked_for_a_certificate)
{
    (void)config_of(HOSTNAME TLS UPSTREAMS
                    "listeners = { a = { bind = [\"127.0.0.1:465\"] upstream = \"smtp\" "
                    "client_certificate = \"optional\" client_ca = \"/etc/ca.pem\" }\n"
                    "  b = { bind = [\"127.0.0.1:466\"] upstream = \"smtp\" } }\n");
    ck_assert_uint_eq(offered("a"), PLAIN | LOGIN | SCRAM | 1 << MECHANISM_EXTERNAL);
    ck_assert_uint_eq(offered("b"), PLAIN | LOGIN | SCRAM);
}
END_TEST

START_TEST(with_saslauthd_nothing_is_offered_that_hides_the_password)
{
    configure("backend = \"saslauthd\" mechanisms = [\"PLAIN\", \"SCRAM-SHA-256\", \"CRAM-MD5\"]");
    ck_assert_uint_eq(offered("submissions"), PLAIN);
    told_once(FINDING_NOTE, "", "listeners.submissions: no SCRAM-SHA-256, CRAM-MD5: saslauthd");
}
END_TEST

START_TEST(an_unknown_mechanism_is_refused_with_the_names_that_would_do)
{
    configure("mechanisms = [\"PLAIN\", \"DIGEST-MD5\"]");
    error_is(
        "porteiro.conf:5: auth.mechanisms: \"DIGEST-MD5\" is unknown here; write \"PLAIN\" or ",
        "\"SCRAM-SHA-256-PLUS\" or \"CRAM-MD5\" or \"EXTERNAL\"");
    configure("mechanisms = []");
    error_is("porteiro.conf:5: auth.mechanisms: ", "must not be empty");
}
END_TEST

SUITE(mechanisms)
{
    folder_use(tests);
    TEST(names_and_numbers_agree);
    TEST(what_can_not_succeed_is_left_out_and_noted_with_the_reason);
    TEST(what_is_asked_for_is_offered_and_nothing_else);
    TEST(where_nobody_could_log_in_is_an_error);
    TEST(external_is_offered_where_clients_are_asked_for_a_certificate);
    TEST(with_saslauthd_nothing_is_offered_that_hides_the_password);
    TEST(an_unknown_mechanism_is_refused_with_the_names_that_would_do);
}
