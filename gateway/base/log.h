/* Lines on their way to the process that writes the log: gathered, sent once a turn of the loop,
 * never waited for. What doesn't fit is dropped and counted. */
#pragma once

#include "base/span.h"

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* "debug", "info", "warning", "error", then NULL. */
extern const char *const log_level_names[];

struct log;

/* A log whose lines go over the datagram socket `fd`, not owned, or with -1 to standard error at
 * once. Lines below `threshold` are left out. NULL without memory. */
struct log *log_create(int fd, enum log_level threshold);
void log_destroy(struct log **log);

bool log_takes(const struct log *log, enum log_level level);

/* Takes one line, without its end; control characters in it must have been escaped. */
void log_line(struct log *log, enum log_level level, struct span line);

/* Sends what was gathered. Once a turn. */
void log_flush(struct log *log);

/* How many lines were dropped since the last call. */
unsigned log_take_dropped(struct log *log);

/* The reader's side: each line of one datagram. What doesn't follow the format is left out. */
void log_lines_each(struct span datagram,
                    void (*take)(void *owner, enum log_level level, struct span line), void *owner);

enum { LOG_DATAGRAM_MAX = 32 * 1024 };
