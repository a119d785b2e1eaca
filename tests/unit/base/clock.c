#include "base/clock.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void live_in(const char *zone)
{
    ck_assert_int_eq(setenv("TZ", zone, 1), 0);
    tzset();
}

/* Instants that a calendar gets wrong most easily, in seconds since 1970. */
static const struct {
    int64_t seconds;
    const char *iso; /* to the second */
} instants[] = {
    {0, "1970-01-01T00:00:00"},          {951782399, "2000-02-28T23:59:59"},
    {951782400, "2000-02-29T00:00:00"},  {951868800, "2000-03-01T00:00:00"},
    {1735689599, "2024-12-31T23:59:59"}, {2147483648, "2038-01-19T03:14:08"},
    {4107542400, "2100-03-01T00:00:00"},
};

START_TEST(the_monotonic_clock_never_goes_back)
{
    int64_t before = clock_monotonic_ns();
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_monotonic_ns();
        ck_assert_int_ge(now, before);
        before = now;
    }
}
END_TEST

START_TEST(the_monotonic_clock_is_one_for_all_processes)
{
    struct timespec before, after;
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    int64_t now = clock_monotonic_ns();
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    ck_assert_int_ge(now, before.tv_sec * CLOCK_SECOND + before.tv_nsec);
    ck_assert_int_le(now, after.tv_sec * CLOCK_SECOND + after.tv_nsec);
}
END_TEST

START_TEST(the_wall_clock_counts_from_1970)
{
    int64_t before = time(NULL);
    int64_t now = clock_wall_ns();
    int64_t after = time(NULL);
    ck_assert_int_ge(now / CLOCK_SECOND, before);
    ck_assert_int_le(now / CLOCK_SECOND, after + 1); /* time() may lag by a tick */
}
END_TEST

START_TEST(an_iso_time_is_that_of_its_instant)
{
    char out[CLOCK_ISO_SIZE], expected[CLOCK_ISO_SIZE];
    live_in("CET-1");
    for (size_t i = 0; i < sizeof instants / sizeof *instants; i++) {
        clock_format_iso(instants[i].seconds * CLOCK_SECOND, out);
        (void)snprintf(expected, sizeof expected, "%s.000Z", instants[i].iso); /* fits */
        ck_assert_str_eq(out, expected);
    }
}
END_TEST

START_TEST(an_iso_time_has_milliseconds_rounded_down)
{
    char out[CLOCK_ISO_SIZE];
    clock_format_iso(INT64_C(1795540385123) * CLOCK_MS, out);
    ck_assert_str_eq(out, "2026-11-24T17:13:05.123Z");
    clock_format_iso(INT64_C(1795540385007999999), out);
    ck_assert_str_eq(out, "2026-11-24T17:13:05.007Z");
    clock_format_iso(INT64_C(1795540385999999999), out);
    ck_assert_str_eq(out, "2026-11-24T17:13:05.999Z");
}
END_TEST

START_TEST(a_date_says_the_local_time_and_how_far_it_is_from_utc)
{
    static const struct {
        const char *zone, *date;
    } cases[] = {
        {"CET-1", "Tue, 24 Nov 2026 18:13:05 +0100"},
        {"UTC0", "Tue, 24 Nov 2026 17:13:05 +0000"},
        {"IST-5:30", "Tue, 24 Nov 2026 22:43:05 +0530"},
        {"NST3:30", "Tue, 24 Nov 2026 13:43:05 -0330"},
        {"XXX0:30", "Tue, 24 Nov 2026 16:43:05 -0030"},
        {"LINT-14", "Wed, 25 Nov 2026 07:13:05 +1400"},
        {"CET-1CEST,J1/0,J365/23", "Tue, 24 Nov 2026 19:13:05 +0200"},
    };
    char out[CLOCK_RFC5322_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        live_in(cases[i].zone);
        clock_format_rfc5322(0,
                             out); /* a zone doesn't change while a gateway runs: another second */
        clock_format_rfc5322(INT64_C(1795540385) * CLOCK_SECOND, out);
        ck_assert_str_eq(out, cases[i].date);
    }
}
END_TEST

START_TEST(a_date_can_be_read_back)
{
    char out[CLOCK_RFC5322_SIZE];
    live_in("NST3:30");
    for (int64_t seconds = 0; seconds < INT64_C(4102444800); seconds += 1234567) {
        struct tm t = {0};
        clock_format_rfc5322(seconds * CLOCK_SECOND, out);
        const char *end = strptime(out, "%a, %d %b %Y %H:%M:%S %z", &t);
        ck_assert_msg(end != NULL && *end == '\0', "\"%s\"", out);
        int weekday = t.tm_wday;
        ck_assert_int_eq(timegm(&t) + 12600, seconds);
        ck_assert_int_eq(weekday, t.tm_wday);
    }
}
END_TEST

START_TEST(a_duration_is_said_in_its_two_largest_units)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {250, "250ms"},      {0, "0ms"},
        {999, "999ms"},      {1000, "1s"},
        {59999, "59s"},      {60000, "1min0s"},
        {320000, "5min20s"}, {3599000, "59min59s"},
        {3600000, "1h0min"}, {86399000, "23h59min"},
        {86400000, "1d0h"},  {273600000, "3d4h"},
    };
    char out[CLOCK_SPAN_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clock_format_duration(cases[i].ms * CLOCK_MS, out);
        ck_assert_str_eq(out, cases[i].text);
    }
}
END_TEST

START_TEST(the_longest_times_fit)
{
    char iso[CLOCK_ISO_SIZE], date[CLOCK_RFC5322_SIZE], span[CLOCK_SPAN_SIZE];
    live_in("XXX23:59");
    clock_format_iso(INT64_MAX, iso);
    ck_assert_str_eq(iso, "2262-04-11T23:47:16.854Z");
    clock_format_rfc5322(INT64_MAX, date);
    ck_assert_str_eq(date, "Thu, 10 Apr 2262 23:48:16 -2359");
    clock_format_duration(INT64_MAX, span);
    ck_assert_str_eq(span, "106751d23h");
}
END_TEST

SUITE(clock)
{
    TEST(the_monotonic_clock_never_goes_back);
    TEST(the_monotonic_clock_is_one_for_all_processes);
    TEST(the_wall_clock_counts_from_1970);
    TEST(an_iso_time_is_that_of_its_instant);
    TEST(an_iso_time_has_milliseconds_rounded_down);
    TEST(a_date_says_the_local_time_and_how_far_it_is_from_utc);
    TEST(a_date_can_be_read_back);
    TEST(a_duration_is_said_in_its_two_largest_units);
    TEST(the_longest_times_fit);
}
