#include "policy/limit/cells.h"

#include <assert.h>
#include <string.h>

enum {
    CHAIN_MAX = 256, /* steps along one: a hash that nobody can guess makes none so long */
    SWEEP_DEAD = 4,  /* cells that are looked at for one at rest */
    SWEEP_LEAST = 16,
    SWEEP_BLOCK = 128,
};

static_assert(sizeof(struct shard_head) == 64 && sizeof(struct rule_ring) == 16 &&
                  sizeof(struct cell) == 32,
              "laid out without gaps");

static uint32_t heads_of(uint32_t cells)
{
    uint32_t heads = HEADS_FIRST;
    while (heads < cells)
        heads *= 2;
    return heads;
}

static size_t shard_size(uint32_t cells, uint32_t blocks)
{
    return sizeof(struct shard_head) + STORE_RULES_MAX * sizeof(struct rule_ring) +
           heads_of(cells) * sizeof(uint16_t) + cells * sizeof(struct cell) +
           (size_t)blocks * BLOCK_SIZE;
}

size_t table_size(uint32_t cells, uint32_t blocks)
{
    return TABLE_SHARDS * shard_size(cells, blocks);
}

static struct shard view(const struct table *t, size_t number)
{
    char *at = (char *)t->memory + number * shard_size(t->cells, t->blocks);
    struct shard s = {
        .heads_max = heads_of(t->cells), .cells_max = t->cells, .blocks_max = t->blocks};
    s.head = (void *)at;
    s.rings = (void *)(at += sizeof *s.head);
    s.cells = (void *)(at += STORE_RULES_MAX * sizeof *s.rings);
    s.heads = (void *)(at += s.cells_max * sizeof *s.cells);
    s.blocks = (unsigned char *)at + s.heads_max * sizeof *s.heads;
    return s;
}

static void end(const struct shard *s)
{
    if (s->head->is_busy == BUSY)
        s->head->is_busy = AT_PEACE;
}

struct shard shard_open(const struct table *t, size_t number, int64_t now_us)
{
    struct shard s = view(t, number);
    if (s.head->is_busy != AT_PEACE)
        cells_mend(&s, now_us);
    return s;
}

/* ---- numbers that stand in the memory ---- */

static struct cell *cell_at(const struct shard *s, uint16_t number)
{
    return number == 0 || number > s->cells_max ? NULL : &s->cells[number - 1];
}

static uint16_t number_of(const struct shard *s, const struct cell *c)
{
    return (uint16_t)(c - s->cells + 1);
}

static volatile uint16_t *chain_of(const struct shard *s, uint64_t tag)
{
    uint32_t mask = (s->head->mask | (HEADS_FIRST - 1)) & (s->heads_max - 1);
    return &s->heads[tag & mask];
}

int64_t cell_rest(const struct cell *c, int64_t now_us)
{
    const int64_t century_us = INT64_C(100) * 366 * 86400 * 1000000;
    int64_t rest_us = c->rest_us;
    return rest_us < 0 ? 0 : rest_us > now_us + century_us ? now_us + century_us : rest_us;
}

unsigned char *block_of(const struct shard *s, uint64_t value)
{
    uint64_t number = value & 0xffff;
    if (distinct_state(value) < 2 || number == 0 || number > s->blocks_max)
        return NULL;
    return s->blocks + (number - 1) * BLOCK_SIZE;
}

unsigned char *cell_block(const struct shard *s, const struct cell *c)
{
    return c->kind == COUNTER_DISTINCT + 1 ? block_of(s, c->value) : NULL;
}

bool cell_is_live(const struct cell *c, int64_t now_us)
{
    return c->kind >= 1 && c->kind <= COUNTER_RATIO + 1 && c->slot < STORE_RULES_MAX &&
           c->rest_us > now_us;
}

/* ---- chains ---- */

static bool is_named(const struct cell *c, const struct table_name *name)
{
    return c->tag == name->tag && c->slot == name->slot && c->kind == name->kind;
}

static struct cell *look_up(const struct shard *s, const struct table_name *name)
{
    struct cell *c = cell_at(s, *chain_of(s, name->tag));
    for (int steps = 0; c != NULL && steps < CHAIN_MAX; steps++) {
        if (is_named(c, name))
            return c;
        c = cell_at(s, c->next);
    }
    return NULL;
}

struct cell *cell_find(const struct shard *s, const struct table_name *name, int64_t now_us)
{
    struct cell *c = look_up(s, name);
    return c != NULL && c->rest_us > now_us ? c : NULL;
}

static void chain_put(const struct shard *s, struct cell *c)
{
    volatile uint16_t *head = chain_of(s, c->tag);
    c->next = *head;
    *head = number_of(s, c);
}

static bool chain_drop(const struct shard *s, const struct cell *c)
{
    volatile uint16_t *link = chain_of(s, c->tag);
    for (int steps = 0; steps < CHAIN_MAX; steps++) {
        struct cell *at = cell_at(s, *link);
        if (at == NULL)
            return false;
        if (at == c) {
            *link = c->next;
            return true;
        }
        link = &at->next;
    }
    return false;
}

