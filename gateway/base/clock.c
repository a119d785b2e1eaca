#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    int failed = clock_gettime(id, &t);
    assert(failed == 0);
    return t.tv_sec * CLOCK_SECOND + t.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

void clock_format_iso(int64_t wall_ns, char out[CLOCK_ISO_SIZE])
{
    time_t seconds = (time_t)(wall_ns / CLOCK_SECOND);
    struct tm t;
    (void)gmtime_r(&seconds, &t); /* fails only for years that do not fit an int */
    size_t used = strftime(out, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%S", &t);
    (void)snprintf(out + used, CLOCK_ISO_SIZE - used, ".%03dZ",
                   (int)(wall_ns % CLOCK_SECOND / CLOCK_MS)); /* fits */
}

void clock_format_rfc5322(int64_t wall_ns, char out[CLOCK_RFC5322_SIZE])
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall_ns / CLOCK_SECOND);
    struct tm t;
    (void)localtime_r(&seconds, &t); /* as above */
    long offset = t.tm_gmtoff / 60;
    (void)snprintf(out, CLOCK_RFC5322_SIZE, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld",
                   days[t.tm_wday], t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour,
                   t.tm_min, t.tm_sec, offset < 0 ? '-' : '+', (offset < 0 ? -offset : offset) / 60,
                   (offset < 0 ? -offset : offset) % 60); /* fits */
}

void clock_format_duration(int64_t ns, char out[CLOCK_SPAN_SIZE])
{
    int64_t ms = ns / CLOCK_MS, s = ms / 1000;
    if (ms < 1000)
        (void)snprintf(out, CLOCK_SPAN_SIZE, "%" PRId64 "ms", ms); /* fits, as all below */
    else if (s < 60)
        (void)snprintf(out, CLOCK_SPAN_SIZE, "%" PRId64 "s", s);
    else if (s < 3600)
        (void)snprintf(out, CLOCK_SPAN_SIZE, "%" PRId64 "min%" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        (void)snprintf(out, CLOCK_SPAN_SIZE, "%" PRId64 "h%" PRId64 "min", s / 3600, s / 60 % 60);
    else
        (void)snprintf(out, CLOCK_SPAN_SIZE, "%" PRId64 "d%" PRId64 "h", s / 86400, s / 3600 % 24);
}
