#include "console/commands.h"

#include "gateway.h"

#define GOOD "{\"ok\": true, \"text\": \"\"}\n"

/* As control/board tells it, in one line. */
static const char status[] =
    "{\"version\": \"1.2.3\", \"hostname\": \"mail.example.com\", \"pid\": 4711, \"state\": "
    "\"serving\", \"generation\": 2, \"uptime\": 273600.5, \"sessions\": 12, \"max_connections\": "
    "1000, \"processes\": [{\"role\": \"master\", \"index\": 0, \"pid\": 4711, \"generation\": 2, "
    "\"state\": \"serving\", \"uptime\": 273600.5, \"sessions\": 0}, {\"role\": \"worker\", "
    "\"index\": 3, \"pid\": 4712, \"generation\": 2, \"state\": \"draining\", \"uptime\": 320.25, "
    "\"sessions\": 7}, {\"role\": \"auth\", \"index\": 1, \"pid\": 4713, \"generation\": 1, "
    "\"state\": \"serving\", \"uptime\": 0.25, \"sessions\": 0}], \"listeners\": [{\"name\": "
    "\"submission\", \"connections\": 101, \"connections_refused\": 2, \"logins\": 93, "
    "\"login_failures\": 4, \"messages\": 85, \"messages_refused\": 6, \"mailboxes\": 77, "
    "\"message_bytes\": 1024, \"mailbox_bytes\": 512}], \"servers\": [{\"name\": \"smtp/legacy\", "
    "\"state\": \"up\", \"connections\": 8, \"upstream_connections\": 19, \"upstream_failures\": "
    "20, \"upstream_messages\": 21}], \"counters\": {\"log_lines_dropped\": 0}}";

static const char ana[] =
    "{\"session\": \"0123456789ab\", \"client\": \"192.0.2.7:5555\", \"listener\": \"submission\", "
    "\"account\": \"ana@example.com\", \"state\": \"command\", \"age\": 61.5, \"messages\": 3, "
    "\"tls\": true, \"pid\": 4712}";
static const char nobody[] =
    "{\"session\": \"ba9876543210\", \"client\": \"[2001:db8::1]:25\", \"listener\": \"pop3s\", "
    "\"account\": \"\", \"state\": \"TLS handshake\", \"age\": 0.012, \"messages\": 0, "
    "\"tls\": false, \"pid\": 4712}";

static char answer[GATEWAY_TEXT];

/* These lines, and that it went well; "" is none. */
static const char *well(const char *first, const char *second)
{
    ck_assert_int_lt(snprintf(answer, sizeof answer, "%s%s%s%s%s", first,
                              first[0] == '\0' ? "" : "\n", second, second[0] == '\0' ? "" : "\n",
                              GOOD),
                     (int)sizeof answer);
    return answer;
}

/* ---- status ---- */

static void shows_status(void)
{
    GATEWAY_SAYS(well(status, ""));
    ck_assert_int_eq(gives(command_status, false, NULL, NULL), CONSOLE_DONE);
    ck_assert_str_eq(gateway.err, "");
    gateway_is_done();
}

START_TEST(status_asks_for_the_status)
{
    shows_status();
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"status\"}\n");
}
END_TEST

START_TEST(status_begins_with_what_the_gateway_as_a_whole_does)
{
    static const char line[] =
        "porteirod 1.2.3 on mail.example.com: serving, up 3d4h, 12 of 1000 sessions\n";
    shows_status();
    ck_assert_mem_eq(gateway.out, line, strlen(line));
}
END_TEST

START_TEST(status_shows_each_process)
{
    shows_status();
    says_line("process pid generation state uptime sessions");
    says_line("master 4711 2 serving 3d4h");
    says_line("worker 3 4712 2 draining 5min20s 7");
    says_line("auth 1 4713 1 serving 250ms");
}
END_TEST

START_TEST(status_shows_what_each_door_has_done)
{
    shows_status();
    says_line("listener clients refused logins failed mails refused mailboxes bytes");
    says_line("submission 101 2 93 4 85 6 77 1.5K");
}
END_TEST

START_TEST(status_shows_each_server_behind)
{
    shows_status();
    says_line("server behind state connections made failures messages");
    says_line("smtp/legacy up 8 19 20 21");
}
END_TEST