/* ---- rings ---- */

static void ring_put(const struct shard *s, struct rule_ring *ring, struct cell *c)
{
    struct cell *hand = cell_at(s, ring->hand);
    if (hand == NULL) {
        s->head->rules++;
        c->ring = number_of(s, c);
    } else {
        c->ring = hand->ring;
        hand->ring = number_of(s, c);
    }
    ring->hand = number_of(s, c);
    ring->count++;
}

void cell_link(const struct shard *s, struct cell *c)
{
    ring_put(s, &s->rings[c->slot % STORE_RULES_MAX], c);
    chain_put(s, c);
}

/* `c` stands behind `before`. */
static void ring_drop(const struct shard *s, struct rule_ring *ring, struct cell *before,
                      struct cell *c)
{
    before->ring = c->ring;
    ring->count--;
    if (before == c) {
        ring->hand = 0;
        s->head->rules--;
    } else if (ring->hand == number_of(s, c)) {
        ring->hand = number_of(s, before);
    }
}

/* What is looked for in a ring. */
struct sweep {
    int steps;
    bool is_dead;  /* one at rest, and no other */
    bool is_block; /* one that has a block */
};

static bool is_wanted(const struct shard *s, const struct sweep *w, const struct cell *c,
                      int64_t now_us)
{
    return (!w->is_dead || c->rest_us <= now_us) && (!w->is_block || cell_block(s, c) != NULL);
}

/* Of those that come next, the one that owes least; and in `before` the one in front of it. NULL:
 * there is none, or the ring is spoiled. The shard is busy. */
static struct cell *sweep(const struct shard *s, size_t slot, const struct sweep *w, int64_t now_us,
                          struct cell **before)
{
    struct rule_ring *ring = &s->rings[slot];
    struct cell *hand = cell_at(s, ring->hand), *last = hand, *least = NULL;
    uint16_t count = ring->count;
    for (int i = 0; last != NULL && i < w->steps && i < count; i++) {
        struct cell *c = cell_at(s, last->ring);
        if (c == NULL || c->slot != slot || c->kind == 0) {
            s->head->is_busy = SPOILED;
            return NULL;
        }
        if (is_wanted(s, w, c, now_us) && (least == NULL || c->rest_us < least->rest_us)) {
            *before = last;
            least = c;
        }
        if (w->is_dead && least != NULL)
            break;
        last = c;
    }
    if (last != NULL)
        ring->hand = number_of(s, last);
    return least;
}

/* ---- blocks ---- */

static void block_put(const struct shard *s, struct cell *c, unsigned char *block)
{
    struct rule_ring *ring = &s->rings[c->slot % STORE_RULES_MAX];
    c->value = 0;
    cells_in_order();
    memcpy(block, (const uint16_t[]){s->head->blocks_free}, sizeof(uint16_t));
    s->head->blocks_free = (uint16_t)((block - s->blocks) / BLOCK_SIZE + 1);
    if (ring->blocks > 0 && --ring->blocks == 0)
        s->head->block_rules--;
}

/* The number of one that nobody has, or 0. */
static uint16_t block_take(const struct shard *s)
{
    uint16_t number = s->head->blocks_free;
    if (number > 0 && number <= s->blocks_max) {
        uint16_t next;
        memcpy(&next, s->blocks + (size_t)(number - 1) * BLOCK_SIZE, sizeof next);
        s->head->blocks_free = next;
        return number;
    }
    number = s->head->blocks_used;
    if (number >= s->blocks_max)
        return 0;
    s->head->blocks_used = (uint16_t)(number + 1);
    return (uint16_t)(number + 1);
}

static uint32_t share(uint32_t all, uint32_t rules, bool is_new)
{
    rules = (rules > STORE_RULES_MAX ? STORE_RULES_MAX : rules) + is_new;
    uint32_t part = rules == 0 ? all : all / rules;
    return part == 0 ? 1 : part;
}

/* A cell of the slot loses its block, and what it counted. */
static void rob_block(const struct shard *s, size_t slot, int64_t now_us)
{
    struct sweep w = {.steps = SWEEP_BLOCK, .is_block = true};
    struct cell *before, *c = sweep(s, slot, &w, now_us, &before);
    unsigned char *block = c == NULL ? NULL : cell_block(s, c);
    if (block == NULL)
        return;
    s->rings[slot].evictions += c->rest_us > now_us;
    c->rest_us = 0;
    block_put(s, c, block);
}

/* The rule that has the most above its part of cells or blocks; SIZE_MAX: none. */
static size_t greediest(const struct shard *s, uint32_t part, bool is_block)
{
    size_t found = SIZE_MAX;
    uint32_t most = part;
    for (size_t i = 0; i < STORE_RULES_MAX; i++) {
        uint32_t has = is_block ? s->rings[i].blocks : s->rings[i].count;
        if (has > most) {
            most = has;
            found = i;
        }
    }
    return found;
}

