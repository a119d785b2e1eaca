/* How fast a client must send a text. It has a minute in hand: time takes from it, and what comes
 * gives back. So a short stall is nothing, and over a longer time the rate is what was asked for.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pace {
    int64_t left_ns;  /* in hand at `since_ns` */
    int64_t since_ns; /* since when the client is listened to */
};

/* A text begins. */
void pace_begin(struct pace *p, int64_t now_ns);

/* `size` octets have come, of which `rate` are asked for each second. */
void pace_came(struct pace *p, size_t size, int64_t rate, int64_t now_ns);

/* The client is listened to again: while it was not, nothing was asked of it. */
void pace_resume(struct pace *p, int64_t now_ns);

/* How long it may send nothing more, in ns; 0: it is too slow. */
int64_t pace_left(const struct pace *p, int64_t now_ns);
