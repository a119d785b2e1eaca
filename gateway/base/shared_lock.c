#include "base/shared_lock.h"

#include "base/clock.h"

#include <time.h>

enum { SPINS = 1000, SLEEP_NS = 50 * 1000 };

/* A word that names no process was spoiled: nobody would ever give it back. */
bool shared_lock_try(struct shared_lock *l, size_t process)
{
    uint32_t holder = atomic_load_explicit(&l->holder, memory_order_relaxed);
    return (holder == 0 || holder > SHARED_LOCK_HOLDERS_MAX) &&
           atomic_compare_exchange_strong_explicit(&l->holder, &holder, (uint32_t)process + 1,
                                                   memory_order_acquire, memory_order_relaxed);
}

/* Whoever holds it longer than a few stores take waits for a processor, which may be this one. */
int shared_lock_take(struct shared_lock *l, size_t process, int64_t until_ns)
{
    do {
        for (int i = 0; i < SPINS; i++)
            if (shared_lock_try(l, process))
                return 0;
        (void)nanosleep(&(struct timespec){0, SLEEP_NS}, NULL); /* shorter: tried the sooner */
    } while (clock_monotonic_ns() < until_ns);
    return -1;
}

void shared_lock_give(struct shared_lock *l)
{
    atomic_store_explicit(&l->holder, 0, memory_order_release);
}

bool shared_lock_is_of(const struct shared_lock *l, size_t process)
{
    return atomic_load_explicit(&l->holder, memory_order_acquire) == (uint32_t)process + 1;
}
