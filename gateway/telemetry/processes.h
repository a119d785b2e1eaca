/* Who runs: a row for each process, in the shared mapping. The master gives rows out and takes them
 * back; a process writes its own state and its tick, by which the master sees that it lives. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { PROCESS_SLOT_MAX = 1024 };

enum process_role {
    PROCESS_MASTER,
    PROCESS_WORKER,
    PROCESS_AUTH,
    PROCESS_CONTROL,
    PROCESS_HELPER,
    PROCESS_ROLES
};

enum process_state {
    PROCESS_STARTING,
    PROCESS_SERVING,
    PROCESS_DRAINING, /* takes no new work; ends with its last session */
    PROCESS_STOPPING
};

/* A copy of a row. */
struct process_row {
    int32_t pid;
    uint32_t role, index, generation, state; /* of the enums above, unchecked */
    int64_t started_wall_ns, tick_ns;
};

struct process_table;

size_t process_table_size(void);

/* The master's. A free slot filled in, or -1. */
int process_claim(struct process_table *t, const struct process_row *row);
void process_set_pid(struct process_table *t, size_t slot, int32_t pid);
void process_set_generation(struct process_table *t, size_t slot, uint32_t generation);
void process_free(struct process_table *t, size_t slot);

/* The process's own. */
void process_tick(struct process_table *t, size_t slot, int64_t now_ns);
void process_set_state(struct process_table *t, size_t slot, enum process_state state);

/* Copies a row; returns 0, or -1 when the slot is free. */
int process_read(const struct process_table *t, size_t slot, struct process_row *out);

/* "worker", "serving"; "?" for what is none. */
const char *process_role_name(uint32_t role);
const char *process_state_name(uint32_t state);
