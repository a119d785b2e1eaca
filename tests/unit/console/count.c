#include "console/commands.h"

#include "gateway.h"

#define WELL "{\"ok\": true, \"text\": \"ana@example.com: 1 more, in 1 limit\"}\n"

START_TEST(the_gateway_is_told_of_a_message)
{
    GATEWAY_SAYS(WELL);
    ck_assert_int_eq(gives(command_count, false, "--message", "dc56td6052bb"), CONSOLE_DONE);
    ck_assert_str_eq(gateway.out, "ana@example.com: 1 more, in 1 limit\n");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"count\",\"message\":\"dc56td6052bb\"}\n");
}
END_TEST

static void standard_input_says(const char *text)
{
    int file = memfd_create("stdin", MFD_CLOEXEC);
    ck_assert_int_eq(pwrite(file, text, strlen(text), 0), (ssize_t)strlen(text));
    ck_assert_int_eq(dup2(file, STDIN_FILENO), STDIN_FILENO);
    ck_assert_int_eq(close(file), 0);
}

START_TEST(lines_are_told_one_by_one_and_what_is_wrong_is_left_behind)
{
    GATEWAY_SAYS(WELL, "{\"ok\": false, \"error\": \"nothing is known\"}\n", WELL);
    standard_input_says("# bounces\n\n  ana@example.com\trejected_recipients 3\r\n"
                        "ana@example.com rejected_recipients\n"
                        "--message 0123456789ab\n"
                        "ana@example.com rejected_recipients 1 2\n"
                        "ana@example.com rejected_recipients x\n"
                        "--message dc56td6052bb");
    ck_assert_int_eq(gives(command_count, false, "-", NULL), CONSOLE_FAILED);
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"count\",\"account\":\"ana@example.com\",\"rejected_"
                     "recipients\":3}\n"
                     "{\"command\":\"count\",\"message\":\"0123456789ab\"}\n"
                     "{\"command\":\"count\",\"message\":\"dc56td6052bb\"}\n");
    static const char *const told[] = {"line 4: is neither", "line 5: nothing is known",
                                       "line 6: is neither", "line 7: is neither"};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        ck_assert_msg(strstr(gateway.err, told[i]) != NULL, "%s: %s", told[i], gateway.err);
    ck_assert_str_eq(gateway.out, "");
}
END_TEST

START_TEST(lines_that_are_all_right_are_status_0)
{
    GATEWAY_SAYS(WELL);
    standard_input_says("--message dc56td6052bb\n");
    ck_assert_int_eq(gives(command_count, false, "-", NULL), CONSOLE_DONE);
    ck_assert_str_eq(gateway.err, "");
    gateway_is_done();
}
END_TEST

static const char *const wrong[][2] = {{NULL, NULL},
                                       {"ana", NULL},
                                       {"ana", "rejected_recipients"},
                                       {"--message", NULL},
                                       {"--messages", "dc56td6052bb"},
                                       {"--message", "\xff"},
                                       {"-", "-"}};

START_TEST(what_is_written_wrongly_is_told_without_asking)
{
    ck_assert_int_eq(gives(command_count, false, wrong[_i][0], wrong[_i][1]), CONSOLE_USAGE);
}
END_TEST

SUITE(count)
{
    gateway_use(tests);
    TEST(the_gateway_is_told_of_a_message);
    TEST(lines_are_told_one_by_one_and_what_is_wrong_is_left_behind);
    TEST(lines_that_are_all_right_are_status_0);
    LOOP_TEST(what_is_written_wrongly_is_told_without_asking, wrong);
}
