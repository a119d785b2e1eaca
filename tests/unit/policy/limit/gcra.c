#include "policy/limit/gcra.h"

#include "support/test.h"

enum { SECOND = 1000000 };
#define NOW INT64_C(1795534817455204)

static struct gcra_take one_of(const struct rate *r, int64_t max_delay_us)
{
    return (struct gcra_take){rate_increment(r, 1), rate_tolerance(r), max_delay_us};
}

START_TEST(exactly_the_burst_passes_at_once_then_one_a_cell)
{
    static const struct rate rates[] = {
        {600, 3600LL * SECOND, 100},   {7, SECOND, 7},           {3, SECOND, 1},
        {2000, 86400LL * SECOND, 500}, {1, 86400LL * SECOND, 1}, {1000, SECOND, 999},
    };
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        const struct rate *r = &rates[i];
        struct gcra_take take = one_of(r, 0);
        int64_t tat = 0, wait;
        for (int64_t n = 0; n < r->burst; n++) {
            ck_assert_uint_eq(rate_left(r, tat, NOW), (uint64_t)(r->burst - n));
            ck_assert(gcra_take(&tat, &take, NOW, &wait));
            ck_assert_int_eq(wait, 0);
        }
        int64_t before = tat;
        ck_assert(!gcra_take(&tat, &take, NOW, &wait));
        ck_assert_int_eq(tat, before);
        ck_assert_int_gt(wait, 0);
        ck_assert_int_le(wait, rate_increment(r, 1));
        ck_assert(!gcra_take(&tat, &take, NOW + wait - 1, &before));
        ck_assert(gcra_take(&tat, &take, NOW + wait, &before));
        ck_assert(!gcra_take(&tat, &take, NOW + wait, &before));
    }
}
END_TEST

START_TEST(what_is_larger_than_the_burst_never_passes)
{
    static const struct rate r = {10, SECOND, 5};
    struct gcra_take take = {rate_increment(&r, 6), rate_tolerance(&r), 0};
    int64_t tat = 0, wait = 0;
    ck_assert(!gcra_take(&tat, &take, NOW, &wait));
    ck_assert_int_eq(wait, -1);
    ck_assert(!gcra_take(&tat, &(struct gcra_take){INT64_MAX, 5, 5}, NOW, &wait));
    ck_assert_int_eq(wait, -1);
}
END_TEST

START_TEST(the_largest_of_all_numbers_stay_within_their_type)
{
    static const int64_t year_us = INT64_C(366) * 86400 * 1000000;
    static const struct rate rates[] = {
        {1, year_us, RATE_COUNT_MAX},
        {RATE_COUNT_MAX, 1000, RATE_COUNT_MAX},
        {1, year_us, 1},
    };
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct gcra_take take = {rate_increment(&rates[i], UINT64_MAX), rate_tolerance(&rates[i]),
                                 60 * INT64_C(1000000)};
        int64_t tat = INT64_MAX / 2, wait = 0;
        ck_assert_int_le(take.increment_us, RATE_NEVER);
        ck_assert(!gcra_take(&tat, &take, NOW, &wait));
        ck_assert_int_eq(wait, -1);
        take.increment_us = rate_increment(&rates[i], 1);
        tat = 0;
        ck_assert(gcra_take(&tat, &take, NOW, &wait));
        ck_assert_uint_le(rate_left(&rates[i], tat, NOW), (uint64_t)rates[i].burst);
    }
}
END_TEST

START_TEST(what_is_due_within_max_delay_is_taken_and_waits)
{
    static const struct rate r = {10, SECOND, 2};
    struct gcra_take take = one_of(&r, SECOND / 2);
    int64_t tat = 0, wait;
    static const int64_t waits[] = {0, 0, 100000, 200000, 300000, 400000, 500000};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        ck_assert(gcra_take(&tat, &take, NOW, &wait));
        ck_assert_int_le(wait, waits[i]);
        ck_assert_int_ge(wait, waits[i] - 2);
    }
    ck_assert(!gcra_take(&tat, &take, NOW, &wait));
}
END_TEST

