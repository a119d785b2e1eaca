#include "policy/calendar.h"

#define FIRST_SECOND (INT64_C(-719162) * DAY)
#define LAST_SECOND  (INT64_C(2932897) * DAY - 1)

enum { DAY = 86400, EPOCH = 719162 /* days from 0001-01-01 to 1970-01-01 */ };

/* Before the first of each month, and of the next year. */
static const int days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

bool calendar_is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int before_month(int year, int month)
{
    return days_before[month - 1] + (month > 2 && calendar_is_leap(year));
}

int calendar_month_size(int year, int month)
{
    return before_month(year, month + 1) - before_month(year, month);
}

int64_t calendar_days(int year, int month, int day)
{
    int64_t past = year - 1;
    return past * 365 + past / 4 - past / 100 + past / 400 - EPOCH + before_month(year, month) +
           day - 1;
}

int calendar_weekday(int64_t days)
{
    return (int)(((days + 3) % 7 + 7) % 7); /* 1970 began on a Thursday */
}

struct wall_time calendar_wall_time(int64_t unix_s, int32_t offset_s)
{
    int64_t shown = unix_s < FIRST_SECOND - offset_s  ? FIRST_SECOND
                    : unix_s > LAST_SECOND - offset_s ? LAST_SECOND
                                                      : unix_s + offset_s;
    int64_t days = (shown - FIRST_SECOND) / DAY - EPOCH; /* so that it is never below 0 */
    struct wall_time w = {.year = (int)((days + EPOCH) * 400 / 146097) + 1,
                          .month = 1,
                          .weekday = calendar_weekday(days),
                          .minute = (int)((shown - FIRST_SECOND) % DAY / 60)};
    while (w.year > 1 && calendar_days(w.year, 1, 1) > days)
        w.year--;
    while (calendar_days(w.year, 12, 31) < days)
        w.year++;
    int of_year = (int)(days - calendar_days(w.year, 1, 1));
    while (before_month(w.year, w.month + 1) <= of_year)
        w.month++;
    w.day = of_year - before_month(w.year, w.month) + 1;
    return w;
}
