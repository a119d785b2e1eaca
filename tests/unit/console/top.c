#include "console/commands.h"

#include "gateway.h"

#include <time.h>

#define WELL "{\"ok\": true, \"text\": \"\"}\n"
#define ANSWER(by, hidden, is_told, senders)                                            \
    "{\"by\": \"" by                                                                    \
    "\", \"since\": \"2026-11-28T06:00:00.000Z\", \"covers\": 540, \"hidden\": " hidden \
    ", \"is_told\": " is_told ", \"senders\": [" senders "]}\n" WELL
#define ANA "{\"name\": \"ana@example.com\", \"messages\": 7, \"recipients\": 12, \"refused\": 3}"

/* "since 10:31", 540 seconds ago: now, or a moment ago when the minute has just changed. */
static void says_since(const char *before)
{
    char one[60], other[60];
    time_t now = time(NULL);
    for (int late = 0; late < 2; late++) {
        time_t then = now - 540 - late * 5;
        struct tm t;
        char text[16];
        ck_assert_ptr_nonnull(localtime_r(&then, &t));
        ck_assert_uint_gt(strftime(text, sizeof text, "%H:%M", &t), 0);
        (void)snprintf(late == 0 ? one : other, sizeof one, "%ssince %s\n", before,
                       text); /* fits */
    }
    ck_assert_msg(strstr(gateway.out, one) != NULL || strstr(gateway.out, other) != NULL, "%s",
                  gateway.out);
}

START_TEST(top_is_a_table_of_who_has_sent_and_says_since_when)
{
    GATEWAY_SAYS(ANSWER("account", "0", "true", ANA));
    ck_assert_int_eq(gives(command_top, false, NULL, NULL), CONSOLE_DONE);
    says_line("account messages recipients refused");
    says_line("ana@example.com 7 12 3");
    says_since("\n");
    ck_assert_ptr_null(strstr(gateway.out, "missing"));
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"top\",\"by\":\"account\",\"last\":600}\n");
}
END_TEST

START_TEST(whom_it_goes_by_and_for_how_long_is_asked_for)
{
    GATEWAY_SAYS(ANSWER("ip", "40", "true", ANA), ANSWER("script", "0", "false", ""));
    ck_assert_int_eq(gives(command_top, false, "--by", "ip"), CONSOLE_DONE);
    ck_assert_ptr_nonnull(strstr(gateway.out, "up to 40 "));
    ck_assert_int_eq(gives(command_top, false, "--last", "1h"), CONSOLE_DONE);
    says_since("nothing was sent, or refused, ");
    ck_assert_ptr_nonnull(strstr(gateway.out, "no rule goes by a header"));
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"top\",\"by\":\"ip\",\"last\":600}\n"
                     "{\"command\":\"top\",\"by\":\"account\",\"last\":3600}\n");
}
END_TEST

START_TEST(for_programs_it_is_one_object)
{
    GATEWAY_SAYS(ANSWER("account", "0", "true", ANA));
    ck_assert_int_eq(gives(command_top, true, NULL, NULL), CONSOLE_DONE);
    json_t *shown = json_loads(gateway.out, 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(shown, "since")),
                     "2026-11-28T06:00:00.000Z");
    ck_assert_uint_eq(json_array_size(json_object_get(shown, "senders")), 1);
    json_decref(shown);
    gateway_is_done();
}
END_TEST

static const char *const wrong[][2] = {
    {"ana", NULL}, {"--by", NULL}, {"--last", NULL}, {"--last", "soon"}, {"--by", "\xff"},
};

START_TEST(what_makes_no_sense_is_refused_without_asking)
{
    ck_assert_int_eq(gives(command_top, false, wrong[_i][0], wrong[_i][1]), CONSOLE_USAGE);
}
END_TEST

START_TEST(what_the_gateway_refuses_is_told)
{
    GATEWAY_SAYS("{\"ok\": false, \"error\": \"last is 1min to 1h\"}\n");
    ck_assert_int_eq(gives(command_top, false, "--last", "1d"), CONSOLE_FAILED);
    ck_assert_ptr_nonnull(strstr(gateway.err, "last is 1min to 1h"));
    gateway_is_done();
}
END_TEST

SUITE(top)
{
    gateway_use(tests);
    TEST(top_is_a_table_of_who_has_sent_and_says_since_when);
    TEST(whom_it_goes_by_and_for_how_long_is_asked_for);
    TEST(for_programs_it_is_one_object);
    LOOP_TEST(what_makes_no_sense_is_refused_without_asking, wrong);
    TEST(what_the_gateway_refuses_is_told);
}
