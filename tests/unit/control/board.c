#include "control/board.h"

#include "figures.h"

static json_t *told;

static void end(void)
{
    json_decref(told);
    figures_end();
}

static void ask_status(void)
{
    json_decref(told);
    told = board_status(&figures.board, FIGURES_NOW);
    ck_assert_ptr_nonnull(told);
}

static void text_is(const json_t *o, const char *key, const char *text)
{
    const char *is = json_string_value(json_object_get(o, key));
    ck_assert_msg(is != NULL && strcmp(is, text) == 0, "%s is \"%s\", not \"%s\"", key,
                  is == NULL ? "(nothing)" : is, text);
}

static void number_is(const json_t *o, const char *key, double number)
{
    const json_t *is = json_object_get(o, key);
    ck_assert_msg(json_is_number(is), "%s is no number", key);
    ck_assert_msg(json_number_value(is) >= number && json_number_value(is) <= number,
                  "%s is %f, not %f", key, json_number_value(is), number);
}

/* The only one of a list of status whose `key` is this. */
static const json_t *one_of(const char *list, const char *key, const char *text)
{
    const json_t *all = json_object_get(told, list), *found = NULL;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        const char *is = json_string_value(json_object_get(one, key));
        if (is == NULL || strcmp(is, text) != 0)
            continue;
        ck_assert_msg(found == NULL, "two with %s \"%s\"", key, text);
        found = one;
    }
    ck_assert_msg(found != NULL, "none with %s \"%s\"", key, text);
    return found;
}

static size_t count_of(const char *list)
{
    ck_assert(json_is_array(json_object_get(told, list)));
    return json_array_size(json_object_get(told, list));
}

/* ---- the whole ---- */

START_TEST(the_master_speaks_for_the_gateway)
{
    (void)figures_process(PROCESS_WORKER, 0, 12, CLOCK_SECOND);
    size_t master = figures_process(PROCESS_MASTER, 0, 4711, 90 * CLOCK_SECOND);
    process_set_state(figures.processes, master, PROCESS_DRAINING);
    ask_status();
    text_is(told, "version", PORTEIRO_VERSION);
    text_is(told, "hostname", "mail.example.com");
    text_is(told, "state", "draining");
    number_is(told, "pid", 4711);
    number_is(told, "generation", 3);
    number_is(told, "uptime", 90);
    number_is(told, "max_connections", 4000);
    number_is(told, "sessions", 0);
}
END_TEST

START_TEST(each_process_is_told_with_its_sessions)
{
    const struct session_row session = {.id = "0123456789ab"};
    size_t worker = figures_process(PROCESS_WORKER, 1, 12, 1500 * CLOCK_MS);
    (void)figures_process(PROCESS_AUTH, 0, 13, CLOCK_SECOND);
    for (int n = 0; n < 3; n++)
        (void)figures_session(worker, &session);
    ask_status();
    ck_assert_uint_eq(count_of("processes"), 2);
    const json_t *one = one_of("processes", "role", "worker");
    number_is(one, "index", 1);
    number_is(one, "pid", 12);
    number_is(one, "generation", 3);
    text_is(one, "state", "serving");
    number_is(one, "uptime", 1.5);
    number_is(one, "sessions", 3);
    number_is(one_of("processes", "role", "auth"), "sessions", 0);
    number_is(told, "sessions", 3);
}
END_TEST

START_TEST(each_door_is_told_with_what_it_has_done)
{
    size_t first = figures_label(LABEL_LISTENER, "submission");
    size_t second = figures_label(LABEL_LISTENER, "pop3s");
    counter_add(figures.counters, COUNTER_messages, first, 5);
    counter_add(figures.counters, COUNTER_mailbox_bytes, second, INT64_C(1) << 40);
    counters_flush(figures.counters);
    ask_status();
    ck_assert_uint_eq(count_of("listeners"), 2);
    number_is(one_of("listeners", "name", "submission"), "messages", 5);
    number_is(one_of("listeners", "name", "submission"), "mailbox_bytes", 0);
    number_is(one_of("listeners", "name", "pop3s"), "messages", 0);
    number_is(one_of("listeners", "name", "pop3s"), "mailbox_bytes", 1099511627776.0);
}
END_TEST

