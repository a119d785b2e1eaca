/* Points in time that are waited for, the earliest on top: a pairing heap of structs that lie in
 * their owners, so that nothing is allocated and nothing fails. Pure. */
#pragma once

#include "net/loop.h"

struct timeout {
    struct timeout *child, *next, *previous; /* previous: the sibling before it, or the parent */
    struct loop *loop;
    loop_fn *fn;
    void *owner;
    int64_t at_ns;    /* 0: not set */
    int64_t armed_ns; /* what it stands in the heap with; 0: it doesn't */
};

/* Puts it in, with its armed_ns. A few stores. */
void timeouts_add(struct timeout **top, struct timeout *t);

/* Takes it out, which is in. Amortized in the logarithm of how many there are. */
void timeouts_remove(struct timeout **top, struct timeout *t);
