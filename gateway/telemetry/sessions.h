/* The sessions of all workers and generations: a row for each, in the shared mapping. A row is also
 * the permit to be one, so that there are never more than max_connections, nor of one network more
 * than max_connections_per_ip. What a killed process held is given back with its rows. */
#pragma once

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum session_state {
#define SESSION_STATE(name, text) SESSION_##name,
#include "telemetry/session_states.def"
#undef SESSION_STATE
    SESSION_STATE_COUNT
};

enum { SESSION_ACCOUNT_SIZE = 128, SESSION_CLIENT_SIZE = 56 };

/* What is told of a session. A copy when read, with every text closed. */
struct session_row {
    char id[16];
    char client[SESSION_CLIENT_SIZE];
    char account[SESSION_ACCOUNT_SIZE];
    int64_t started_wall_ns;
    uint32_t listener; /* its label's slot */
    uint32_t messages; /* taken by the upstream, or read from a mailbox */
    uint32_t deleted;  /* from a mailbox */
    uint8_t is_tls;
};

/* Of what a session holds elsewhere: octets that mean something there alone (decision/leases.h). */
enum { SESSION_HELD_MAX = 512 };

/* A process's way to the rows. The capacity is kept here: nothing in the mapping is believed. */
struct session_table {
    struct session_region *region; /* in the shared mapping */
    size_t capacity;
};

/* The region's size. */
size_t session_table_size(size_t capacity);

/* A free row among the first `limit`, at most the capacity, now owned by the process in `slot` (its
 * row in the table of processes), or -1: all are taken. */
int session_claim(const struct session_table *t, size_t limit, size_t slot);

/* The row's client is of this network (not 0; see network_number). Returns 0; or -1: there are
 * `max` rows of it already, and this one isn't counted.
 *
 * Hot: a few stores. Where the network, or one that shares its place, has many rows, 8 octets are
 * read for each row there is. */
int session_join(const struct session_table *t, int row, uint64_t network, size_t max);

/* Hot: writes the row; a copy, no system call. The owner alone. */
void session_write(const struct session_table *t, int row, const struct session_row *content);

/* Hot: one store. */
void session_set_state(const struct session_table *t, int row, enum session_state state);
void session_set_messages(const struct session_table *t, int row, uint32_t messages,
                          uint32_t deleted);
void session_free(const struct session_table *t, int row);

/* What it holds now, SESSION_HELD_MAX octets at most. The owner alone. */
void session_set_held(const struct session_table *t, int row, struct span held);

/* Ends all sessions of a process that has ended. `fn` gives back what each has held, and returns
 * what it can't, an end of `held`, which lies in a copy: such a row goes to the process in `heir`,
 * who has to free it; all others are free. `heir` is -1, and `fn` NULL, where there is none.
 * Returns how many have gone to the heir. */
size_t session_end_all(const struct session_table *t, size_t slot, int heir,
                       struct span (*fn)(void *owner, struct span held), void *owner);

/* Frees all rows of a process, whatever they hold. Returns how many. */
size_t session_free_all(const struct session_table *t, size_t slot);

/* Calls `fn` with a copy of what each row of a process holds. */
void session_each_held(const struct session_table *t, size_t slot,
                       void (*fn)(void *owner, int row, struct span held), void *owner);

/* Copies a row that is in use: 0, or -1 when it is free or always changing. `owner` is the slot of
 * its process. */
int session_read(const struct session_table *t, size_t row, struct session_row *out,
                 enum session_state *state, size_t *owner);

/* How many rows are in use, of one process or with -1 of all. */
size_t session_count(const struct session_table *t, int slot);

/* How many rows are of a network, as session_join counts them. */
size_t session_count_network(const struct session_table *t, uint64_t network);

const char *session_state_name(enum session_state state);
