/* Days and clocks: the Gregorian calendar, for moments that are handed in. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A moment as a clock on the wall shows it. */
struct wall_time {
    int year, month, day; /* the months and days from 1 */
    int weekday;          /* 0: Monday */
    int minute;           /* of the day, from 0 */
};

/* What a clock that goes `offset_s` before UTC shows at `unix_s`, seconds since 1970; moments
 * outside the years 1 to 9999 are taken for the nearest within. */
struct wall_time calendar_wall_time(int64_t unix_s, int32_t offset_s);

/* Days from 1970-01-01 to that day of the years 1 to 9999. */
int64_t calendar_days(int year, int month, int day);

/* Of a day counted like that: 0: Monday. */
int calendar_weekday(int64_t days);

bool calendar_is_leap(int year);

/* How many days the month has. */
int calendar_month_size(int year, int month);
