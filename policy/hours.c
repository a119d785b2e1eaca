#include "policy/hours.h"

#include "base/span.h"

#include <string.h>

enum { WEEK = 7, ALL_DAYS = (1 << WEEK) - 1, MIDNIGHT = 24 * 60 };

/* ---- reading ---- */

/* Returns 0: Monday; -1: it is none. */
static int day_of(struct span name)
{
    static const char *const names[WEEK] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    for (int i = 0; i < WEEK; i++)
        if (span_equals_nocase(name, names[i]))
            return i;
    return -1;
}

/* "Mon" or "Fri-Mon" as bits; 0: neither. */
static unsigned days_of(struct span text)
{
    bool is_range = memchr(text.data, '-', text.size) != NULL;
    struct span first = span_split(&text, '-');
    int from = day_of(first), to = is_range ? day_of(text) : from;
    unsigned days = 0;
    if (from < 0 || to < 0)
        return 0;
    for (int day = from;; day = (day + 1) % WEEK) {
        days |= 1u << day;
        if (day == to)
            return days;
    }
}

/* "08:30" in minutes; -1: it is none. */
static int minute_of(struct span text)
{
    uint64_t hour, minute;
    struct span rest = text, hours = span_split(&rest, ':');
    if (text.size != 5 || hours.size != 2 || span_number(hours, 24, &hour) < 0 ||
        span_number(rest, 59, &minute) < 0 || hour * 60 + minute > MIDNIGHT)
        return -1;
    return (int)(hour * 60 + minute);
}

int hours_parse(const char *text, struct hours *out, struct error *why)
{
    struct span times = span_of(text), days = {NULL, 0};
    out->days = ALL_DAYS;
    if (memchr(times.data, ' ', times.size) != NULL) {
        days = span_split(&times, ' ');
        out->days = days_of(days);
    }
    struct span to = times, from = span_split(&to, '-');
    out->from = minute_of(from);
    out->to = minute_of(to);
    if (out->days == 0 || out->from < 0 || out->to < 0)
        return error_set(why, "\"%s\" are no hours; write them as \"Mon-Fri 08:00-18:00\"", text);
    if (out->from == out->to || out->from == MIDNIGHT)
        return error_set(why, "\"%s\" is no time at all; a whole day is 00:00-24:00", text);
    return 0;
}

int hours_check(const char *text, struct error *why)
{
    struct hours hours;
    return hours_parse(text, &hours, why);
}

/* ---- asking ---- */

bool hours_hold(const struct hours_list *list, const struct wall_time *now)
{
    unsigned today = 1u << now->weekday, yesterday = 1u << (now->weekday + WEEK - 1) % WEEK;
    for (size_t i = 0; i < list->count; i++) {
        const struct hours *h = &list->items[i];
        bool is_late = h->from <= now->minute, is_early = now->minute < h->to;
        if (h->from < h->to
                ? (h->days & today) != 0 && is_late && is_early
                : ((h->days & today) != 0 && is_late) || ((h->days & yesterday) != 0 && is_early))
            return true;
    }
    return false;
}
