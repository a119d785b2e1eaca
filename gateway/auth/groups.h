/* Files of accounts: one a line, or @example.com for all of a domain. */
#pragma once

#include "base/error.h"

/* Parses the file in `fd`, called `path`. Returns a sealed descriptor of a lookup by canonical name
 * or "@domain", and how many lines count; or -1, having added what is wrong to `errors`. */
int groups_build(int fd, const char *path, const char *realm, size_t *count, struct errors *errors);
