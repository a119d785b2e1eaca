/* Names that counters, health and limits are kept by: listeners, servers and rules. A name has the
 * same slot in every generation, so that what was counted goes on; a slot is free again when no
 * generation names it. Lies in the shared mapping; the master alone writes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum label_kind { LABEL_LISTENER, LABEL_SERVER, LABEL_RULE, LABEL_KIND_COUNT };

enum {
    LABEL_LISTENER_MAX = 64,
    LABEL_SERVER_MAX = 256,
    LABEL_RULE_MAX = 1024,
    LABEL_NAME_SIZE = 128
};

struct labels;

size_t labels_size(void);

/* The slot of `name` in this generation, or -1 when all are taken. `fresh` says whether the slot
 * was free before: what is kept by it is to be emptied. */
int label_claim(struct labels *l, enum label_kind kind, const char *name, unsigned generation,
                int *fresh);

/* The slot of a name that some generation has claimed; names that nobody has are a mistake of ours.
 */
size_t label_slot(const struct labels *l, enum label_kind kind, const char *name);

/* The generation has ended. */
void labels_release(struct labels *l, unsigned generation);

/* How many slots the kind has. */
size_t label_capacity(enum label_kind kind);

/* Copies the name in the slot; returns 0, or -1 when it is free. */
int label_name(const struct labels *l, enum label_kind kind, size_t slot,
               char out[LABEL_NAME_SIZE]);
