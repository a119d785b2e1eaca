#include "policy/replay.h"

#include "base/arena.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

enum { CELLS = 200, BLOCKS = 8 };

static struct arena *arena;
static struct limit_rule rule;
static struct policy policy;
static struct replay *replay;
static struct replay_row *rows;
static void *memory;
static unsigned seconds;

static bool listener_of(const void *owner, struct span name, struct replay_listener *out)
{
    ck_assert_ptr_eq(owner, &policy);
    bool is_there = span_equals(name, "submission") || span_equals(name, "pop3");
    if (is_there)
        *out = (struct replay_listener){"submission", &policy, span_equals(name, "pop3")};
    return is_there;
}

static bool same(const void *owner, struct span given, char *out, size_t size)
{
    (void)owner;
    return given.size < size && span_copy(given, out, size) > 0;
}

static void begin(void)
{
    arena = arena_create(64 * 1024 * 1024);
    memory = calloc(1, table_size(CELLS, BLOCKS));
    rule = (struct limit_rule){.name = "hour",
                               .enabled = true,
                               .keys = {LIMIT_KEY_ACCOUNT},
                               .key_count = 1,
                               .count = LIMIT_RECIPIENTS,
                               .action = LIMIT_DEFER,
                               .stage = STAGE_RCPT,
                               .rate_text = "",
                               .rate = {3, INT64_C(3600000000), 3}};
    policy =
        (struct policy){.name = "p", .limits = &rule, .limit_count = 1, .stages = 1u << STAGE_RCPT};
    replay = replay_create(&(struct replay_options){
        .arena = arena,
        .listener_of = listener_of,
        .account_of = same,
        .address_of = same,
        .owner = &policy,
        .table = {.memory = memory, .cells = CELLS, .blocks = BLOCKS, .key = {1, 2}}});
    ck_assert_ptr_nonnull(replay);
    seconds = 0;
}

static void end(void)
{
    replay_destroy(&replay);
    arena_destroy(&arena);
    free(memory);
}

/* One second after the last. */
static void hear(const char *event, const char *rest)
{
    static struct record_line line;
    char text[500];
    (void)snprintf(text, sizeof text,
                   "time=2026-11-28T09:%02u:%02u.500Z event=%s session=aaaaaaaaaaaa "
                   "listener=submission client=192.0.2.7:5 account=ana@example.com %s",
                   seconds / 60, seconds % 60, event, rest); /* fits */
    seconds++;
    ck_assert_int_eq(record_read(span_of(text), &line), 0);
    ck_assert_int_eq(replay_hear(replay, &line), 0);
}

static void runs(uint64_t was, uint64_t is)
{
    ck_assert_int_eq(replay_run(replay), 0);
    ck_assert_uint_eq(replay_rows(replay, &rows), was > 0 || is > 0);
    if (was == 0 && is == 0)
        return;
    ck_assert_str_eq(rows[0].rule, "hour");
    ck_assert_str_eq(rows[0].account, "ana@example.com");
    ck_assert_uint_eq(rows[0].was[REPLAY_REFUSED], was);
    ck_assert_uint_eq(rows[0].is[REPLAY_REFUSED], is);
}

#define REFUSED(message) "message=" message " recipient=x@dest.example rule=hour verdict=defer"
#define TAKEN(message, recipients) \
    "message=" message " recipients=" recipients " bytes=9 duration=0.1"

START_TEST(what_was_refused_is_refused_again)
{
    hear("message_accepted", TAKEN("m1", "2"));
    hear("decision", REFUSED("m2"));
    hear("decision", REFUSED("m2"));
    hear("message_accepted", TAKEN("m2", "1"));
    runs(2, 2);
}
END_TEST

START_TEST(another_limit_refuses_others)
{
    rule.rate = (struct rate){1, INT64_C(3600000000), 1};
    hear("message_accepted", TAKEN("m1", "2"));
    hear("message_accepted", TAKEN("m2", "1"));
    runs(0, 2);
}
END_TEST

START_TEST(what_the_server_behind_refuses_costs_nothing)
{
    hear("message_refused", TAKEN("m1", "3") " reason=x");
    hear("recipient_refused",
         "message=m2 recipient=y@dest.example code=550 reply=\"550 5.1.1 no\"");
    hear("message_accepted", TAKEN("m2", "3"));
    runs(0, 0);
}
END_TEST

