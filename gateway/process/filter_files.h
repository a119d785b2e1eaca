/* Watched files of a process without a master: looked at and parsed in its loop, which they hold up
 * for as long as that takes. */
#pragma once

#include "process/prepare.h"
#include "telemetry/event.h"

/* Once a second: takes those that have changed, and logs it. One that can't be read, is wrong, or
 * has lost half of its lines isn't taken: the old stays in force. */
void filter_files_look(struct prepared *p, const struct event_log *log, int64_t now_ns);

/* Takes all of them as they are now, whatever is missing: an order. */
void filter_files_reload(struct prepared *p, const struct event_log *log);
