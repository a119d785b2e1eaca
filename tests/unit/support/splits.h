/* Every way in which the network may cut an input. */
#pragma once

#include "base/span.h"

/* Calls `feed` for each piece in order; between two cuttings `restart`. The cuttings: whole, in two
 * at every byte, and byte by byte. */
static inline void every_split(struct span input, void (*restart)(void *owner),
                               void (*feed)(void *owner, struct span piece),
                               void (*done)(void *owner), void *owner)
{
    for (size_t cut = 0; cut <= input.size; cut++) {
        restart(owner);
        feed(owner, span_make(input.data, cut));
        feed(owner, span_make(input.data + cut, input.size - cut));
        done(owner);
    }
    restart(owner);
    for (size_t i = 0; i < input.size; i++)
        feed(owner, span_make(input.data + i, 1));
    done(owner);
}
