/* xtext of RFC 3461 section 4: printable ASCII, with +XX for the rest. Pure. */
#pragma once

#include "base/span.h"

/* Is all of it xtext? */
bool xtext_is_valid(struct span s);

/* Encodes into `out`, which has `room` octets, with a closing NUL. Returns the length, or 0 when it
 * doesn't fit (or is empty). */
size_t xtext_encode(struct span s, char *out, size_t room);
