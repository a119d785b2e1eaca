/* Where time enters. Pure code gets it as an argument; a process reads it once a turn of its loop.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND INT64_C(1000000000)
#define CLOCK_MS     INT64_C(1000000)

/* Nanoseconds that only grow, from a start that means nothing; one clock for all processes. */
int64_t clock_monotonic_ns(void);

/* Nanoseconds since 1970, UTC. */
int64_t clock_wall_ns(void);

/* "2026-11-24T17:13:05.123Z". `out` has room for CLOCK_ISO_SIZE. */
enum { CLOCK_ISO_SIZE = 32 };
void clock_format_iso(int64_t wall_ns, char out[CLOCK_ISO_SIZE]);

/* The date of RFC 5322 section 3.3 in the host's time zone, as "Tue, 24 Nov 2026 17:13:05 +0100".
 * `out` has room for CLOCK_RFC5322_SIZE. */
enum { CLOCK_RFC5322_SIZE = 40 };
void clock_format_rfc5322(int64_t wall_ns, char out[CLOCK_RFC5322_SIZE]);

/* A duration for people, as "3d4h", "5min20s", "250ms". `out` has room for CLOCK_SPAN_SIZE. */
enum { CLOCK_SPAN_SIZE = 32 };
void clock_format_duration(int64_t ns, char out[CLOCK_SPAN_SIZE]);
