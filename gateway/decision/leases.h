/* What a session holds at a time, as octets in its row of the table of sessions: whoever outlives
 * its process gives it back. What is in memory stands first, by its name there; then what is in
 * Redis, by key. Nothing of it is believed by who reads it. */
#pragma once

#include "decision/decision.h"
#include "telemetry/sessions.h"

struct lease_text {
    char octets[SESSION_HELD_MAX];
    size_t size;
};

/* Writes what the lists have of it; where there is no room for all, the rest ends by itself. */
void leases_write(const struct receipt *const lists[], size_t count, struct lease_text *out);

/* Gives back what is in memory. Returns the rest. */
struct span leases_release(struct span held, struct memory *m);

/* Takes one that is in Redis off the front: `out` gives it back, its key lies in `held`. False:
 * there is no other. */
bool leases_next(struct span *held, struct counter_settle *out);
