#include "console/commands.h"

#include "gateway.h"

#define DONE "{\"ok\": true, \"text\": \"done\"}\n"
#define GOOD "{\"ok\": true, \"text\": \"\"}\n"

static const struct {
    int (*command)(const struct console *c);
    const char *request;
} simple[] = {
    {command_reload, "{\"command\":\"reload\"}\n"},
    {command_drain, "{\"command\":\"drain\"}\n"},
    {command_undrain, "{\"command\":\"undrain\"}\n"},
};

START_TEST(what_the_gateway_says_of_it_is_printed)
{
    GATEWAY_SAYS("{\"ok\": true, \"text\": \"generation 3 serves\"}\n");
    ck_assert_int_eq(gives(simple[_i].command, false, NULL, NULL), CONSOLE_DONE);
    ck_assert_str_eq(gateway.out, "generation 3 serves\n");
    ck_assert_str_eq(gateway.err, "");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, simple[_i].request);
}
END_TEST

START_TEST(a_reload_of_files_says_so)
{
    GATEWAY_SAYS("{\"ok\": true, \"text\": \"2 files taken\"}\n");
    ck_assert_int_eq(gives(command_reload, false, "--files", NULL), CONSOLE_DONE);
    ck_assert_str_eq(gateway.out, "2 files taken\n");
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"reload\",\"files\":true}\n");
}
END_TEST

START_TEST(what_is_done_without_a_word_is_told_as_done)
{
    GATEWAY_SAYS("{\"ok\": true}\n");
    ck_assert_int_eq(gives(simple[_i].command, false, NULL, NULL), CONSOLE_DONE);
    ck_assert_str_eq(gateway.out, "done\n");
    gateway_is_done();
}
END_TEST

START_TEST(for_programs_what_was_done_is_json)
{
    GATEWAY_SAYS(DONE);
    ck_assert_int_eq(gives(simple[_i].command, true, NULL, NULL), CONSOLE_DONE);
    json_t *shown = json_loads(gateway.out, 0, NULL);
    ck_assert(json_is_true(json_object_get(shown, "ok")));
    ck_assert_str_eq(json_string_value(json_object_get(shown, "text")), "done");
    json_decref(shown);
    gateway_is_done();
}
END_TEST

/* So many lines of findings; `end` is how a line's end is written. */
static const char *findings(const char *before, const char *end, const char *behind)
{
    static char text[8100];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", before); /* fits, as all that follow */
    for (int n = 1; n <= 200; n++)
        used += (size_t)snprintf(text + used, sizeof text - used, "porteiro.conf:%d: unknown key%s",
                                 n, end);
    used += (size_t)snprintf(text + used, sizeof text - used, "%s", behind);
    ck_assert_uint_lt(used, sizeof text);
    return text;
}

START_TEST(what_is_wrong_is_told_whole_on_standard_error)
{
    GATEWAY_SAYS(findings("{\"ok\": false, \"error\": \"", "\\n", "\"}\n"));
    ck_assert_int_eq(gives(command_reload, false, NULL, NULL), CONSOLE_FAILED);
    ck_assert_str_eq(gateway.err, findings("porteiroctl: reload: ", "\n", ""));
    ck_assert_str_eq(gateway.out, "");
    gateway_is_done();
}
END_TEST

START_TEST(a_reason_of_one_line_gets_its_end)
{
    GATEWAY_SAYS("{\"ok\": false, \"error\": \"not now\"}\n");
    ck_assert_int_eq(gives(command_undrain, false, NULL, NULL), CONSOLE_FAILED);
    ck_assert_str_eq(gateway.err, "porteiroctl: undrain: not now\n");
    gateway_is_done();
}
END_TEST

static const struct {
    int (*command)(const struct console *c);
    const char *first, *second;
} wrong[] = {
    {command_reload, "--file", NULL},  {command_reload, "--files", "now"},
    {command_reload, "now", NULL},     {command_undrain, "now", NULL},
    {command_drain, "now", NULL},      {command_drain, "--wait", NULL},
    {command_drain, "--wait", "long"}, {command_drain, "--wait", "-1s"},
    {command_drain, "--for", "5min"},
};

