#include "console/commands.h"

#include "gateway.h"

#define WELL "{\"ok\": true, \"text\": \"\"}\n"
#define ANSWER(sessions, lines)                                                              \
    "{\"is\": \"account\", \"account\": \"ana@example.com\", \"since\": "                    \
    "\"2026-11-28T06:00:00.000Z\", \"count\": 50, \"sessions\": [" sessions "], \"lines\": " \
    "[" lines "]}\n" WELL
#define SEEN                                                                                      \
    "{\"session\": \"6k2x0v8q7hna\", \"listener\": \"submission\", \"client\": \"192.0.2.7:1\", " \
    "\"account\": \"ana@example.com\", \"state\": \"command\", \"age\": 7.0, \"messages\": 3, "   \
    "\"deleted\": 0}"
#define LOGIN(event, client)                                                               \
    "{\"time\": \"2026-11-28T06:00:07.123Z\", \"event\": \"" event "\", \"session\": "     \
    "\"6k2x0v8q7hna\", \"listener\": \"pop3s\", \"client\": \"" client "\", \"country\": " \
    "\"BR\", \"mechanism\": \"PLAIN\"}"

static void begin(void)
{
    ck_assert_int_eq(setenv("TZ", "UTC", 1), 0);
}

START_TEST(an_account_has_its_sessions_and_its_logins)
{
    GATEWAY_SAYS(ANSWER(
        SEEN, LOGIN("login", "192.0.2.7:1") ", " LOGIN(
                  "login_failed", "[2001:db8::7]:2") ", " LOGIN("login_refused", "192.0.2.8:3")));
    ck_assert_int_eq(gives(command_logins, false, "ana", NULL), CONSOLE_DONE);
    says_line("ana@example.com: 1 sessions, 50 logins since Nov 28 06:00:00");
    says_line("6k2x0v8q7hna submission 192.0.2.7:1 ana@example.com command 7s 3 0");
    says_line("Nov 28 06:00:07 in pop3s 192.0.2.7 BR PLAIN 6k2x0v8q7hna");
    says_line("Nov 28 06:00:07 wrong pop3s [2001:db8::7] BR PLAIN 6k2x0v8q7hna");
    says_line("Nov 28 06:00:07 refused pop3s 192.0.2.8 BR PLAIN 6k2x0v8q7hna");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"logins\",\"who\":\"ana\"}\n");
}
END_TEST

START_TEST(for_programs_logins_are_one_object)
{
    GATEWAY_SAYS(ANSWER("", LOGIN("login", "192.0.2.7:1")));
    ck_assert_int_eq(gives(command_logins, true, "ana", NULL), CONSOLE_DONE);
    json_t *shown = json_loads(gateway.out, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(shown, "lines")), 1);
    json_decref(shown);
    gateway_is_done();
}
END_TEST

START_TEST(where_nobody_has_come_it_is_told_since_when)
{
    GATEWAY_SAYS(ANSWER("", ""));
    ck_assert_int_eq(gives(command_logins, false, "ana", NULL), CONSOLE_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(gateway.err, "nobody has tried ana since Nov 28 06:00:00"));
    gateway_is_done();
}
END_TEST

START_TEST(logins_of_none_or_two_are_asked_of_nobody)
{
    ck_assert_int_eq(gives(command_logins, false, NULL, NULL), CONSOLE_USAGE);
    ck_assert_int_eq(gives(command_logins, false, "a", "b"), CONSOLE_USAGE);
    ck_assert_int_eq(gives(command_logins, false, "--all", NULL), CONSOLE_USAGE);
}
END_TEST

SUITE(logins)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    gateway_use(tests);
    TEST(an_account_has_its_sessions_and_its_logins);
    TEST(for_programs_logins_are_one_object);
    TEST(where_nobody_has_come_it_is_told_since_when);
    TEST(logins_of_none_or_two_are_asked_of_nobody);
}
