#include "control/kicking.h"

#include "figures.h"

#include "net/turns.h"

static struct {
    struct channel *ends[2]; /* ours, and the master's */
    struct kicking kicking;
    struct message_end_sessions told; /* what the master was told last */
    unsigned told_count;
    struct error said;
} it;

static void on_message(void *owner, const struct message *m)
{
    ck_assert_ptr_eq(owner, &it);
    ck_assert_ptr_nonnull(m);
    ck_assert_int_eq(m->type, MESSAGE_END_SESSIONS);
    memcpy(&it.told, m->payload, sizeof it.told);
    it.told_count++;
}

static void comes(size_t slot, const char *id, const char *account, const char *client)
{
    struct session_row row = {.id = ""};
    (void)span_copy(span_of(id), row.id, sizeof row.id);
    (void)span_copy(span_of(account), row.account, sizeof row.account);
    (void)span_copy(span_of(client), row.client, sizeof row.client);
    (void)figures_session(slot, &row);
}

static void begin(void)
{
    int ends[2];
    turns_begin();
    figures_begin();
    memset(&it, 0, sizeof it);
    ck_assert_int_eq(channel_pair(ends, &it.said), 0);
    for (size_t i = 0; i < 2; i++)
        it.ends[i] = channel_create(turns.loop, ends[i], on_message, &it);
    figures.config.auth.realm = "example.com";
    it.kicking = (struct kicking){.board = &figures.board, .master = it.ends[0]};
    size_t first = figures_process(PROCESS_WORKER, 1, 4711, 0);
    size_t second = figures_process(PROCESS_WORKER, 2, 4712, 0);
    comes(first, "dc2y5gh27gqh", "ana@example.com", "192.0.2.7:4711");
    comes(second, "dc2y5gh27gqj", "ana@example.com", "[2001:db8::1]:4711");
    comes(second, "dc2y5gh27gqk", "", "192.0.2.8:4711");
}

static void end(void)
{
    for (size_t i = 0; i < 2; i++)
        channel_destroy(&it.ends[i]);
    figures_end();
    turns_end();
}

static int kick(const char *who, const char *reason)
{
    json_t *request = json_pack("{s:s, s:s}", "who", who, "reason", reason);
    int outcome = kicking_kick(&it.kicking, request, &it.said);
    json_decref(request);
    return outcome;
}

static const struct {
    const char *who;
    enum end_of of;
    const char *is;
    int count;
} known[] = {
    {"ana@example.com", END_OF_ACCOUNT, "ana@example.com", 2},
    {"Ana", END_OF_ACCOUNT, "ana@example.com", 2},
    {"DC2Y5GH27GQK", END_OF_SESSION, "dc2y5gh27gqk", 1},
    {"192.0.2.7", END_OF_NETWORK, "192.0.2.7", 1},
    {"192.0.2.0/24", END_OF_NETWORK, "192.0.2.0/24", 2},
    {"2001:db8::99", END_OF_NETWORK, "2001:db8::/64", 1},
};

START_TEST(the_master_is_told_whose_sessions_end_and_somebody_how_many)
{
    char said[100];
    ck_assert_int_eq(kick(known[_i].who, "ticket\n4711"), 0);
    (void)snprintf(said, sizeof said, "%s: sessions that end: %d", known[_i].is, known[_i].count);
    ck_assert_str_eq(it.said.text, said);
    UNTIL(it.told_count == 1);
    ck_assert_uint_eq(it.told.of, known[_i].of);
    ck_assert_uint_eq(it.told.why, ENDING_kicked);
    ck_assert_str_eq(it.told.who, known[_i].is);
    ck_assert_str_eq(it.told.text, "ticket?4711");
}
END_TEST

static const char *const absent[] = {"bob", "an@example.com", "dc2y5gh27gqz", "192.0.2.9",
                                     "2001:db9::/32"};

START_TEST(where_there_is_none_it_is_said_and_one_that_comes_just_now_ends)
{
    ck_assert_int_eq(kick(absent[_i], ""), -1);
    ck_assert_ptr_nonnull(strstr(it.said.text, "has no session"));
    UNTIL(it.told_count == 1);
    ck_assert_str_eq(it.told.text, "please connect again");
}
END_TEST

static const char *const wrong[] = {"", "a b", "a%b@example.com", "192.0.2.0/33"};

START_TEST(who_is_nobody_is_told_so)
{
    ck_assert_int_eq(kick(wrong[_i], ""), -1);
    ck_assert_str_eq(it.said.text, "that is no session, account or address");
    turns_for(2);
    ck_assert_uint_eq(it.told_count, 0);
}
END_TEST

SUITE(kicking)
{
    tcase_add_checked_fixture(tests, begin, end);
    LOOP_TEST(the_master_is_told_whose_sessions_end_and_somebody_how_many, known);
    LOOP_TEST(where_there_is_none_it_is_said_and_one_that_comes_just_now_ends, absent);
    LOOP_TEST(who_is_nobody_is_told_so, wrong);
}