START_TEST(lines_of_the_log_that_found_no_room_are_told)
{
    shows_status();
    ck_assert_ptr_null(strstr(gateway.out, "log lines"));
    GATEWAY_SAYS("{\"counters\": {\"log_lines_dropped\": 42}}\n" GOOD);
    ck_assert_int_eq(gives(command_status, false, NULL, NULL), CONSOLE_DONE);
    says_line("42 log lines found no room");
    gateway_is_done();
}
END_TEST

static const struct {
    const char *bytes, *shown;
} sizes[] = {
    {"0", "0B"},
    {"1", "1B"},
    {"1023", "1023B"},
    {"1024", "1.0K"},
    {"1536", "1.5K"},
    {"102400", "100K"},
    {"1048576", "1.0M"},
    {"5242880", "5.0M"},
    {"1073741824", "1.0G"},
    {"3298534883328", "3.0T"},
    {"2251799813685248", "2048T"}, /* there is no larger unit */
};

START_TEST(octets_are_shown_in_the_unit_that_fits)
{
    char text[256], row[64];
    (void)snprintf(text, sizeof text,
                   "{\"listeners\": [{\"name\": \"pop3s\", \"mailbox_bytes\": %s}]}\n" GOOD,
                   sizes[_i].bytes);                                            /* fits */
    (void)snprintf(row, sizeof row, "pop3s 0 0 0 0 0 0 0 %s", sizes[_i].shown); /* fits */
    GATEWAY_SAYS(text);
    ck_assert_int_eq(gives(command_status, false, NULL, NULL), CONSOLE_DONE);
    says_line(row);
    gateway_is_done();
}
END_TEST

START_TEST(a_status_without_what_a_newer_porteiroctl_knows_is_shown)
{
    GATEWAY_SAYS("{}\n" GOOD);
    ck_assert_int_eq(gives(command_status, false, NULL, NULL), CONSOLE_DONE);
    says_line("process pid generation state uptime sessions");
    gateway_is_done();
}
END_TEST

START_TEST(status_for_programs_is_what_the_gateway_has_said)
{
    json_t *said = json_loads(status, 0, NULL);
    GATEWAY_SAYS(well(status, ""));
    ck_assert_int_eq(gives(command_status, true, NULL, NULL), CONSOLE_DONE);
    json_t *shown = json_loads(gateway.out, 0, NULL);
    ck_assert(said != NULL && json_equal(said, shown));
    json_decref(said);
    json_decref(shown);
    gateway_is_done();
}
END_TEST

/* ---- sessions ---- */

START_TEST(sessions_are_rows)
{
    GATEWAY_SAYS(well(ana, nobody));
    ck_assert_int_eq(gives(command_sessions, false, NULL, NULL), CONSOLE_DONE);
    says_line("session listener client account state age messages deleted");
    says_line("0123456789ab submission 192.0.2.7:5555 ana@example.com command 1min1s 3 0");
    says_line("ba9876543210 pop3s [2001:db8::1]:25 TLS handshake 12ms 0 0");
    ck_assert_str_eq(gateway.told->requests, "{\"command\":\"sessions\"}\n");
    gateway_is_done();
}
END_TEST

START_TEST(a_clients_words_do_not_steer_the_terminal)
{
    GATEWAY_SAYS("{\"session\": \"0123456789ab\", \"account\": \"a\\u001b[2J\"}\n" GOOD);
    ck_assert_int_eq(gives(command_sessions, false, NULL, NULL), CONSOLE_DONE);
    ck_assert_ptr_null(strchr(gateway.out, '\x1b'));
    ck_assert_ptr_nonnull(strstr(gateway.out, "a?[2J"));
    gateway_is_done();
}
END_TEST

/* So many sessions are a list of so many objects. */
static void is_list(const char *first, const char *second, size_t count)
{
    json_t *list = json_loads(gateway.out, 0, NULL);
    ck_assert_msg(json_is_array(list), "no list: %s", gateway.out);
    ck_assert_uint_eq(json_array_size(list), count);
    const char *const said[] = {first, second};
    for (size_t i = 0; i < count; i++) {
        json_t *one = json_loads(said[i], 0, NULL);
        ck_assert(one != NULL && json_equal(one, json_array_get(list, i)));
        json_decref(one);
    }
    json_decref(list);
}

