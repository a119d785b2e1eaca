#include "policy/suggest.h"

#include "base/arena.h"
#include "support/test.h"

#include <stdio.h>

#define HOUR_S INT64_C(3600)

static struct arena *arena;
static struct suggest *suggest;
static struct suggest_account *all;

static void begin(void)
{
    arena = arena_create(64 * 1024 * 1024);
    suggest = suggest_create(arena, NULL, SUGGEST_RECIPIENTS);
    ck_assert_ptr_nonnull(suggest);
}

static void end(void)
{
    arena_destroy(&arena);
}

/* So many seconds after 2026-11-28. */
static void hear(const char *account, int64_t at_s, unsigned recipients)
{
    static struct record_line r;
    char line[300];
    (void)snprintf(line, sizeof line,
                   "time=2026-11-%02dT%02d:%02d:%02d.250Z level=info event=message_accepted "
                   "account=%s recipients=%u",
                   28 + (int)(at_s / 86400), (int)(at_s / 3600 % 24), (int)(at_s / 60 % 60),
                   (int)(at_s % 60), account, recipients); /* fits */
    ck_assert_int_eq(record_read(span_of(line), &r), 0);
    ck_assert_int_eq(suggest_hear(suggest, &r), 0);
}

static const struct suggest_account *only(void)
{
    ck_assert_uint_eq(suggest_accounts(suggest, &all), 1);
    return &all[0];
}

START_TEST(hours_and_days_are_added_up_and_told_by_their_rank)
{
    for (int hour = 0; hour < 20; hour++)
        for (int n = 0; n <= hour; n++)
            hear("ana@example.com", hour * HOUR_S + n * 60, 2);
    const struct suggest_account *a = only();
    ck_assert_uint_eq(a->messages, 210);
    ck_assert_uint_eq(a->recipients, 420);
    ck_assert_uint_eq(a->periods[SUGGEST_HOUR], 20);
    ck_assert_uint_eq(a->periods[SUGGEST_DAY], 1);
    const struct suggest_spread hours = a->spread[SUGGEST_RECIPIENTS][SUGGEST_HOUR];
    ck_assert_uint_eq(hours.p50, 20);
    ck_assert_uint_eq(hours.p95, 38);
    ck_assert_uint_eq(hours.p99, 40);
    ck_assert_uint_eq(hours.most, 40);
    ck_assert_uint_eq(a->spread[SUGGEST_MESSAGES][SUGGEST_HOUR].p50, 10);
    ck_assert_uint_eq(a->spread[SUGGEST_MESSAGES][SUGGEST_DAY].p50, 210);
}
END_TEST

START_TEST(lines_of_several_gateways_need_not_stand_in_order)
{
    hear("ana@example.com", 2 * HOUR_S, 5);
    hear("ana@example.com", 0, 1);
    hear("ana@example.com", HOUR_S + 1, 3);
    hear("ana@example.com", 2 * HOUR_S + 9, 5);
    hear("ana@example.com", 9, 1);
    const struct suggest_account *a = only();
    ck_assert_uint_eq(a->periods[SUGGEST_HOUR], 3);
    ck_assert_uint_eq(a->spread[SUGGEST_RECIPIENTS][SUGGEST_HOUR].p50, 3);
    ck_assert_uint_eq(a->spread[SUGGEST_RECIPIENTS][SUGGEST_HOUR].most, 10);
}
END_TEST

START_TEST(who_has_sent_most_in_an_hour_stands_first)
{
    char name[40];
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "a%u@example.com", i); /* fits */
        hear(name, i, 1 + i % 1000);
    }
    ck_assert_uint_eq(suggest_accounts(suggest, &all), 5000);
    ck_assert_uint_eq(all[0].recipients, 1000);
    ck_assert_str_eq(all[0].name, "a1999@example.com");
    ck_assert_uint_eq(all[4999].recipients, 1);
}
END_TEST

START_TEST(a_limit_is_tried_as_it_would_count)
{
    const struct rate limit = {60, INT64_C(3600000000), 3};
    suggest = suggest_create(arena, &limit, SUGGEST_RECIPIENTS);
    hear("ana@example.com", 0, 3);
    hear("ana@example.com", 60, 2); /* one has come back */
    hear("bob@example.com", 60, 3);
    ck_assert_uint_eq(suggest_accounts(suggest, &all), 2);
    ck_assert_str_eq(all[0].name, "ana@example.com");
    ck_assert_uint_eq(all[0].refused, 1);
    ck_assert_uint_eq(all[1].refused, 0);
}
END_TEST

static const char *const others[] = {
    "time=2026-11-28T09:00:00Z event=decision account=ana recipients=3",
    "time=2026-11-28T09:00:00Z event=message_accepted recipients=3",
    "time=2026-11-28T09:00:00Z event=message_accepted account=ana",
    "time=2026-11-28T09:00:00Z event=message_accepted account=ana recipients=-3",
    "time=yesterday event=message_accepted account=ana recipients=3",
    "time=2026-13-28T09:00:00Z event=message_accepted account=ana recipients=3",
    "time=2026-11-31T09:00:00Z event=message_accepted account=ana recipients=3",
    "time=2026-11-28T24:00:00Z event=message_accepted account=ana recipients=3",
    "time=2026-11-28T09:00:00 event=message_accepted account=ana recipients=3",
    "time=2026-11-28T09:00:00.5 event=message_accepted account=ana recipients=3",
    "time=2026-11-28T09:00:00ZZ event=message_accepted account=ana recipients=3"};

START_TEST(what_is_no_message_that_was_taken_is_passed_over)
{
    struct record_line r;
    ck_assert_int_eq(record_read(span_of(others[_i]), &r), 0);
    ck_assert_int_eq(suggest_hear(suggest, &r), 0);
    ck_assert_uint_eq(suggest_accounts(suggest, &all), 0);
}
END_TEST

SUITE(suggest)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(hours_and_days_are_added_up_and_told_by_their_rank);
    TEST(lines_of_several_gateways_need_not_stand_in_order);
    TEST(who_has_sent_most_in_an_hour_stands_first);
    TEST(a_limit_is_tried_as_it_would_count);
    LOOP_TEST(what_is_no_message_that_was_taken_is_passed_over, others);
}
