#include "control/showing.h"

#include "base/log.h"
#include "control/history.h"

#include "support/test.h"

#include "control/figures.h"

#define SESSION "6k2x0v8q7hna"
#define MESSAGE "6k2x0v8q7hnb"
#define OTHER   "6k2x0v8q7hnc"

static struct {
    struct event_log log;
    struct banning banning;
    struct witness *witness;
    struct suspending suspending;
    struct showing showing;
    json_t *answer;
} it;

static void begin(void)
{
    figures_begin();
    figures.config.auth.realm = "example.com";
    it.log = (struct event_log){.lines = log_create(-1, LOG_LEVEL_ERROR), .process = ""};
    it.banning = (struct banning){
        .bans = mapping_make(bans_size()), .config = &figures.config, .log = &it.log, .process = 1};
    it.witness = witness_create(
        &(struct witness_options){&figures.config, mapping_make(witness_memory_size()), 1});
    ck_assert_ptr_nonnull(it.witness);
    it.suspending = (struct suspending){.bans = it.banning.bans, .process = 1};
    it.showing = (struct showing){.witness = it.witness,
                                  .board = &figures.board,
                                  .banning = &it.banning,
                                  .suspending = &it.suspending};
}

static void end(void)
{
    json_decref(it.answer);
    witness_destroy(&it.witness);
    log_destroy(&it.log.lines);
    figures_end();
}

/* A line with these fields; the last is `reply`, by which it is known again. */
static void hear(const char *fields, const char *reply)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "time=2026-11-28T06:00:00.000Z level=info event=%s reply=%s",
                   fields, reply); /* fits */
    witness_hear(it.witness, span_of(line));
}

static void ask(const char *who)
{
    struct error why = {.text = ""};
    json_t *request = json_pack("{s:s}", "who", who);
    json_decref(it.answer);
    it.answer = showing_answer(&it.showing, request, &why);
    ck_assert_msg(it.answer != NULL, "%s", why.text);
    json_decref(request);
}

static void says(const char *key, const char *text)
{
    ck_assert_str_eq(json_string_value(json_object_get(it.answer, key)), text);
}

/* The replies of the lines that are told, in their order. */
static void lines_are(const char *wanted)
{
    char got[1000] = "";
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(it.answer, "lines"), i, line)
        strcat(got, json_string_value(json_object_get(line, "reply")));
    ck_assert_str_eq(got, wanted);
}

static size_t count(const char *key)
{
    return json_array_size(json_object_get(it.answer, key));
}

static void hear_some(void)
{
    hear("connected session=" SESSION " client=192.0.2.7:4711", "a");
    hear("login session=" SESSION " client=192.0.2.7:4711 account=ana@example.com", "b");
    hear("message_accepted session=" SESSION " client=192.0.2.7:4711 account=ana@example.com "
         "message=" MESSAGE " code=250 duration=0.250",
         "c");
    hear("message_accepted session=" SESSION " client=192.0.2.7:4711 account=bob@example.com "
         "login=ana@example.com message=" OTHER,
         "d");
    hear("login session=zzzzzzzzzzzz client=[2001:db8::7]:4711 account=eve@example.com", "e");
    hear("banned network=2001:db8::/64 rule=guessing", "f");
    hear("started sender=ana@example.com", "g");
    hear("speaks_for session=yyyyyyyyyyyy client=198.51.100.1:1 speaks_for=192.0.2.7:99", "h");
    hear("login session=xxxxxxxxxxxx client=192.0.2.70:4711 account=xana@example.com", "i");
}

START_TEST(of_logins_no_other_lines_are_told)
{
    struct error why = {.text = ""};
    json_t *request = json_pack("{s:s}", "who", "Ana");
    hear_some();
    hear("login_failed session=zzzzzzzzzzzz client=[2001:db8::7]:4711 account=ana@example.com",
         "j");
    hear("login_tested account=ana@example.com", "k");
    it.answer = showing_logins(&it.showing, request, &why);
    json_decref(request);
    ck_assert_msg(it.answer != NULL, "%s", why.text);
    says("account", "ana@example.com");
    lines_are("bj");
    for (size_t i = 0; i < 2; i++) { /* addresses and ids are nobody's names */
        request = json_pack("{s:s}", "who", i == 0 ? "2001:db8::7" : "a b");
        ck_assert_ptr_null(showing_logins(&it.showing, request, &why));
        ck_assert_str_eq(why.text, "that is no account");
        json_decref(request);
    }
}
END_TEST

START_TEST(an_account_has_its_lines_and_those_of_whom_it_sends_for)
{
    hear_some();
    ask("ana@example.com");
    says("is", "account");
    says("account", "ana@example.com");
    says("client", "");
    lines_are("bcd");
    ask("Bob");
    says("account", "bob@example.com");
    lines_are("d");
    ask("nobody");
    lines_are("");
}
END_TEST

START_TEST(an_address_has_its_lines_and_of_ipv6_its_64)
{
    hear_some();
    ask("192.0.2.7");
    says("is", "address");
    says("client", "192.0.2.7");
    lines_are("abcdh");
    ask("2001:db8:0:1::7");
    lines_are("");
    ask("2001:db8::2");
    says("client", "2001:db8::/64");
    lines_are("ef");
}
END_TEST

START_TEST(a_session_is_known_by_its_id_and_whose_it_is_by_its_lines)
{
    hear_some();
    ask("6K2X0V8Q7HNA");
    says("is", "session");
    says("session", SESSION);
    says("client", "192.0.2.7");
    lines_are("abcd");
}
END_TEST

