/* What control tells of the gateway, read from the shared mapping: for porteiroctl. */
#pragma once

#include "config/config.h"
#include "telemetry/counters.h"
#include "telemetry/processes.h"
#include "telemetry/sessions.h"
#include "upstream/health.h"

#include <jansson.h>

/* Where to read. */
struct board {
    const struct config *config;
    const struct labels *labels;
    const struct counter_table *counters;
    const struct process_table *processes;
    const struct health *health;
    struct session_table sessions;
};

/* The whole gateway in figures: processes, listeners, servers behind, counters. The caller's; NULL
 * without memory. */
json_t *board_status(const struct board *b, int64_t now_wall_ns);

/* The session in `row`, or NULL when there is none. The caller's. */
json_t *board_session(const struct board *b, size_t row, int64_t now_wall_ns);
