/* The master's children: a post is a job that somebody must hold; whoever falls is replaced. */
#pragma once

#include "process/files.h"
#include "process/role.h"
#include "process/sockets.h"

struct master_state;
struct generation;

enum { ANSWER_MAX = 12 * 1024 }; /* octets of an answer to a request of control's */

struct child {
    pid_t pid;
    size_t slot;
    struct channel *channel;
    int64_t started_ns;
    bool is_ready;
    bool is_killed; /* by us, because it was hung */
};

struct post {
    struct generation *generation;
    enum process_role role;
    unsigned index;
    struct child child; /* pid 0: nobody holds it */
    unsigned failures;  /* in a row, each after a short life */
    struct timeout *restart;
};

/* What one reading of the configuration has brought forth. */
struct generation {
    struct generation *next;
    struct master_state *master;
    unsigned number;
    struct prepared *prepared;
    int64_t certificates_told_ns; /* when; 0: it doesn't serve yet */
    int64_t ticket_period;        /* of the keys that its workers have; see tickets.h */
    struct files_asker files;
    int *listeners;     /* descriptors of the sockets, the sockets' own */
    struct post *posts; /* workers, auth processes, the helper if any, control */
    size_t post_count;
    bool is_retired; /* another serves; nobody is replaced but who is needed to the end */
};

/* What children need of the master. */
struct master_state {
    struct loop *loop;
    struct mapping mapping;
    struct sockets *sockets;
    int control; /* listening */
    int bell, root;
    size_t slot;         /* its own row */
    int (*log_pairs)[2]; /* by slot: [0] is read by control, [1] written; -1 until it is needed */
    struct generation *generations; /* the newest first */
    bool is_stopping;
    bool is_spool_failing; /* which was logged */
    struct event_log log;  /* its own lines */

    /* Called on a child's message, and when a child has ended. */
    void (*on_message)(struct master_state *m, struct post *p, const struct message *message);
    void (*on_end)(struct master_state *m, struct post *p, bool was_wanted);
};

/* Posts for all processes of the configuration; none is held yet. */
struct generation *generation_create(struct master_state *m, struct prepared *prepared,
                                     int *listeners, unsigned number);
void generation_destroy(struct generation **g);

/* Fills the post with a process. Returns 0, or -1 and why. */
int post_fill(struct post *p, struct error *why);

/* Sends to whoever holds it; nobody is fine. */
void post_send(struct post *p, enum message_type type, const void *payload);

/* Reaps all that have ended, and has posts filled again that must be. */
void children_reap(struct master_state *m);

/* Kills whoever has given no sign of life. */
void children_check(struct master_state *m);

/* How many posts of a role are held; of all roles with PROCESS_ROLES. In all generations when `g`
 * is NULL. */
size_t children_count(const struct master_state *m, const struct generation *g,
                      enum process_role role);

/* Does everybody in it serve? */
bool generation_is_ready(const struct generation *g);

/* Makes the pair that the process in `slot` logs through. Returns 0, or -1 and why. */
int log_pair_make(struct master_state *m, size_t slot, struct error *why);
