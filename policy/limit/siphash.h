/* SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012): a hash of which nobody can make
 * collisions who doesn't know its key. Pure. */
#pragma once

#include "base/span.h"

void siphash(const uint64_t key[2], struct span bytes, uint64_t out[2]);
