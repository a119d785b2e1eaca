/* What leads to the cells of a shard, made anew from the cells. */
#include "policy/limit/cells.h"

#include <string.h>

/* Does the cell have the block that it says it has, and no other cell too? */
static bool has_block(const struct shard *s, const struct cell *c, uint64_t *taken)
{
    unsigned state = distinct_state(c->value);
    if (c->kind != COUNTER_DISTINCT + 1 || state < 2)
        return true;
    const unsigned char *block = block_of(s, c->value);
    if (block == NULL || (state > DISTINCT_LIST_MAX && state != DISTINCT_SKETCH))
        return false;
    size_t n = (size_t)(block - s->blocks) / BLOCK_SIZE;
    if ((taken[n / 64] >> n % 64 & 1) != 0)
        return false;
    taken[n / 64] |= UINT64_C(1) << n % 64;
    if (s->rings[c->slot % STORE_RULES_MAX].blocks++ == 0)
        s->head->block_rules++;
    return true;
}

static void mend_blocks(const struct shard *s, const uint64_t *taken)
{
    s->head->blocks_free = 0;
    if (s->head->blocks_used > s->blocks_max)
        s->head->blocks_used = (uint16_t)s->blocks_max;
    for (size_t n = 0; n < s->head->blocks_used && n < s->blocks_max; n++) {
        if ((taken[n / 64] >> n % 64 & 1) != 0)
            continue;
        memcpy(s->blocks + n * BLOCK_SIZE, (const uint16_t[]){s->head->blocks_free},
               sizeof(uint16_t));
        s->head->blocks_free = (uint16_t)(n + 1);
    }
}

static void clear_paths(const struct shard *s)
{
    for (size_t i = 0; i < STORE_RULES_MAX; i++)
        s->rings[i].hand = s->rings[i].count = s->rings[i].blocks = 0;
    for (size_t i = 0; i <= (s->head->mask & (s->heads_max - 1)) || i < HEADS_FIRST; i++)
        s->heads[i] = 0;
    s->head->rules = s->head->block_rules = 0;
    s->head->free = 0;
    if (s->head->used > s->cells_max)
        s->head->used = (uint16_t)s->cells_max;
}

void cells_mend(const struct shard *s, int64_t now_us)
{
    uint64_t taken[UINT16_MAX / 64 + 1] = {0};
    s->head->is_busy = BUSY;
    clear_paths(s);
    uint32_t used = s->head->used;
    for (uint32_t i = 0; i < used && i < s->cells_max; i++) {
        struct cell *c = &s->cells[i];
        if (cell_is_live(c, now_us) && has_block(s, c, taken)) {
            cell_link(s, c);
        } else {
            c->kind = 0;
            c->next = s->head->free;
            s->head->free = (uint16_t)(i + 1);
        }
    }
    mend_blocks(s, taken);
    s->head->is_busy = AT_PEACE;
}

void cells_clear(const struct shard *s, size_t slot, int64_t now_us)
{
    s->rings[slot].evictions = 0;
    if (s->rings[slot].count == 0)
        return;
    s->head->is_busy = BUSY;
    for (uint32_t i = 0; i < s->cells_max && i < s->head->used; i++)
        if (s->cells[i].slot == slot)
            s->cells[i].kind = 0;
    cells_mend(s, now_us);
}