static const struct {
    enum server_state state;
    const char *name;
} states[] = {{SERVER_UNKNOWN, "unknown"}, {SERVER_UP, "up"}, {SERVER_DOWN, "down"}};

START_TEST(each_server_behind_is_told_with_its_state_and_connections)
{
    (void)figures_label(LABEL_SERVER, "smtp/other");
    size_t slot = figures_label(LABEL_SERVER, "smtp/legacy");
    (void)health_set_state(figures.health, slot, states[_i].state); /* what it was before */
    ck_assert_int_eq(health_take(figures.health, slot, 1, 10, FIGURES_NOW), 0);
    ck_assert_int_eq(health_take(figures.health, slot, 2, 10, FIGURES_NOW), 0);
    counter_add(figures.counters, COUNTER_upstream_failures, slot, 7);
    counters_flush(figures.counters);
    ask_status();
    ck_assert_uint_eq(count_of("servers"), 2);
    const json_t *one = one_of("servers", "name", "smtp/legacy");
    text_is(one, "state", states[_i].name);
    number_is(one, "connections", 2);
    number_is(one, "upstream_failures", 7);
    number_is(one_of("servers", "name", "smtp/other"), "connections", 0);
    text_is(one_of("servers", "name", "smtp/other"), "state", "unknown");
}
END_TEST

START_TEST(every_counter_is_told_where_its_label_says)
{
    static const char *const places[] = {
        [LABEL_LISTENER] = "listeners", [LABEL_SERVER] = "servers"};
    (void)figures_label(LABEL_LISTENER, "submission");
    (void)figures_label(LABEL_SERVER, "smtp/legacy");
    for (size_t c = 0; c < COUNTER_COUNT; c++)
        counter_add(figures.counters, (enum counter)c, 0, (int64_t)c + 1);
    counters_flush(figures.counters);
    ask_status();
    for (size_t c = 0; c < COUNTER_COUNT; c++) {
        enum label_kind kind;
        const json_t *in = json_object_get(told, "counters");
        if (counter_label((enum counter)c, &kind))
            in = json_array_get(json_object_get(told, places[kind]), 0);
        number_is(in, counter_name((enum counter)c), (double)c + 1);
    }
}
END_TEST

START_TEST(names_that_nobody_has_any_more_are_not_told)
{
    (void)figures_label(LABEL_LISTENER, "submission");
    labels_release(figures.labels, 1);
    ask_status();
    ck_assert_uint_eq(count_of("listeners"), 0);
    ck_assert_uint_eq(count_of("servers"), 0);
    ck_assert_uint_eq(count_of("processes"), 0);
}
END_TEST

/* ---- one session ---- */

static const struct session_row ana = {.id = "0123456789ab",
                                       .client = "[2001:db8::1]:4711",
                                       .account = "ana@example.com",
                                       .started_wall_ns = FIGURES_NOW - 2500 * CLOCK_MS,
                                       .messages = 7,
                                       .deleted = 2,
                                       .is_tls = 1};

static const json_t *ask_session(const struct session_row *content)
{
    size_t worker = figures_process(PROCESS_WORKER, 0, 12, CLOCK_SECOND);
    told = board_session(&figures.board, (size_t)figures_session(worker, content), FIGURES_NOW);
    return told;
}

START_TEST(a_session_is_told_with_what_it_waits_for)
{
    struct session_row content = ana;
    (void)figures_label(LABEL_LISTENER, "pop3s");
    content.listener = (uint32_t)figures_label(LABEL_LISTENER, "submission");
    const json_t *one = ask_session(&content);
    ck_assert_ptr_nonnull(one);
    text_is(one, "session", "0123456789ab");
    text_is(one, "client", "[2001:db8::1]:4711");
    text_is(one, "account", "ana@example.com");
    text_is(one, "listener", "submission");
    text_is(one, "state", session_state_name(SESSION_COMMAND));
    number_is(one, "age", 2.5);
    number_is(one, "messages", 7);
    number_is(one, "deleted", 2);
    number_is(one, "pid", 12);
    ck_assert(json_is_true(json_object_get(one, "tls")));
}
END_TEST