START_TEST(a_message_is_known_with_its_session_but_for_other_messages)
{
    hear_some();
    ask(MESSAGE);
    says("is", "message");
    says("session", SESSION);
    says("account", "ana@example.com");
    lines_are("abc");
    ask(OTHER);
    says("account", "bob@example.com");
    lines_are("abd");
}
END_TEST

START_TEST(fields_come_as_they_were_logged_numbers_as_numbers)
{
    hear_some();
    ask(MESSAGE);
    const json_t *line = json_array_get(json_object_get(it.answer, "lines"), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(line, "code")), 250);
    ck_assert(json_real_value(json_object_get(line, "duration")) > 0.249);
    ck_assert_str_eq(json_string_value(json_object_get(line, "event")), "message_accepted");
}
END_TEST

START_TEST(the_last_forty_lines_are_told_and_how_many_there_are)
{
    char reply[8];
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(reply, sizeof reply, "%02u;", i); /* fits */
        hear("login session=" SESSION " account=ana@example.com", reply);
    }
    ask("ana");
    ck_assert_uint_eq(count("lines"), SHOWING_LINES_MAX);
    ck_assert_int_eq(json_integer_value(json_object_get(it.answer, "count")), 100);
    const json_t *first = json_array_get(json_object_get(it.answer, "lines"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(first, "reply")), "60;");
}
END_TEST

START_TEST(long_lines_are_told_as_long_as_there_is_room)
{
    char reply[901];
    memset(reply, 'x', sizeof reply - 1);
    reply[sizeof reply - 1] = '\0';
    for (unsigned i = 0; i < 100; i++)
        hear("login account=ana@example.com", reply);
    ask("ana");
    ck_assert(count("lines") > 20 && count("lines") < SHOWING_LINES_MAX);
}
END_TEST

START_TEST(who_is_connected_is_told_with_his_sessions)
{
    size_t slot = figures_process(PROCESS_WORKER, 1, 4711, CLOCK_SECOND);
    struct session_row row = {.id = SESSION, .client = "192.0.2.7:1", .account = "ana@example.com"};
    (void)figures_session(slot, &row);
    row = (struct session_row){.id = OTHER, .client = "192.0.2.7:2", .account = "bob@example.com"};
    (void)figures_session(slot, &row);
    ask("192.0.2.7");
    ck_assert_uint_eq(count("sessions"), 2);
    ask("bob");
    ck_assert_uint_eq(count("sessions"), 1);
    ask(SESSION); /* of which the log says nothing any more */
    says("is", "session");
    says("account", "ana@example.com");
    says("client", "192.0.2.7");
    ck_assert_uint_eq(count("sessions"), 1);
    for (int i = 0; i < 30; i++)
        (void)figures_session(slot, &row);
    ask("bob");
    ck_assert_uint_eq(count("sessions"), SHOWING_ROWS_MAX);
}
END_TEST

static void ban(const char *network, const char *account)
{
    int64_t now = clock_wall_ns();
    struct ban b = {.since_ns = now, .until_ns = now + 60 * CLOCK_SECOND, .rule = "guessing"};
    struct error why = {.text = ""};
    ck_assert_int_eq(network_parse(network, &b.network, &why), 0);
    b.account = account[0] != '\0';
    (void)span_copy(span_of(account), b.name, sizeof b.name); /* fits */
    ck_assert_msg(bans_put(it.banning.bans, 1, &b, now, &why) == 0, "%s", why.text);
}

START_TEST(bans_that_hold_for_it_are_told)
{
    ban("192.0.2.0/24", "");
    ban("198.51.100.7", "ana@example.com");
    ban("2001:db8::/64", "");
    ask("192.0.2.7");
    ck_assert_uint_eq(count("bans"), 1);
    ask("192.0.3.7");
    ck_assert_uint_eq(count("bans"), 0);
    ask("2001:db8::77");
    ck_assert_uint_eq(count("bans"), 1);
    ask("ana");
    ck_assert_uint_eq(count("bans"), 1);
    ask("198.51.100.7"); /* there it is that account alone */
    ck_assert_uint_eq(count("bans"), 0);
}
END_TEST

START_TEST(since_when_it_is_known_is_told)
{
    ask("ana");
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(it.answer, "since"))),
                      strlen("2026-11-28T06:00:00.000Z"));
    ck_assert_int_le(json_integer_value(json_object_get(it.answer, "covers")), 5);
}
END_TEST

static const char *const wrong[] = {"{}", "{\"who\": 7}", "{\"who\": \"\"}", "{\"who\": \"a b\"}"};

START_TEST(what_can_be_nobody_is_refused)
{
    struct error why;
    json_t *request = json_loads(wrong[_i], 0, NULL);
    ck_assert_ptr_null(showing_answer(&it.showing, request, &why));
    ck_assert_str_eq(why.text, "that is no session, message, account or address");
    json_decref(request);
}
END_TEST

SUITE(showing)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(of_logins_no_other_lines_are_told);
    TEST(an_account_has_its_lines_and_those_of_whom_it_sends_for);
    TEST(an_address_has_its_lines_and_of_ipv6_its_64);
    TEST(a_session_is_known_by_its_id_and_whose_it_is_by_its_lines);
    TEST(a_message_is_known_with_its_session_but_for_other_messages);
    TEST(fields_come_as_they_were_logged_numbers_as_numbers);
    TEST(the_last_forty_lines_are_told_and_how_many_there_are);
    TEST(long_lines_are_told_as_long_as_there_is_room);
    TEST(who_is_connected_is_told_with_his_sessions);
    TEST(bans_that_hold_for_it_are_told);
    TEST(since_when_it_is_known_is_told);
    LOOP_TEST(what_can_be_nobody_is_refused, wrong);
}
