#include "policy/policy.h"

#include "base/arena.h"
#include "support/test.h"

#include <string.h>

static struct arena *arena;
static struct policy_call call;
static struct limit_rule rules[4];
static struct policy policy;
static struct address client;
static struct policy_facts facts;

static struct limit_rule limit(const char *name, enum limit_key key, int count)
{
    return (struct limit_rule){.name = name,
                               .enabled = true,
                               .keys = {key},
                               .key_count = 1,
                               .count = count,
                               .action = LIMIT_DEFER,
                               .stage = count == LIMIT_MESSAGES ? STAGE_MAIL : STAGE_RCPT,
                               .rate_text = "10/1s",
                               .rate = {10, 1000000, 10}};
}

static void begin(void)
{
    arena = arena_create(4 * 1024 * 1024);
    policy_call_begin(&call, arena);
    rules[0] = limit("messages", LIMIT_KEY_ACCOUNT, LIMIT_MESSAGES);
    rules[1] = limit("hour", LIMIT_KEY_ACCOUNT, LIMIT_RECIPIENTS);
    rules[2] = limit("domain", LIMIT_KEY_RECIPIENT_DOMAIN, LIMIT_RECIPIENTS);
    rules[3] = limit("watched", LIMIT_KEY_IP, LIMIT_RECIPIENTS);
    rules[3].mode = RULE_MONITOR;
    policy = (struct policy){.name = "p",
                             .limits = rules,
                             .limit_count = 4,
                             .stages = 1u << STAGE_MAIL | 1u << STAGE_RCPT};
    ck_assert_int_eq(address_make("192.0.2.7", 25, &client), 0);
    facts = (struct policy_facts){.account = "ana@example.com",
                                  .login = "ana@example.com",
                                  .listener = "submission",
                                  .sender = "Ana@Example.COM",
                                  .recipient = "bob@example.net",
                                  .client = &client};
}

static void end(void)
{
    arena_destroy(&arena);
}

static void key_is(size_t take, const char *text)
{
    ck_assert_msg(span_equals(call.takes[take].key, text), "%.*s", (int)call.takes[take].key.size,
                  call.takes[take].key.data);
}

START_TEST(what_a_stage_needs_is_one_group_and_what_only_watches_stands_behind_it)
{
    int mail = policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    int rcpt = policy_ask(&call, &policy, STAGE_RCPT, &facts, (uint16_t)mail);
    ck_assert_int_eq(mail, 0);
    ck_assert_int_eq(rcpt, 1);
    ck_assert_uint_eq(call.count, 4);
    static const struct {
        unsigned group, needs;
        const char *key;
    } takes[] = {{0, STORE_NO_GROUP, "messages ana@example.com"},
                 {1, 0, "hour ana@example.com"},
                 {1, 0, "domain example.net"},
                 {2, 1, "watched 192.0.2.7"}};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(call.takes[i].group, takes[i].group);
        ck_assert_uint_eq(call.takes[i].needs, takes[i].needs);
        ck_assert_int_eq(call.takes[i].rate.increment_us, 100000);
        key_is(i, takes[i].key);
    }
}
END_TEST

START_TEST(a_look_asks_for_what_has_a_value_at_whatever_stage_and_takes_nothing)
{
    facts.recipient = NULL;
    rules[1].enabled = false;
    ck_assert_int_eq(policy_look(&call, &policy, &facts), 0);
    ck_assert_uint_eq(call.count, 2);
    key_is(0, "messages ana@example.com");
    key_is(1, "watched 192.0.2.7");
    for (size_t i = 0; i < call.count; i++)
        ck_assert(call.takes[i].group == 0 && call.takes[i].needs == STORE_LOOK);
    ck_assert_int_eq(policy_look(&call, &policy, &facts), 1);
    facts.account = NULL;
    facts.client = NULL;
    ck_assert_int_eq(policy_look(&call, &policy, &facts), POLICY_NOTHING);
}
END_TEST

