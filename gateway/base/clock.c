#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
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

/* The calendar is asked once a second: what it said last is kept. */
static struct {
    time_t iso_second, rfc5322_second;
    size_t iso_size;
    char iso[CLOCK_ISO_SIZE], rfc5322[CLOCK_RFC5322_SIZE];
} last;

void clock_format_iso(int64_t wall_ns, char out[CLOCK_ISO_SIZE])
{
    time_t seconds = (time_t)(wall_ns / CLOCK_SECOND);
    int ms = (int)(wall_ns % CLOCK_SECOND / CLOCK_MS);
    if (seconds != last.iso_second || last.iso_size == 0) {
        struct tm t;
        (void)gmtime_r(&seconds, &t); /* fails only for years that do not fit an int */
        last.iso_size = strftime(last.iso, sizeof last.iso, "%Y-%m-%dT%H:%M:%S", &t);
        last.iso_second = seconds;
    }
    const char fraction[] = {
        '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z', '\0'};
    memcpy(out, last.iso, last.iso_size);
    memcpy(out + last.iso_size, fraction, sizeof fraction);
}

void clock_format_rfc5322(int64_t wall_ns, char out[CLOCK_RFC5322_SIZE])
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall_ns / CLOCK_SECOND);
    if (seconds == last.rfc5322_second && last.rfc5322[0] != '\0') {
        memcpy(out, last.rfc5322, CLOCK_RFC5322_SIZE);
        return;
    }
    struct tm t;
    (void)localtime_r(&seconds, &t); /* as above */
    long offset = t.tm_gmtoff / 60;
    last.rfc5322_second = seconds;
    (void)snprintf(last.rfc5322, CLOCK_RFC5322_SIZE, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld",
                   days[t.tm_wday], t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour,
                   t.tm_min, t.tm_sec, offset < 0 ? '-' : '+', (offset < 0 ? -offset : offset) / 60,
                   (offset < 0 ? -offset : offset) % 60); /* fits */
    memcpy(out, last.rfc5322, CLOCK_RFC5322_SIZE);
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
