/* The store of counters (policy/limit/store.h) in the shared mapping, for all workers of this host.
 *
 * Each shard of the table has a word that says which process holds it: taken by compare-and-swap,
 * tried for 50 ms at most, in the shards' order. A process that is killed while it holds some hurts
 * nobody: the master frees its words when it has reaped it, and the next to come mends the shard.
 */
#pragma once

#include "policy/limit/table.h"
#include "telemetry/counters.h"

struct memory_region; /* in the shared mapping; zeros are an empty one */

/* A process's way to it. Plain data; what is inherited never lies in the mapping. */
struct memory {
    struct memory_region *region;
    struct table table;        /* filled in by memory_open */
    size_t slot;               /* of this process, in the table of processes */
    struct counters *counters; /* NULL: nothing is counted */
};

enum { MEMORY_WAIT_MS = 50 };

size_t memory_size(void);

/* `key` is that of the table, the same in all processes. */
struct memory memory_open(struct memory_region *region, const uint64_t key[2], size_t slot,
                          struct counters *counters);

/* Takes 1 to STORE_TAKES_MAX. Never waits longer than MEMORY_WAIT_MS. Returns 0; or -1, counted: it
 * couldn't be asked, and the answers mean nothing. */
int memory_take(struct memory *m, const struct counter_take *takes, size_t count,
                struct counter_answer *answers);

/* Settles 1 to STORE_TAKES_MAX. Returns 0; or -1, counted: nothing was settled. */
int memory_settle(struct memory *m, const struct counter_settle *settles, size_t count);

/* What a lease goes by when its holder has died: to be kept where the holder's own rows are. */
void memory_name(const struct memory *m, const struct counter_take *take, struct table_name *out);

/* Gives back the leases of a holder that has died, up to STORE_TAKES_MAX. As memory_settle. */
int memory_release(struct memory *m, const struct table_name *names, size_t count);

/* What the counters go by: the wall's clock, microseconds since 1970, but that it goes on from
 * where it was when that is set back, by more than a tenth of a second. */
int64_t memory_now_us(const struct memory *m);

/* The master's, before anybody else: it has shown this already. */
void memory_not_before(struct memory *m, int64_t us);

/* The master's: the process of that slot has ended. */
void memory_free(struct memory_region *region, size_t slot);

/* The master's: the rule's slot has got another name. What it had comes to an end. Returns 0; or
 * -1: some of it is still there, and takes room until it is at rest. */
int memory_clear(struct memory *m, size_t rule);

/* The master's: reads out a shard, as table_each. Returns 0, or -1: it is held. */
int memory_each(struct memory *m, size_t shard,
                void (*fn)(void *owner, const struct table_row *row), void *owner);
