/* What every child has: its loop, its log, its place in the shared mapping, its way to the master.
 */
#pragma once

#include "ipc/dialler.h"
#include "process/mapping.h"
#include "process/prepare.h"
#include "telemetry/event.h"

/* What a child is born with. Descriptors are its own. */
struct birth {
    enum process_role role;
    unsigned index, generation;
    size_t slot;
    const struct prepared *prepared;
    const struct mapping *mapping;
    int master, log;      /* its ends of the channel and of its log's pair */
    int bell;             /* of all workers: see upstream/servers */
    int control;          /* listening; control's alone */
    const int *listeners; /* worker's: one for each address, in the order of the configuration */
    int root;             /* an empty one; -1: none */
};

struct role {
    const struct birth *birth;
    const struct config *config;
    struct loop *loop;
    struct log *lines;
    struct event_log log;
    unsigned untold; /* lines that were dropped, and of which no line says so yet */
    struct counters *counters;
    struct channel *master; /* NULL when the master is gone */
    struct dialler *dialler;
    struct timeout *tick, *flush; /* flush: lines are due */
    enum process_state state;
    char name[32];
    void (*on_message)(struct role *r, const struct message *m); /* NULL: the master is gone */
};

/* Gives up what the role doesn't need, and makes what all roles have. A failure ends the process:
 * the master starts another, or says why it can't. */
void role_begin(struct role *r, const struct birth *birth,
                void (*on_message)(struct role *r, const struct message *m));

/* Gives up the system calls that the role doesn't need to serve, says that it serves, and turns its
 * loop until that is stopped. */
void role_run(struct role *r);

/* Frees what role_begin has made. */
void role_end(struct role *r);

/* From which level on lines go to control, which counts and tells of what comes at level info,
 * whatever the log is to have. */
enum log_level role_level(const struct config *c);

/* Changes the state, in the shared mapping and in the title. */
void role_set_state(struct role *r, enum process_state state);

/* The roles: they return when the process is to end. */
void worker_main(const struct birth *birth);
void auth_main(const struct birth *birth);
void control_main(const struct birth *birth);
void helper_main(const struct birth *birth);