START_TEST(wrong_arguments_are_told_and_nothing_is_asked)
{
    ck_assert_int_eq(gives(wrong[_i].command, false, wrong[_i].first, wrong[_i].second),
                     CONSOLE_USAGE);
    ck_assert_str_eq(gateway.out, "");
    ck_assert_ptr_nonnull(strstr(gateway.err, "see porteiroctl --help"));
    ck_assert_int_eq(fcntl(gateway.listening, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(accept(gateway.listening, NULL, NULL), -1);
}
END_TEST

START_TEST(drain_waits_until_no_session_is_left)
{
    GATEWAY_SAYS(DONE, "{\"sessions\": 2}\n" GOOD, "{\"sessions\": 1}\n" GOOD,
                 "{\"sessions\": 0}\n" GOOD);
    ck_assert_int_eq(gives(command_drain, false, "--wait", "1min"), CONSOLE_DONE);
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests,
                     "{\"command\":\"drain\"}\n{\"command\":\"status\"}\n"
                     "{\"command\":\"status\"}\n{\"command\":\"status\"}\n");
}
END_TEST

START_TEST(drain_tells_what_is_left_when_the_time_is_over)
{
    GATEWAY_SAYS(DONE, "{\"sessions\": 2}\n" GOOD, "{\"sessions\": 2}\n" GOOD);
    ck_assert_int_eq(gives(command_drain, false, "--wait", "1ms"), CONSOLE_FAILED);
    ck_assert_str_eq(gateway.err, "porteiroctl: 2 sessions are left\n");
}
END_TEST

START_TEST(a_drain_that_was_refused_waits_for_nothing)
{
    GATEWAY_SAYS("{\"ok\": false, \"error\": \"not now\"}\n");
    ck_assert_int_eq(gives(command_drain, false, "--wait", "1min"), CONSOLE_FAILED);
    gateway_is_done();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"drain\"}\n");
}
END_TEST

START_TEST(a_gateway_that_goes_while_it_is_waited_for_is_a_failure)
{
    GATEWAY_SAYS(DONE, "");
    ck_assert_int_eq(gives(command_drain, false, "--wait", "1min"), CONSOLE_FAILED);
    ck_assert_ptr_nonnull(strstr(gateway.err, "gave no answer"));
    gateway_is_done();
}
END_TEST

START_TEST(every_command_has_a_name_and_a_help)
{
    size_t count = 0;
    for (const struct command *c = console_commands; c->name != NULL; c++, count++) {
        ck_assert(c->run != NULL);
        ck_assert_uint_gt(strlen(c->help), 0);
        for (const struct command *other = console_commands; other < c; other++)
            ck_assert_str_ne(other->name, c->name);
    }
    ck_assert_uint_ge(count, 20);
}
END_TEST

START_TEST(for_programs_a_text_of_several_lines_is_json)
{
    GATEWAY_SAYS("{\"ok\": true, \"text\": \"porteiro.conf:3: \\\"x\\\"\\ntwo\\n\"}\n");
    ck_assert_int_eq(gives(command_reload, true, NULL, NULL), CONSOLE_DONE);
    json_t *shown = json_loads(gateway.out, 0, NULL);
    ck_assert_msg(shown != NULL, "%s", gateway.out);
    ck_assert_str_eq(json_string_value(json_object_get(shown, "text")),
                     "porteiro.conf:3: \"x\"\ntwo\n");
    json_decref(shown);
    gateway_is_done();
}
END_TEST

SUITE(admin)
{
    gateway_use(tests);
    LOOP_TEST(what_the_gateway_says_of_it_is_printed, simple);
    TEST(a_reload_of_files_says_so);
    LOOP_TEST(what_is_done_without_a_word_is_told_as_done, simple);
    LOOP_TEST(for_programs_what_was_done_is_json, simple);
    TEST(what_is_wrong_is_told_whole_on_standard_error);
    TEST(a_reason_of_one_line_gets_its_end);
    LOOP_TEST(wrong_arguments_are_told_and_nothing_is_asked, wrong);
    TEST(drain_waits_until_no_session_is_left);
    TEST(drain_tells_what_is_left_when_the_time_is_over);
    TEST(a_drain_that_was_refused_waits_for_nothing);
    TEST(a_gateway_that_goes_while_it_is_waited_for_is_a_failure);
    TEST(every_command_has_a_name_and_a_help);
    TEST(for_programs_a_text_of_several_lines_is_json);
}
