#include "telemetry/labels.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct label {
    _Atomic uint32_t generations; /* a bit for each that names it */
    char name[LABEL_NAME_SIZE];
};

struct labels {
    struct label rows[LABEL_LISTENER_MAX + LABEL_SERVER_MAX + LABEL_RULE_MAX];
};

static const struct {
    size_t first, capacity;
} kinds[LABEL_KIND_COUNT] = {{0, LABEL_LISTENER_MAX},
                             {LABEL_LISTENER_MAX, LABEL_SERVER_MAX},
                             {LABEL_LISTENER_MAX + LABEL_SERVER_MAX, LABEL_RULE_MAX}};

size_t labels_size(void)
{
    return sizeof(struct labels);
}

size_t label_capacity(enum label_kind kind)
{
    return kinds[kind].capacity;
}

/* At most eight generations live at once, so their numbers differ modulo 32. */
static uint32_t bit(unsigned generation)
{
    return UINT32_C(1) << generation % 32;
}

int label_claim(struct labels *l, enum label_kind kind, const char *name, unsigned generation,
                int *fresh)
{
    struct label *rows = l->rows + kinds[kind].first;
    int free_slot = -1;
    *fresh = 0;
    for (size_t i = 0; i < kinds[kind].capacity; i++) {
        if (atomic_load(&rows[i].generations) == 0) {
            if (free_slot < 0)
                free_slot = (int)i;
        } else if (strncmp(rows[i].name, name, LABEL_NAME_SIZE - 1) == 0) {
            atomic_fetch_or(&rows[i].generations, bit(generation));
            return (int)i;
        }
    }
    if (free_slot < 0)
        return -1;
    *fresh = 1;
    (void)snprintf(rows[free_slot].name, LABEL_NAME_SIZE, "%s", name); /* names are shorter */
    atomic_store(&rows[free_slot].generations, bit(generation));
    return free_slot;
}

size_t label_slot(const struct labels *l, enum label_kind kind, const char *name)
{
    const struct label *rows = l->rows + kinds[kind].first;
    for (size_t i = 0; i < kinds[kind].capacity; i++)
        if (atomic_load(&rows[i].generations) != 0 &&
            strncmp(rows[i].name, name, LABEL_NAME_SIZE - 1) == 0)
            return i;
    abort();
}

void labels_release(struct labels *l, unsigned generation)
{
    for (size_t i = 0; i < sizeof l->rows / sizeof *l->rows; i++)
        atomic_fetch_and(&l->rows[i].generations, ~bit(generation));
}

int label_name(const struct labels *l, enum label_kind kind, size_t slot, char out[LABEL_NAME_SIZE])
{
    if (slot >= kinds[kind].capacity)
        return -1;
    const struct label *row = &l->rows[kinds[kind].first + slot];
    if (atomic_load(&row->generations) == 0)
        return -1;
    memcpy(out, row->name, LABEL_NAME_SIZE);
    out[LABEL_NAME_SIZE - 1] = '\0';
    return 0;
}
