/* Keys for one purpose, made from a secret (HKDF, RFC 5869, with SHA-256). */
#pragma once

#include "base/span.h"

/* Writes `size` octets, 8,160 at most, that say nothing of the secret, nor of what was made for
 * another purpose. Out of memory ends the program: it is the master's. */
void hkdf_derive(struct span secret, const char *purpose, void *out, size_t size);
