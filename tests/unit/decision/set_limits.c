#include "decision/set_limits.h"

#include "base/clock.h"
#include "telemetry/mapping.h"

#include <stdio.h>

enum { PROCESS = 3 };
#define NOW     (INT64_C(1795781400) * CLOCK_SECOND)
#define HOUR_US (INT64_C(3600) * 1000000)

static struct set_limits *table;
static struct error why;

static void begin(void)
{
    static const uint64_t key[2] = {0x1234, 0x5678};
    table = mapping_make(set_limits_size());
    set_limits_begin(table, key);
}

static struct set_limit one(const char *name, int64_t count, int64_t since_ns)
{
    struct set_limit l = {.rule = "hour",
                          .reason = "ticket",
                          .figure = {count, HOUR_US, count},
                          .since_ns = since_ns,
                          .until_ns = NOW + 3600 * CLOCK_SECOND,
                          .uid = 1000};
    if (count == 0)
        l.figure = (struct rate){.count = 0};
    (void)span_copy(span_of(name), l.name, sizeof l.name); /* fits */
    return l;
}

static int put(const struct set_limit *l)
{
    return set_limits_put(table, PROCESS, l, NOW, &why);
}

/* The count in force; 0: none. */
static int64_t figure(const char *name, int64_t now_s)
{
    struct rate rate;
    return set_limits_figure(table, "hour", name, now_s, &rate) ? rate.count : 0;
}

START_TEST(what_was_set_is_found_by_its_limit_and_name_until_it_ends)
{
    struct set_limit l = one("ana@example.com", 50, NOW), found;
    ck_assert_uint_eq(set_limits_version(table), 0);
    ck_assert_int_eq(figure("ana@example.com", NOW / CLOCK_SECOND), 0);
    int place = put(&l);
    ck_assert_int_ge(place, 0);
    ck_assert_uint_ne(set_limits_version(table), 0);
    ck_assert_int_eq(figure("ana@example.com", NOW / CLOCK_SECOND), 50);
    ck_assert_int_eq(figure("ana@example.com", NOW / CLOCK_SECOND + 3599), 50);
    ck_assert_int_eq(figure("ana@example.com", NOW / CLOCK_SECOND + 3600), 0);
    ck_assert_int_eq(figure("@example.com", NOW / CLOCK_SECOND), 0);
    ck_assert_int_eq(set_limits_read(table, (size_t)place, NOW, &found), 0);
    ck_assert_str_eq(found.reason, "ticket");
    ck_assert_int_eq(set_limits_find(table, "day", "ana@example.com", NOW, &found), -1);
    ck_assert_int_eq(set_limits_read(table, SET_LIMITS_MAX, NOW, &found), -1);
}
END_TEST

START_TEST(what_was_set_for_good_does_not_end)
{
    struct set_limit l = one("ana@example.com", 50, NOW);
    l.until_ns = SET_LIMIT_FOR_GOOD;
    ck_assert_int_ge(put(&l), 0);
    ck_assert_int_eq(figure("ana@example.com", NOW / CLOCK_SECOND + INT64_C(3000000000)), 50);
}
END_TEST

START_TEST(of_two_the_later_one_is_in_force)
{
    struct set_limit first = one("ana@example.com", 50, NOW), later = one(first.name, 60, NOW + 1);
    int place = put(&later);
    ck_assert_int_eq(put(&first), SET_LIMITS_OLDER);
    ck_assert_int_eq(figure(first.name, NOW / CLOCK_SECOND), 60);
    uint64_t version = set_limits_version(table);
    ck_assert_int_eq(put(&later), place);
    ck_assert_uint_eq(set_limits_version(table), version);
    first.since_ns = NOW + 2;
    ck_assert_int_eq(put(&first), place);
    ck_assert_int_eq(figure(first.name, NOW / CLOCK_SECOND), 50);
}
END_TEST

START_TEST(what_was_taken_back_is_remembered_and_not_in_force)
{
    struct set_limit l = one("ana@example.com", 50, NOW), back = one(l.name, 0, NOW + 1), found;
    ck_assert_int_ge(put(&l), 0);
    ck_assert_int_ge(put(&back), 0);
    ck_assert_int_eq(figure(l.name, NOW / CLOCK_SECOND), 0);
    ck_assert_int_eq(put(&l), SET_LIMITS_OLDER);
    ck_assert_int_ge(set_limits_find(table, "hour", l.name, NOW, &found), 0);
    ck_assert_int_eq(found.figure.count, 0);
}
END_TEST

