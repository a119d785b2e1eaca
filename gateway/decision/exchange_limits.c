/* Limits that people have set: of two the later one holds everywhere, and one that was taken back
 * is told as that. So every gateway may tell all that it knows, and a Redis that has lost
 * everything has it again as long as one of them knows it. */
#include "decision/exchange.h"

#include "base/clock.h"
#include "decision/set_limits.h"

#include <inttypes.h>
#include <stdio.h>

enum { NUMBERS = 6 };

static uint64_t version(const void *table)
{
    return set_limits_version(table);
}

/* "LIMIT NAME", and "SINCE UNTIL COUNT PERIOD BURST UID REASON". */
static bool read(const void *table, size_t place, int64_t now_ns, struct exchange_row *out)
{
    struct set_limit l;
    if (set_limits_read(table, place, now_ns, &l) < 0)
        return false;
    (void)snprintf(out->name, sizeof out->name, "%s %s", l.rule, l.name); /* fits */
    (void)snprintf(out->value, sizeof out->value,
                   "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 " %s",
                   l.since_ns, l.until_ns, l.figure.count, l.figure.period_us, l.figure.burst,
                   l.uid, l.reason); /* likewise */
    out->until_ns = l.until_ns;
    return true;
}

static int take_text(struct span text, char *out, size_t room)
{
    if (text.size >= room || memchr(text.data, '\0', text.size) != NULL)
        return -1;
    (void)span_copy(text, out, room); /* fits */
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return 0;
}

static int parse(struct span name, struct span value, struct set_limit *out)
{
    uint64_t n[NUMBERS];
    struct span rule = span_split(&name, ' ');
    for (size_t i = 0; i < NUMBERS; i++)
        if (span_number(span_split(&value, ' '), INT64_MAX, &n[i]) < 0)
            return -1;
    *out = (struct set_limit){
        .since_ns = (int64_t)n[0],
        .until_ns = (int64_t)n[1],
        .figure = {.count = (int64_t)n[2], .period_us = (int64_t)n[3], .burst = (int64_t)n[4]},
        .uid = n[5]};
    return take_text(rule, out->rule, sizeof out->rule) < 0 ||
                   take_text(name, out->name, sizeof out->name) < 0 ||
                   take_text(value, out->reason, sizeof out->reason) < 0
               ? -1
               : 0;
}

static int take(void *table, size_t process, struct span name, struct span value)
{
    int64_t now = clock_wall_ns();
    struct set_limit told, is;
    if (parse(name, value, &told) < 0)
        return -1;
    int place = set_limits_put(table, process, &told, now, NULL);
    return place == SET_LIMITS_OLDER ? set_limits_find(table, told.rule, told.name, now, &is)
                                     : place;
}

const struct exchange_kind exchange_limits = {
    .name = "limits", .places = SET_LIMITS_MAX, .version = version, .read = read, .take = take};
