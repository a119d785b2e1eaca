#include "decision/memory.h"

#include "base/clock.h"
#include "base/shared_lock.h"
#include "telemetry/processes.h"

#include <assert.h>

enum { LINE = 64, HEAD = 4096 };

/* A cache line each: who waits for one disturbs nobody in another. */
struct word {
    struct shared_lock lock;
    char rest[LINE - sizeof(struct shared_lock)];
};

struct memory_region {
    struct word words[TABLE_SHARDS];
};

static_assert(sizeof(struct memory_region) <= HEAD, "the table lies behind it");
static_assert((int)PROCESS_SLOT_MAX <= (int)SHARED_LOCK_HOLDERS_MAX,
              "every process can hold a word");

size_t memory_size(void)
{
    return HEAD + table_size(TABLE_CELLS, TABLE_BLOCKS);
}

struct memory memory_open(struct memory_region *region, const uint64_t key[2], size_t slot,
                          struct counters *counters)
{
    return (struct memory){.region = region,
                           .table = {.memory = (char *)region + HEAD,
                                     .cells = TABLE_CELLS,
                                     .blocks = TABLE_BLOCKS,
                                     .key = {key[0], key[1]}},
                           .slot = slot,
                           .counters = counters};
}

static int64_t now_us(void)
{
    int64_t us = clock_wall_ns() / 1000;
    return us > 0 ? us : 0;
}

/* ---- words ---- */

static void let_go(struct memory *m, uint64_t shards)
{
    for (size_t i = 0; i < TABLE_SHARDS; i++)
        if ((shards >> i & 1) != 0)
            shared_lock_give(&m->region->words[i].lock);
}

/* All of them, or none. */
static int hold_all(struct memory *m, uint64_t shards)
{
    int64_t until_ns = 0;
    for (size_t i = 0; i < TABLE_SHARDS; i++) {
        struct shared_lock *lock = &m->region->words[i].lock;
        if ((shards >> i & 1) == 0 || shared_lock_try(lock, m->slot))
            continue;
        if (until_ns == 0)
            until_ns = clock_monotonic_ns() + MEMORY_WAIT_MS * CLOCK_MS;
        if (shared_lock_take(lock, m->slot, until_ns) == 0)
            continue;
        let_go(m, shards & ((UINT64_C(1) << i) - 1));
        return -1;
    }
    return 0;
}

void memory_free(struct memory_region *region, size_t slot)
{
    for (size_t i = 0; i < TABLE_SHARDS; i++)
        if (shared_lock_is_of(&region->words[i].lock, slot))
            shared_lock_give(&region->words[i].lock);
}

/* ---- calls ---- */

static int failed(struct memory *m)
{
    if (m->counters != NULL)
        counter_add(m->counters, COUNTER_limit_failures, 0, 1);
    return -1;
}

int memory_take(struct memory *m, const struct counter_take *takes, size_t count,
                struct counter_answer *answers)
{
    struct table_name names[STORE_TAKES_MAX];
    assert(count <= STORE_TAKES_MAX);
    uint64_t shards = table_names(&m->table, takes, count, names);
    if (hold_all(m, shards) < 0)
        return failed(m);
    int outcome = table_take(&m->table, takes, names, count, now_us(), answers);
    let_go(m, shards);
    return outcome < 0 ? failed(m) : 0;
}

int memory_settle(struct memory *m, const struct counter_settle *settles, size_t count)
{
    struct table_name names[STORE_TAKES_MAX];
    assert(count <= STORE_TAKES_MAX);
    uint64_t shards = table_settle_names(&m->table, settles, count, names);
    if (hold_all(m, shards) < 0)
        return failed(m);
    table_settle(&m->table, settles, names, count, now_us());
    let_go(m, shards);
    return 0;
}

void memory_name(const struct memory *m, const struct counter_take *take, struct table_name *out)
{
    (void)table_names(&m->table, take, 1, out); /* where it lies, it says itself */
}

int memory_release(struct memory *m, const struct table_name *names, size_t count)
{
    uint64_t shards = 0;
    for (size_t i = 0; i < count; i++)
        shards |= UINT64_C(1) << names[i].shard % TABLE_SHARDS;
    if (hold_all(m, shards) < 0)
        return failed(m);
    table_release(&m->table, names, count, now_us());
    let_go(m, shards);
    return 0;
}

/* ---- the master's ---- */

int memory_clear(struct memory *m, size_t rule)
{
    int outcome = 0;
    for (size_t i = 0; i < TABLE_SHARDS; i++) {
        if (hold_all(m, UINT64_C(1) << i) < 0) {
            outcome = -1;
            continue;
        }
        table_clear(&m->table, i, rule, now_us());
        let_go(m, UINT64_C(1) << i);
    }
    return outcome;
}

int memory_each(struct memory *m, size_t shard,
                void (*fn)(void *owner, const struct table_row *row), void *owner)
{
    if (hold_all(m, UINT64_C(1) << shard) < 0)
        return -1;
    table_each(&m->table, shard, now_us(), fn, owner);
    let_go(m, UINT64_C(1) << shard);
    return 0;
}
