/* A reader of the delegation protocol under every split of its input. */
#pragma once

#include "protocol/said.h"
#include "support/splits.h"

/* What a reader has said of an input. `outcome` is the reader's: below 0 it takes no more. */
struct reading {
    struct leftover in;
    struct said said;
    int outcome;
    const char *expected;
};

static inline void reading_restart(void *owner)
{
    struct reading *r = owner;
    leftover_drop(&r->in);
    say_nothing(&r->said);
    r->outcome = 0;
}

static inline void reading_done(void *owner)
{
    const struct reading *r = owner;
    said_is(&r->said, r->expected, r->in.rest.data);
}

/* `feed` is handed the struct and each piece. */
static inline void is_read_by(void (*feed)(void *owner, struct span piece), struct span input,
                              const char *expected)
{
    struct reading r = {.expected = expected};
    every_split(input, reading_restart, feed, reading_done, &r);
    leftover_drop(&r.in);
}
