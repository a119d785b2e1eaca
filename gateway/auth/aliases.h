/* Other names of accounts: an exact line, or a pattern with one "*", as "COMPANY\*: *@example.com".
 * The file is parsed by one process, and read by all who have to know an account. */
#pragma once

#include "auth/account.h"
#include "base/error.h"
#include "base/sealed.h"

/* Parses the file in `fd`, called `path`. Returns a sealed descriptor, and how many lines count; or
 * -1, having added what is wrong to `errors`. */
int aliases_build(int fd, const char *path, const char *realm, size_t *count,
                  struct errors *errors);

/* The account that `given` means: that of the line with exactly this name, else of the first
 * pattern that fits, else the canonical name (see account_canonical). Case doesn't count. `aliases`
 * may be NULL. Returns 0, or -1: nobody's. */
int aliases_account(const struct sealed *aliases, struct span given, const char *realm,
                    char out[ACCOUNT_SIZE]);
