#include "control/folding.h"

#include "telemetry/mapping.h"

#include <stdio.h>
#include <stdlib.h>

enum { EVERY = 1000 };

static struct folding *folding;

static void begin(void)
{
    folding = calloc(1, folding_size());
    ck_assert_ptr_nonnull(folding);
}

static void end(void)
{
    free(folding);
}

static int add(const char *key, const char *line, int64_t now)
{
    return folding_add(folding, span_of(key), span_of(line), now);
}

/* Tells all that is due at `now`, as "KEY LINE FOLDED;" each. */
static const char *told(int64_t now)
{
    static char text[1000];
    struct fold fold;
    size_t at = 0, used = 0;
    text[0] = '\0';
    while (folding_due(folding, &at, now, &fold)) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%.*s %.*s %u;",
                                 (int)fold.key.size, fold.key.data, (int)fold.line.size,
                                 fold.line.data, fold.folded); /* fits */
        folding_told(folding, fold.place, now + EVERY);
    }
    return text;
}

START_TEST(the_first_is_told_at_once_and_those_behind_it_together_when_its_period_ends)
{
    ck_assert_int_eq(add("ana", "one", 0), 1);
    ck_assert_str_eq(told(0), "ana one 0;");
    ck_assert_int_eq(add("ana", "two", 1), 0);
    ck_assert_int_eq(add("ana", "three", 999), 0);
    ck_assert_str_eq(told(999), "");
    ck_assert_str_eq(told(1000), "ana three 2;");
    ck_assert_str_eq(told(5000), "");
}
END_TEST

START_TEST(a_period_in_which_nothing_was_folded_ends_silently)
{
    add("ana", "one", 0);
    ck_assert_str_eq(told(0), "ana one 0;");
    ck_assert_str_eq(told(1000), "");
    add("ana", "two", 1000);
    ck_assert_str_eq(told(1000), "ana two 0;");
}
END_TEST

START_TEST(each_key_has_a_period_of_its_own)
{
    add("ana", "one", 0);
    ck_assert_str_eq(told(0), "ana one 0;");
    add("bob", "one", 500);
    add("ana", "two", 500);
    ck_assert_str_eq(told(500), "bob one 0;");
    ck_assert_str_eq(told(1000), "ana two 1;");
}
END_TEST

START_TEST(what_could_not_be_told_waits_with_what_comes_meanwhile)
{
    struct fold fold;
    size_t at = 0;
    add("ana", "one", 0);
    ck_assert(folding_due(folding, &at, 0, &fold));
    folding_put_off(folding, fold.place, 10);
    ck_assert_int_eq(add("ana", "two", 5), 0);
    ck_assert_str_eq(told(9), "");
    ck_assert_str_eq(told(10), "ana two 1;"); /* one was told of the other */
}
END_TEST

/* So many keys have a place, whatever they are, and no other is lost for them. */
START_TEST(what_finds_no_place_is_said_so)
{
    char key[32];
    size_t taken = 0, at = 0, found = 0;
    struct fold fold;
    for (int i = 0; i < 4 * FOLDING_PLACES; i++) {
        (void)snprintf(key, sizeof key, "key %d", i); /* fits */
        taken += add(key, key, 0) == 1;
    }
    ck_assert_uint_gt(taken, FOLDING_PLACES * 9 / 10);
    ck_assert_uint_le(taken, FOLDING_PLACES);
    while (folding_due(folding, &at, 0, &fold)) {
        ck_assert(fold.folded == 0 && fold.key.size == fold.line.size &&
                  memcmp(fold.key.data, fold.line.data, fold.key.size) == 0);
        folding_told(folding, fold.place, EVERY);
        found++;
    }
    ck_assert_uint_eq(found, taken);
    ck_assert_int_eq(add("another", "line", EVERY), 1); /* their periods are over */
}
END_TEST

START_TEST(half_of_the_places_are_found_without_fail)
{
    char key[32];
    for (int i = 0; i < FOLDING_PLACES / 2; i++) {
        (void)snprintf(key, sizeof key, "panel limit hour user%d@example.com", i); /* fits */
        ck_assert_int_eq(add(key, "line", 0), 1);
    }
}
END_TEST

START_TEST(what_is_too_long_is_not_taken)
{
    static char text[FOLDING_LINE_MAX + 1];
    memset(text, 'x', sizeof text);
    ck_assert_int_eq(folding_add(folding, span_make(text, FOLDING_KEY_MAX + 1), span_of("line"), 0),
                     -1);
    ck_assert_int_eq(folding_add(folding, span_of("key"), span_make(text, sizeof text), 0), -1);
    ck_assert_int_eq(folding_add(folding, span_make(text, FOLDING_KEY_MAX),
                                 span_make(text, FOLDING_LINE_MAX), 0),
                     1);
}
END_TEST

/* It lies in memory that others have written, too. */
START_TEST(whatever_stands_there_nothing_beyond_it_is_read)
{
    struct folding *f = mapping_hostile(folding_size(), 0x7f);
    struct fold fold;
    size_t at = 0, bytes = 0;
    while (folding_due(f, &at, INT64_MAX, &fold)) {
        for (size_t i = 0; i < fold.key.size; i++)
            bytes += fold.key.data[i] == 0x7f;
        for (size_t i = 0; i < fold.line.size; i++)
            bytes += fold.line.data[i] == 0x7f;
        folding_told(f, fold.place, 0);
    }
    ck_assert_uint_eq(bytes, (size_t)FOLDING_PLACES * (FOLDING_KEY_MAX + FOLDING_LINE_MAX));
}
END_TEST

SUITE(folding)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(the_first_is_told_at_once_and_those_behind_it_together_when_its_period_ends);
    TEST(a_period_in_which_nothing_was_folded_ends_silently);
    TEST(each_key_has_a_period_of_its_own);
    TEST(what_could_not_be_told_waits_with_what_comes_meanwhile);
    TEST(what_finds_no_place_is_said_so);
    TEST(half_of_the_places_are_found_without_fail);
    TEST(what_is_too_long_is_not_taken);
    TEST(whatever_stands_there_nothing_beyond_it_is_read);
}
