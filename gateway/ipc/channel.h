/* A channel between two processes: whole messages over a SOCK_SEQPACKET pair, on the loop. */
#pragma once

#include "base/span.h"
#include "ipc/messages.h"
#include "net/loop.h"

enum { MESSAGE_TAIL_MAX = 16 * 1024 };

/* A message that came; all of it is valid during the call alone. */
struct message {
    enum message_type type;
    const void *payload; /* the type's struct */
    struct span tail;    /* what stood behind it */
    int *fd;             /* that came with it, or -1; see message_take_fd */
};

/* `m` is NULL when the other end is gone: then the channel is to be destroyed. */
typedef void channel_fn(void *owner, const struct message *m);

/* The descriptor that came with a message, from now on the caller's; or -1. What nobody takes is
 * closed after the call. */
int message_take_fd(const struct message *m);

struct channel;

/* A pair of ends, closed on exec. Returns 0, or -1 and why. */
int channel_pair(int ends[2], struct error *why);

/* Takes over one end. NULL without memory: it is closed then. */
struct channel *channel_create(struct loop *loop, int fd, channel_fn *fn, void *owner);
void channel_destroy(struct channel **channel);

/* Sends `payload`, the type's struct, with `tail` behind it, and a copy of `fd` unless it is -1.
 * What the other end doesn't take at once is kept, 256 KiB at most. Returns 0; or -1: it was not
 * sent, and won't be. */
int channel_send(struct channel *c, enum message_type type, const void *payload, struct span tail,
                 int fd);
