/* A secret that was said to somebody is kept out of what he answers: some servers repeat the line
 * that they refuse, and their words go into logs and to clients. Pure. */
#pragma once

#include "base/span.h"

enum { MASK_SIZE = 1024 };

/* The first MASK_SIZE octets of `text`, written into `out`, with "***" in place of what repeats one
 * of the `count` secrets, in whatever case: all of it, or six octets in a row of one that is
 * longer, since servers cut what they repeat. Empty secrets are passed over. */
struct span mask_secrets(struct span text, const struct span *secrets, size_t count,
                         char out[MASK_SIZE]);
