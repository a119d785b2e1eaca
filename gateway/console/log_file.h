/* Logs that people name: files, or "-" for standard input. */
#pragma once

#include "policy/record.h"

struct log_totals {
    size_t lines, unread; /* that are none of ours, or too long */
};

/* Gives each line of ours to `take`, which returns 0, or -1: that is enough. Returns 0; or -1,
 * having said on standard error what can't be read. */
int log_file_read(const char *path, int (*take)(void *owner, const struct record_line *line),
                  void *owner, struct log_totals *totals);