START_TEST(where_nothing_is_to_be_asked_it_passes)
{
    struct verdict v;
    facts.account = NULL;
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP),
                     POLICY_NOTHING);
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_END, &facts, STORE_NO_GROUP), POLICY_NOTHING);
    ck_assert_int_eq(policy_ask(&call, NULL, STAGE_MAIL, &facts, STORE_NO_GROUP), POLICY_NOTHING);
    rules[0].enabled = false;
    facts.account = "ana@example.com";
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP),
                     POLICY_NOTHING);
    ck_assert_uint_eq(call.count, 0);
    policy_judge(&call, POLICY_NOTHING, &v);
    ck_assert_int_eq(v.kind, VERDICT_PASS);
    ck_assert_int_eq(v.wait_us, 0);
}
END_TEST

START_TEST(when_and_except_say_whom_a_rule_is_for)
{
    const char *all[] = {"@example.com"}, *one[] = {"ana@example.com"}, *door[] = {"submission"};
    rules[0].when.accounts = (struct text_list){all, 1};
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP), 0);
    rules[0].except.accounts = (struct text_list){one, 1};
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP),
                     POLICY_NOTHING);
    facts.account = "bob@example.com";
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP), 1);
    facts.account = "bob@example.org";
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP),
                     POLICY_NOTHING);
    rules[0].when.accounts.count = 0;
    rules[0].when.listeners = (struct text_list){door, 1};
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP), 2);
    facts.listener = "submissions";
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP),
                     POLICY_NOTHING);
}
END_TEST

START_TEST(a_client_whose_country_is_not_known_is_none_of_a_rule_by_country)
{
    rules[0] = limit("land", LIMIT_KEY_COUNTRY, LIMIT_MESSAGES);
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP),
                     POLICY_NOTHING);
    facts.country = "BR";
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP), 0);
    key_is(0, "land br");
}
END_TEST

/* Refusing takes are marked by the store; here by hand. */
START_TEST(the_first_rule_that_refuses_is_the_reason)
{
    struct verdict v;
    int group = policy_ask(&call, &policy, STAGE_RCPT, &facts, STORE_NO_GROUP);
    call.answers[0] = (struct counter_answer){.is_refusing = true, .wait_us = 5000000};
    call.answers[1] = (struct counter_answer){.is_refusing = true, .wait_us = 9000000};
    policy_judge(&call, group, &v);
    ck_assert_int_eq(v.kind, VERDICT_DEFER);
    ck_assert_ptr_eq(v.rule, &rules[1]);
    ck_assert_int_eq(v.wait_us, 5000000);
    ck_assert(span_equals(v.key, "hour ana@example.com"));
    rules[1].action = LIMIT_REJECT;
    policy_judge(&call, group, &v);
    ck_assert_int_eq(v.kind, VERDICT_REJECT);
    ck_assert(!v.is_too_large);
}
END_TEST

START_TEST(what_is_more_than_a_rule_ever_lets_through_is_refused_for_good)
{
    struct verdict v;
    int group = policy_ask(&call, &policy, STAGE_RCPT, &facts, STORE_NO_GROUP);
    call.answers[0] = (struct counter_answer){.is_refusing = true, .wait_us = -1};
    policy_judge(&call, group, &v);
    ck_assert_int_eq(v.kind, VERDICT_REJECT);
    ck_assert(v.is_too_large);
}
END_TEST

START_TEST(the_longest_wait_holds_for_all)
{
    struct verdict v;
    int group = policy_ask(&call, &policy, STAGE_RCPT, &facts, STORE_NO_GROUP);
    call.answers[0] = (struct counter_answer){.is_taken = true, .wait_us = 100};
    call.answers[1] = (struct counter_answer){.is_taken = true, .wait_us = 300};
    policy_judge(&call, group, &v);
    ck_assert_int_eq(v.kind, VERDICT_PASS);
    ck_assert_int_eq(v.wait_us, 300);
    ck_assert_ptr_eq(v.rule, &rules[2]);
}
END_TEST

static void count_monitored(void *owner, const struct verdict *v)
{
    ck_assert_ptr_eq(v->rule, &rules[3]);
    ck_assert_int_eq(v->kind, VERDICT_DEFER);
    (*(int *)owner)++;
}

