#include "console/commands.h"

#include "gateway.h"

#define ROW(wait, rest, mode)                                                                     \
    "{\"rule\": \"hour\", \"limit\": \"at most 600 recipients in 1h\", \"used\": 590, \"left\": " \
    "10, \"wait\": " wait ", \"rest\": " rest ", \"policy\": \"out\", \"mode\": \"" mode "\"}\n"
#define WELL "{\"ok\": true, \"text\": \"\"}\n"

START_TEST(limits_are_a_table_of_what_is_used_and_left)
{
    GATEWAY_SAYS(ROW("0", "3540.0", "enforce") ROW("6.2", "60.0", "monitor")
                     ROW("null", "null", "enforce") WELL);
    ck_assert_int_eq(gives(command_limits, false, "ana@example.com", "192.0.2.7"), CONSOLE_DONE);
    says_line("rule at most used left next rest policy");
    says_line("hour 600 recipients in 1h 590 10 now 59min0s out");
    says_line("hour 600 recipients in 1h 590 10 6s 1min0s out (monitor)");
    says_line("hour 600 recipients in 1h 590 10 ? ? out");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"limits\",\"keys\":"
                                             "[\"ana@example.com\",\"192.0.2.7\"]}\n");
}
END_TEST

START_TEST(what_the_gateway_says_of_all_of_them_stands_below)
{
    GATEWAY_SAYS("{\"ok\": true, \"text\": \"Redis is away\"}\n",
                 "{\"ok\": true, \"text\": \"Redis is away\"}\n");
    ck_assert_int_eq(gives(command_limits, false, "ana", NULL), CONSOLE_DONE);
    ck_assert_ptr_nonnull(strstr(gateway.out, "\nRedis is away\n"));
    ck_assert_int_eq(gives(command_limits, true, "ana", NULL), CONSOLE_DONE);
    json_t *shown = json_loads(gateway.out, 0, NULL);
    ck_assert(json_is_array(shown) && json_array_size(shown) == 0);
    json_decref(shown);
    gateway_is_done();
}
END_TEST

static const char *const wrong[] = {NULL, "", "--all", "\xff"};

START_TEST(what_is_no_key_is_refused_without_asking)
{
    ck_assert_int_eq(gives(command_limits, false, wrong[_i], NULL), CONSOLE_USAGE);
}
END_TEST

START_TEST(what_the_gateway_refuses_is_told)
{
    GATEWAY_SAYS("{\"ok\": false, \"error\": \"is no key\"}\n");
    ck_assert_int_eq(gives(command_limits, false, "x@", NULL), CONSOLE_FAILED);
    ck_assert_ptr_nonnull(strstr(gateway.err, "is no key"));
    gateway_is_done();
}
END_TEST

SUITE(limits)
{
    gateway_use(tests);
    TEST(limits_are_a_table_of_what_is_used_and_left);
    TEST(what_the_gateway_says_of_all_of_them_stands_below);
    LOOP_TEST(what_is_no_key_is_refused_without_asking, wrong);
    TEST(what_the_gateway_refuses_is_told);
}
