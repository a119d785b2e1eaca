/* Time zones: files of the tz database (TZif, RFC 8536) as octets that are handed in. Pure: who has
 * opened them stands above; a process without a file system reads them as well. Whatever they hold,
 * nothing outside them is read. */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "policy/calendar.h"
#include "policy/posix_zone.h"

#include <stdint.h>

struct sealed;

/* One that hours are told in. */
struct time_zone {
    const char *name;          /* "America/Sao_Paulo"; "": the host's */
    const struct sealed *file; /* what is in force of it; NULL: UTC */
};

/* Can it be used? Returns 0, or -1 and why. */
int zone_check(struct span tzif, struct error *why);

/* How many seconds its clocks go before UTC at `unix_s`; 0 where the octets are spoiled. */
int32_t zone_offset(struct span tzif, int64_t unix_s);

/* What a clock in that zone, NULL: UTC, shows then. */
struct wall_time zone_wall_time(const struct time_zone *zone, int64_t unix_s);

/* Can it be the name of a file below /usr/share/zoneinfo? For tables of settings: returns 0, or -1
 * and why. */
int zone_check_name(const char *name, struct error *why);
