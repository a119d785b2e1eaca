/* A line of the log and back: what telemetry/event has written, as key=value or as JSON, read into
 * its fields. Pure. The line may come from a file that somebody has edited, or through syslog,
 * whose head ("Nov 28 05:50:00 host porteirod[7]: ") is skipped. */
#pragma once

#include "base/span.h"

enum { RECORD_FIELDS_MAX = 64, RECORD_LINE_MAX = 8192 };

struct record_field {
    struct span key, value; /* UTF-8; in the line, or a value that was escaped in `decoded` */
};

struct record_line {
    size_t count;
    struct record_field fields[RECORD_FIELDS_MAX]; /* as they stood; no key twice */
    char decoded[RECORD_LINE_MAX];
};

/* Reads a line without its end, which outlives what is read. About 1 microsecond; no allocation.
 * Returns 0; or -1: it's no whole line of ours. What wasn't UTF-8 when it was logged comes back by
 * octet, each a character. */
int record_read(struct span line, struct record_line *out);

/* The value of a field, never empty; empty: the line hasn't got it. */
struct span record_value(const struct record_line *r, const char *key);

/* Has it this value? */
bool record_is(const struct record_line *r, const char *key, const char *value);

/* When it was logged: microseconds since 1970; -1: that isn't UTC as we write it. */
int64_t record_time_us(const struct record_line *r);

/* The same of another time that stands in a line. */
int64_t record_us(struct span text);