START_TEST(one_that_has_ended_takes_away_what_is_there_and_needs_no_place)
{
    struct set_limit l = one("ana@example.com", 50, NOW), ended = one(l.name, 50, NOW + 1), found;
    ended.until_ns = NOW;
    ck_assert_int_ge(put(&ended), 0);
    ck_assert_uint_eq(set_limits_version(table), 0);
    ck_assert_int_ge(put(&l), 0);
    ck_assert_int_ge(put(&ended), 0);
    ck_assert_int_eq(set_limits_find(table, "hour", l.name, NOW, &found), -1);
}
END_TEST

START_TEST(four_thousand_find_room_and_a_full_table_says_so)
{
    char name[40];
    int outcome = 0;
    for (int i = 0; i < 4000 && outcome >= 0; i++) {
        (void)snprintf(name, sizeof name, "a%d@example.com", i); /* fits */
        const struct set_limit l = one(name, i + 1, NOW);
        outcome = put(&l);
    }
    ck_assert_int_ge(outcome, 0);
    ck_assert_int_eq(figure("a7@example.com", NOW / CLOCK_SECOND), 8);
    for (int i = 4000; i < 2 * SET_LIMITS_MAX && outcome >= 0; i++) {
        (void)snprintf(name, sizeof name, "a%d@example.com", i); /* fits */
        const struct set_limit l = one(name, i + 1, NOW);
        outcome = put(&l);
    }
    ck_assert_int_eq(outcome, SET_LIMITS_FAILED);
    ck_assert_str_eq(why.text, "there is no room for another limit beside those that were set");
    ck_assert_int_eq(figure("a7@example.com", NOW / CLOCK_SECOND), 8);
}
END_TEST

START_TEST(what_is_malformed_is_refused)
{
    struct set_limit spoiled[7];
    for (size_t i = 0; i < 7; i++)
        spoiled[i] = one("ana@example.com", 50, NOW);
    spoiled[0].rule[0] = '\0';
    spoiled[1].name[0] = '\0';
    spoiled[2].since_ns = 0;
    spoiled[3].figure.period_us = -1;
    memset(spoiled[4].reason, 'x', sizeof spoiled[4].reason);
    memset(spoiled[5].name, 'x', sizeof spoiled[5].name);
    spoiled[6].since_ns = NOW + 86401 * CLOCK_SECOND; /* no clock is that wrong */
    for (size_t i = 0; i < 7; i++)
        ck_assert_int_eq(put(&spoiled[i]), SET_LIMITS_FAILED);
    ck_assert_str_eq(why.text, "what was set is malformed");
}
END_TEST

static const unsigned char fills[] = {0x01, 0x7f, 0x80, 0xff};

START_TEST(a_table_that_somebody_has_spoiled_is_read_without_harm)
{
    struct set_limit l = one("ana@example.com", 50, NOW), found;
    table = mapping_hostile((set_limits_size() + 7) / 8 * 8, fills[_i]);
    for (size_t i = 0; i < SET_LIMITS_MAX; i++)
        ck_assert_int_eq(set_limits_read(table, i, NOW, &found), -1);
    ck_assert_int_eq(figure("ana@example.com", NOW / CLOCK_SECOND), 0);
    (void)put(&l);
}
END_TEST

START_TEST(what_a_killed_process_held_is_released)
{
    struct set_limit l = one("ana@example.com", 50, NOW);
    ck_assert_int_ge(put(&l), 0);
    *(uint32_t *)(void *)table = PROCESS + 1; /* the lock lies at the front */
    ck_assert_int_eq(set_limits_put(table, 4, &l, NOW, &why), SET_LIMITS_FAILED);
    ck_assert_str_eq(why.text, "another process holds the table of limits; try again");
    set_limits_release(table, 4);
    set_limits_release(table, PROCESS);
    ck_assert_int_eq(figure("ana@example.com", NOW / CLOCK_SECOND), 50);
    ck_assert_int_ge(set_limits_put(table, 4, &l, NOW, &why), 0);
}
END_TEST

SUITE(set_limits)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    TEST(what_was_set_is_found_by_its_limit_and_name_until_it_ends);
    TEST(what_was_set_for_good_does_not_end);
    TEST(of_two_the_later_one_is_in_force);
    TEST(what_was_taken_back_is_remembered_and_not_in_force);
    TEST(one_that_has_ended_takes_away_what_is_there_and_needs_no_place);
    TEST(four_thousand_find_room_and_a_full_table_says_so);
    TEST(what_is_malformed_is_refused);
    LOOP_TEST(a_table_that_somebody_has_spoiled_is_read_without_harm, fills);
    TEST(what_a_killed_process_held_is_released);
}
