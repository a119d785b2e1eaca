/* The store of counters in memory: what policy/limit/store.h asks, over memory that is handed in.
 * Pure: no clock, no lock. Who calls holds all shards that the call touches.
 *
 *     uint64_t shards = table_names(t, takes, count, names);
 *     ... each of them is locked, in their order ...
 *     table_take(t, takes, names, count, now_us, answers);
 *
 * Keys are known by a hash under a key that whoever shares the memory doesn't need to know. Memory
 * of zeros is an empty table. It is bounded by rule: each that is in use has the same share, and a
 * key for which there is no room takes the place of one of the same rule that owes less. Only what
 * a rule has above its share, because others have come into use since, is taken from it by them.
 *
 * A process that is killed between two stores leaves a take too many, never one too few. */
#pragma once

#include "policy/limit/store.h"

#include <stddef.h>

enum { TABLE_SHARDS = 64 };

/* A process's way to the table: nothing of it is read from the memory. */
struct table {
    void *memory;           /* table_size octets, of 64-bit alignment */
    uint32_t cells, blocks; /* of a shard */
    uint64_t key[2];
};

/* As large as they are made: 128 MiB, 3.3 million keys, 65,536 windows' halves with several
 * different elements. */
enum { TABLE_CELLS = 52000, TABLE_BLOCKS = 1024 };

size_t table_size(uint32_t cells, uint32_t blocks);

/* What a counter goes by here; means the same in all processes that have the same key. */
struct table_name {
    uint64_t tag;
    uint16_t slot;
    uint8_t shard, kind; /* enum counter_kind + 1 */
};

/* The names of the counters, `count` of them, and a bit for each shard in which one lies. */
uint64_t table_names(const struct table *t, const struct counter_take *takes, size_t count,
                     struct table_name *names);
uint64_t table_settle_names(const struct table *t, const struct counter_settle *settles,
                            size_t count, struct table_name *names);

/* Hot: takes. One answer for each. Returns 0; or -1: the memory has been spoiled, and the answers
 * mean nothing. It mends itself with the next call. */
int table_take(const struct table *t, const struct counter_take *takes,
               const struct table_name *names, size_t count, int64_t now_us,
               struct counter_answer *answers);

/* Settles; what finds no room is lost. */
void table_settle(const struct table *t, const struct counter_settle *settles,
                  const struct table_name *names, size_t count, int64_t now_us);

/* What a holder that has ended had of at-once counters, one for each lease, by the names under
 * which it took them. */
void table_release(const struct table *t, const struct table_name *names, size_t count,
                   int64_t now_us);

/* ---- by rule ---- */

struct table_usage {
    uint64_t keys;      /* cells that it has; some may be at rest */
    uint64_t blocks;    /* 256 octets each */
    uint64_t evictions; /* keys that had to make room before they were at rest, and elements for
                           which there was none */
};

/* Of all shards, without any of them being held: roughly. */
void table_usage(const struct table *t, size_t slot, struct table_usage *out);

/* The slot is another rule's now; in the shard `number`. */
void table_clear(const struct table *t, size_t number, size_t slot, int64_t now_us);

/* ---- to be kept ---- */

/* A counter that isn't at rest, or a mark beside one; leases are not among them, since their
 * holders don't outlive the memory. */
struct table_row {
    struct table_name name;
    int64_t rest_us;
    uint64_t value;
    const unsigned char *block; /* TABLE_BLOCK_SIZE octets, or NULL */
};

enum { TABLE_BLOCK_SIZE = 256 };

/* Calls `fn` for each of the shard. */
void table_each(const struct table *t, size_t number, int64_t now_us,
                void (*fn)(void *owner, const struct table_row *row), void *owner);

/* Puts one back into its shard. Returns 0; or -1: it is none, is at rest, or there is no room. */
int table_put(const struct table *t, const struct table_row *row, int64_t now_us);
