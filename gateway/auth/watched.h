/* Watched files, parsed: each kind by the room that it is for. */
#pragma once

#include "base/sealed.h"
#include "config/config.h"

/* Parses the file in `fd`, that of `index` in the configuration's `watched`. Returns a sealed
 * descriptor (see base/sealed) and how many lines count; or -1, having added what is wrong to
 * `errors`. */
int watched_build(const struct config *config, size_t index, int fd, size_t *count,
                  struct errors *errors);

/* Opens the one at `path`, a pipe or a device too, without waiting. Returns -1 as open(2). */
int watched_open(const char *path);

/* Opens, parses and maps it, and notes how many lines count; else adds what is wrong. `out` is an
 * empty one, of which the configuration learns where it names it. */
void watched_load(const struct config *config, size_t index, struct sealed *out, size_t *count,
                  struct errors *errors);
