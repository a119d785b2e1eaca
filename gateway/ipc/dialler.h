/* Connections to unix sockets, for a process that sees no path: the master makes them. Asked for is
 * a place in the configuration, never a path. */
#pragma once

#include "ipc/channel.h"

struct dialler;

/* Called once, by the loop: the connection, non-blocking, the caller's from now on; or -1: it can't
 * be had. It may ask again. */
typedef void dialled_fn(void *owner, int fd);

/* One that is asked for. It lies in its owner, all zero at first. */
struct dial {
    struct ticket ticket;
    dialled_fn *fn;
    void *owner;
};

/* NULL without memory. `master` is looked at with each question; NULL there: it is gone. */
struct dialler *dialler_create(struct channel *const *master);
void dialler_destroy(struct dialler **dialler);

/* Asks for a connection to the path that stands at `index` among those of its kind; what `d` asked
 * for before is forgotten. There is no time-out: whoever can't wait forgets it. Returns 0; or -1:
 * there is nobody to ask, or too much is asked for. */
int dialler_ask(struct dialler *dialler, struct dial *d, enum dial_kind kind, size_t index,
                dialled_fn *fn, void *owner);

/* A connection that still comes is closed. */
void dialler_forget(struct dialler *dialler, struct dial *d);

/* The master's answer: DIAL. */
void dialler_take(struct dialler *dialler, const struct message *m);
