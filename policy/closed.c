#include "policy/closed.h"

#include <stdio.h>

enum { DAY_SIZE = sizeof "0001-01-01", YEAR_SIZE = sizeof "0001-" - 1, LEAP_YEAR = 2000 };

/* "07": returns -1 where it isn't two digits. */
static int two_digits(struct span text)
{
    uint64_t number;
    return text.size == 2 && span_number(text, 99, &number) == 0 ? (int)number : -1;
}

bool closed_is_day(struct span text)
{
    uint64_t year = LEAP_YEAR; /* 02-29 is a day of some years */
    if (text.size == DAY_SIZE - 1) {
        struct span of_year = span_take(&text, YEAR_SIZE);
        if (of_year.data[4] != '-' || span_number(span_make(of_year.data, 4), 9999, &year) < 0 ||
            year == 0)
            return false;
    }
    if (text.size != DAY_SIZE - 1 - YEAR_SIZE || text.data[2] != '-')
        return false;
    int month = two_digits(span_make(text.data, 2)), day = two_digits(span_make(text.data + 3, 2));
    return month >= 1 && month <= 12 && day >= 1 && day <= calendar_month_size((int)year, month);
}

bool closed_hold(struct lookup days, const struct wall_time *today)
{
    char text[40];
    struct span none;
    int size = snprintf(text, sizeof text, "%04d-%02d-%02d", today->year, today->month, today->day);
    struct span whole = span_make(text, (size_t)size), of_year = whole;
    span_skip(&of_year, YEAR_SIZE);
    return lookup_find(days, whole, &none) || lookup_find(days, of_year, &none);
}
