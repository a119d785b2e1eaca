/* The arithmetic of a rate: the generic cell rate algorithm (ITU-T I.371, annex A), as a virtual
 * schedule. What is kept of a counter is one theoretical arrival time (TAT): the moment at which it
 * is at rest again. Pure; times are microseconds since 1970. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* COUNT/PERIOD, and how many pass at once from rest. */
struct rate {
    int64_t count, period_us, burst;
};

/* Of a count, as octets, and of `burst` too; a period is a year at most. */
#define RATE_COUNT_MAX (INT64_C(1) << 40)

/* What can't be worked off in a century is never let through. Far enough from the end of its type
 * for sums with a clock. */
#define RATE_NEVER (INT64_MAX / 4)

/* What `quantity` of it costs, rounded up, or RATE_NEVER. */
int64_t rate_increment(const struct rate *r, uint64_t quantity);

/* How far the TAT may lie ahead, a century at most. Its rounding never refuses one of a burst that
 * is taken one by one, and never lets one more pass. */
int64_t rate_tolerance(const struct rate *r);

/* How many would pass at once now. */
uint64_t rate_left(const struct rate *r, int64_t tat_us, int64_t now_us);

struct gcra_take {
    int64_t increment_us, tolerance_us, max_delay_us;
};

/* May it be taken? True: `tat` is moved, and `wait_us` is how long it has to wait, up to
 * max_delay_us. False: `tat` stays, and `wait_us` is until it could be; -1: it never can. */
bool gcra_take(int64_t *tat_us, const struct gcra_take *take, int64_t now_us, int64_t *wait_us);

/* Of a take after which the TAT was `taken_us`: what of it has not been worked off by now comes
 * back, so that never more than burst + rate * (t + D) pass in a time t, D the longest between
 * a take and its return. */
void gcra_give_back(int64_t *tat_us, int64_t increment_us, int64_t taken_us, int64_t now_us);
