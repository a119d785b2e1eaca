#include "console/commands.h"

#include "gateway.h"

#define WELL "{\"ok\": true, \"text\": \"\"}\n"
#define ANSWER(is, account, client, session, sessions, lines)                                     \
    "{\"is\": \"" is "\", \"account\": \"" account "\", \"client\": \"" client                    \
    "\", \"session\": \"" session "\", \"since\": \"2026-11-28T06:00:00.000Z\", \"covers\": 60, " \
    "\"count\": 50, \"sessions\": [" sessions "], \"bans\": [], \"lines\": [" lines "]}\n" WELL
#define LIMIT(used)                                                                     \
    "{\"rule\": \"hour\", \"limit\": \"at most 600 recipients in 1h\", \"used\": " used \
    ", \"left\": 10, \"wait\": 0, \"rest\": 60, \"policy\": \"out\", \"mode\": "        \
    "\"enforce\"}\n" WELL
#define SEEN                                                                                      \
    "{\"session\": \"6k2x0v8q7hna\", \"listener\": \"submission\", \"client\": \"192.0.2.7:1\", " \
    "\"account\": \"ana@example.com\", \"state\": \"command\", \"age\": 7.0, \"messages\": 3, "   \
    "\"deleted\": 0}"
#define LINE                                                                                       \
    "{\"time\": \"2026-11-28T06:00:07.123Z\", \"level\": \"info\", \"event\": \"login\", "         \
    "\"process\": \"worker 1\", \"session\": \"6k2x0v8q7hna\", \"account\": \"ana@example.com\", " \
    "\"code\": 235, \"duration\": 0.25, \"reply\": \"go on\\u001b[2J\"}"

static void begin(void)
{
    ck_assert_int_eq(setenv("TZ", "UTC", 1), 0);
}

START_TEST(an_account_is_shown_with_all_that_is_known)
{
    GATEWAY_SAYS(ANSWER("account", "ana@example.com", "", "", SEEN, LINE), LIMIT("590"));
    ck_assert_int_eq(gives(command_show, false, "ana@example.com", NULL), CONSOLE_DONE);
    says_line("account ana@example.com");
    says_line("log lines are kept since Nov 28 06:00:00");
    says_line("6k2x0v8q7hna submission 192.0.2.7:1 ana@example.com command 7s 3 0");
    says_line("hour 600 recipients in 1h 590 10 now 1min0s out");
    says_line("the last 1 of 50 lines:");
    says_line("Nov 28 06:00:07 login session=6k2x0v8q7hna code=235 duration=0.25 reply=go on?[2J");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"show\",\"who\":\"ana@example.com\"}\n"
                     "{\"command\":\"limits\",\"keys\":[\"ana@example.com\"]}\n");
}
END_TEST

START_TEST(a_session_is_shown_with_whose_it_is_and_his_limits)
{
    GATEWAY_SAYS(ANSWER("session", "ana@example.com", "2001:db8::/64", "6k2x0v8q7hna", "", LINE),
                 LIMIT("0"));
    ck_assert_int_eq(gives(command_show, false, "6k2x0v8q7hna", NULL), CONSOLE_DONE);
    says_line("session 6k2x0v8q7hna account=ana@example.com client=2001:db8::/64");
    says_line("Nov 28 06:00:07 login code=235 duration=0.25 reply=go on?[2J");
    gateway_is_done();
    ck_assert_ptr_nonnull(
        strstr(gateway.told->requests, "\"keys\":[\"ana@example.com\",\"2001:db8::\"]"));
}
END_TEST

START_TEST(for_programs_it_is_one_object)
{
    GATEWAY_SAYS(ANSWER("account", "ana@example.com", "", "", "", LINE), LIMIT("590"));
    ck_assert_int_eq(gives(command_show, true, "ana", NULL), CONSOLE_DONE);
    json_t *shown = json_loads(gateway.out, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(shown, "lines")), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(shown, "limits")), 1);
    json_decref(shown);
    gateway_is_done();
}
END_TEST

START_TEST(of_whom_nothing_is_known_is_told_with_a_status_of_its_own)
{
    GATEWAY_SAYS(ANSWER("account", "eve@example.com", "", "", "", ""), LIMIT("0"));
    ck_assert_int_eq(gives(command_show, false, "eve", NULL), CONSOLE_UNKNOWN);
    ck_assert_str_eq(gateway.out, "");
    ck_assert_ptr_nonnull(
        strstr(gateway.err, "nothing is known of eve since Nov 28 06:00:00; what is older"));
    gateway_is_done();
}
END_TEST

START_TEST(what_a_limit_has_counted_is_known)
{
    GATEWAY_SAYS(ANSWER("account", "eve@example.com", "", "", "", ""), LIMIT("1"));
    ck_assert_int_eq(gives(command_show, false, "eve", NULL), CONSOLE_DONE);
    gateway_is_done();
}
END_TEST

START_TEST(limits_that_can_not_be_asked_are_missed_and_the_rest_is_shown)
{
    GATEWAY_SAYS(ANSWER("account", "ana@example.com", "", "", "", LINE),
                 "{\"ok\": false, \"error\": \"the counters can't be asked now\"}\n");
    ck_assert_int_eq(gives(command_show, false, "ana", NULL), CONSOLE_DONE);
    ck_assert_ptr_nonnull(strstr(gateway.err, "the counters can't be asked now"));
    ck_assert_ptr_nonnull(strstr(gateway.out, "login"));
    gateway_is_done();
}
END_TEST

static const char *const wrong[] = {NULL, "", "--all", "\xff"};

START_TEST(what_is_nobody_is_refused_without_asking)
{
    ck_assert_int_eq(gives(command_show, false, wrong[_i], NULL), CONSOLE_USAGE);
}
END_TEST

START_TEST(what_the_gateway_refuses_or_does_not_say_is_a_failure)
{
    GATEWAY_SAYS("{\"ok\": false, \"error\": \"that is no session\"}\n", WELL);
    ck_assert_int_eq(gives(command_show, false, "a b", NULL), CONSOLE_FAILED);
    ck_assert_ptr_nonnull(strstr(gateway.err, "that is no session"));
    ck_assert_int_eq(gives(command_show, false, "ana", NULL), CONSOLE_FAILED);
    gateway_is_done();
}
END_TEST

SUITE(show)
{
    gateway_use(tests);
    tcase_add_checked_fixture(tests, begin, NULL);
    TEST(an_account_is_shown_with_all_that_is_known);
    TEST(a_session_is_shown_with_whose_it_is_and_his_limits);
    TEST(for_programs_it_is_one_object);
    TEST(of_whom_nothing_is_known_is_told_with_a_status_of_its_own);
    TEST(what_a_limit_has_counted_is_known);
    TEST(limits_that_can_not_be_asked_are_missed_and_the_rest_is_shown);
    LOOP_TEST(what_is_nobody_is_refused_without_asking, wrong);
    TEST(what_the_gateway_refuses_or_does_not_say_is_a_failure);
}
