#include "decision/decision.h"

#include "base/arena.h"
#include "base/shared.h"

#include "redis/server.h"

#include <signal.h>

enum { BURST = 12 };

static struct decider_options options;
static struct decider *decider;
static struct limit_rule rule;
static struct policy policy;
static struct policy_facts facts;
static struct arena *kept;
static struct redis_store *store;
static unsigned decided;
static enum decision_outcome outcome;

static void on_decided(void *owner, enum decision_outcome o)
{
    ck_assert_ptr_eq(owner, &decided);
    decided++;
    outcome = o;
}

/* Twelve an hour, all of them at once. */
static void begin(bool has_redis)
{
    struct shared_layout layout = {0};
    struct error why;
    size_t at = shared_reserve(&layout, memory_size());
    char *base = shared_map(&layout, &why);
    ck_assert_ptr_nonnull(base);
    options = (struct decider_options){
        .memory = memory_open((void *)(base + at), (const uint64_t[2]){3, 5}, 0, NULL)};
    if (has_redis) {
        server_start("");
        behind.config.gateways = 1;
        redis_open();
        store = redis_store_create(behind.redis, "porteiro");
        ck_assert_ptr_nonnull(store);
        UNTIL(redis_is_trusted(behind.redis));
        options.redis = store;
        options.config = &behind.config;
    }
    decider = decider_create(&options);
    kept = arena_create(1024 * 1024);
    rule = (struct limit_rule){.name = "hour",
                               .enabled = true,
                               .keys = {LIMIT_KEY_ACCOUNT},
                               .key_count = 1,
                               .count = LIMIT_RECIPIENTS,
                               .action = LIMIT_DEFER,
                               .stage = STAGE_DATA,
                               .rate_text = "12/1h",
                               .rate = {12, INT64_C(3600000000), BURST}};
    policy =
        (struct policy){.name = "p", .limits = &rule, .limit_count = 1, .stages = 1u << STAGE_DATA};
    facts = (struct policy_facts){.account = "ana@example.com", .recipients = 1};
    decided = 0;
}

static void end(void)
{
    if (store != NULL) {
        struct redis_store *old = store;
        store = NULL;
        redis_destroy(&behind.redis);
        redis_store_destroy(&old);
        server_end();
    }
    decider_destroy(&decider);
    arena_destroy(&kept);
}

static struct decision *ask(uint64_t quantity)
{
    struct decision *x = decision_create(decider);
    ck_assert_ptr_nonnull(x);
    facts.recipients = quantity;
    ck_assert_int_eq(policy_ask(&x->call, &policy, STAGE_DATA, &facts, STORE_NO_GROUP), 0);
    return x;
}

static enum decision_outcome run(struct decision *x)
{
    unsigned before = decided;
    outcome = decision_run(x, on_decided, &decided);
    if (outcome == DECISION_PENDING)
        UNTIL(decided == before + 1);
    return outcome;
}

/* Asks, and puts what was taken into the list. */
static bool passes(uint64_t quantity, struct receipt **list)
{
    struct verdict v;
    struct decision *x = ask(quantity);
    ck_assert_int_eq(run(x), DECISION_ANSWERED);
    policy_judge(&x->call, 0, &v);
    if (list != NULL)
        ck_assert_int_eq(decision_keep(x, 0, x->call.count, kept, list), 0);
    decision_destroy(&x);
    return v.kind == VERDICT_PASS;
}

static unsigned pass(void)
{
    unsigned count = 0;
    while (count < 100 && passes(1, NULL))
        count++;
    return count;
}

START_TEST(without_redis_memory_answers_at_once)
{
    begin(false);
    ck_assert_uint_eq(pass(), BURST);
    ck_assert_uint_eq(decided, 0);
    end();
}
END_TEST

START_TEST(what_asks_nothing_is_answered_by_nobody)
{
    begin(false);
    struct decision *x = decision_create(decider);
    ck_assert_int_eq(decision_run(x, on_decided, &decided), DECISION_ANSWERED);
    decision_destroy(&x);
    end();
}
END_TEST

START_TEST(redis_answers_later)
{
    begin(true);
    ck_assert_uint_eq(pass(), BURST);
    ck_assert_uint_eq(decided, BURST + 1);
    end();
}
END_TEST

/* Parameter: with Redis? */
START_TEST(what_was_taken_is_given_back_by_the_hundred)
{
    struct receipt *list = NULL;
    begin(_i == 1);
    rule.rate = (struct rate){1000, INT64_C(3600000000), 1000};
    for (int i = 0; i < 250; i++)
        ck_assert(passes(4, &list));
    ck_assert(!passes(4, NULL));
    decider_give_back(decider, &list);
    ck_assert_ptr_null(list);
    ck_assert(passes(1000, NULL));
    end();
}
END_TEST

