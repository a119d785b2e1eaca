/* Memory with one end: what a session needs for its life is taken here and goes with it. */
#pragma once

#include "base/span.h"

struct arena;

/* An arena of at most `limit` bytes, or NULL when there is no memory. */
struct arena *arena_create(size_t limit);
void arena_destroy(struct arena **arena);

/* Everything taken so far is given back; the first block is kept for what follows. */
void arena_reset(struct arena *a);

/* `size` zeroed bytes, aligned for anything, or NULL past the limit or without memory. */
void *arena_alloc(struct arena *a, size_t size);

/* A copy that ends in NUL (not counted in the size of `s`), or NULL likewise. */
char *arena_copy(struct arena *a, struct span s);

/* Formatted text, or NULL likewise. */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
