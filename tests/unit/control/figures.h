/* A gateway's figures, as its processes keep them in the shared mapping, and a board over them. */
#pragma once

#include "control/board.h"

#include "base/clock.h"

#include "telemetry/mapping.h"

enum { FIGURES_SESSIONS = 5000 };

#define FIGURES_NOW (INT64_C(1795540385) * CLOCK_SECOND)

static struct {
    struct config config;
    struct labels *labels;
    struct counter_table *table;
    struct process_table *processes;
    struct health *health;
    struct counters *counters;
    struct board board;
} figures;

static inline void figures_begin(void)
{
    figures.config = (struct config){.hostname = "mail.example.com", .max_connections = 4000};
    figures.labels = mapping_make(labels_size());
    figures.table = mapping_make(counter_table_size());
    figures.processes = mapping_make(process_table_size());
    figures.health = mapping_make(health_size());
    figures.counters = counters_create(figures.table);
    ck_assert_ptr_nonnull(figures.counters);
    figures.board = (struct board){
        .config = &figures.config,
        .labels = figures.labels,
        .counters = figures.table,
        .processes = figures.processes,
        .health = figures.health,
        .sessions = {mapping_make(session_table_size(FIGURES_SESSIONS)), FIGURES_SESSIONS}};
}

static inline void figures_end(void)
{
    counters_destroy(&figures.counters);
}

static inline size_t figures_label(enum label_kind kind, const char *name)
{
    int fresh, slot = label_claim(figures.labels, kind, name, 1, &fresh);
    ck_assert_int_ge(slot, 0);
    return (size_t)slot;
}

/* A process that has run for so long. Returns its slot. */
static inline size_t figures_process(enum process_role role, uint32_t index, int32_t pid,
                                     int64_t age_ns)
{
    const struct process_row row = {.pid = pid,
                                    .role = role,
                                    .index = index,
                                    .generation = 3,
                                    .state = PROCESS_SERVING,
                                    .started_wall_ns = FIGURES_NOW - age_ns};
    int slot = process_claim(figures.processes, &row);
    ck_assert_int_ge(slot, 0);
    return (size_t)slot;
}

/* A session of the process in `slot`, in a row that is returned. */
static inline int figures_session(size_t slot, const struct session_row *content)
{
    int row = session_claim(&figures.board.sessions, FIGURES_SESSIONS, slot);
    ck_assert_int_ge(row, 0);
    session_write(&figures.board.sessions, row, content);
    session_set_state(&figures.board.sessions, row, SESSION_COMMAND);
    return row;
}
