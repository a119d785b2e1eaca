/* What a command is told of at once, and what is folded: the first event under a key is due now,
 * those that come within its period are counted and due together at its end. So many keys have a
 * place; one is free again when its period has ended and nothing is due. Plain data without
 * pointers; pure: time is an argument. */
#pragma once

#include "base/span.h"

enum { FOLDING_PLACES = 1024, FOLDING_KEY_MAX = 512, FOLDING_LINE_MAX = 4096 };

struct folding;

/* Octets of memory, all zeros at first. About 4.5 MiB, used as it fills. */
size_t folding_size(void);

/* It has happened again, as `line` tells: a copy of the last is kept. Returns 1: it is due now; 0:
 * it is counted; -1: there is no place, or key or line are too long. */
int folding_add(struct folding *f, struct span key, struct span line, int64_t now_ns);

struct fold {
    size_t place;
    struct span key, line; /* they lie in the place */
    uint32_t folded; /* how many came within a period in which one was told; else how many more came
                        before this one could be */
};

/* The next that is due, from the place `*at` on, which goes past it. Returns false: none is. */
bool folding_due(const struct folding *f, size_t *at, int64_t now_ns, struct fold *out);

/* It was told: the next is due at `until_ns` at the earliest. */
void folding_told(struct folding *f, size_t place, int64_t until_ns);

/* It could not be told yet: it is due then, with what comes meanwhile. */
void folding_put_off(struct folding *f, size_t place, int64_t until_ns);
