/* The master's part of limits in memory: what counts is written to a file in state_dir every ten
 * seconds and at the end, and read at the start. It is never mapped, so no worker waits for a disk;
 * and it is written shard by shard, eight of 64 a second, so that the master isn't held up either.
 * It isn't forced to the disk: after a power failure it may be incomplete, and then limits start
 * empty. */
#pragma once

#include "process/mapping.h"
#include "telemetry/event.h"

struct limits;

/* Lives as long as the master, whose slot among the processes is given. Out of memory ends the
 * program. */
struct limits *limits_create(struct mapping *map, size_t slot, const struct event_log *log);
void limits_destroy(struct limits **l);

/* At the start, once rules have their slots, and before anybody else knows of the memory: takes
 * what is in the file, if there is one, and makes the memory's key that of the file. */
void limits_load(struct limits *l, const char *state_dir);

/* Once a second. Where there is no rule, nothing is written. */
void limits_turn(struct limits *l, const char *state_dir, int64_t now_ns);

/* At the end, when nobody counts any more: writes all there is. Nothing is written after it. */
void limits_finish(struct limits *l, const char *state_dir);

/* The rule's slot is another's now. What it had comes to an end. */
void limits_clear(struct limits *l, size_t rule);
