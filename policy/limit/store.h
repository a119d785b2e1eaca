/* What is asked of a store of counters, and what it answers: the same for the table in memory and
 * for Redis, which know nothing of rules.
 *
 * A call has groups of takes. The takes of a group are taken together or not at all; groups are
 * looked at in their order, each seeing what those before it have taken; so do the takes within a
 * group. One call is one round trip. Times are microseconds of the store's own clock, since 1970.
 */
#pragma once

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum counter_kind {
    COUNTER_RATE,     /* GCRA: one theoretical arrival time (TAT) */
    COUNTER_AT_ONCE,  /* leases: so many at a time */
    COUNTER_DISTINCT, /* so many different elements within a window; looked at, not added to */
    COUNTER_RATIO,    /* bad ones of all within a window; looked at, not added to */
};

/* A window slides by halves: what is added goes into the half that began last, a whole number of
 * halves after 1970, and that and the one before are counted. So it counts for half of the window
 * at least, and for all of it at most. */

enum {
    STORE_TAKES_MAX = 1024, /* of a call */
    STORE_GROUPS_MAX = 256, /* of a call */
    STORE_KEY_MAX = 512,    /* octets of a key */
    STORE_RULES_MAX = 1024, /* slots of rules */
    STORE_NO_GROUP = 0xffff,
    STORE_LOOK = 0xfffe,
};

/* What stays beside a counter for a while, and ends by itself; all zeros: nothing. */
struct counter_marks {
    int64_t hold_us; /* a refusal lasts so long, whatever the counter says meanwhile */
    /* A take after which it stands at `near` or more says so, once in near_us: what a rate's TAT is
     * ahead of now, how many are held, how many different ones there were before, or per cent. */
    uint64_t near;
    int64_t near_us;
};

/* One counter that a group needs. */
struct counter_take {
    enum counter_kind kind;
    uint16_t group;  /* groups stand one behind the other: 0, 0, 1, 1, 1, 2 */
    uint16_t needs;  /* an earlier group without which this one isn't tried; STORE_NO_GROUP: none;
                        STORE_LOOK: it is never tried, and its answers say how it stands, and in
                        is_refusing what would become of it */
    uint16_t slot;   /* of the rule: its share of the table in memory */
    struct span key; /* "RULE VALUE", 1 to STORE_KEY_MAX octets; the same in all processes */
    uint64_t cost;   /* how many of what is counted it is for: for people, no store looks at it */
    struct counter_marks marks;
    union {
        /* Passes when max(tat, now) + increment <= now + tolerance + max_delay; the new TAT is the
         * left side. A TAT more than the tolerance and max_delay ahead is cut to that first. */
        struct {
            int64_t increment_us, tolerance_us, max_delay_us;
        } rate;
        /* Passes while fewer than `max` are held. `lease` names the holder, for renewing and giving
         * back; a lease that nobody renews ends after lease_us. */
        struct {
            uint32_t max;
            uint64_t lease;
            int64_t lease_us;
        } at_once;
        /* Passes when there are at most `max` with `element`, a hash, among them. */
        struct {
            uint32_t max;
            uint64_t element;
            int64_t window_us;
        } distinct;
        /* Passes unless at least `min` were tried and more than `percent` of them were bad. */
        struct {
            uint32_t percent, min;
            int64_t window_us;
        } ratio;
    };
};

/* What became of a take. */
struct counter_answer {
    bool is_taken;    /* its whole group was */
    bool is_refusing; /* it is one of those for whose sake the group was not */
    bool is_near;     /* taken, and the first to come so near to the limit: see counter_marks */
    int64_t now_us;   /* the store's clock */
    int64_t tat_us;   /* of a rate: after the take; where refused, as it stands (not before now) */
    int64_t wait_us; /* taken: how long to wait (rate with max_delay); refused: until it would pass,
                        -1: it never can (more than the tolerance in one), or it isn't known, as
                        of all that isn't a rate or held; neither: for how long it is held */
    uint64_t used;   /* held, as it is now; different ones, without `element`; tried */
    uint64_t bad;    /* of a ratio */
};

/* Afterwards: what was taken ends, or something is added. */
enum counter_settle_kind {
    SETTLE_GIVE_BACK, /* a rate: min(increment, max(0, tat - now)) of the stored TAT, never before
                         now */
    SETTLE_RENEW,     /* a lease: lease_us from now */
    SETTLE_RELEASE,   /* a lease */
    SETTLE_ADD,       /* an element to a distinct counter */
    SETTLE_COUNT,     /* to a ratio: `tried` and `bad` */
    SETTLE_FORGET,    /* the counter, whatever its kind */
};

struct counter_settle {
    enum counter_settle_kind kind;
    enum counter_kind of;
    uint16_t slot;
    struct span key;
    union {
        struct {
            int64_t increment_us, tat_us; /* of the take */
        } rate;
        struct {
            uint64_t lease;
            int64_t lease_us;
        } at_once;
        struct {
            uint64_t element;
            int64_t window_us;
        } distinct;
        struct {
            uint32_t tried, bad;
            int64_t window_us;
        } ratio;
    };
};
