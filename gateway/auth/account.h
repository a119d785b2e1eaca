/* The canonical name of an account: what every key, log line and store uses. */
#pragma once

#include "base/span.h"

enum { ACCOUNT_SIZE = 320 }; /* with the closing NUL: local part 64, @, domain 253 */

/* Writes the canonical name of `given`: lower case, `realm` appended where there is none, the
 * domain as A-labels (RFC 5890). Returns 0; or -1: a name with spaces, control characters or one of
 * \ % ! /, with two @, without local part, too long, or whose domain is none. */
int account_canonical(struct span given, const char *realm, char out[ACCOUNT_SIZE]);
