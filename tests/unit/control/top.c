#include "control/top.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

#define NOON INT64_C(1795521600) /* a whole hour */

static struct top *top;
static struct top_list list;

static void begin(void)
{
    top = calloc(1, top_size());
    ck_assert_ptr_nonnull(top);
    top_begin(top, NOON);
}

static void end(void)
{
    free(top);
}

static void sends(const char *name, uint32_t messages, uint32_t recipients, uint32_t refused,
                  int64_t at_s)
{
    top_add(top, TOP_ACCOUNT, span_of(name), (struct top_counts){messages, recipients, refused},
            NOON + at_s);
}

static void row_is(size_t i, const char *name, uint32_t messages, uint32_t recipients,
                   uint32_t refused)
{
    const struct top_row *r = &list.rows[i];
    ck_assert_uint_lt(i, list.count);
    ck_assert_str_eq(r->name, name);
    ck_assert_msg(r->counts.messages == messages && r->counts.recipients == recipients &&
                      r->counts.refused == refused,
                  "%s: %u %u %u", name, r->counts.messages, r->counts.recipients,
                  r->counts.refused);
}

static void look(unsigned minutes, int64_t at_s)
{
    top_list(top, TOP_ACCOUNT, minutes, NOON + at_s, &list);
}

START_TEST(who_has_reached_or_tried_most_recipients_comes_first)
{
    sends("ana", 3, 5, 0, 10);
    sends("bob", 1, 9, 0, 20);
    sends("eve", 0, 0, 40, 30);
    sends("ana", 1, 2, 1, 70);
    sends("dan", 8, 8, 0, 80);
    look(10, 90);
    ck_assert_uint_eq(list.count, 4);
    row_is(0, "eve", 0, 0, 40);
    row_is(1, "bob", 1, 9, 0);
    row_is(2, "ana", 4, 7, 1); /* as many as dan: by name */
    row_is(3, "dan", 8, 8, 0);
    ck_assert_uint_eq(list.hidden, 0);
}
END_TEST

