/* Files of days on which hours don't count: one a line, as 2026-12-25, or 12-25 for every year. */
#pragma once

#include "base/error.h"

/* Parses the file in `fd`, called `path`. Returns a sealed descriptor of a lookup as policy/closed
 * reads it, and how many lines count; or -1, having added what is wrong to `errors`. */
int closed_days_build(int fd, const char *path, size_t *count, struct errors *errors);
