/* Watched files, parsed: each kind by the room that it is for. */
#pragma once

#include "config/config.h"

/* Parses the file in `fd`, that of `index` in the configuration's `watched`. Returns a sealed
 * descriptor (see base/sealed) and how many lines count; or -1, having added what is wrong to
 * `errors`. */
int watched_build(const struct config *config, size_t index, int fd, size_t *count,
                  struct errors *errors);
