/* What connection and listener share with the loop: timers that lie in their own structs, and the
 * base itself. For net and for who must hand the base to a library. */
#pragma once

#include "net/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct timeout {
    struct event event;
    struct loop *loop;
    loop_fn *fn;
    void *owner;
    int64_t at_ns;    /* 0: not set */
    int64_t armed_ns; /* when the event will fire; 0: it is not in the heap */
};

void timeout_init(struct timeout *t, struct loop *loop, loop_fn *fn, void *owner);

/* Takes it out of the loop, before its memory goes. */
void timeout_stop(struct timeout *t);

struct event_base *loop_base(struct loop *loop);