START_TEST(a_rule_that_watches_says_so_and_changes_nothing)
{
    struct verdict v;
    int seen = 0, group = policy_ask(&call, &policy, STAGE_RCPT, &facts, STORE_NO_GROUP);
    call.answers[2] = (struct counter_answer){.is_refusing = true, .wait_us = 7};
    policy_judge(&call, group, &v);
    ck_assert_int_eq(v.kind, VERDICT_PASS);
    policy_monitored(&call, &policy, count_monitored, &seen);
    ck_assert_int_eq(seen, 1);
}
END_TEST

static void count_suspending(void *owner, const struct verdict *v)
{
    ck_assert_ptr_eq(v->rule, &rules[1]);
    ck_assert_int_eq(v->kind, VERDICT_DEFER);
    (*(int *)owner)++;
}

START_TEST(a_rule_that_suspends_stands_alone_and_says_so_unless_it_watches)
{
    struct verdict v;
    int seen = 0;
    rules[1].action = LIMIT_SUSPEND;
    int group = policy_ask(&call, &policy, STAGE_RCPT, &facts, STORE_NO_GROUP);
    key_is(1, "hour ana@example.com");
    ck_assert_uint_ne(call.takes[1].group, group);
    ck_assert_int_eq(call.takes[1].needs, group);
    policy_suspending(&call, &policy, count_suspending, &seen);
    ck_assert_int_eq(seen, 0);
    call.answers[1] = (struct counter_answer){.is_refusing = true, .wait_us = 7};
    policy_judge(&call, group, &v);
    ck_assert_int_eq(v.kind, VERDICT_PASS);
    policy_suspending(&call, &policy, count_suspending, &seen);
    ck_assert_int_eq(seen, 1);
    rules[1].mode = RULE_MONITOR;
    policy_suspending(&call, &policy, count_suspending, &seen);
    ck_assert_int_eq(seen, 1);
}
END_TEST

START_TEST(delay_is_what_is_left_of_it_for_the_message)
{
    rules[0].action = LIMIT_DELAY;
    rules[0].max_delay_ms = 10000;
    facts.delayed_us = 4000000;
    (void)policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    facts.delayed_us = 11000000;
    (void)policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    rules[0].action = LIMIT_DEFER;
    facts.delayed_us = 0;
    (void)policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    ck_assert_int_eq(call.takes[0].rate.max_delay_us, 6000000);
    ck_assert_int_eq(call.takes[1].rate.max_delay_us, 0);
    ck_assert_int_eq(call.takes[2].rate.max_delay_us, 0);
}
END_TEST

/* ---- headers ---- */

static const char *header_of(const void *owner, const char *name)
{
    return strcmp(name, "X-Script") == 0 ? owner : NULL;
}

static void go_by_header(int missing)
{
    static const char *items[] = {"account", "header:X-Script"};
    rules[0] = limit("script", LIMIT_KEY_ACCOUNT, LIMIT_RECIPIENTS);
    rules[0].key = (struct text_list){items, 2};
    rules[0].keys[1] = LIMIT_KEY_HEADER;
    rules[0].key_count = 2;
    rules[0].stage = STAGE_END;
    rules[0].missing = missing;
    policy.limit_count = 1;
    policy.stages = 1u << STAGE_END;
    facts.recipients = 7;
    facts.header = header_of;
}

START_TEST(a_header_is_a_key)
{
    go_by_header(LIMIT_MISSING_REJECT);
    facts.header_owner = "33:Mailer.php";
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_END, &facts, STORE_NO_GROUP), 0);
    key_is(0, "script ana@example.com 33:mailer.php");
    ck_assert_int_eq(call.takes[0].rate.increment_us, 700000);
    ck_assert_ptr_null(call.lacks_header);
}
END_TEST

START_TEST(messages_without_the_header_share_a_counter_or_pass_or_do_not)
{
    struct verdict v;
    go_by_header(LIMIT_MISSING_EMPTY);
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_END, &facts, STORE_NO_GROUP), 0);
    key_is(0, "script ana@example.com -");
    rules[0].missing = LIMIT_MISSING_SKIP;
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_END, &facts, STORE_NO_GROUP), POLICY_NOTHING);
    ck_assert_ptr_null(call.lacks_header);
    rules[0].missing = LIMIT_MISSING_REJECT;
    int group = policy_ask(&call, &policy, STAGE_END, &facts, STORE_NO_GROUP);
    policy_judge(&call, group, &v);
    ck_assert_int_eq(v.kind, VERDICT_REJECT);
    ck_assert(v.lacks_header);
}
END_TEST

