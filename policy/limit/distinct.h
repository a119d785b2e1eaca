/* The different elements of one half of a window, in a cell and its block: fingerprints as long as
 * they are few, then a sketch. Inside policy/limit. */
#pragma once

#include "policy/limit/cells.h"
#include "policy/limit/hyperloglog.h"

/* `print` is a hash of HYPERLOGLOG_BITS that nobody can choose. The cell's value is changed, not
 * its time. */
void distinct_add(const struct shard *s, struct cell *c, uint64_t print, int64_t now_us);

/* Of several cells together. */
struct distinct_set {
    uint64_t prints[2 * DISTINCT_LIST_MAX];
    size_t count; /* of `prints`, as long as it isn't one of sketches */
    bool is_sketch;
    unsigned char sketch[HYPERLOGLOG_SIZE];
};

/* Adds what is in the cell; at most two. */
void distinct_gather(struct distinct_set *set, const struct shard *s, const struct cell *c);

uint64_t distinct_count(const struct distinct_set *set);

/* Roughly, of a sketch: would it change nothing? */
bool distinct_has(const struct distinct_set *set, uint64_t print);
