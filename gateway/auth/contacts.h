/* Whom to tell of an account: files of "account: address", or "@example.com: address" for all of a
 * domain that have no line of their own. */
#pragma once

#include "base/error.h"
#include "base/sealed.h"

/* Parses the file in `fd`, called `path`. Returns a sealed descriptor, and how many lines count; or
 * -1, having added what is wrong to `errors`. */
int contacts_build(int fd, const char *path, const char *realm, size_t *count,
                   struct errors *errors);

/* The address of a canonical account, which lies in the list; empty: nobody is named. `contacts`
 * may be NULL. */
struct span contacts_find(const struct sealed *contacts, struct span account);