START_TEST(a_rule_that_watches_or_is_for_others_refuses_nobody_for_a_header)
{
    static const char *others[] = {"bia@example.com"};
    go_by_header(LIMIT_MISSING_REJECT);
    rules[0].mode = RULE_MONITOR;
    (void)policy_ask(&call, &policy, STAGE_END, &facts, STORE_NO_GROUP);
    rules[0].mode = RULE_ENFORCE;
    rules[0].when.accounts = (struct text_list){others, 1};
    (void)policy_ask(&call, &policy, STAGE_END, &facts, STORE_NO_GROUP);
    ck_assert_ptr_null(call.lacks_header);
}
END_TEST

/* ---- what differs, and what is refused ---- */

START_TEST(what_is_looked_at_before_is_added_to_afterwards)
{
    struct counter_settle settles[4];
    rules[0] = limit("spread", LIMIT_KEY_ACCOUNT, LIMIT_DISTINCT_RECIPIENTS);
    rules[0].kind = COUNTER_DISTINCT;
    rules[0].max = 3;
    rules[0].window_ms = 1000;
    rules[0].stage = STAGE_RCPT;
    rules[1] = limit("washing", LIMIT_KEY_ACCOUNT, LIMIT_REJECTED_RECIPIENTS);
    rules[1].kind = COUNTER_RATIO;
    rules[1].ratio = 25;
    rules[1].min = 20;
    rules[1].window_ms = 1000;
    rules[1].stage = STAGE_RCPT;
    policy.limit_count = 2;
    (void)policy_ask(&call, &policy, STAGE_RCPT, &facts, STORE_NO_GROUP);
    facts.recipient = "BOB@Example.NET";
    ck_assert_uint_eq(policy_after(&policy, AFTER_MESSAGE, &facts, false, arena, settles, 4), 1);
    ck_assert_int_eq(settles[0].kind, SETTLE_ADD);
    ck_assert(settles[0].distinct.element == call.takes[0].distinct.element);
    ck_assert(span_equals(settles[0].key, "spread ana@example.com"));
    ck_assert_uint_eq(policy_after(&policy, AFTER_ATTEMPT, &facts, true, arena, settles, 4), 1);
    ck_assert_int_eq(settles[0].kind, SETTLE_COUNT);
    ck_assert_uint_eq(settles[0].ratio.tried, 1);
    ck_assert_uint_eq(settles[0].ratio.bad, 1);
    ck_assert_uint_eq(call.takes[1].ratio.percent, 25);
    ck_assert_uint_eq(policy_after(&policy, AFTER_LOGIN, &facts, false, arena, settles, 4), 0);
    ck_assert_uint_eq(policy_after(&policy, AFTER_MESSAGE, &facts, false, arena, settles, 0), 0);
}
END_TEST

START_TEST(a_country_that_is_not_known_is_no_different_one)
{
    struct counter_settle settles[4];
    rules[0] = limit("stolen", LIMIT_KEY_ACCOUNT, LIMIT_DISTINCT_COUNTRIES);
    rules[0].kind = COUNTER_DISTINCT;
    rules[0].max = 3;
    rules[0].window_ms = 1000;
    rules[0].stage = STAGE_LOGIN;
    policy.limit_count = 1;
    policy.stages = 1u << STAGE_LOGIN;
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_LOGIN, &facts, STORE_NO_GROUP),
                     POLICY_NOTHING);
    ck_assert_uint_eq(policy_after(&policy, AFTER_LOGIN, &facts, false, arena, settles, 4), 0);
    ck_assert_int_eq(policy_look(&call, &policy, &facts), 0);
    for (int i = 0; i < 2; i++) {
        facts.country = i == 0 ? "BR" : "DE";
        ck_assert_int_eq(policy_ask(&call, &policy, STAGE_LOGIN, &facts, STORE_NO_GROUP), i + 1);
        ck_assert_uint_eq(policy_after(&policy, AFTER_LOGIN, &facts, false, arena, settles, 4), 1);
        ck_assert(settles[0].distinct.element == call.takes[i + 1].distinct.element);
        key_is((size_t)i + 1, "stolen ana@example.com");
    }
    ck_assert(call.takes[1].distinct.element != call.takes[2].distinct.element);
}
END_TEST

