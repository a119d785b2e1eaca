/* The canonical name of an account: what every key, log line and store uses. */
#pragma once

#include "base/span.h"
#include "config/config.h"

enum { ACCOUNT_SIZE = 320 }; /* with the closing NUL: local part 64, @, domain 253 */

/* Writes the canonical name of `given`: lower case, `realm` appended where there is none, the
 * domain as A-labels (RFC 5890). Returns 0; or -1: a name with spaces, control characters or one of
 * \ % ! /, with two @, without local part, too long, or whose domain is none. */
int account_canonical(struct span given, const char *realm, char out[ACCOUNT_SIZE]);

/* The same for "@DOMAIN" as well, which stands for all of its accounts. */
int account_or_domain(struct span given, const char *realm, char out[ACCOUNT_SIZE]);

/* Writes an address, "local@domain", as it is compared with accounts: in lower case, its domain as
 * A-labels. Whatever isn't allowed in an account stays as it is. Returns its length, or 0: no @, or
 * too long. */
size_t account_address(struct span given, char out[ACCOUNT_SIZE]);

/* Writes what somebody who was called `given` and is `account` is called at the backend, and at a
 * server behind that is told his password. Returns 0; or -1: too long, or `how` is local and the
 * account's domain isn't `realm`: whoever picks a domain would be another account there. */
int account_login_name(enum login_name how, struct span given, const char *account,
                       const char *realm, char out[ACCOUNT_SIZE]);