START_TEST(kinds_of_names_are_kept_apart)
{
    sends("ana", 1, 1, 0, 0);
    top_list(top, TOP_LOGIN, 10, NOON, &list);
    ck_assert_uint_eq(list.count, 0);
    top_add(top, TOP_LOGIN, span_make("", 0), (struct top_counts){1, 1, 0}, NOON);
    top_list(top, TOP_LOGIN, 10, NOON, &list);
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(only_the_minutes_that_are_asked_for_count_and_their_begin_is_told)
{
    sends("ana", 1, 1, 0, 59);
    sends("ana", 2, 2, 0, 60);
    sends("ana", 4, 4, 0, 180);
    look(1, 200);
    row_is(0, "ana", 4, 4, 0);
    ck_assert_int_eq(list.since_s, NOON + 180);
    look(3, 200);
    row_is(0, "ana", 6, 6, 0);
    look(10, 200);
    row_is(0, "ana", 7, 7, 0);
    ck_assert_int_eq(list.since_s, NOON); /* it began then */
    look(1, 240);
    ck_assert_uint_eq(list.count, 0);
    look(60, 3600 + 59);
    row_is(0, "ana", 6, 6, 0);
    look(60, 3600 + 240);
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(a_clock_that_is_set_loses_nothing_of_what_comes)
{
    sends("ana", 1, 1, 0, 600);
    sends("ana", 1, 1, 0, 0);
    look(10, 600);
    row_is(0, "ana", 2, 2, 0);
    sends("ana", 1, 1, 0, 1000000);
    look(10, 1000000);
    row_is(0, "ana", 1, 1, 0);
    look(10, 0);
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(there_are_twenty_rows_at_most)
{
    char name[16];
    for (uint32_t i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof name, "a%u", i * 7 % 50); /* fits */
        sends(name, 1, i * 7 % 50 + 1, 0, 0);
    }
    look(10, 0);
    ck_assert_uint_eq(list.count, TOP_ROWS_MAX);
    for (size_t i = 0; i < TOP_ROWS_MAX; i++)
        ck_assert_uint_eq(list.rows[i].counts.recipients, 50 - i);
}
END_TEST

START_TEST(a_long_name_keeps_its_front_and_stays_apart_from_others)
{
    char a[300], b[300];
    memset(a, 'x', sizeof a);
    memset(b, 'x', sizeof b);
    a[299] = b[299] = '\0';
    b[298] = 'y';
    sends(a, 2, 2, 0, 0);
    sends(b, 1, 1, 0, 0);
    look(10, 0);
    ck_assert_uint_eq(list.count, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(strlen(list.rows[i].name), TOP_NAME_SIZE - 1);
        ck_assert_uint_eq(strspn(list.rows[i].name, "x"), TOP_NAME_SIZE - 18);
    }
    /* No character is cut. */
    for (size_t i = 0; i + 1 < sizeof a - 1; i += 2)
        memcpy(a + i, "\xc3\xa9", 2);
    sends(a, 9, 9, 0, 0);
    look(10, 0);
    ck_assert_uint_eq(list.rows[0].counts.recipients, 9);
    ck_assert_int_eq(strcspn(list.rows[0].name, "~") % 2, 0);
}
END_TEST

/* ---- more names than are kept ---- */

static void name_of(unsigned i, char out[16])
{
    (void)snprintf(out, 16, "n%u", i); /* fits */
}

START_TEST(whoever_has_done_least_makes_room_and_it_is_said_how_much_may_be_missing)
{
    char name[16];
    for (unsigned i = 0; i < TOP_NAMES; i++) {
        name_of(i, name);
        sends(name, 1, i == 500 ? 2 : 20, 0, 0);
    }
    look(10, 0);
    ck_assert_uint_eq(list.hidden, 0);
    sends("new", 1, 100, 0, 60);
    look(10, 60);
    row_is(0, "new", 1, 100, 0);
    ck_assert_uint_eq(list.hidden, 3); /* n500's message, and its two recipients */
    sends("n500", 1, 200, 0, 120);     /* it begins anew, in the place of another */
    look(10, 120);
    row_is(0, "n500", 1, 200, 0);
    ck_assert_uint_eq(list.hidden, 21);
    look(10, 120 + 3600);
    ck_assert_uint_eq(list.hidden, 0);
}
END_TEST

START_TEST(whoever_was_idle_for_an_hour_makes_room_first_and_is_not_missed)
{
    char name[16];
    for (unsigned i = 0; i < TOP_NAMES; i++) {
        name_of(i, name);
        sends(name, 1, 1000 - i, 0, i < 10 ? 0 : 1800);
    }
    for (unsigned i = 0; i < 10; i++) {
        name_of(TOP_NAMES + i, name);
        sends(name, 1, 1, 0, 3600);
    }
    look(60, 3600);
    ck_assert_uint_eq(list.hidden, 0);
    row_is(0, "n10", 1, 990, 0);
}
END_TEST

/* Against sums of the whole history, of fewer names than are kept. */
START_TEST(figures_are_those_of_a_plain_sum)
{
    enum { NAMES = 30, SAYS = 4000 };
    static struct {
        uint32_t name, n;
        int64_t minute;
    } said[SAYS];
    uint32_t seed = (uint32_t)_i + 1;
    int64_t at_s = 0;
    char name[16];
    for (size_t i = 0; i < SAYS; i++) {
        seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
        at_s += (seed >> 24) < 8 ? (seed >> 8) % 5000 : (seed >> 8) % 20;
        said[i].name = (seed >> 16) % NAMES;
        said[i].n = (seed >> 20) % 5 + 1;
        said[i].minute = (NOON + at_s) / 60;
        name_of(said[i].name, name);
        sends(name, 1, said[i].n, 0, at_s);
        if (i % 16 != 0)
            continue;
        unsigned minutes = seed % TOP_MINUTES + 1;
        uint32_t sums[NAMES] = {0};
        for (size_t k = 0; k <= i; k++)
            if (said[k].minute > said[i].minute - minutes)
                sums[said[k].name] += said[k].n;
        look(minutes, at_s);
        for (size_t r = 0; r < list.count; r++)
            ck_assert_uint_eq(list.rows[r].counts.recipients,
                              sums[strtoul(list.rows[r].name + 1, NULL, 10)]);
    }
}
END_TEST

SUITE(top)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(who_has_reached_or_tried_most_recipients_comes_first);
    TEST(kinds_of_names_are_kept_apart);
    TEST(only_the_minutes_that_are_asked_for_count_and_their_begin_is_told);
    TEST(a_clock_that_is_set_loses_nothing_of_what_comes);
    TEST(there_are_twenty_rows_at_most);
    TEST(a_long_name_keeps_its_front_and_stays_apart_from_others);
    TEST(whoever_has_done_least_makes_room_and_it_is_said_how_much_may_be_missing);
    TEST(whoever_was_idle_for_an_hour_makes_room_first_and_is_not_missed);
    tcase_add_loop_test(tests, figures_are_those_of_a_plain_sum, 0, 3);
}
