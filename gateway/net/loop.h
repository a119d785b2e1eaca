/* The loop of a process: descriptors, timers, signals, and what is done once a turn. One a process;
 * all that waits, waits here. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/* A loop, or NULL and why. */
struct loop *loop_create(struct error *why);

/* Frees the loop and its own memory; whoever watches with it must have stopped. */
void loop_destroy(struct loop **loop);

/* In a child, right after fork: frees the parent's loop without touching what the parent watches.
 */
void loop_forget(struct loop **loop);

/* Turns until loop_stop. Returns 0, or -1 when waiting itself failed. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Hot: the monotonic time in nanoseconds, read once a turn. */
int64_t loop_now(struct loop *loop);

/* Hot: the buffers that all connections of the process read into; one holds what was read, the
 * other is for what has to grow. Whoever is called may use them until it returns. */
enum { LOOP_SCRATCH_SIZE = 64 * 1024, LOOP_SPARE_SIZE = 2 * LOOP_SCRATCH_SIZE };
char *loop_scratch(struct loop *loop);
char *loop_spare(struct loop *loop);

typedef void loop_fn(void *owner);

/* Calls `fn` at the end of every turn: to flush what the turn has gathered. At most 8. */
void loop_at_turn_end(struct loop *loop, loop_fn *fn, void *owner);

/* Calls `fn` once, at the end of this turn: to free what callers up the stack still look at. `d`
 * lies in the owner. */
struct deferred {
    struct deferred *next;
    loop_fn *fn;
    void *owner;
};
void loop_defer(struct loop *loop, struct deferred *d, loop_fn *fn, void *owner);

/* An entry of one of the loop's own lists. It lies in its owner, all zero at first. */
struct entry {
    struct entry *next, *previous;
    loop_fn *fn;
    void *owner;
};

/* Calls `fn` once, when all that has happened in this turn has been looked at; what is asked for
 * from there comes in the next turn, so that nobody keeps the others waiting. Asking again before
 * it comes changes nothing. */
void loop_soon(struct loop *loop, struct entry *e, loop_fn *fn, void *owner);
void loop_not_soon(struct entry *e);

/* What nobody owns any more and what ends by itself is the loop's, a thousand at most: it calls
 * `fn`, which frees it, when it ends first. Returns 0; or -1: there are too many. */
int loop_adopt(struct loop *loop, struct entry *e, loop_fn *fn, void *owner);
void loop_disown(struct loop *loop, struct entry *e);
size_t loop_adopted(const struct loop *loop);

/* Calls `fn` whenever the last of them has gone. */
void loop_on_alone(struct loop *loop, loop_fn *fn, void *owner);

/* A descriptor that is watched. */
struct watch;
typedef void watch_fn(void *owner, bool is_readable, bool is_writable);

/* Watches `fd`, not owned, for nothing yet; or NULL without memory. */
struct watch *watch_create(struct loop *loop, int fd, watch_fn *fn, void *owner);
void watch_destroy(struct watch **watch);

/* Sets what is waited for. Returns 0, or -1. */
int watch_want(struct watch *w, bool readable, bool writable);

/* The same with an edge for each write to the other end, whoever else watches: for an eventfd that
 * several processes share and none reads. */
int watch_want_edges(struct watch *w);

/* A point in time. Moving it later costs a store; the callback comes once, at or after it. */
struct timeout;
struct timeout *timeout_create(struct loop *loop, loop_fn *fn, void *owner);
void timeout_destroy(struct timeout **timeout);
void timeout_set(struct timeout *t, int64_t at_ns);
void timeout_clear(struct timeout *t);

/* A signal. Returns 0, or -1. At most 8, until the loop ends. */
typedef void signal_fn(void *owner, int signal);
int loop_on_signal(struct loop *loop, int signal, signal_fn *fn, void *owner);
