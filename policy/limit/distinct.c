#include "policy/limit/distinct.h"

#include <assert.h>
#include <string.h>

static_assert(DISTINCT_LIST_MAX * sizeof(uint64_t) == BLOCK_SIZE &&
                  (int)HYPERLOGLOG_SIZE == (int)BLOCK_SIZE &&
                  (int)HYPERLOGLOG_BITS == (int)DISTINCT_SHIFT,
              "a block holds as many fingerprints as are listed, or a sketch");

static uint64_t pack(unsigned state, uint64_t rest)
{
    return (uint64_t)state << DISTINCT_SHIFT | rest;
}

static uint64_t unpack(uint64_t value)
{
    return value & ((UINT64_C(1) << DISTINCT_SHIFT) - 1);
}

static bool has_print(const uint64_t *prints, size_t count, uint64_t print)
{
    for (size_t i = 0; i < count; i++)
        if (prints[i] == print)
            return true;
    return false;
}

/* The second one needs a block. */
static void add_second(const struct shard *s, struct cell *c, uint64_t print, int64_t now_us)
{
    uint64_t both[] = {unpack(c->value), print};
    uint16_t number;
    unsigned char *block = both[0] == print ? NULL : block_claim(s, c, now_us, &number);
    if (block == NULL)
        return;
    memcpy(block, both, sizeof both);
    cells_in_order();
    c->value = pack(2, number);
}

/* The 33rd makes a sketch of all of them, in the same place: whoever is killed halfway leaves 32
 * that nobody knows. */
static void add_to_list(struct cell *c, unsigned char *block, unsigned count, uint64_t print)
{
    uint64_t prints[DISTINCT_LIST_MAX];
    unsigned char sketch[HYPERLOGLOG_SIZE] = {0};
    memcpy(prints, block, sizeof prints);
    if (has_print(prints, count, print))
        return;
    if (count < DISTINCT_LIST_MAX) {
        memcpy(block + count * sizeof print, &print, sizeof print);
        cells_in_order();
        c->value = pack(count + 1, unpack(c->value));
        return;
    }
    for (size_t i = 0; i < count; i++)
        hyperloglog_add(sketch, prints[i]);
    hyperloglog_add(sketch, print);
    memcpy(block, sketch, sizeof sketch);
    cells_in_order();
    c->value = pack(DISTINCT_SKETCH, unpack(c->value));
}

void distinct_add(const struct shard *s, struct cell *c, uint64_t print, int64_t now_us)
{
    uint64_t value = c->value;
    unsigned state = distinct_state(value);
    unsigned char *block = block_of(s, value);
    if (state == 1)
        add_second(s, c, print, now_us);
    else if (block != NULL && state <= DISTINCT_LIST_MAX)
        add_to_list(c, block, state, print);
    else if (block != NULL && state == DISTINCT_SKETCH)
        hyperloglog_add(block, print);
    else
        c->value = pack(1, print); /* the first, or spoiled */
}

/* ---- counting ---- */

static void become_sketch(struct distinct_set *set)
{
    memset(set->sketch, 0, sizeof set->sketch);
    set->is_sketch = true;
    for (size_t i = 0; i < set->count; i++)
        hyperloglog_add(set->sketch, set->prints[i]);
}

static void gather_one(struct distinct_set *set, uint64_t print)
{
    if (set->is_sketch)
        hyperloglog_add(set->sketch, print);
    else if (!has_print(set->prints, set->count, print) &&
             set->count < sizeof set->prints / sizeof *set->prints)
        set->prints[set->count++] = print;
}

void distinct_gather(struct distinct_set *set, const struct shard *s, const struct cell *c)
{
    union {
        uint64_t prints[DISTINCT_LIST_MAX];
        unsigned char sketch[HYPERLOGLOG_SIZE];
    } copy; /* others may write to it meanwhile, where they have been taken over */
    uint64_t value = c->value;
    unsigned state = distinct_state(value);
    const unsigned char *block = block_of(s, value);
    if (state == 1)
        gather_one(set, unpack(value));
    if (block == NULL)
        return;
    memcpy(&copy, block, sizeof copy);
    if (state == DISTINCT_SKETCH) {
        if (!set->is_sketch)
            become_sketch(set);
        hyperloglog_merge(set->sketch, copy.sketch);
    } else if (state <= DISTINCT_LIST_MAX) {
        for (size_t i = 0; i < state; i++)
            gather_one(set, copy.prints[i] & ((UINT64_C(1) << DISTINCT_SHIFT) - 1));
    }
}

uint64_t distinct_count(const struct distinct_set *set)
{
    return set->is_sketch ? hyperloglog_count(set->sketch) : set->count;
}

bool distinct_has(const struct distinct_set *set, uint64_t print)
{
    unsigned char with[HYPERLOGLOG_SIZE];
    if (!set->is_sketch)
        return has_print(set->prints, set->count, print);
    memcpy(with, set->sketch, sizeof with);
    hyperloglog_add(with, print);
    return memcmp(with, set->sketch, sizeof with) == 0;
}