START_TEST(a_clock_set_back_costs_no_more_than_the_rule)
{
    static const struct rate r = {60, 60LL * SECOND, 5};
    struct gcra_take take = one_of(&r, 0);
    int64_t tat = NOW + INT64_C(86400) * SECOND, wait;
    ck_assert(!gcra_take(&tat, &take, NOW, &wait));
    ck_assert_int_le(wait, rate_increment(&r, 1));
}
END_TEST

START_TEST(given_back_is_what_has_not_been_worked_off)
{
    static const struct rate r = {1, SECOND, 10};
    struct gcra_take take = one_of(&r, 0);
    int64_t tat = 0, wait, taken;
    ck_assert(gcra_take(&tat, &take, NOW, &wait));
    taken = tat;
    gcra_give_back(&tat, take.increment_us, taken, NOW);
    ck_assert_int_eq(tat, NOW);
    ck_assert(gcra_take(&tat, &take, NOW, &wait));
    taken = tat;
    gcra_give_back(&tat, take.increment_us, taken, NOW + SECOND / 4);
    ck_assert_int_eq(tat, NOW + SECOND / 4);
    ck_assert(gcra_take(&tat, &take, NOW, &wait));
    taken = tat;
    gcra_give_back(&tat, take.increment_us, taken, NOW + 5 * INT64_C(1000000));
    ck_assert_int_le(tat, NOW + 5 * INT64_C(1000000)); /* worked off: nothing comes back */
}
END_TEST

/* Never more than burst + rate * (t + D) pass, over every stretch of a random schedule in which
 * takes are given back up to D later. */
START_TEST(no_stretch_lets_more_through_than_burst_and_rate)
{
    enum { STEPS = 400, D = 3 * SECOND };
    static const struct rate r = {5, SECOND, 8};
    struct gcra_take take = one_of(&r, 0);
    int64_t at[STEPS], tat = 0, now = NOW, wait;
    int count = 0;
    struct {
        int64_t at, taken;
    } open[16];
    int opened = 0;
    uint64_t seed = 88172645463325252ULL + (uint64_t)_i;
    for (int i = 0; i < STEPS; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        now += (int64_t)(seed % (SECOND / 3));
        while (opened > 0 && (open[0].at + D <= now || (seed >> 40) % 5 == 0)) {
            int64_t when = open[0].at + D < now ? open[0].at + D : now;
            gcra_give_back(&tat, take.increment_us, open[0].taken, when);
            for (int k = 1; k < opened; k++)
                open[k - 1] = open[k];
            opened--;
        }
        if (!gcra_take(&tat, &take, now, &wait))
            continue;
        if ((seed >> 20) % 3 == 0 && opened < 16) {
            open[opened].at = now;
            open[opened++].taken = tat;
        } else {
            at[count++] = now;
        }
    }
    ck_assert_int_gt(count, 50);
    for (int i = 0; i < count; i++)
        for (int k = i; k < count; k++)
            ASSERT_OFTEN((k - i + 1 - r.burst) * (r.period_us / r.count) - D <= at[k] - at[i] + 1,
                         "%d within %lld us", k - i + 1, (long long)(at[k] - at[i]));
}
END_TEST

SUITE(gcra)
{
    TEST(exactly_the_burst_passes_at_once_then_one_a_cell);
    TEST(what_is_larger_than_the_burst_never_passes);
    TEST(the_largest_of_all_numbers_stay_within_their_type);
    TEST(what_is_due_within_max_delay_is_taken_and_waits);
    TEST(a_clock_set_back_costs_no_more_than_the_rule);
    TEST(given_back_is_what_has_not_been_worked_off);
    tcase_add_loop_test(tests, no_stretch_lets_more_through_than_burst_and_rate, 0, 50);
}