START_TEST(a_decision_that_nobody_waits_for_any_more_costs_nothing)
{
    begin(true);
    ck_assert_int_eq(kill(behind.pid, SIGSTOP), 0);
    for (int i = 0; i < 3; i++) {
        struct decision *x = ask(BURST / 3);
        ck_assert_int_eq(decision_run(x, on_decided, &decided), DECISION_PENDING);
        decision_destroy(&x);
        ck_assert_ptr_null(x);
    }
    ck_assert_int_eq(kill(behind.pid, SIGCONT), 0);
    unsigned first = passes(1, NULL); /* asked before anything came back, or behind it */
    ck_assert_uint_eq(pass(), BURST - first);
    end();
}
END_TEST

START_TEST(decisions_that_wait_for_a_redis_that_goes_are_freed)
{
    begin(true);
    ck_assert_int_eq(kill(behind.pid, SIGSTOP), 0);
    struct decision *waits = ask(1), *left = ask(1);
    ck_assert_int_eq(decision_run(waits, on_decided, &decided), DECISION_PENDING);
    ck_assert_int_eq(decision_run(left, on_decided, &decided), DECISION_PENDING);
    decision_destroy(&left);
    redis_destroy(&behind.redis);
    ck_assert_uint_eq(decided, 1);
    decision_destroy(&waits);
    end();
}
END_TEST

static void lose_redis(enum redis_on_failure on_failure)
{
    behind.config.on_failure = (int)on_failure;
    server_kill();
    UNTIL(!redis_is_trusted(behind.redis));
}

START_TEST(without_its_redis_it_counts_in_memory_where_that_is_wished)
{
    struct receipt *list = NULL;
    begin(true);
    ck_assert(passes(BURST, &list));
    lose_redis(REDIS_FAILURE_MEMORY);
    ck_assert(passes(BURST, NULL));
    ck_assert(!passes(1, NULL));
    decider_give_back(decider, &list); /* to Redis, and so to nobody */
    ck_assert(!passes(1, NULL));
    end();
}
END_TEST

START_TEST(without_its_redis_it_counts_not_at_all_where_that_is_wished)
{
    struct receipt *list = NULL;
    begin(true);
    lose_redis(REDIS_FAILURE_ACCEPT);
    for (int i = 0; i < 10; i++)
        ck_assert(passes(BURST, &list));
    ck_assert_ptr_null(list);
    end();
}
END_TEST

START_TEST(without_its_redis_nothing_passes_where_that_is_wished)
{
    begin(true);
    lose_redis(REDIS_FAILURE_TEMPFAIL);
    struct decision *x = ask(1);
    ck_assert_int_eq(run(x), DECISION_FAILED);
    decision_destroy(&x);
    end();
}
END_TEST

START_TEST(an_answer_that_is_late_is_done_without)
{
    begin(true);
    behind.config.timeout_ms = 50;
    ck_assert_int_eq(kill(behind.pid, SIGSTOP), 0);
    ck_assert_uint_eq(pass(), BURST);
    ck_assert_int_eq(kill(behind.pid, SIGCONT), 0);
    end();
}
END_TEST

/* Gateways, what passes of one by one, and the largest that passes at once from rest. */
static const struct {
    int64_t gateways;
    unsigned one_by_one;
} parts[] = {{1, 12}, {2, 6}, {3, 4}, {5, 2}, {12, 1}, {100, 1}};

START_TEST(each_gateway_has_its_part_in_memory)
{
    begin(true);
    behind.config.gateways = parts[_i].gateways;
    lose_redis(REDIS_FAILURE_MEMORY);
    ck_assert_uint_eq(pass(), parts[_i].one_by_one);
    end();
}
END_TEST

/* What a client may send at all isn't refused for good because of how many gateways there are. */
START_TEST(a_message_that_is_larger_than_the_part_passes_from_rest)
{
    begin(true);
    behind.config.gateways = parts[_i].gateways;
    lose_redis(REDIS_FAILURE_MEMORY);
    ck_assert(passes(BURST, NULL));
    ck_assert(!passes(1, NULL));
    facts.account = "bia@example.com";
    ck_assert(!passes(BURST + 1, NULL));
    end();
}
END_TEST

SUITE(decision)
{
    folder_use(tests);
    TEST(without_redis_memory_answers_at_once);
    TEST(what_asks_nothing_is_answered_by_nobody);
    TEST(redis_answers_later);
    tcase_add_loop_test(tests, what_was_taken_is_given_back_by_the_hundred, 0, 2);
    TEST(a_decision_that_nobody_waits_for_any_more_costs_nothing);
    TEST(decisions_that_wait_for_a_redis_that_goes_are_freed);
    TEST(without_its_redis_it_counts_in_memory_where_that_is_wished);
    TEST(without_its_redis_it_counts_not_at_all_where_that_is_wished);
    TEST(without_its_redis_nothing_passes_where_that_is_wished);
    TEST(an_answer_that_is_late_is_done_without);
    LOOP_TEST(each_gateway_has_its_part_in_memory, parts);
    LOOP_TEST(a_message_that_is_larger_than_the_part_passes_from_rest, parts);
}
