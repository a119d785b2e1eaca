/* Where counters in memory lie: shards of cells, found by a keyed hash of their names. Inside
 * policy/limit; table.h is the way to it from elsewhere.
 *
 * Whoever shares the memory may have been taken over, and whoever changed it last may have been
 * killed halfway. So no index that stands there is believed (each is read once, and bounded), and
 * the truth stands in the cells alone: chains, rings and lists of what is free are made anew from
 * them (cells_mend) when a shard was left `is_busy`. What is written to one word is whole.
 *
 * A cell is at rest when its counter owes nothing any more, and then it is as good as free. A
 * rule's cells are a ring. When it may have no more, the one that owes least makes room, of the few
 * that are next in its ring: who owes much is passed over each time. */
#pragma once

#include "policy/limit/table.h"

#include <stdatomic.h>

/* All in the shared memory: read and written in the order that stands here. */
struct cell {
    volatile uint64_t tag;
    volatile int64_t rest_us; /* when it is at rest: of a rate, the TAT */
    volatile uint64_t value;
    volatile uint16_t next; /* of its chain, or of those that are free */
    volatile uint16_t ring; /* the next of its rule */
    volatile uint16_t slot;
    volatile uint8_t kind; /* enum counter_kind + 1; 0: nothing lies here */
    volatile uint8_t spare;
};

enum { HEADS_FIRST = 64 }; /* chains that there are at least */

/* A shard that is found spoiled meanwhile stays busy, and is mended when it is opened next. */
enum { AT_PEACE, BUSY, SPOILED };

/* Padded to 64 octets. */
struct shard_head {
    volatile uint32_t
        is_busy;            /* what leads to the cells is being changed; AT_PEACE, BUSY, SPOILED */
    volatile uint32_t mask; /* of the heads that are in use */
    volatile uint16_t used, free;
    volatile uint16_t blocks_used, blocks_free;
    volatile uint16_t rules, block_rules; /* that have some */
    uint16_t spare[22];
};

struct rule_ring {
    volatile uint16_t hand; /* the one behind it is looked at next; 0: an empty ring */
    volatile uint16_t count, blocks;
    uint16_t spare;
    volatile uint64_t evictions;
};

/* A shard as this process sees it. */
struct shard {
    struct shard_head *head;
    struct rule_ring *rings;
    volatile uint16_t *heads; /* of chains */
    struct cell *cells;       /* the first is number 1 */
    unsigned char *blocks;    /* the first is number 1 */
    uint32_t heads_max, cells_max, blocks_max;
};

enum { BLOCK_SIZE = 256 };

/* Mends it first where somebody was killed in it. */
struct shard shard_open(const struct table *t, size_t number, int64_t now_us);

/* NULL: there is none, or it is at rest. */
struct cell *cell_find(const struct shard *s, const struct table_name *name, int64_t now_us);

/* That of this name: as it is, or a new one with a value of 0, at rest. NULL: the memory isn't what
 * it should be. Others may go for it. */
struct cell *cell_claim(const struct shard *s, const struct table_name *name, int64_t now_us);

/* From now on it is at rest. */
void cell_forget(const struct shard *s, struct cell *c);

/* When it is at rest, as far as it can be believed. */
int64_t cell_rest(const struct cell *c, int64_t now_us);

/* Of a distinct counter, in the value's highest octet: how many fingerprints there are, or
 * DISTINCT_SKETCH. One stands in the value itself, more in a block whose number the value has. */
enum { DISTINCT_LIST_MAX = 32, DISTINCT_SKETCH = 255, DISTINCT_SHIFT = 56 };

/* What a mark beside a counter has, whatever the kind: no block, and more than are ever held. */
#define CELL_MARK (UINT64_C(1) << DISTINCT_SHIFT)

static inline unsigned distinct_state(uint64_t value)
{
    return (unsigned)(value >> DISTINCT_SHIFT);
}

/* The block that the value names, or NULL. */
unsigned char *block_of(const struct shard *s, uint64_t value);

/* That of the cell, where it is a distinct counter's and has one. */
unsigned char *cell_block(const struct shard *s, const struct cell *c);

/* Is it a counter, and not at rest? */
bool cell_is_live(const struct cell *c, int64_t now_us);

/* A block for `c`, its number in `number`; another of its rule may lose its own for it. NULL: there
 * is none. */
unsigned char *block_claim(const struct shard *s, const struct cell *c, int64_t now_us,
                           uint16_t *number);

/* What was written before stands in memory before what is written now, for words that aren't
 * volatile: who is killed has done all that came first, unless the compiler turned it round. */
static inline void cells_in_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

/* Puts it into its rule's ring and into its chain. */
void cell_link(const struct shard *s, struct cell *c);

/* Makes anew what leads to the cells, from the cells. */
void cells_mend(const struct shard *s, int64_t now_us);

/* All cells of the slot are gone. */
void cells_clear(const struct shard *s, size_t slot, int64_t now_us);

/* Adds what the shard has for the slot, without mending it. */
void cells_usage(const struct table *t, size_t number, size_t slot, struct table_usage *sum);
