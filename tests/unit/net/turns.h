/* The loop of a test. It runs on a stack of its own and hands over at the end of each turn, so that
 * a test reads from top to bottom:
 *
 *     peer_say(&peer, "hello");
 *     UNTIL(heard.size == 5);    turns until it is so; the test fails when it takes too long
 *     turns_for(20);             turns for 20 ms: to see that nothing more happens */
#pragma once

#include "base/clock.h"
#include "net/loop.h"

#include "support/test.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef PORTEIRO_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum { TURNS_PATIENCE_S = 5 };

static struct {
    struct loop *loop;
    uint64_t count; /* turns so far */
    struct timeout *patience, *tick;
    const char *awaited, *file;
    int line;
    ucontext_t test, turning;
    _Alignas(64) char stack[1024 * 1024];
} turns;

/* Goes on at `to`, until somebody goes on at `from`. */
static inline void turns_switch(ucontext_t *from, const ucontext_t *to)
{
    volatile bool is_back = false;
    (void)getcontext(from); /* fails never */
    if (!is_back) {
        is_back = true;
        (void)setcontext(to); /* likewise */
    }
}

static inline void turns_ended(void *owner)
{
    (void)owner;
    turns.count++;
    turns_switch(&turns.turning, &turns.test);
}

static inline void turns_run(void)
{
    (void)loop_run(turns.loop); /* it is never stopped */
    ck_abort_msg("the loop could not wait");
}

static inline void turns_lost_patience(void *owner)
{
    (void)owner;
    ck_abort_msg("%s:%d: not so in time: %s", turns.file, turns.line, turns.awaited);
}

static inline void turns_hang(int signal)
{
    (void)signal;
    ck_abort_msg("%s:%d: a turn that has no end, before: %s", turns.file, turns.line,
                 turns.awaited);
}

static inline void turns_pass(void *owner)
{
    (void)owner;
}

static inline void turns_begin(void)
{
    struct error why;
    (void)signal(SIGPIPE, SIG_IGN); /* as the programs do */
    (void)signal(SIGALRM, turns_hang);
    turns.loop = loop_create(&why);
    ck_assert_ptr_nonnull(turns.loop);
    turns.count = 0;
    turns.patience = timeout_create(turns.loop, turns_lost_patience, NULL);
    turns.tick = timeout_create(turns.loop, turns_pass, NULL);
    ck_assert(turns.patience != NULL && turns.tick != NULL);
    loop_at_turn_end(turns.loop, turns_ended, NULL);
#ifdef PORTEIRO_ASAN
    __asan_unpoison_memory_region(turns.stack, sizeof turns.stack); /* a parent's, before fork */
#endif
    (void)getcontext(&turns.turning); /* as above */
    turns.turning.uc_stack.ss_sp = turns.stack;
    turns.turning.uc_stack.ss_size = sizeof turns.stack;
    turns.turning.uc_link = NULL;
    makecontext(&turns.turning, turns_run, 0);
}

/* Waits for what happens next, and lets it. */
static inline void turn(void)
{
    (void)alarm(TURNS_PATIENCE_S);
    turns_switch(&turns.test, &turns.turning);
    (void)alarm(0); /* there is at most the one */
}

static inline void turns_wait_for(const char *awaited, const char *file, int line)
{
    turns.awaited = awaited;
    turns.file = file;
    turns.line = line;
    timeout_set(turns.patience, clock_monotonic_ns() + TURNS_PATIENCE_S * CLOCK_SECOND);
}

/* A turn that waits for a millisecond at most: who is awaited may not be of this loop. */
static inline void turns_look(void)
{
    timeout_set(turns.tick, clock_monotonic_ns() + CLOCK_MS);
    turn();
    timeout_clear(turns.tick);
}

/* What comes later has patience of its own: a test may do other things for long. */
static inline bool turns_were_enough(void)
{
    timeout_clear(turns.patience);
    return true;
}

#define UNTIL(condition)                                                                        \
    for (turns_wait_for(#condition, __FILE__, __LINE__); !((condition) && turns_were_enough()); \
         turns_look()) {                                                                        \
    }

static inline void turns_set_flag(void *owner)
{
    *(bool *)owner = true;
}

static inline void turns_for(int64_t ms)
{
    bool is_over = false;
    struct timeout *end = timeout_create(turns.loop, turns_set_flag, &is_over);
    ck_assert_ptr_nonnull(end);
    timeout_set(end, clock_monotonic_ns() + ms * CLOCK_MS);
    turns_wait_for("time to pass", __FILE__, __LINE__);
    while (!is_over)
        turn();
    (void)turns_were_enough();
    timeout_destroy(&end);
}

/* When all that watches is closed. */
static inline void turns_end(void)
{
    timeout_destroy(&turns.patience);
    timeout_destroy(&turns.tick);
    loop_destroy(&turns.loop);
}
