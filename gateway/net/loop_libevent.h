/* What connection and listener share with the loop: timers that lie in their own structs, and the
 * base itself. For net and for who must hand the base to a library. */
#pragma once

#include "net/loop.h"
#include "net/timeouts.h"

#include <event2/event.h>
#include <event2/event_struct.h>

void timeout_init(struct timeout *t, struct loop *loop, loop_fn *fn, void *owner);

/* Takes it out of the loop, before its memory goes. */
void timeout_stop(struct timeout *t);

struct event_base *loop_base(struct loop *loop);
