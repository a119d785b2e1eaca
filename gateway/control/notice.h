/* What a command of notify is told: a line of the log that is one of its events, as JSON, with what
 * is known of its account besides. */
#pragma once

#include "base/span.h"
#include "config/config.h"
#include "policy/record.h"

struct history;

/* Which one the line is; NOTICE_COUNT: none. About 0.1 microseconds for one that isn't. */
enum notice notice_of(const struct record_line *r);

struct notice_facts {
    const struct record_line *record;
    enum notice notice;            /* which it is */
    const char *gateway, *command; /* names */
    struct span contact;           /* of its account; empty: nobody is named */
    uint32_t folded;               /* see control/folding */
    const struct history
        *history;   /* the last lines, for the addresses and recipients of the account */
    int64_t now_ns; /* wall clock */
};

enum { NOTICE_ADDRESSES_MAX = 8, NOTICE_RECIPIENTS_MAX = 5 };

/* One line of JSON, about 12 KiB at most: the fields of the line of the log, but event (here the
 * notice), level and process; "notify", "gateway", "contact", "folded"; "addresses", from which the
 * account has come within the last hour, and "recipients", samples of whom it has tried to write to
 * then, both the last first. Returns it, to be freed; or NULL without memory. Goes through the
 * history once: a few milliseconds where it is full. */
char *notice_json(const struct notice_facts *f);
