/* What people order of suspensions: porteiroctl's suspend, resume and suspended. */
#pragma once

#include "auth/cache.h"
#include "decision/bans.h"
#include "decision/guessing.h"
#include "telemetry/event.h"
#include "telemetry/processes.h"

#include <jansson.h>
#include <sys/types.h>

/* Where they lie, and who writes. */
struct suspending {
    struct bans *bans;
    const struct event_log *log;
    size_t process;                  /* this one's slot */
    uint64_t key[GUESSING_KEY_SIZE]; /* of an account's hash */
    struct auth_cache cache;         /* of any generation: what is suspended logs in anew */
    const struct process_table *processes;
};

/* {"account": NAME, "scope": "sending" or "all", "seconds": N, "reason": TEXT}; 0 seconds: until it
 * is resumed. Takes the place of whatever suspension there is. Return 0 and what was done, or -1
 * and why not. */
int suspending_suspend(const struct suspending *s, const json_t *request, uid_t uid,
                       struct error *said);

/* {"account": NAME}, whoever or whatever has suspended it. */
int suspending_resume(const struct suspending *s, const json_t *request, uid_t uid,
                      struct error *said);

/* What is in a place below BANS_MAX, or NULL: no account is suspended there. The caller's. */
json_t *suspending_row(const struct suspending *s, size_t place, int64_t now_wall_ns);
