/* What is counted, over all processes: added up in each and told to the shared mapping once a turn
 * of its loop. */
#pragma once

#include "telemetry/labels.h"

#include <stdbool.h>
#include <stdint.h>

enum counter {
#define COUNTER(name, label, help) COUNTER_##name,
#include "telemetry/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

struct counter_table; /* in the shared mapping */
struct counters;      /* of this process */

size_t counter_table_size(void);

/* Empties all counters of a slot that has got a new name. */
void counter_table_clear(struct counter_table *t, enum label_kind kind, size_t slot);

/* What all processes have told. `slot` is 0 for a counter without label. */
int64_t counter_read(const struct counter_table *t, enum counter c, size_t slot);

/* A process's own side, or NULL without memory. */
struct counters *counters_create(struct counter_table *t);
void counters_destroy(struct counters **counters);

/* Hot: a few instructions; no system call, and no shared cache line until the flush. */
void counter_add(struct counters *c, enum counter counter, size_t slot, int64_t n);

/* Tells the mapping. Once a turn. */
void counters_flush(struct counters *c);

const char *counter_name(enum counter c);
const char *counter_help(enum counter c);

/* Whether the counter has a label, and of which kind. */
bool counter_label(enum counter c, enum label_kind *kind);