/* ---- an account that the headers name ---- */

/* Rules by their names, as far as they are asked at the stage. */
static void are_asked(enum policy_account state, enum policy_stage stage, const char *names)
{
    char asked[100] = "";
    facts.account_state = state;
    policy_call_begin(&call, arena);
    (void)policy_ask(&call, &policy, stage, &facts, STORE_NO_GROUP);
    for (size_t i = 0; i < call.count; i++)
        strcat(strcat(asked, call.rules[i]->name), " ");
    ck_assert_str_eq(asked, names);
}

START_TEST(what_goes_by_the_account_is_asked_when_it_has_come)
{
    static const char *some[] = {"@example.com"};
    rules[0].stage = STAGE_RCPT;
    rules[3].mode = RULE_ENFORCE;
    are_asked(ACCOUNT_KNOWN, STAGE_RCPT, "messages hour domain watched ");
    are_asked(ACCOUNT_TO_COME, STAGE_RCPT, "domain watched ");
    are_asked(ACCOUNT_HAS_COME, STAGE_RCPT, "");
    facts.recipient = NULL;
    facts.recipients = 5;
    are_asked(ACCOUNT_HAS_COME, STAGE_RCPT, "messages hour ");
    ck_assert_int_eq(call.takes[1].rate.increment_us, 500000);
    facts.recipient = "bob@example.net";
    rules[2].when.accounts = rules[3].except.accounts = (struct text_list){some, 1};
    are_asked(ACCOUNT_TO_COME, STAGE_RCPT, "");
    are_asked(ACCOUNT_HAS_COME, STAGE_RCPT, "domain ");
}
END_TEST

START_TEST(at_the_end_everything_is_asked_that_was_not)
{
    policy.stages = 1u << STAGE_END;
    for (size_t i = 0; i < 4; i++)
        rules[i].stage = STAGE_END;
    are_asked(ACCOUNT_HAS_COME, STAGE_END, "messages hour domain watched ");
}
END_TEST

START_TEST(what_is_counted_afterwards_waits_for_the_account_too)
{
    struct counter_settle settles[4];
    rules[0] = limit("washing", LIMIT_KEY_ACCOUNT, LIMIT_REJECTED_RECIPIENTS);
    rules[1] = limit("listener", LIMIT_KEY_LISTENER, LIMIT_REJECTED_RECIPIENTS);
    facts.account_state = ACCOUNT_TO_COME;
    ck_assert_uint_eq(policy_after(&policy, AFTER_ATTEMPT, &facts, true, arena, settles, 4), 1);
    ck_assert(span_equals(settles[0].key, "listener submission"));
    facts.account_state = ACCOUNT_HAS_COME;
    ck_assert_uint_eq(policy_after(&policy, AFTER_ATTEMPT, &facts, true, arena, settles, 4), 1);
    ck_assert(span_equals(settles[0].key, "washing ana@example.com"));
    rules[0].count = rules[1].count = LIMIT_DISTINCT_RECIPIENTS;
    ck_assert_uint_eq(policy_after(&policy, AFTER_MESSAGE, &facts, true, arena, settles, 4), 2);
}
END_TEST

START_TEST(more_than_a_call_can_hold_is_told)
{
    int last = 0;
    for (unsigned i = 0; i < STORE_TAKES_MAX && last >= 0; i++)
        last = policy_ask(&call, &policy, STAGE_RCPT, &facts, STORE_NO_GROUP);
    ck_assert_int_eq(last, POLICY_FAILED);
    ck_assert_uint_le(call.count, STORE_TAKES_MAX);
    ck_assert_uint_le(call.groups, STORE_GROUPS_MAX);
}
END_TEST

