/* What accounts have sent, by hours and days, from the log: for who chooses a limit. Pure. */
#pragma once

#include "policy/limit/gcra.h"
#include "policy/record.h"

struct arena;
struct suggest;

enum suggest_count { SUGGEST_RECIPIENTS, SUGGEST_MESSAGES, SUGGEST_COUNTS };
enum suggest_period { SUGGEST_HOUR, SUGGEST_DAY, SUGGEST_PERIODS };

/* Of the hours, or days (of UTC), in which an account has sent: of each hundred so many had at most
 * this, and the most of all. */
struct suggest_spread {
    uint64_t p50, p95, p99, most;
};

struct suggest_account {
    const char *name;
    uint64_t messages, recipients, refused; /* what the limit would have refused */
    uint64_t periods[SUGGEST_PERIODS];      /* in which it has sent */
    struct suggest_spread spread[SUGGEST_COUNTS][SUGGEST_PERIODS];
};

/* Everything lies in `a`. `limit` is tried on what is counted as `count`, one by one as recipients
 * come, for each account; NULL: none is. NULL without memory. */
struct suggest *suggest_create(struct arena *a, const struct rate *limit, enum suggest_count count);

/* A line of the log, in the order of time; what is no message that was taken is passed over.
 * Returns 0, or -1 without memory. */
int suggest_hear(struct suggest *s, const struct record_line *r);

/* All accounts, who had most recipients in an hour first. Returns how many; they lie in the arena,
 * until more is heard. SIZE_MAX without memory. */
size_t suggest_accounts(struct suggest *s, struct suggest_account **out);