START_TEST(before_the_login_there_is_no_account)
{
    struct session_row content = ana;
    content.account[0] = '\0';
    content.is_tls = 0;
    const json_t *one = ask_session(&content);
    text_is(one, "account", "");
    ck_assert(json_is_false(json_object_get(one, "tls")));
}
END_TEST

START_TEST(a_free_row_is_no_session)
{
    ck_assert_ptr_null(board_session(&figures.board, 0, FIGURES_NOW));
    ck_assert_ptr_null(board_session(&figures.board, FIGURES_SESSIONS, FIGURES_NOW));
    ck_assert_ptr_null(board_session(&figures.board, SIZE_MAX, FIGURES_NOW));
}
END_TEST

START_TEST(a_session_that_has_just_begun_is_none_yet)
{
    ck_assert_int_ge(session_claim(&figures.board.sessions, 1, 0), 0);
    ck_assert_ptr_null(board_session(&figures.board, 0, FIGURES_NOW));
}
END_TEST

START_TEST(a_session_whose_process_and_door_are_gone_is_told_all_the_same)
{
    struct session_row content = ana;
    content.listener = UINT32_MAX;
    int row = figures_session(PROCESS_SLOT_MAX - 1, &content);
    told = board_session(&figures.board, (size_t)row, FIGURES_NOW);
    ck_assert_ptr_nonnull(told);
    text_is(told, "listener", "");
    number_is(told, "pid", 0);
}
END_TEST

START_TEST(an_account_that_is_not_utf8_is_left_out_and_the_session_told)
{
    struct session_row content = ana;
    (void)snprintf(content.account, sizeof content.account, "a\xff\xfe"); /* fits */
    const json_t *one = ask_session(&content);
    ck_assert_ptr_nonnull(one);
    text_is(one, "account", "");
    text_is(one, "session", "0123456789ab");
}
END_TEST

START_TEST(text_of_a_hostile_mapping_is_told_as_json_or_not_at_all)
{
    static const int fills[] = {0xfe, 'A', '"', 0x1c, 0x02};
    const size_t size = session_table_size(FIGURES_SESSIONS);
    figures.board.sessions.region = mapping_hostile(size, fills[_i]);
    for (size_t row = 0; row < FIGURES_SESSIONS; row += 499) {
        json_t *one = board_session(&figures.board, row, FIGURES_NOW);
        char *text = one == NULL ? NULL : json_dumps(one, 0);
        ck_assert((one == NULL) == (text == NULL));
        free(text);
        json_decref(one);
    }
    ask_status();
    number_is(told, "sessions", FIGURES_SESSIONS);
}
END_TEST

SUITE(board)
{
    tcase_add_checked_fixture(tests, figures_begin, end);
    TEST(the_master_speaks_for_the_gateway);
    TEST(each_process_is_told_with_its_sessions);
    TEST(each_door_is_told_with_what_it_has_done);
    LOOP_TEST(each_server_behind_is_told_with_its_state_and_connections, states);
    TEST(every_counter_is_told_where_its_label_says);
    TEST(names_that_nobody_has_any_more_are_not_told);
    TEST(a_session_is_told_with_what_it_waits_for);
    TEST(before_the_login_there_is_no_account);
    TEST(a_free_row_is_no_session);
    TEST(a_session_that_has_just_begun_is_none_yet);
    TEST(a_session_whose_process_and_door_are_gone_is_told_all_the_same);
    TEST(an_account_that_is_not_utf8_is_left_out_and_the_session_told);
    tcase_add_loop_test(tests, text_of_a_hostile_mapping_is_told_as_json_or_not_at_all, 0, 5);
}
