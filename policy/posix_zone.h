/* Rules that hold for all years, as TZ of POSIX has them ("CET-1CEST,M3.5.0,M10.5.0/3") and with
 * the hours of RFC 8536 section 3.3.1: what a file says of the time behind its table. Pure. */
#pragma once

#include "base/span.h"

#include <stdint.h>

/* The bounds of RFC 8536 section 3.2: of an offset, in seconds before UTC. */
enum { ZONE_OFFSET_MIN = -89999, ZONE_OFFSET_MAX = 93599 };

/* Seconds before UTC at `unix_s`. Returns 0, or -1: the text is no rule. */
int posix_zone_offset(struct span text, int64_t unix_s, int32_t *offset_s);