START_TEST(sessions_for_programs_are_a_list)
{
    static const char *const said[][2] = {{"", ""}, {ana, ""}, {ana, nobody}};
    GATEWAY_SAYS(well(said[_i][0], said[_i][1]));
    ck_assert_int_eq(gives(command_sessions, true, NULL, NULL), CONSOLE_DONE);
    is_list(said[_i][0], said[_i][1], (size_t)_i);
    gateway_is_done();
}
END_TEST

/* ---- when it goes wrong ---- */

START_TEST(who_may_not_is_told_so)
{
    GATEWAY_SAYS("{\"ok\": false, \"error\": \"permission denied\"}\n");
    ck_assert_int_eq(gives(command_sessions, false, NULL, NULL), CONSOLE_FAILED);
    ck_assert_str_eq(gateway.out, "");
    ck_assert_str_eq(gateway.err, "porteiroctl: permission denied\n");
    gateway_is_done();
}
END_TEST

static const struct {
    const char *said, *why;
} broken[] = {
    {"", "gave no answer"},
    {"{}\n", "gave no answer"},
    {"nonsense\n", "no answer that makes sense"},
    {"{\"ok\": true\n", "no answer that makes sense"},
    {"{\"ok\": false}\n", "no answer that makes sense"},
    {"{\"ok\": 1}\n", "no answer that makes sense"},
    {"[]\n", "gave no answer"},
};

START_TEST(an_answer_that_is_not_whole_is_a_failure)
{
    GATEWAY_SAYS(broken[_i].said);
    ck_assert_int_eq(gives(command_sessions, false, NULL, NULL), CONSOLE_FAILED);
    ck_assert_str_eq(gateway.out, "");
    ck_assert_msg(strstr(gateway.err, broken[_i].why) != NULL, "%s", gateway.err);
    gateway_is_done();
}
END_TEST

START_TEST(where_no_gateway_listens_what_would_help_is_told)
{
    ck_assert_int_eq(unlink(gateway.path), 0);
    ck_assert_int_eq(gives(command_status, false, NULL, NULL), CONSOLE_FAILED);
    ck_assert_ptr_nonnull(strstr(gateway.err, gateway.path));
    ck_assert_ptr_nonnull(strstr(gateway.err, "is porteirod running?"));
}
END_TEST

START_TEST(a_path_that_is_no_sockets_is_told_as_too_long)
{
    char path[200];
    const struct console c = {.socket = path};
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    struct kept_stream err = keep_stream(stderr);
    int outcome = command_status(&c);
    kept_text(&err, gateway.err);
    ck_assert_int_eq(outcome, CONSOLE_FAILED);
    ck_assert_ptr_nonnull(strstr(gateway.err, "the path is too long"));
}
END_TEST

START_TEST(status_takes_no_argument)
{
    ck_assert_int_eq(gives(command_status, false, "all", NULL), CONSOLE_USAGE);
    ck_assert_str_eq(gateway.out, "");
    ck_assert_ptr_nonnull(strstr(gateway.err, "takes no argument"));
}
END_TEST

SUITE(status)
{
    gateway_use(tests);
    TEST(status_asks_for_the_status);
    TEST(status_begins_with_what_the_gateway_as_a_whole_does);
    TEST(status_shows_each_process);
    TEST(status_shows_what_each_door_has_done);
    TEST(status_shows_each_server_behind);
    TEST(lines_of_the_log_that_found_no_room_are_told);
    LOOP_TEST(octets_are_shown_in_the_unit_that_fits, sizes);
    TEST(a_status_without_what_a_newer_porteiroctl_knows_is_shown);
    TEST(status_for_programs_is_what_the_gateway_has_said);
    TEST(sessions_are_rows);
    TEST(a_clients_words_do_not_steer_the_terminal);
    tcase_add_loop_test(tests, sessions_for_programs_are_a_list, 0, 3);
    TEST(who_may_not_is_told_so);
    LOOP_TEST(an_answer_that_is_not_whole_is_a_failure, broken);
    TEST(where_no_gateway_listens_what_would_help_is_told);
    TEST(a_path_that_is_no_sockets_is_told_as_too_long);
    TEST(status_takes_no_argument);
}
