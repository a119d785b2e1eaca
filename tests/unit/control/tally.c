#include "control/tally.h"

#include "base/arena.h"
#include "policy/policy.h"
#include "support/test.h"

static struct arena *arena;
static struct limit_rule rules[4];
static struct policy policy;
static struct listener_config listeners[2];
static struct config config;
static struct tally tally;

static struct limit_rule rule(const char *name, enum limit_key second, uint16_t slot)
{
    return (struct limit_rule){.name = name,
                               .enabled = true,
                               .action = LIMIT_SUSPEND,
                               .count = LIMIT_MESSAGES,
                               .keys = {LIMIT_KEY_ACCOUNT, second},
                               .key_count = 2,
                               .rate_text = "",
                               .slot = slot};
}

static void begin(void)
{
    arena = arena_create(1024 * 1024);
    rules[0] = rule("alone", LIMIT_KEY_LOGIN, 0);
    rules[1] = rule("there", LIMIT_KEY_LISTENER, 1);
    rules[2] = rule("from", LIMIT_KEY_IP, 2);
    rules[3] = rule("refused", LIMIT_KEY_ACCOUNT_DOMAIN, 3);
    rules[3].count = LIMIT_REJECTED_RECIPIENTS;
    rules[3].kind = COUNTER_RATIO;
    policy = (struct policy){.name = "p", .limits = rules, .limit_count = 4};
    for (int i = 0; i < 2; i++)
        listeners[i] = (struct listener_config){.name = i == 0 ? "submission" : "submissions",
                                                .policy_rules = &policy};
    config = (struct config){
        .policies = &policy, .policy_count = 1, .listeners = listeners, .listener_count = 2};
    tally = (struct tally){.count = 0};
}

static void end(void)
{
    arena_destroy(&arena);
}

static bool has(const char *key)
{
    for (size_t i = 0; i < tally.count; i++)
        if (span_equals(tally.settles[i].key, key))
            return true;
    return false;
}

START_TEST(what_suspends_begins_anew_wherever_the_account_alone_says_where_it_is)
{
    tally_suspending(&config, "ana@example.com", arena, &tally);
    ck_assert_uint_eq(tally.count, 4);
    ck_assert(has("alone ana@example.com ana@example.com"));
    ck_assert(has("there ana@example.com submission"));
    ck_assert(has("there ana@example.com submissions"));
    ck_assert(has("refused ana@example.com example.com"));
    for (size_t i = 0; i < tally.count; i++)
        ck_assert_int_eq(tally.settles[i].kind, SETTLE_FORGET);
}
END_TEST

START_TEST(what_does_not_suspend_or_was_dropped_stays)
{
    rules[0].action = LIMIT_DEFER;
    rules[1].enabled = false;
    tally_suspending(&config, "ana@example.com", arena, &tally);
    ck_assert_uint_eq(tally.count, 1);
}
END_TEST

START_TEST(recipients_that_were_nobodys_count_once_for_each_counter)
{
    tally_rejected(&config, "ana@example.com", 7, arena, &tally);
    ck_assert_uint_eq(tally.count, 1);
    ck_assert_int_eq(tally.settles[0].kind, SETTLE_COUNT);
    ck_assert_uint_eq(tally.settles[0].ratio.bad, 7);
    ck_assert_uint_eq(tally.settles[0].ratio.tried, 0);
}
END_TEST

START_TEST(no_more_than_there_is_room_for_is_settled)
{
    static struct limit_rule many[TALLY_MAX + 10];
    for (size_t i = 0; i < TALLY_MAX + 10; i++)
        many[i] = rule("many", LIMIT_KEY_GLOBAL, (uint16_t)i);
    policy.limits = many;
    policy.limit_count = TALLY_MAX + 10;
    tally_suspending(&config, "ana@example.com", arena, &tally);
    ck_assert_uint_eq(tally.count, TALLY_MAX);
}
END_TEST

SUITE(tally)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(what_suspends_begins_anew_wherever_the_account_alone_says_where_it_is);
    TEST(what_does_not_suspend_or_was_dropped_stays);
    TEST(recipients_that_were_nobodys_count_once_for_each_counter);
    TEST(no_more_than_there_is_room_for_is_settled);
}
