#include "policy/figures.h"

#include "base/arena.h"
#include "policy/policy.h"

#include "support/test.h"

#define NOW_US INT64_C(1795540385000000)

static const struct {
    struct rate rate;
    uint64_t quantity;
} rates[] = {{{600, 3600 * 1000000ll, 100}, 1},
             {{600, 3600 * 1000000ll, 100}, 7},
             {{7, 1000000, 7}, 1},
             {{7, 1000000, 7}, 3},
             {{3, 86400 * 1000000ll, 1}, 1},
             {{1000000, 1000000, 500}, 1}};

static struct counter_take take_of(const struct rate *r, uint64_t quantity)
{
    return (struct counter_take){.kind = COUNTER_RATE,
                                 .cost = quantity,
                                 .rate = {rate_increment(r, quantity), rate_tolerance(r), 0}};
}

static bool passes(int64_t *tat_us, const struct counter_take *t)
{
    const struct gcra_take take = {t->rate.increment_us, t->rate.tolerance_us, 0};
    int64_t wait_us;
    return gcra_take(tat_us, &take, NOW_US, &wait_us);
}

START_TEST(so_many_as_are_left_of_a_rate_pass_and_no_more)
{
    const struct rate *r = &rates[_i].rate;
    const struct counter_take take = take_of(r, rates[_i].quantity), one = take_of(r, 1);
    int64_t tat_us = NOW_US;
    for (int n = 0; n < 40; n++) {
        const struct counter_answer a = {.now_us = NOW_US, .tat_us = tat_us};
        int64_t left = figures_left(&take, &a), copy = tat_us, more = 0;
        while (more <= left && passes(&copy, &one))
            more++;
        ck_assert_msg(more == left, "%d: %lld pass, %lld are left", n, (long long)more,
                      (long long)left);
        if (n == 0)
            ck_assert_int_eq(left, r->burst);
        ck_assert_int_eq(figures_used(&take, &a), r->burst - left);
        if (!passes(&tat_us, &take))
            ck_assert_int_lt(left, (int64_t)rates[_i].quantity);
    }
}
END_TEST

START_TEST(of_what_has_a_maximum_the_rest_is_left)
{
    const struct counter_take held = {.kind = COUNTER_AT_ONCE, .at_once = {.max = 4}};
    const struct counter_take different = {.kind = COUNTER_DISTINCT, .distinct = {.max = 4}};
    const struct counter_take ratio = {.kind = COUNTER_RATIO};
    for (uint64_t used = 0; used < 7; used++) {
        const struct counter_answer a = {.used = used};
        ck_assert_int_eq(figures_left(&held, &a), used < 4 ? 4 - (int64_t)used : 0);
        ck_assert_int_eq(figures_left(&different, &a), used < 4 ? 4 - (int64_t)used : 0);
        ck_assert_int_eq(figures_left(&ratio, &a), -1);
        ck_assert_int_eq(figures_used(&held, &a), (int64_t)used);
        ck_assert_int_eq(figures_used(&different, &a), (int64_t)used);
    }
}
END_TEST

START_TEST(of_a_ratio_per_cent_are_used)
{
    const struct counter_take ratio = {.kind = COUNTER_RATIO};
    const struct counter_answer some = {.used = 40, .bad = 11}, none = {.used = 0};
    ck_assert_int_eq(figures_used(&ratio, &some), 27);
    ck_assert_int_eq(figures_used(&ratio, &none), 0);
}
END_TEST

/* ---- the tightest ---- */

static struct arena *arena;
static struct policy_call call;
static struct limit_rule rules[3] = {{.name = "hour"}, {.name = "open"}, {.name = "washing"}};

static void add(size_t rule, const char *key, const struct counter_take *take, bool is_taken,
                int64_t owed_us, uint64_t used)
{
    size_t i = call.count++;
    call.rules[i] = &rules[rule];
    call.takes[i] = *take;
    call.takes[i].key = span_of(key);
    call.answers[i] = (struct counter_answer){
        .is_taken = is_taken, .now_us = NOW_US, .tat_us = NOW_US + owed_us, .used = used};
}

static void begin(void)
{
    arena = arena_create(1024 * 1024);
    policy_call_begin(&call, arena);
    call.takes = arena_alloc(arena, 8 * sizeof *call.takes);
    call.answers = arena_alloc(arena, 8 * sizeof *call.answers);
    call.rules = arena_alloc(arena, 8 * sizeof *call.rules);
}

static void end(void)
{
    arena_destroy(&arena);
}

static const struct rate hundred = {100, 100 * 1000000, 100};
static const struct counter_take of_four = {
    .kind = COUNTER_AT_ONCE, .cost = 1, .at_once = {.max = 4}};

START_TEST(the_tightest_of_what_was_counted_is_named_with_all_that_it_cost)
{
    const struct counter_take hour = take_of(&hundred, 2);
    struct verdict v;
    add(0, "hour ana", &hour, true, 60 * 1000000, 0);
    add(1, "open ana", &of_four, true, 0, 2);
    add(0, "hour bob", &hour, true, 10 * 1000000, 0);
    add(0, "hour ana", &hour, true, 62 * 1000000, 0);
    double share = figures_tightest(&call, &v);
    ck_assert(share > 0.61 && share < 0.63);
    ck_assert(v.kind == VERDICT_PASS && v.wait_us == 0 && v.rule == &rules[0]);
    ck_assert(span_equals(v.key, "hour ana"));
    ck_assert_uint_eq(v.cost, 4);
    ck_assert_int_eq(v.left, 38);
    add(1, "open ana", &of_four, true, 0, 3);
    ck_assert(figures_tightest(&call, &v) > 0.74 && v.rule == &rules[1] && v.left == 1);
}
END_TEST

START_TEST(what_was_not_taken_or_only_looked_at_was_not_counted)
{
    const struct counter_take hour = take_of(&hundred, 2);
    const struct counter_take ratio = {.kind = COUNTER_RATIO};
    const struct counter_take different = {.kind = COUNTER_DISTINCT, .distinct = {.max = 4}};
    struct verdict v;
    ck_assert(figures_tightest(&call, &v) < 0);
    add(0, "hour ana", &hour, false, 60 * 1000000, 0);
    add(2, "washing ana", &ratio, true, 0, 30);
    add(2, "washing ana", &different, true, 0, 4);
    ck_assert(figures_tightest(&call, &v) < 0);
    add(0, "hour bob", &hour, true, 0, 0);
    ck_assert(figures_tightest(&call, &v) >= 0 && span_equals(v.key, "hour bob"));
}
END_TEST

SUITE(figures)
{
    tcase_add_checked_fixture(tests, begin, end);
    LOOP_TEST(so_many_as_are_left_of_a_rate_pass_and_no_more, rates);
    TEST(of_what_has_a_maximum_the_rest_is_left);
    TEST(of_a_ratio_per_cent_are_used);
    TEST(the_tightest_of_what_was_counted_is_named_with_all_that_it_cost);
    TEST(what_was_not_taken_or_only_looked_at_was_not_counted);
}
