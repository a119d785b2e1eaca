/* Files of overrides: "account: LIMIT RATE [BURST]", one or several of them a line; of a limit by
 * max "account: LIMIT MAX". "@example.com" is all of a domain. */
#pragma once

#include "config/config.h"

/* Parses the file in `fd`, called `path`, of the policies that have it. Returns a sealed descriptor
 * of a lookup as policy/overrides reads it, and how many overrides there are; or -1, having added
 * what is wrong to `errors`. */
int overrides_build(const struct config *config, int fd, const char *path, size_t *count,
                    struct errors *errors);
