/* A lock in the shared mapping: a word that names its holder by the slot of its process, so that
 * the master can take it back from one that was killed. What it guards must then be brought into
 * order by whoever owns that region. No pthread mutex: glibc keeps addresses in it. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHARED_LOCK_HOLDERS_MAX = 1024 };

/* {0} is nobody's. */
struct shared_lock {
    _Atomic uint32_t holder; /* 0, or a slot below SHARED_LOCK_HOLDERS_MAX, + 1 */
};

/* Takes it if it is free now. Held for a few stores only, never over a system call. */
bool shared_lock_try(struct shared_lock *l, size_t process);

/* As shared_lock_try, until then (of clock_monotonic_ns). Returns 0, or -1: another process has
 * held it all the time. */
int shared_lock_take(struct shared_lock *l, size_t process, int64_t until_ns);

/* The holder's. */
void shared_lock_give(struct shared_lock *l);

/* The master's, of a process that has ended: did it hold the lock? Then it still does. */
bool shared_lock_is_of(const struct shared_lock *l, size_t process);
