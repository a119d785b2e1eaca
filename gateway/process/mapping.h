/* The one shared mapping: which room's region lies where. Made by the master before the first fork,
 * kept over reloads and crashes. */
#pragma once

#include "auth/cache.h"
#include "base/error.h"
#include "base/log.h"
#include "base/spool.h"
#include "control/witness.h"
#include "decision/bans.h"
#include "decision/guessing.h"
#include "decision/memory.h"
#include "decision/senders.h"
#include "decision/set_limits.h"
#include "sasl/backend.h"
#include "sasl/secrets.h"
#include "telemetry/counters.h"
#include "telemetry/processes.h"
#include "telemetry/sessions.h"
#include "upstream/health.h"

struct mapping {
    struct labels *labels;
    struct counter_table *counters;
    struct process_table *processes;
    struct session_table sessions;
    struct health *health;
    struct backend *backend;
    struct auth_cache_table *auth_cache;
    struct memory_region *limits;
    struct bans *bans;
    struct known *known;
    struct set_limits *set_limits;
    char *logs; /* of all slots, in a mapping of its own: mapping_log */
    size_t log_stride;
    struct witness_memory *witness; /* in a mapping of its own, which control alone keeps */
    struct senders *senders;
    struct holding *holding;
    /* Inherited, and not in the mapping. */
    unsigned char auth_cache_key[AUTH_CACHE_KEY_SIZE], sasl_secret[SASL_SECRET_SIZE];
    uint64_t limits_key[2], guessing_key[GUESSING_KEY_SIZE];
};

/* Lays it out for `max_connections` sessions. Returns 0, or -1 and why. */
int mapping_create(struct mapping *m, size_t max_connections, struct error *why);

/* Where the process in `slot` gathers its lines. */
struct log_memory *mapping_log(const struct mapping *m, size_t slot);

/* Gives up what the process in `slot` has no business with: lines that others have gathered, and
 * what is control's alone. */
void mapping_hide(const struct mapping *m, size_t slot, bool is_control);

/* What a process that has ended held: its sessions, its permits, its locks, its row. Rows of
 * sessions that hold something in Redis go to the process in `heir`, which gives it back; -1: there
 * is none. Returns how many. */
size_t mapping_release(const struct mapping *m, size_t slot, int heir);
