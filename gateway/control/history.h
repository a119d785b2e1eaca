/* The last lines of the log, as many as fit a ring of HISTORY_SIZE octets. Plain data without
 * pointers; pure: time is an argument. */
#pragma once

#include "base/span.h"

enum { HISTORY_SIZE = 8 * 1024 * 1024, HISTORY_LINE_MAX = 8192 };

struct history;

/* Octets of memory, all zeros at first; used as it fills. */
size_t history_size(void);

/* It is kept from now on. */
void history_begin(struct history *h, int64_t now_s);

/* Adds a copy of the line, for which the oldest make room. One that is longer than HISTORY_LINE_MAX
 * is left out. */
void history_add(struct history *h, struct span line, int64_t now_s);

/* From the oldest on: `at` is 0 at first. Returns false behind the last. The line is valid until
 * the next is added. */
bool history_next(const struct history *h, uint64_t *at, struct span *line);

/* Since when every line is here. */
int64_t history_since(const struct history *h);
