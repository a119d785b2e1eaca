#include "decision/memory.h"

#include "base/clock.h"
#include "base/shared_lock.h"
#include "telemetry/processes.h"

#include <assert.h>
#include <stdatomic.h>

enum { LINE = 64, HEAD = 2 * 4096 };

/* A cache line each: who waits for one disturbs nobody in another. */
struct word {
    struct shared_lock lock;
    char rest[LINE - sizeof(struct shared_lock)];
};

struct memory_region {
    struct word words[TABLE_SHARDS];
    _Atomic int64_t last_us;  /* what the clock has shown, to a tenth of a second */
    _Atomic int64_t ahead_us; /* of the wall's: what that was set back by */
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

/* ---- the clock ---- */

#define STEP_US    (INT64_C(100) * 1000)
#define CENTURY_US (INT64_C(100) * 366 * 86400 * 1000000)

/* What a worker that was taken over has written is no time. */
static int64_t sane(int64_t us, int64_t least_us, int64_t most_us)
{
    return us < least_us || us > most_us ? least_us : us;
}

static int64_t wall_us(void)
{
    int64_t us = clock_wall_ns() / 1000;
    return us > 0 ? us : 0;
}

/* Hot. It is set back by nobody: what is owed would be owed for as much longer. */
int64_t memory_now_us(const struct memory *m)
{
    struct memory_region *r = m->region;
    int64_t wall = wall_us();
    for (;;) {
        int64_t ahead = atomic_load_explicit(&r->ahead_us, memory_order_relaxed);
        int64_t now = wall + sane(ahead, 0, CENTURY_US);
        int64_t last =
            sane(atomic_load_explicit(&r->last_us, memory_order_relaxed), 0, wall + CENTURY_US);
        if (now >= last + STEP_US)
            atomic_store_explicit(&r->last_us, now, memory_order_relaxed);
        if (now > last - STEP_US)
            return now;
        if (atomic_compare_exchange_strong(&r->ahead_us, &ahead, last - wall))
            return last;
    }
}

void memory_not_before(struct memory *m, int64_t us)
{
    atomic_store(&m->region->last_us, us);
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
    int outcome = table_take(&m->table, takes, names, count, memory_now_us(m), answers);
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
    table_settle(&m->table, settles, names, count, memory_now_us(m));
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
    table_release(&m->table, names, count, memory_now_us(m));
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
        table_clear(&m->table, i, rule, memory_now_us(m));
        let_go(m, UINT64_C(1) << i);
    }
    return outcome;
}

int memory_each(struct memory *m, size_t shard,
                void (*fn)(void *owner, const struct table_row *row), void *owner)
{
    if (hold_all(m, UINT64_C(1) << shard) < 0)
        return -1;
    table_each(&m->table, shard, memory_now_us(m), fn, owner);
    let_go(m, UINT64_C(1) << shard);
    return 0;
}
