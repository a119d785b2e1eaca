#include "console/commands.h"

#include "gateway.h"

#define ROW(rule, rest) "{\"rule\": \"" rule "\", \"stage\": \"RCPT\", " rest "}\n"
#define WELL            "{\"ok\": true, \"text\": \"ana@example.com is refused\"}\n"

START_TEST(each_rule_is_a_row_and_the_one_that_refuses_is_marked)
{
    GATEWAY_SAYS(
        ROW("hour", "\"verdict\": \"defer\", \"why\": \"\", \"where\": \"porteiro.conf:31\", "
                    "\"decides\": true, \"key\": \"hour ana@example.com\", \"left\": 0, "
                    "\"wait\": 42.0")
            ROW("day", "\"verdict\": \"pass\", \"why\": \"\", \"where\": "
                       "\"porteiro.conf:32\", \"decides\": false, \"key\": \"day "
                       "ana@example.com\", \"left\": 7, \"wait\": 0.0")
                ROW("to", "\"verdict\": \"skip\", \"why\": \"when\", \"where\": "
                          "\"porteiro.conf:33\", \"decides\": false") WELL);
    ck_assert_int_eq(gives(command_explain, false, "--account", "ana"), CONSOLE_DONE);
    says_line("rule at counter left verdict where");
    says_line("hour RCPT ana@example.com 0 defer 42s < porteiro.conf:31");
    says_line("day RCPT ana@example.com 7 pass porteiro.conf:32");
    says_line("to RCPT when skip porteiro.conf:33");
    says_line("ana@example.com is refused");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"explain\",\"account\":\"ana\"}\n");
}
END_TEST

static const char *const wrong[][2] = {
    {NULL, NULL},          {"ana", NULL},      {"--account", NULL}, {"--ip", "192.0.2.7"},
    {"--account", "\xff"}, {"--command", "x"}, {"--at", "tomorrow"}};

START_TEST(what_is_no_question_is_refused_without_asking)
{
    ck_assert_int_eq(gives(command_explain, false, wrong[_i][0], wrong[_i][1]), CONSOLE_USAGE);
}
END_TEST

SUITE(explain)
{
    gateway_use(tests);
    TEST(each_rule_is_a_row_and_the_one_that_refuses_is_marked);
    LOOP_TEST(what_is_no_question_is_refused_without_asking, wrong);
}
