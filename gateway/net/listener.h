/* Listening sockets: bound by the master, shared by all workers, never closed while their address
 * is configured. */
#pragma once

#include "base/address.h"
#include "net/loop.h"

/* Binds and listens, non-blocking, with TCP_NODELAY for whoever is accepted. Returns the
 * descriptor, or -1 and why. */
int listener_bind(const struct address *at, struct error *why);

struct listener;

/* A client: `fd` is the taker's. `is_last` says that no descriptor is left: answer and close. */
typedef void accept_fn(void *owner, int fd, const struct address *peer, bool is_last);

/* Accepts from `fd`, not owned: one client an event, so that other workers get theirs. While there
 * are no descriptors it pauses, a tenth of a second at a time, and calls `on_paused`. NULL without
 * memory. */
struct listener *listener_create(struct loop *loop, int fd, accept_fn *on_accept,
                                 loop_fn *on_paused, void *owner);

/* Accepts no more. */
void listener_destroy(struct listener **listener);
