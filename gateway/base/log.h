/* Lines on their way to the process that writes the log: gathered for a hundredth of a second, sent
 * together, never waited for. What doesn't fit is dropped and counted. They are gathered in memory
 * that outlives the process: whoever starts another sends what it had still to say. */
#pragma once

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* "debug", "info", "warning", "error", then NULL. */
extern const char *const log_level_names[];

struct log;
struct log_memory; /* what is gathered: zeros are nothing */

size_t log_memory_size(void);

/* A log whose lines go over the datagram socket `fd`, not owned, or with -1 to standard error at
 * once. Lines below `threshold` are left out. NULL without memory. */
struct log *log_create(int fd, enum log_level threshold);

/* The same; its lines are gathered in `memory`, not owned, of nobody else, and empty from now on.
 */
struct log *log_create_in(struct log_memory *memory, int fd, enum log_level threshold);
void log_destroy(struct log **log);

bool log_takes(const struct log *log, enum log_level level);

/* Takes one line, without its end; control characters in it must have been escaped. */
void log_line(struct log *log, enum log_level level, struct span line);

/* Once a turn, at its end: sends what was gathered when that is due. Returns when it is due next
 * (of the clock that `now_ns` is of), or INT64_MAX: nothing is left. */
int64_t log_turn(struct log *log, int64_t now_ns);

/* Sends what was gathered. */
void log_flush(struct log *log);

/* Sends over `fd` what a process that has ended left in its memory, which it may have spoiled. */
void log_rescue(struct log_memory *memory, int fd);

/* How many lines were dropped since the last call. */
unsigned log_take_dropped(struct log *log);

/* The reader's side: each line of one datagram. What doesn't follow the format is left out. */
void log_lines_each(struct span datagram,
                    void (*take)(void *owner, enum log_level level, struct span line), void *owner);

enum { LOG_DATAGRAM_MAX = 32 * 1024 };
