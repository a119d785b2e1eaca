#include "console/commands.h"

#include "gateway.h"

#define DONE "{\"ok\": true, \"text\": \"192.0.2.7 is banned\"}\n"
#define ROW                                                                       \
    "{\"network\": \"192.0.2.7\", \"account\": \"\", \"exempt\": false, \"by\": " \
    "\"auth.guessing\","                                                          \
    " \"tries\": 10, \"left\": 3599.2, \"reason\": \"wr\\u001bong\"}\n"
#define EXEMPT                                                                            \
    "{\"network\": \"2001:db8::/64\", \"exempt\": true, \"by\": \"uid 0\", \"tries\": 0," \
    " \"left\": 60.0}\n"

START_TEST(bans_are_a_table_with_the_rule_the_tries_and_who_has_ordered_them)
{
    GATEWAY_SAYS(ROW EXEMPT "{\"ok\": true, \"text\": \"\"}\n");
    ck_assert_int_eq(gives(command_bans, false, NULL, NULL), CONSOLE_DONE);
    says_line("network is account by tries left reason");
    says_line("192.0.2.7 banned auth.guessing 10 59min59s wr?ong");
    says_line("2001:db8::/64 exempt root 1min0s");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"bans\"}\n");
}
END_TEST

START_TEST(for_programs_bans_are_json)
{
    GATEWAY_SAYS(ROW EXEMPT "{\"ok\": true, \"text\": \"\"}\n", "{\"ok\": true}\n");
    ck_assert_int_eq(gives(command_bans, true, NULL, NULL), CONSOLE_DONE);
    json_t *shown = json_loads(gateway.out, 0, NULL);
    ck_assert_uint_eq(json_array_size(shown), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(shown, 0), "tries")), 10);
    json_decref(shown);
    ck_assert_int_eq(gives(command_bans, true, NULL, NULL), CONSOLE_DONE);
    shown = json_loads(gateway.out, 0, NULL);
    ck_assert(json_is_array(shown) && json_array_size(shown) == 0);
    json_decref(shown);
    gateway_is_done();
}
END_TEST

START_TEST(without_a_time_a_ban_is_for_a_day)
{
    GATEWAY_SAYS(DONE);
    ck_assert_int_eq(gives(command_ban, false, "192.0.2.7", NULL), CONSOLE_DONE);
    ck_assert_str_eq(gateway.out, "192.0.2.7 is banned\n");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"ban\",\"network\":\"192.0.2.7\",\"seconds\":86400,"
                     "\"reason\":\"\"}\n");
}
END_TEST

START_TEST(the_words_of_a_ban_stand_in_any_order)
{
    char words[][16] = {"--reason", "sends spam", "192.0.2.0/24", "--for", "90min"};
    char *argv[] = {words[0], words[1], words[2], words[3], words[4], NULL};
    const struct console c = {.socket = gateway.path, .argc = 5, .argv = argv};
    GATEWAY_SAYS(DONE);
    ck_assert_int_eq(command_ban(&c), CONSOLE_DONE);
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"ban\",\"network\":\"192.0.2.0/24\",\"seconds\":5400,"
                     "\"reason\":\"sends spam\"}\n");
}
END_TEST

static const char *const wrong[][2] = {
    {NULL, NULL},      {"--for", "1h"},       {"192.0.2.7", "--for"},
    {"--later", NULL}, {"192.0.2.7", "more"}, {"192.0.2.7", "--reason"},
};

START_TEST(a_ban_of_other_words_is_refused_without_asking)
{
    ck_assert_int_eq(gives(command_ban, false, wrong[_i][0], wrong[_i][1]), CONSOLE_USAGE);
    ck_assert_ptr_nonnull(strstr(gateway.err, "ban takes"));
}
END_TEST

START_TEST(unban_names_the_address)
{
    GATEWAY_SAYS("{\"ok\": true, \"text\": \"lifted\"}\n");
    ck_assert_int_eq(gives(command_unban, false, "192.0.2.7", NULL), CONSOLE_DONE);
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"unban\",\"network\":\"192.0.2.7\"}\n");
    ck_assert_int_eq(gives(command_unban, false, NULL, NULL), CONSOLE_USAGE);
}
END_TEST

START_TEST(what_the_gateway_refuses_is_told)
{
    GATEWAY_SAYS("{\"ok\": false, \"error\": \"shared_networks are never banned\"}\n");
    ck_assert_int_eq(gives(command_ban, false, "127.0.0.1", NULL), CONSOLE_FAILED);
    ck_assert_ptr_nonnull(strstr(gateway.err, "shared_networks"));
    gateway_is_done();
}
END_TEST

SUITE(bans)
{
    gateway_use(tests);
    TEST(bans_are_a_table_with_the_rule_the_tries_and_who_has_ordered_them);
    TEST(for_programs_bans_are_json);
    TEST(without_a_time_a_ban_is_for_a_day);
    TEST(the_words_of_a_ban_stand_in_any_order);
    LOOP_TEST(a_ban_of_other_words_is_refused_without_asking, wrong);
    TEST(unban_names_the_address);
    TEST(what_the_gateway_refuses_is_told);
}
