#include "console/commands.h"

#include "gateway.h"

#define WELL "{\"ok\": true, \"text\": \"hour of ana@example.com\"}\n"

START_TEST(what_is_set_is_a_table)
{
    GATEWAY_SAYS(
        "{\"name\": \"ana@example.com\", \"limit\": \"hour\", \"figure\": \"5000/1h 500\", "
        "\"uid\": 4000000, \"left\": 3600.0, \"reason\": \"campaign\"}\n"
        "{\"name\": \"@example.net\", \"limit\": \"open\", \"figure\": \"20\", \"uid\": 0, "
        "\"left\": null, \"reason\": \"\"}\n" WELL);
    ck_assert_int_eq(gives(command_limit, false, "list", NULL), CONSOLE_DONE);
    says_line("for limit is by left reason");
    says_line("ana@example.com hour 5000/1h 500 4000000 1h0min campaign");
    says_line("@example.net open 20 root for good");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"limit-list\"}\n");
}
END_TEST

static const struct {
    const char *words[12], *request;
} orders[] = {
    {{"set", "ana@example.com", "hour", "5/1h"},
     "{\"command\":\"limit-set\",\"name\":\"ana@example.com\",\"limit\":\"hour\",\"figure\":\"5/"
     "1h\",\"burst\":\"\",\"seconds\":86400,\"reason\":\"\"}\n"},
    {{"set", "--burst", "2", "@example.com", "hour", "--for", "12h", "5/1h", "--reason", "x y"},
     "{\"command\":\"limit-set\",\"name\":\"@example.com\",\"limit\":\"hour\",\"figure\":\"5/1h\","
     "\"burst\":\"2\",\"seconds\":43200,\"reason\":\"x y\"}\n"},
    {{"set", "ana", "open", "20", "--permanent"},
     "{\"command\":\"limit-set\",\"name\":\"ana\",\"limit\":\"open\",\"figure\":\"20\",\"burst\":"
     "\"\","
     "\"seconds\":0,\"reason\":\"\"}\n"},
    {{"unset", "ana", "hour"},
     "{\"command\":\"limit-unset\",\"name\":\"ana\",\"limit\":\"hour\"}\n"},
};

static int run(const char *const *words)
{
    struct console c = {.socket = gateway.path};
    char *argv[12];
    while (words[c.argc] != NULL) {
        argv[c.argc] = (char *)(uintptr_t)words[c.argc]; /* nobody writes into it */
        c.argc++;
    }
    c.argv = argv;
    return command_limit(&c);
}

START_TEST(an_order_is_given_with_all_that_it_says)
{
    GATEWAY_SAYS(WELL);
    ck_assert_int_eq(run(orders[_i].words), CONSOLE_DONE);
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, orders[_i].request);
}
END_TEST

static const char *const wrong[][8] = {
    {NULL},
    {"show"},
    {"list", "ana"},
    {"set", "ana", "hour"},
    {"set", "ana", "hour", "5/1h", "6/1h"},
    {"set", "ana", "hour", "5/1h", "--for"},
    {"set", "ana", "hour", "5/1h", "--for", "soon"},
    {"set", "ana", "hour", "5/1h", "--for", "0"},
    {"set", "ana", "hour", "5/1h", "--for", "1d", "--permanent"},
    {"set", "ana", "hour", "5/1h", "--all"},
    {"unset", "ana"},
    {"unset", "--all", "hour"},
};

START_TEST(what_is_no_order_is_refused_without_asking)
{
    ck_assert_int_eq(run(wrong[_i]), CONSOLE_USAGE);
}
END_TEST

SUITE(limit)
{
    gateway_use(tests);
    TEST(what_is_set_is_a_table);
    LOOP_TEST(an_order_is_given_with_all_that_it_says, orders);
    LOOP_TEST(what_is_no_order_is_refused_without_asking, wrong);
}
