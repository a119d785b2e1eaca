/* xtext of RFC 3461 section 4: printable ASCII, with +XX for what has a meaning there. Pure. */
#pragma once

#include "base/span.h"

#include <sys/types.h>

/* Is all of it xtext, and what it stands for printable ASCII? RFC 3461 sections 4.2 and 4.4 ask for
 * both: else a line's end would travel on in it. */
bool xtext_is_valid(struct span s);

/* Decodes into `out`, which has `room` octets; what it stands for may be any octet. Returns the
 * length, or -1 when it is no xtext or doesn't fit. */
ssize_t xtext_decode(struct span s, char *out, size_t room);

/* Encodes into `out`, which has `room` octets, with a closing NUL. Returns the length, or 0 when it
 * doesn't fit (or is empty). */
size_t xtext_encode(struct span s, char *out, size_t room);

/* " NAME=value" of a command, encoded, with a closing NUL. Returns its length, or 0 likewise. */
size_t xtext_attribute(const char *name, const char *value, char *out, size_t room);
