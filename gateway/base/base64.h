/* Base 64 of RFC 4648 section 4, strictly: no spaces, all padding there, no bits left over. */
#pragma once

#include "base/span.h"

#include <sys/types.h>

/* Octets needed to encode `size`, with the closing NUL. */
#define BASE64_ENCODED_SIZE(size) (((size) + 2) / 3 * 4 + 1)

/* Encodes all of `in`, with a closing NUL; `out` has room for BASE64_ENCODED_SIZE of it. Returns
 * the length without the NUL. */
size_t base64_encode(struct span in, char *out);

/* Decodes into `out`, which has `room` octets. Returns how many, or -1: not base 64, or no room. */
ssize_t base64_decode(struct span in, char *out, size_t room);
