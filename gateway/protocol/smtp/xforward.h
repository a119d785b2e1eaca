/* XFORWARD: whose message comes next, for the log of a Postfix behind. Unlike XCLIENT it changes
 * nothing else, and may be said before each MAIL of a shared connection. Pure. */
#pragma once

#include "base/span.h"

enum xforward_attribute {
    XFORWARD_NAME,
    XFORWARD_ADDR,
    XFORWARD_PORT,
    XFORWARD_PROTO,
    XFORWARD_HELO,
    XFORWARD_IDENT,
    XFORWARD_SOURCE,
    XFORWARD_COUNT
};

/* NUL-ended; NULL: not known, which is said too, so that nothing of the client before stays. */
struct xforward_values {
    const char *value[XFORWARD_COUNT];
};

/* A bit for each attribute in the words of an XFORWARD capability that we know. */
unsigned xforward_parse(struct span words);

/* Writes the `*next`th and following attributes that are in `wanted` as one command of at most 512
 * octets into `out`, with CRLF and a closing NUL, and moves `*next` behind them. Returns its
 * length, or 0 when nothing is left to say. */
size_t xforward_command(const struct xforward_values *values, unsigned wanted, unsigned *next,
                        char out[513]);
