#include "telemetry/counters.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SLOTS = LABEL_SERVER_MAX, DIRTY_MAX = 128 };
static_assert((int)LABEL_LISTENER_MAX <= (int)SLOTS, "every kind of label fits a row");

enum label { NONE = -1, LISTENER = LABEL_LISTENER, SERVER = LABEL_SERVER };

static const struct {
    const char *name, *help;
    enum label label;
} known[] = {
#define COUNTER(name, label, help) {#name, help, label},
#include "telemetry/counters.def"
#undef COUNTER
};

struct counter_table {
    _Atomic int64_t cells[COUNTER_COUNT][SLOTS];
};

/* Cells that have changed since the last flush stand in `dirty`. */
struct counters {
    struct counter_table *table;
    size_t dirty_count;
    uint32_t dirty[DIRTY_MAX];
    int64_t cells[COUNTER_COUNT][SLOTS];
};

size_t counter_table_size(void)
{
    return sizeof(struct counter_table);
}

void counter_table_clear(struct counter_table *t, enum label_kind kind, size_t slot)
{
    for (size_t c = 0; c < COUNTER_COUNT; c++)
        if (known[c].label == (enum label)kind)
            atomic_store(&t->cells[c][slot], 0);
}

int64_t counter_read(const struct counter_table *t, enum counter c, size_t slot)
{
    return slot < SLOTS ? atomic_load_explicit(&t->cells[c][slot], memory_order_relaxed) : 0;
}

struct counters *counters_create(struct counter_table *t)
{
    struct counters *c = calloc(1, sizeof *c);
    if (c != NULL)
        c->table = t;
    return c;
}

void counters_destroy(struct counters **counters)
{
    free(*counters);
    *counters = NULL;
}

void counter_add(struct counters *c, enum counter counter, size_t slot, int64_t n)
{
    assert(slot < SLOTS);
    if (n == 0)
        return;
    if (c->cells[counter][slot] == 0) {
        if (c->dirty_count == DIRTY_MAX)
            counters_flush(c);
        c->dirty[c->dirty_count++] = (uint32_t)(counter * SLOTS + slot);
    }
    c->cells[counter][slot] += n;
}

void counters_flush(struct counters *c)
{
    for (size_t i = 0; i < c->dirty_count; i++) {
        size_t row = c->dirty[i] / SLOTS, slot = c->dirty[i] % SLOTS;
        atomic_fetch_add_explicit(&c->table->cells[row][slot], c->cells[row][slot],
                                  memory_order_relaxed);
        c->cells[row][slot] = 0;
    }
    c->dirty_count = 0;
}

const char *counter_name(enum counter c)
{
    return known[c].name;
}

const char *counter_help(enum counter c)
{
    return known[c].help;
}

bool counter_label(enum counter c, enum label_kind *kind)
{
    *kind = (enum label_kind)known[c].label;
    return known[c].label != NONE;
}