unsigned char *block_claim(const struct shard *s, const struct cell *c, int64_t now_us,
                           uint16_t *number)
{
    size_t slot = c->slot % STORE_RULES_MAX;
    struct rule_ring *ring = &s->rings[slot];
    uint32_t part = share(s->blocks_max, s->head->block_rules, ring->blocks == 0);
    s->head->is_busy = BUSY;
    if (ring->blocks >= part)
        rob_block(s, slot, now_us);
    *number = ring->blocks >= part ? 0 : block_take(s);
    if (*number == 0 && ring->blocks < part) {
        size_t other = greediest(s, part, true);
        if (other != SIZE_MAX)
            rob_block(s, other, now_us);
        *number = block_take(s);
    }
    if (*number == 0)
        ring->evictions++;
    else if (ring->blocks++ == 0)
        s->head->block_rules++;
    end(s);
    return *number == 0 ? NULL : s->blocks + (size_t)(*number - 1) * BLOCK_SIZE;
}

/* ---- cells ---- */

void cell_forget(const struct shard *s, struct cell *c)
{
    unsigned char *block = cell_block(s, c);
    c->rest_us = 0;
    if (block == NULL)
        return;
    s->head->is_busy = BUSY;
    block_put(s, c, block);
    end(s);
}

/* Nothing leads to it any more but its ring. */
static bool empty(const struct shard *s, struct cell *c, int64_t now_us)
{
    unsigned char *block = cell_block(s, c);
    if (!chain_drop(s, c))
        return false;
    s->rings[c->slot % STORE_RULES_MAX].evictions += c->rest_us > now_us;
    c->rest_us = 0;
    if (block != NULL)
        block_put(s, c, block);
    c->kind = 0;
    return true;
}

/* One of the rule's own, which stays in its ring. */
static struct cell *take_own(const struct shard *s, size_t slot, bool is_dead, int64_t now_us)
{
    struct sweep w = {.steps = is_dead ? SWEEP_DEAD : SWEEP_LEAST, .is_dead = is_dead};
    struct cell *before, *c = sweep(s, slot, &w, now_us, &before);
    return c != NULL && empty(s, c, now_us) ? c : NULL;
}

/* One in which nothing lies. */
static struct cell *take_free(const struct shard *s)
{
    struct cell *c = cell_at(s, s->head->free);
    if (c != NULL) {
        s->head->free = c->next;
        return c->kind == 0 ? c : NULL;
    }
    uint16_t number = s->head->used;
    if (number >= s->cells_max)
        return NULL;
    s->head->used = (uint16_t)(number + 1);
    c = &s->cells[number];
    c->kind = 0;
    return c;
}

/* One of the rule that has more than its share, since there are others now. */
static struct cell *take_lent(const struct shard *s, uint32_t part, int64_t now_us)
{
    struct sweep w = {.steps = SWEEP_LEAST};
    size_t other = greediest(s, part, false);
    struct cell *before, *c = other == SIZE_MAX ? NULL : sweep(s, other, &w, now_us, &before);
    if (c == NULL || !empty(s, c, now_us))
        return NULL;
    ring_drop(s, &s->rings[other], before, c);
    return c;
}

/* Twice as many chains, while there are more cells than chains. */
static void grow(const struct shard *s, int64_t now_us)
{
    uint32_t mask = (s->head->mask | (HEADS_FIRST - 1)) & (s->heads_max - 1);
    if (s->head->used <= mask || mask + 1 >= s->heads_max)
        return;
    s->head->is_busy = BUSY;
    s->head->mask = 2 * mask + 1;
    cells_mend(s, now_us);
}

struct cell *cell_claim(const struct shard *s, const struct table_name *name, int64_t now_us)
{
    struct cell *c = look_up(s, name);
    if (c != NULL)
        return c;
    size_t slot = name->slot % STORE_RULES_MAX;
    struct rule_ring *ring = &s->rings[slot];
    grow(s, now_us);
    uint32_t part = share(s->cells_max, s->head->rules, ring->count == 0);
    s->head->is_busy = BUSY;
    c = take_own(s, slot, true, now_us);
    bool is_own = c != NULL;
    if (c == NULL && ring->count < part) {
        c = take_free(s);
        if (c == NULL)
            c = take_lent(s, part, now_us);
    } else if (c == NULL) {
        c = take_own(s, slot, false, now_us);
        is_own = true;
    }
    if (c == NULL)
        return NULL; /* still busy: to be mended */
    c->tag = name->tag;
    c->rest_us = 0;
    c->value = 0;
    c->slot = (uint16_t)slot;
    if (!is_own)
        ring_put(s, ring, c);
    c->kind = name->kind;
    chain_put(s, c);
    end(s);
    return c;
}

void cells_usage(const struct table *t, size_t number, size_t slot, struct table_usage *sum)
{
    const struct shard s = view(t, number);
    const struct rule_ring *ring = &s.rings[slot];
    sum->keys += ring->count;
    sum->blocks += ring->blocks;
    sum->evictions += ring->evictions;
}
