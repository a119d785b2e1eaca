/* Counters of the table as rows that can be kept elsewhere, and back. */
#include "policy/limit/cells.h"

#include <string.h>

/* Holders of leases don't outlive the memory; a refusal that lasts does. */
static bool is_lease(uint8_t kind, uint64_t value)
{
    return kind == COUNTER_AT_ONCE + 1 && value != CELL_MARK;
}

void table_each(const struct table *t, size_t number, int64_t now_us,
                void (*fn)(void *owner, const struct table_row *row), void *owner)
{
    const struct shard s = shard_open(t, number % TABLE_SHARDS, now_us);
    for (uint32_t i = 0; i < s.cells_max && i < s.head->used; i++) {
        const struct cell *c = &s.cells[i];
        if (!cell_is_live(c, now_us) || is_lease(c->kind, c->value))
            continue;
        struct table_row row = {.name = {c->tag, c->slot, (uint8_t)number, c->kind},
                                .rest_us = c->rest_us,
                                .value = c->value,
                                .block = cell_block(&s, c)};
        fn(owner, &row);
    }
}

/* The value, with a block of its own where it has one. Returns false: it is no such value. */
static bool put_value(const struct shard *s, struct cell *c, const struct table_row *row,
                      int64_t now_us)
{
    unsigned state = distinct_state(row->value);
    uint16_t number = 0;
    if (row->name.kind != COUNTER_DISTINCT + 1 || state == 1) {
        c->value = row->value;
        return true;
    }
    if (row->block == NULL || state == 0 || (state > DISTINCT_LIST_MAX && state != DISTINCT_SKETCH))
        return false;
    unsigned char *block = block_claim(s, c, now_us, &number);
    if (block == NULL)
        return false;
    memcpy(block, row->block, BLOCK_SIZE);
    cells_in_order();
    c->value = (uint64_t)state << DISTINCT_SHIFT | number;
    return true;
}

int table_put(const struct table *t, const struct table_row *row, int64_t now_us)
{
    const struct shard s = shard_open(t, row->name.shard % TABLE_SHARDS, now_us);
    const int64_t year_us = INT64_C(367) * 86400 * 1000000;
    if (row->name.kind == 0 || row->name.kind > COUNTER_RATIO + 1 ||
        is_lease(row->name.kind, row->value) || row->name.slot >= STORE_RULES_MAX ||
        row->rest_us <= now_us || row->rest_us - now_us > 2 * year_us)
        return -1;
    struct cell *c = cell_find(&s, &row->name, now_us);
    if (c != NULL)
        return -1; /* said twice */
    c = cell_claim(&s, &row->name, now_us);
    if (c == NULL || !put_value(&s, c, row, now_us))
        return -1;
    c->rest_us = row->rest_us;
    return 0;
}