START_TEST(a_refusal_lasts_where_the_rule_says_so)
{
    rules[0].duration_ms = 60000;
    (void)policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    ck_assert_int_eq(call.takes[0].marks.hold_us, 0); /* of a rate the wait is known */
    rules[0].kind = COUNTER_DISTINCT;
    rules[0].action = LIMIT_LOG;
    (void)policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    ck_assert_int_eq(call.takes[1].marks.hold_us, 0);
    rules[0].action = LIMIT_REJECT;
    (void)policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    ck_assert_int_eq(call.takes[2].marks.hold_us, 60000000);
}
END_TEST

START_TEST(warn_at_is_a_part_of_what_may_be)
{
    static const struct {
        enum counter_kind kind;
        int64_t burst, max, ratio, warn_at;
        uint64_t near;
        int64_t near_us;
    } cases[] = {
        {COUNTER_RATE, 5, 0, 0, 80, 300001, INT64_C(3600) * 1000000}, /* at the fourth */
        {COUNTER_RATE, 1, 0, 0, 80, 1, INT64_C(3600) * 1000000},
        {COUNTER_AT_ONCE, 0, 4, 0, 50, 2, INT64_C(3600) * 1000000},
        {COUNTER_DISTINCT, 0, 10, 0, 75, 8, 60000000},
        {COUNTER_RATIO, 0, 0, 25, 80, 20, 60000000},
        {COUNTER_RATIO, 0, 0, 25, 1, 1, 60000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rules[0].kind = cases[i].kind;
        rules[0].rate = (struct rate){36000, INT64_C(3600) * 1000000, cases[i].burst};
        rules[0].max = cases[i].max;
        rules[0].ratio = cases[i].ratio;
        rules[0].window_ms = 60000;
        rules[0].warn_at = cases[i].warn_at;
        (void)policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
        ck_assert_uint_eq(call.takes[i].marks.near, cases[i].near);
        ck_assert_int_eq(call.takes[i].marks.near_us, cases[i].near_us);
    }
}
END_TEST

static void count_near(void *owner, const struct verdict *v)
{
    ck_assert_ptr_eq(v->rule, &rules[0]);
    ++*(int *)owner;
}

START_TEST(who_comes_near_is_told_of)
{
    int count = 0;
    int group = policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    struct verdict v;
    call.answers[0] = (struct counter_answer){.is_taken = true};
    policy_near(&call, count_near, &count);
    ck_assert_int_eq(count, 0);
    call.answers[0].is_near = true;
    policy_near(&call, count_near, &count);
    ck_assert_int_eq(count, 1);
    policy_judge(&call, group, &v);
    ck_assert_int_eq(v.kind, VERDICT_PASS);
}
END_TEST

SUITE(engine)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(what_a_stage_needs_is_one_group_and_what_only_watches_stands_behind_it);
    TEST(a_look_asks_for_what_has_a_value_at_whatever_stage_and_takes_nothing);
    TEST(where_nothing_is_to_be_asked_it_passes);
    TEST(when_and_except_say_whom_a_rule_is_for);
    TEST(a_client_whose_country_is_not_known_is_none_of_a_rule_by_country);
    TEST(the_first_rule_that_refuses_is_the_reason);
    TEST(what_is_more_than_a_rule_ever_lets_through_is_refused_for_good);
    TEST(the_longest_wait_holds_for_all);
    TEST(a_rule_that_watches_says_so_and_changes_nothing);
    TEST(a_rule_that_suspends_stands_alone_and_says_so_unless_it_watches);
    TEST(delay_is_what_is_left_of_it_for_the_message);
    TEST(a_header_is_a_key);
    TEST(messages_without_the_header_share_a_counter_or_pass_or_do_not);
    TEST(a_rule_that_watches_or_is_for_others_refuses_nobody_for_a_header);
    TEST(what_is_looked_at_before_is_added_to_afterwards);
    TEST(a_country_that_is_not_known_is_no_different_one);
    TEST(what_goes_by_the_account_is_asked_when_it_has_come);
    TEST(at_the_end_everything_is_asked_that_was_not);
    TEST(what_is_counted_afterwards_waits_for_the_account_too);
    TEST(a_refusal_lasts_where_the_rule_says_so);
    TEST(warn_at_is_a_part_of_what_may_be);
    TEST(who_comes_near_is_told_of);
    TEST(more_than_a_call_can_hold_is_told);
}
