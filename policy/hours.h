/* Hours of the week, as "Mon-Fri 08:00-18:00", by what the clock on the wall shows. Pure. */
#pragma once

#include "base/error.h"
#include "policy/calendar.h"

#include <stddef.h>

struct hours {
    unsigned days; /* on which they begin: bit 0 is Monday */
    int from, to;  /* minutes of the day, without `to` itself; past midnight when to < from */
};

struct hours_list {
    struct hours *items;
    size_t count;
};

/* "Mon-Fri 08:00-18:00", "Sat 22:00-04:00" (into Sunday), "Fri-Mon 00:00-24:00", or without days,
 * on all: "12:00-13:00". Returns 0, or -1 and why. */
int hours_parse(const char *text, struct hours *out, struct error *why);

/* The same, for tables of settings: only whether it would do. */
int hours_check(const char *text, struct error *why);

/* Is it within one of them? */
bool hours_hold(const struct hours_list *list, const struct wall_time *now);
