/* Days that count as outside all hours, as a lookup by "2026-12-25", or "12-25" for every year.
 * Pure. */
#pragma once

#include "base/lookup.h"
#include "policy/calendar.h"

/* Is it a day of the calendar, written like that? */
bool closed_is_day(struct span text);

/* Is today one of them? */
bool closed_hold(struct lookup days, const struct wall_time *today);
