#include "session/pace.h"

#include "base/clock.h"
#include "support/test.h"

enum { RATE = 500 };

#define MINUTE (60 * CLOCK_SECOND)

static struct pace pace;

static void begin(void)
{
    pace_begin(&pace, 7);
}

/* Octets that come each second, for so many seconds; returns after how many it is too slow, or
 * -1. */
static int send(size_t a_second, int seconds)
{
    for (int i = 1; i <= seconds; i++) {
        int64_t now = 7 + i * CLOCK_SECOND;
        if (pace_left(&pace, now) == 0)
            return i;
        pace_came(&pace, a_second, RATE, now);
    }
    return -1;
}

START_TEST(silence_is_too_slow_after_a_minute)
{
    ck_assert_int_eq(pace_left(&pace, 7), MINUTE);
    ck_assert_int_eq(pace_left(&pace, 7 + MINUTE - 1), 1);
    ck_assert_int_eq(pace_left(&pace, 7 + MINUTE), 0);
    ck_assert_int_eq(pace_left(&pace, 7 + 2 * MINUTE), 0);
}
END_TEST

START_TEST(the_rate_itself_is_fast_enough_for_ever)
{
    ck_assert_int_eq(send(RATE, 100000), -1);
}
END_TEST

START_TEST(half_the_rate_is_too_slow_after_two_minutes)
{
    ck_assert_int_eq(send(RATE / 2, 1000), 119); /* the last second is not waited for */
}
END_TEST

START_TEST(an_octet_a_second_is_too_slow_after_about_a_minute)
{
    int seconds = send(1, 1000);
    ck_assert_msg(seconds >= 60 && seconds <= 61, "%d", seconds);
}
END_TEST

START_TEST(what_comes_at_once_is_no_credit_for_more_than_a_minute)
{
    pace_came(&pace, 100 * 1024 * 1024, RATE, 8);
    ck_assert_int_eq(pace_left(&pace, 8), MINUTE);
}
END_TEST

START_TEST(the_time_in_which_it_is_not_listened_to_costs_nothing)
{
    pace_came(&pace, 0, RATE, 7 + MINUTE / 2);
    pace_resume(&pace, 7 + 100 * MINUTE);
    ck_assert_int_eq(pace_left(&pace, 7 + 100 * MINUTE), MINUTE / 2);
}
END_TEST

SUITE(pace)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    TEST(silence_is_too_slow_after_a_minute);
    TEST(the_rate_itself_is_fast_enough_for_ever);
    TEST(half_the_rate_is_too_slow_after_two_minutes);
    TEST(an_octet_a_second_is_too_slow_after_about_a_minute);
    TEST(what_comes_at_once_is_no_credit_for_more_than_a_minute);
    TEST(the_time_in_which_it_is_not_listened_to_costs_nothing);
}
