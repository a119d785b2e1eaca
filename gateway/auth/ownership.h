/* Files of addresses: "account: address, @domain, local+*@domain, *", with commas or blanks between
 * them. Lines of the same account add up. */
#pragma once

#include "base/error.h"

/* Parses the file in `fd`, called `path`. Returns a sealed descriptor as policy/ownership reads it,
 * and how many entries there are; or -1, having added what is wrong to `errors`. */
int ownership_read(int fd, const char *path, const char *realm, size_t *count,
                   struct errors *errors);
