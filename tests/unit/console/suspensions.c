#include "console/commands.h"

#include "gateway.h"

#define DONE "{\"ok\": true, \"text\": \"done\"}\n"
#define ROWS                                                                               \
    "{\"account\": \"ana@example.com\", \"scope\": \"sending\", \"by\": \"list-washing\"," \
    " \"left\": 3599.2, \"reason\": \"wr\\u001bong\"}\n"                                   \
    "{\"account\": \"bea@example.com\", \"scope\": \"all\", \"by\": \"uid 0\", \"left\": null}\n"

START_TEST(suspensions_are_a_table_with_scope_rule_or_person_and_end)
{
    GATEWAY_SAYS(ROWS "{\"ok\": true, \"text\": \"\"}\n");
    ck_assert_int_eq(gives(command_suspended, false, NULL, NULL), CONSOLE_DONE);
    says_line("account scope by left reason");
    says_line("ana@example.com sending list-washing 59min59s wr?ong");
    says_line("bea@example.com all root until resumed");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"suspended\"}\n");
}
END_TEST

static const struct {
    const char *words[7];
    const char *request;
} orders[] = {
    {{"ana"}, "\"scope\":\"sending\",\"seconds\":86400,\"reason\":\"\""},
    {{"ana", "--scope", "all", "--until-resumed"},
     "\"scope\":\"all\",\"seconds\":0,\"reason\":\"\""},
    {{"--reason", "sends spam", "--for", "90min", "ana"},
     "\"scope\":\"sending\",\"seconds\":5400,\"reason\":\"sends spam\""},
    {{"--scope", "sending", "ana", "--for", "1s"},
     "\"scope\":\"sending\",\"seconds\":1,\"reason\":\"\""},
};

/* With all of the words there are. */
static int suspends(const char *const words[7])
{
    char copies[7][16];
    char *argv[8];
    struct console c = {.socket = gateway.path, .argv = argv};
    for (; c.argc < 7 && words[c.argc] != NULL; c.argc++) {
        (void)snprintf(copies[c.argc], sizeof copies[c.argc], "%s", words[c.argc]); /* fits */
        argv[c.argc] = copies[c.argc];
    }
    return command_suspend(&c);
}

START_TEST(the_words_of_an_order_stand_in_any_order)
{
    char request[256];
    GATEWAY_SAYS(DONE);
    ck_assert_int_eq(suspends(orders[_i].words), CONSOLE_DONE);
    gateway_is_done();
    (void)snprintf(request, sizeof request, "{\"command\":\"suspend\",\"account\":\"ana\",%s}\n",
                   orders[_i].request); /* fits */
    ck_assert_str_eq(gateway.told->requests, request);
}
END_TEST

static const char *const wrong[][7] = {
    {NULL},
    {"--scope", "all"},
    {"ana", "--for"},
    {"ana", "bea"},
    {"ana", "--until"},
    {"ana", "--for", "1h", "--until-resumed"},
    {"ana", "--for", "soon"},
    {"ana", "--for", "100ms"},
};

START_TEST(other_words_are_refused_without_asking)
{
    ck_assert_int_eq(suspends(wrong[_i]), CONSOLE_USAGE);
}
END_TEST

START_TEST(resume_names_the_account_and_tells_what_the_gateway_refuses)
{
    GATEWAY_SAYS("{\"ok\": false, \"error\": \"ana@example.com is not suspended\"}\n");
    ck_assert_int_eq(gives(command_resume, false, "ana", NULL), CONSOLE_FAILED);
    ck_assert_ptr_nonnull(strstr(gateway.err, "not suspended"));
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"resume\",\"account\":\"ana\"}\n");
    ck_assert_int_eq(gives(command_resume, false, NULL, NULL), CONSOLE_USAGE);
}
END_TEST

SUITE(suspensions)
{
    gateway_use(tests);
    TEST(suspensions_are_a_table_with_scope_rule_or_person_and_end);
    LOOP_TEST(the_words_of_an_order_stand_in_any_order, orders);
    LOOP_TEST(other_words_are_refused_without_asking, wrong);
    TEST(resume_names_the_account_and_tells_what_the_gateway_refuses);
}
