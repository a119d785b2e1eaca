#include "decision/exchange.h"

#include "base/clock.h"
#include "decision/set_limits.h"
#include "telemetry/mapping.h"

#include <inttypes.h>
#include <stdio.h>

enum { PROCESS = 3 };

static const struct exchange_kind *const kind = &exchange_limits;
static struct set_limits *here, *there;

static void begin(void)
{
    static const uint64_t keys[2][2] = {{1, 2}, {3, 4}};
    here = mapping_make(set_limits_size());
    there = mapping_make(set_limits_size());
    set_limits_begin(here, keys[0]);
    set_limits_begin(there, keys[1]);
}

static struct set_limit one(int64_t count, int64_t since_ns)
{
    return (struct set_limit){.rule = "hour",
                              .name = "ana@example.com",
                              .reason = "a ticket, \"4711\"",
                              .figure = {count, count == 0 ? 0 : 3600000000, count},
                              .since_ns = since_ns,
                              .until_ns = SET_LIMIT_FOR_GOOD,
                              .uid = 1000};
}

/* What `table` tells of this, and the other takes. Returns where it stands there. */
static int told(struct set_limits *table, struct set_limits *other, const struct set_limit *l)
{
    struct exchange_row row;
    int place = set_limits_put(table, PROCESS, l, clock_wall_ns(), NULL);
    ck_assert_int_ge(place, 0);
    ck_assert(kind->read(table, (size_t)place, clock_wall_ns(), &row));
    ck_assert_int_eq(row.until_ns, l->until_ns);
    return kind->take(other, PROCESS, span_of(row.name), span_of(row.value));
}

START_TEST(what_one_has_set_another_has_as_it_is)
{
    const struct set_limit l = one(50, clock_wall_ns());
    struct set_limit is;
    int place = told(here, there, &l);
    ck_assert_int_ge(place, 0);
    ck_assert_int_eq(set_limits_read(there, (size_t)place, clock_wall_ns(), &is), 0);
    ck_assert_mem_eq(&is, &l, sizeof l);
}
END_TEST

START_TEST(what_was_taken_back_is_told_as_that)
{
    const struct set_limit l = one(50, clock_wall_ns()), back = one(0, l.since_ns + 1);
    struct rate rate;
    ck_assert_int_ge(told(here, there, &l), 0);
    ck_assert_int_ge(told(here, there, &back), 0);
    ck_assert(!set_limits_figure(there, "hour", l.name, l.since_ns / CLOCK_SECOND, &rate));
}
END_TEST

START_TEST(what_is_older_is_not_taken_and_the_later_one_is_named)
{
    const struct set_limit l = one(50, clock_wall_ns()), later = one(60, l.since_ns + 1);
    struct exchange_row row;
    ck_assert_int_ge(told(there, here, &later), 0);
    here = mapping_make(set_limits_size());
    int place = told(here, there, &l);
    ck_assert_int_ge(place, 0);
    ck_assert(kind->read(there, (size_t)place, clock_wall_ns(), &row));
    ck_assert_ptr_nonnull(strstr(row.value, " 60 3600000000 60 1000 "));
}
END_TEST

static const struct {
    const char *name, *value; /* SINCE and UNTIL stand for good ones */
} wrong[] = {
    {"", "SINCE UNTIL 5 1000 5 0 x"},
    {"hour", "SINCE UNTIL 5 1000 5 0 x"},
    {" ana", "SINCE UNTIL 5 1000 5 0 x"},
    {"hour ana", ""},
    {"hour ana", "SINCE UNTIL 5 1000 5"},
    {"hour ana", "SINCE UNTIL 5 -1 5 0 x"},
    {"hour ana", "SINCE UNTIL 5 1000 0 0 x"},
    {"hour ana", "SINCE UNTIL 99999999999999 1000 5 0 x"},
    {"hour ana", "SINCE UNTIL 5 1000 5 99999999999999999999 x"},
    {"hour ana", "UNTIL UNTIL 5 1000 5 0 x"},
    {"hour ana", "0 UNTIL 5 1000 5 0 x"},
    {"0123456789012345678901234567890123456789012345678901234567890123 ana",
     "SINCE UNTIL 5 1000 5 0 x"},
};

/* With the words replaced; valid until the next call. */
static struct span filled(const char *value)
{
    static char text[400];
    size_t used = 0;
    for (; *value != '\0'; value++) {
        bool is_since = strncmp(value, "SINCE", 5) == 0, is_until = strncmp(value, "UNTIL", 5) == 0;
        if (is_since || is_until) {
            used += (size_t)sprintf(text + used, "%" PRId64,
                                    is_since ? clock_wall_ns() : SET_LIMIT_FOR_GOOD);
            value += 4;
        } else {
            text[used++] = *value;
        }
    }
    return span_make(text, used);
}

START_TEST(what_is_none_is_not_taken)
{
    ck_assert_int_ge(
        kind->take(here, PROCESS, span_of("hour ana"), filled("SINCE UNTIL 5 1000 5 0 x")), 0);
    uint64_t version = set_limits_version(here);
    ck_assert_int_eq(kind->take(here, PROCESS, span_of(wrong[_i].name), filled(wrong[_i].value)),
                     -1);
    ck_assert_uint_eq(set_limits_version(here), version);
}
END_TEST

START_TEST(what_has_ended_is_not_taken)
{
    (void)kind->take(here, PROCESS, span_of("hour ana"), filled("SINCE 1000 5 1000 5 0 x"));
    ck_assert_uint_eq(set_limits_version(here), 0);
}
END_TEST

START_TEST(control_characters_are_masked_and_a_nul_is_refused)
{
    static const char nul[] = "hour a\0b";
    struct exchange_row row;
    int place =
        kind->take(here, PROCESS, span_of("hour ana"), filled("SINCE UNTIL 5 1000 5 0 x\ny"));
    ck_assert_int_ge(place, 0);
    ck_assert(kind->read(here, (size_t)place, clock_wall_ns(), &row));
    ck_assert_str_eq(strrchr(row.value, ' '), " x?y");
    ck_assert_int_eq(kind->take(here, PROCESS, span_make(nul, sizeof nul - 1),
                                filled("SINCE UNTIL 5 1000 5 0 x")),
                     -1);
}
END_TEST

SUITE(exchange_limits)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    TEST(what_one_has_set_another_has_as_it_is);
    TEST(what_was_taken_back_is_told_as_that);
    TEST(what_is_older_is_not_taken_and_the_later_one_is_named);
    LOOP_TEST(what_is_none_is_not_taken, wrong);
    TEST(what_has_ended_is_not_taken);
    TEST(control_characters_are_masked_and_a_nul_is_refused);
}
