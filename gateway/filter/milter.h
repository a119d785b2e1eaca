/* The milter: libmilter's callbacks, each in a thread of its own, which bring to the desk what the
 * MTA says, and tell it the answers. One a process. */
#pragma once

#include "filter/desk.h"

/* Where the MTA finds it: libmilter's own socket. Opens it, as whoever we are now, in place of one
 * that was left there. Returns 0, or -1 and why. */
int milter_open(const char *endpoint, struct error *why);

/* Serves, in a thread that is started now, until the process ends: smfi_stop may keep its caller
 * waiting for five seconds, and who comes meanwhile is refused at the desk. Returns 0, or -1 and
 * why. `on_end` is called by that thread, should it end by itself: well, where a thread of
 * libmilter's has got a signal that was meant for the loop: SIGTERM, or SIGHUP, which is an end for
 * it too. */
typedef void milter_end_fn(void *owner, bool is_good);
int milter_start(struct desk *d, milter_end_fn *on_end, void *owner, struct error *why);
