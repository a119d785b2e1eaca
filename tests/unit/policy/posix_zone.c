#include "policy/posix_zone.h"

#include "support/test.h"

#include <stdlib.h>
#include <time.h>

enum { STEP = 3 * 3600 + 17 * 60 };

static int32_t offset(const char *rules, int64_t unix_s)
{
    int32_t found = 12345678;
    ASSERT_OFTEN(posix_zone_offset(span_of(rules), unix_s, &found) == 0, "%s", rules);
    return found;
}

static const char *const rules[] = {
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "IST-5:30",
    "NST3:30NDT,M3.2.0,M11.1.0",
    "AEST-10AEDT,M10.1.0,M4.1.0/3",
    "<-03>3",
    "AAA-2:03:04BBB-3,J60/0,J300/23:59:59",
    "AAA4BBB,59/1,364/1",
    "IST-1GMT0,M10.5.0,M3.5.0/1",
};

START_TEST(the_c_library_reads_them_alike)
{
    ck_assert_int_eq(setenv("TZ", rules[_i], 1), 0);
    tzset();
    for (int64_t t = INT64_C(946684800); t < INT64_C(3500000000); t += STEP) {
        time_t when = (time_t)t;
        struct tm model;
        ASSERT_OFTEN(localtime_r(&when, &model) != NULL && offset(rules[_i], t) == model.tm_gmtoff,
                     "%s at %lld: %d, not %ld", rules[_i], (long long)t, offset(rules[_i], t),
                     model.tm_gmtoff);
    }
}
END_TEST

/* RFC 8536 section 3.3.1: hours from -167 to 167, and summer that never ends. */
START_TEST(hours_beyond_a_day_are_those_of_the_days_beside)
{
    static const char jerusalem[] = "IST-2IDT,M3.4.4/26,M10.5.0",
                      nuuk[] = "<-02>2<-01>,M3.5.0/-1,M10.5.0/0";
    ck_assert_int_eq(offset(jerusalem, INT64_C(1774569599)), 7200);  /* 2026-03-26T23:59:59Z */
    ck_assert_int_eq(offset(jerusalem, INT64_C(1774569600)), 10800); /* Friday, 02:00 there */
    ck_assert_int_eq(offset(nuuk, INT64_C(1774745999)), -7200);      /* 2026-03-29T00:59:59Z */
    ck_assert_int_eq(offset(nuuk, INT64_C(1774746000)), -3600);
    for (int64_t t = INT64_C(1735689600); t < INT64_C(1798761600); t += 1800)
        ck_assert_int_eq(offset("XXX3EDT4,0/0,J365/23", t), -14400);
}
END_TEST

static const char *const wrong[] = {
    "",
    "CET",
    "CET-",
    "C-1",
    "CET-25",
    "CET-1CEST",
    "CET-1CEST,",
    "<CET-1",
    "CET-1:60",
    "CET-1CEST,M3.5.0",
    "CET-1CEST,M13.5.0,M10.5.0",
    "CET-1CEST,M3.6.0,M10.5.0",
    "CET-1CEST,M3.5.7,M10.5.0",
    "CET-1CEST,M0.5.0,M10.5.0",
    "CET-1CEST,M3.0.0,M10.5.0",
    "CET-1CEST,J0,J100",
    "CET-1CEST,J366,J100",
    "CET-1CEST,366,100",
    "CET-1CEST,M3.5.0/168,M10.5.0",
    "CET-1CEST,M3.5.0,M10.5.0/3x",
    "CET-1CEST,M3.5.0,M10.5.0 ",
    "CET99999999999999999999",
};

START_TEST(what_is_no_rule_is_refused)
{
    int32_t found;
    ck_assert_int_eq(posix_zone_offset(span_of(wrong[_i]), 0, &found), -1);
}
END_TEST

START_TEST(every_moment_has_an_offset)
{
    static const int64_t moments[] = {INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX};
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
        for (size_t n = 0; n < sizeof rules / sizeof *rules; n++) {
            int32_t found = offset(rules[n], moments[i]);
            ck_assert(found >= ZONE_OFFSET_MIN && found <= ZONE_OFFSET_MAX);
        }
}
END_TEST

SUITE(posix_zone)
{
    LOOP_TEST(the_c_library_reads_them_alike, rules);
    TEST(hours_beyond_a_day_are_those_of_the_days_beside);
    LOOP_TEST(what_is_no_rule_is_refused, wrong);
    TEST(every_moment_has_an_offset);
}
