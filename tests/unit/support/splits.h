/* Every way in which the network may cut an input. */
#pragma once

#include "base/span.h"

#include <stdlib.h>

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

/* What a reader has not taken yet, in memory of exactly that size, so that a sanitizer sees a look
 * past its end. { NULL } is an empty one. */
struct leftover {
    char *bytes;
    struct span rest;
};

/* Puts `piece` behind the rest. Returns where to take from. */
static inline struct span *leftover_join(struct leftover *l, struct span piece)
{
    size_t size = l->rest.size + piece.size;
    char *bytes = malloc(size == 0 ? 1 : size);
    if (bytes == NULL)
        abort();
    if (l->rest.size > 0)
        memcpy(bytes, l->rest.data, l->rest.size);
    if (piece.size > 0)
        memcpy(bytes + l->rest.size, piece.data, piece.size);
    free(l->bytes);
    l->bytes = bytes;
    l->rest = span_make(bytes, size);
    return &l->rest;
}

static inline void leftover_drop(struct leftover *l)
{
    free(l->bytes);
    *l = (struct leftover){.bytes = NULL};
}
