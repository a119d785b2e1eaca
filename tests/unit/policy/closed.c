#include "policy/closed.h"

#include "support/test.h"

static const char *const days[] = {"2026-12-25", "12-25",      "02-29",
                                   "2028-02-29", "0001-01-01", "9999-12-31"};
static const char *const wrong[] = {"",           "2026-13-01", "2026-00-01", "2026-01-00",
                                    "2026-04-31", "2026-02-29", "02-30",      "12-32",
                                    "1-1",        "2026-1-1",   "26-12-25",   "2026/12/25",
                                    "25.12.",     "0000-01-01", "2026-12-2",  "2026-12-256",
                                    "12-25 ",     " 12-25",     "12:25",      "-2026-12-25"};

START_TEST(a_day_is_of_a_year_or_of_all)
{
    ck_assert(closed_is_day(span_of(days[_i])));
}
END_TEST

START_TEST(what_is_no_day_of_the_calendar_is_none)
{
    ck_assert_msg(!closed_is_day(span_of(wrong[_i])), "%s", wrong[_i]);
}
END_TEST

START_TEST(a_day_without_a_year_comes_every_year)
{
    struct lookup_builder *b = lookup_builder_create();
    struct buffer octets = {.limit = 4096};
    unsigned lines[2];
    ck_assert_int_eq(lookup_add(b, span_of("2026-12-24"), span_of(""), 1), 0);
    ck_assert_int_eq(lookup_add(b, span_of("01-01"), span_of(""), 2), 0);
    ck_assert_int_eq(lookup_build(b, &octets, lines), 0);
    const struct lookup l = {buffer_bytes(&octets).data, octets.size};
    for (int year = 2024; year < 2030; year++) {
        ck_assert(closed_hold(l, &(struct wall_time){.year = year, .month = 1, .day = 1}));
        ck_assert(!closed_hold(l, &(struct wall_time){.year = year, .month = 1, .day = 2}));
        ck_assert_int_eq(closed_hold(l, &(struct wall_time){.year = year, .month = 12, .day = 24}),
                         year == 2026);
    }
    ck_assert(!closed_hold((struct lookup){NULL, 0},
                           &(struct wall_time){.year = 2026, .month = 1, .day = 1}));
    lookup_builder_destroy(&b);
    buffer_clear(&octets);
}
END_TEST

SUITE(closed)
{
    LOOP_TEST(a_day_is_of_a_year_or_of_all, days);
    LOOP_TEST(what_is_no_day_of_the_calendar_is_none, wrong);
    TEST(a_day_without_a_year_comes_every_year);
}
