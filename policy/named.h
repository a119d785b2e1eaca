/* Things by their names, in an arena: each begins with its name. Pure. */
#pragma once

#include "base/span.h"

struct arena;

/* Plain data; an empty one has the arena alone. */
struct named {
    struct arena *arena;
    void **table; /* by a hash of the name; NULL: nothing is there */
    size_t count, room;
};

/* Begins each thing. */
struct named_head {
    const char *name;
};

/* The thing of that name, made of `size` zeros where there was none. NULL without memory. */
void *named_get(struct named *n, struct span name, size_t size);
