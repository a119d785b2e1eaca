#include "policy/calendar.h"

#include "support/test.h"

#include <time.h>

/* The C library's calendar is the model. */
static void is_as_the_library_has_it(int64_t unix_s, int32_t offset_s)
{
    time_t shown = (time_t)(unix_s + offset_s);
    struct tm model;
    ASSERT_OFTEN(gmtime_r(&shown, &model) != NULL, "%lld", (long long)unix_s);
    struct wall_time w = calendar_wall_time(unix_s, offset_s);
    ASSERT_OFTEN(w.year == model.tm_year + 1900 && w.month == model.tm_mon + 1 &&
                     w.day == model.tm_mday && w.weekday == (model.tm_wday + 6) % 7 &&
                     w.minute == model.tm_hour * 60 + model.tm_min,
                 "%lld: %d-%d-%d weekday %d minute %d", (long long)unix_s, w.year, w.month, w.day,
                 w.weekday, w.minute);
    int64_t model_s = timegm(&model), days = (model_s < 0 ? model_s - 86399 : model_s) / 86400;
    ASSERT_OFTEN(calendar_days(w.year, w.month, w.day) == days, "%d-%d-%d is not day %lld", w.year,
                 w.month, w.day, (long long)days);
}

START_TEST(every_day_of_eight_hundred_years_is_the_librarys)
{
    for (int64_t day = -150000; day < 150000; day++) {
        is_as_the_library_has_it(day * 86400, 0);
        is_as_the_library_has_it(day * 86400 + 86399, 0);
        is_as_the_library_has_it(day * 86400 + 43210, day % 2 == 0 ? 19800 : -12600);
    }
}
END_TEST

START_TEST(leap_days_are_where_they_belong)
{
    static const struct {
        int year, size;
    } cases[] = {{2024, 29}, {2023, 28}, {2000, 29}, {1900, 28}, {2100, 28}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(calendar_month_size(cases[i].year, 2), cases[i].size);
        ck_assert_int_eq(calendar_is_leap(cases[i].year), cases[i].size == 29);
        struct wall_time w =
            calendar_wall_time((calendar_days(cases[i].year, 3, 1) - 1) * 86400, 0);
        ck_assert_int_eq(w.month, 2);
        ck_assert_int_eq(w.day, cases[i].size);
    }
}
END_TEST

START_TEST(moments_beyond_the_calendar_are_its_last)
{
    static const int64_t far[] = {INT64_MAX, INT64_MAX - 1, INT64_C(253402300799)};
    static const int64_t early[] = {INT64_MIN, INT64_MIN + 1, INT64_C(-62135596800)};
    for (size_t i = 0; i < 3; i++) {
        struct wall_time last = calendar_wall_time(far[i], 0),
                         first = calendar_wall_time(early[i], 0);
        ck_assert_int_eq(last.year * 10000 + last.month * 100 + last.day, 99991231);
        ck_assert_int_eq(last.minute, 1439);
        ck_assert_int_eq(first.year * 10000 + first.month * 100 + first.day, 10101);
        ck_assert_int_eq(first.minute, 0);
    }
}
END_TEST

SUITE(calendar)
{
    TEST(every_day_of_eight_hundred_years_is_the_librarys);
    TEST(leap_days_are_where_they_belong);
    TEST(moments_beyond_the_calendar_are_its_last);
}