START_TEST(a_message_counts_when_it_began)
{
    hear("decision", REFUSED("m2"));
    hear("message_accepted", "message=m1 recipients=3 bytes=9 duration=30.000");
    runs(1, 1);
}
END_TEST

START_TEST(what_nobody_has_a_policy_for_passes)
{
    static struct record_line line;
    const char *text = "time=2026-11-28T09:00:00Z event=message_accepted session=b listener=other "
                       "account=ana message=m recipients=99";
    ck_assert_int_eq(record_read(span_of(text), &line), 0);
    ck_assert_int_eq(replay_hear(replay, &line), 0);
    runs(0, 0);
}
END_TEST

/* Of nobody's session. */
static void hear_order(const char *rest)
{
    static struct record_line line;
    char text[300];
    (void)snprintf(text, sizeof text,
                   "time=2026-11-28T09:%02u:%02u.500Z account=ana@example.com %s", seconds / 60,
                   seconds % 60, rest); /* fits */
    seconds++;
    ck_assert_int_eq(record_read(span_of(text), &line), 0);
    ck_assert_int_eq(replay_hear(replay, &line), 0);
}

START_TEST(what_was_set_of_a_limit_holds_until_it_ends_or_is_taken_back)
{
    hear_order("event=limit_set rule=hour figure=\"1/1h 5\" until=2026-11-28T10:00:00.000Z");
    hear("message_accepted", TAKEN("m1", "5"));
    hear_order("event=limit_unset rule=hour");
    hear("decision", REFUSED("m2"));
    runs(1, 1);
}
END_TEST

START_TEST(who_is_suspended_by_a_rule_or_a_person_sends_nothing_until_he_is_let_go)
{
    rule.action = LIMIT_SUSPEND;
    rule.duration_ms = 3600000;
    policy.max_suspensions = (struct rate){1, INT64_C(3600000000), 1};
    hear("message_accepted", TAKEN("m1", "3"));
    hear("decision", "message=m2 rule=hour verdict=suspend");
    hear("message_refused", "code=550 reason=suspended");
    hear_order("event=resumed");
    hear("message_accepted", TAKEN("m3", "3"));
    hear_order("event=suspended uid=0 until=2026-11-28T11:00:00.000Z");
    hear("message_refused", "code=550 reason=suspended");
    runs(1, 1);
    ck_assert_uint_eq(replay_unknown(replay)->tries, 0);
}
END_TEST

START_TEST(whoever_was_refused_at_mail_and_passes_now_is_told_of)
{
    hear("decision", "sender=boss@bank.example rule=sender verdict=reject reason=foreign");
    hear("message_refused", "code=553 reason=policy");
    ck_assert_int_eq(replay_run(replay), 0);
    ck_assert_uint_eq(replay_rows(replay, &rows), 1);
    ck_assert_str_eq(rows[0].rule, "sender");
    ck_assert_uint_eq(rows[0].was[REPLAY_REFUSED], 1);
    ck_assert_uint_eq(rows[0].is[REPLAY_REFUSED], 0);
    ck_assert_uint_eq(replay_unknown(replay)->tries, 1);
}
END_TEST

START_TEST(whom_from_names_is_judged_where_the_log_has_it)
{
    policy.sender.header = SENDER_OWN;
    hear("message_accepted", TAKEN("m1", "1") " author=ana@example.com");
    hear("message_accepted", TAKEN("m2", "1") " author=boss@bank.example");
    hear("message_accepted", TAKEN("m3", "1"));
    ck_assert_int_eq(replay_run(replay), 0);
    ck_assert_uint_eq(replay_rows(replay, &rows), 1);
    ck_assert_str_eq(rows[0].rule, "sender");
    ck_assert_uint_eq(rows[0].is[REPLAY_REFUSED], 1);
    ck_assert_uint_eq(replay_unknown(replay)->authors, 1);
}
END_TEST

SUITE(replay)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(what_was_refused_is_refused_again);
    TEST(another_limit_refuses_others);
    TEST(what_the_server_behind_refuses_costs_nothing);
    TEST(a_message_counts_when_it_began);
    TEST(what_nobody_has_a_policy_for_passes);
    TEST(what_was_set_of_a_limit_holds_until_it_ends_or_is_taken_back);
    TEST(who_is_suspended_by_a_rule_or_a_person_sends_nothing_until_he_is_let_go);
    TEST(whoever_was_refused_at_mail_and_passes_now_is_told_of);
    TEST(whom_from_names_is_judged_where_the_log_has_it);
}
