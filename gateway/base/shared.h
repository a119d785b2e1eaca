/* One mapping that all processes share: laid out region by region, made once, before the first
 * fork. It holds no pointers; whoever reads an index from it bounds it. */
#pragma once

#include "base/error.h"

#include <stddef.h>

struct shared_layout {
    size_t size;
};

/* Sets aside `size` bytes behind what is there. Returns the region's offset, page-aligned. */
size_t shared_reserve(struct shared_layout *layout, size_t size);

/* Maps it, all zeros; pages cost memory as they are used. NULL and why when it can't. */
void *shared_map(const struct shared_layout *layout, struct error *why);
