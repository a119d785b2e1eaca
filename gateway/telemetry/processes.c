#include "telemetry/processes.h"

#include <stdatomic.h>

struct row {
    _Atomic uint32_t is_used;
    _Atomic int32_t pid;
    _Atomic uint32_t role, index, generation, state;
    _Atomic int64_t started_wall_ns, tick_ns;
};

struct process_table {
    struct row rows[PROCESS_SLOT_MAX];
};

size_t process_table_size(void)
{
    return sizeof(struct process_table);
}

int process_claim(struct process_table *t, const struct process_row *row)
{
    for (int i = 0; i < PROCESS_SLOT_MAX; i++) {
        struct row *r = &t->rows[i];
        if (atomic_load(&r->is_used))
            continue;
        atomic_store(&r->pid, row->pid);
        atomic_store(&r->role, row->role);
        atomic_store(&r->index, row->index);
        atomic_store(&r->generation, row->generation);
        atomic_store(&r->state, row->state);
        atomic_store(&r->started_wall_ns, row->started_wall_ns);
        atomic_store(&r->tick_ns, row->tick_ns);
        atomic_store(&r->is_used, 1);
        return i;
    }
    return -1;
}

void process_set_pid(struct process_table *t, size_t slot, int32_t pid)
{
    atomic_store(&t->rows[slot].pid, pid);
}

void process_set_generation(struct process_table *t, size_t slot, uint32_t generation)
{
    atomic_store(&t->rows[slot].generation, generation);
}

void process_free(struct process_table *t, size_t slot)
{
    atomic_store(&t->rows[slot].is_used, 0);
}

void process_tick(struct process_table *t, size_t slot, int64_t now_ns)
{
    atomic_store_explicit(&t->rows[slot].tick_ns, now_ns, memory_order_relaxed);
}

void process_set_state(struct process_table *t, size_t slot, enum process_state state)
{
    atomic_store(&t->rows[slot].state, (uint32_t)state);
}

int process_read(const struct process_table *t, size_t slot, struct process_row *out)
{
    if (slot >= PROCESS_SLOT_MAX || !atomic_load(&t->rows[slot].is_used))
        return -1;
    const struct row *r = &t->rows[slot];
    *out = (struct process_row){
        .pid = atomic_load(&r->pid),
        .role = atomic_load(&r->role),
        .index = atomic_load(&r->index),
        .generation = atomic_load(&r->generation),
        .state = atomic_load(&r->state),
        .started_wall_ns = atomic_load(&r->started_wall_ns),
        .tick_ns = atomic_load(&r->tick_ns),
    };
    return 0;
}

const char *process_role_name(uint32_t role)
{
    static const char *const names[] = {"master", "worker", "auth", "control", "helper"};
    return role < sizeof names / sizeof *names ? names[role] : "?";
}

const char *process_state_name(uint32_t state)
{
    static const char *const names[] = {"starting", "serving", "draining", "stopping"};
    return state < sizeof names / sizeof *names ? names[state] : "?";
}
