/* Octets that one process has made and nobody changes any more: a sealed memfd, which others map.
 */
#pragma once

#include "base/error.h"
#include "base/span.h"

/* A memfd with these octets, sealed. `name` is for /proc. Returns the descriptor, or -1 and why. */
int sealed_make(const char *name, struct span bytes, struct error *why);

/* One that is mapped; {0}: none. The mapping outlives the descriptor. */
struct sealed {
    struct span bytes;
};

/* Maps what is in `fd`, in place of what was there. Returns 0; or -1 and why: it isn't sealed, or
 * can't be mapped; then what was there stays. */
int sealed_map(struct sealed *s, int fd, struct error *why);
void sealed_unmap(struct sealed *s);
