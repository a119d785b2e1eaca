/* Watched files: a line "KEY: value value", '#' comments. */
#pragma once

#include "base/error.h"
#include "base/span.h"

enum { LISTING_MAX = 16 * 1024 * 1024, LISTING_LINE_MAX = 4096 };

/* A line that says something; valid during the call. The key may have spaces in it: it ends at the
 * first colon with a blank behind it. */
struct listing_line {
    struct span key, value; /* neither is empty, neither has blanks at its ends */
    struct place at;
};

/* Reads the file, a regular one, from its begin, and hands each line to `take`. What is wrong is
 * added to `errors`, as FILE:LINE with `path`. */
void listing_read(int fd, const char *path,
                  void (*take)(void *owner, const struct listing_line *line), void *owner,
                  struct errors *errors);
