/* What is kept over restarts, in one file of state_dir: the master reads it before the first fork,
 * writes it when something has changed, and at the end: bans and what people have set of
 * limits within ten seconds, known networks within ten minutes. It is never mapped, so nobody waits
 * for a disk but the master. A file that is torn, or of another version, is refused as a whole, and
 * replaced when there is something to write. */
#pragma once

#include "process/mapping.h"
#include "telemetry/event.h"

struct state {
    const struct mapping *mapping;
    const struct event_log *log;
    size_t process;                   /* the master's slot */
    uint64_t bans, known, set_limits; /* the versions of what is in the file */
    int64_t next_ns, late_ns;         /* when bans and limits, and anything, may be written again */
    bool is_failing;                  /* which was said */
};

/* Takes what is in the file into the mapping; what has ended meanwhile is left out. */
void state_load(struct state *s, const char *state_dir);

/* Writes it if something has changed, and unless `is_last` not sooner than it may. */
void state_save(struct state *s, const char *state_dir, int64_t now_ns, bool is_last);
