/* What the tests of shared regions stand on: a region as processes share it, a region as a
 * compromised process leaves it, and children. */
#pragma once

#include "base/shared.h"

#include "support/test.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* `size` bytes, all zeros, that children see too. They stay until the test ends. */
static inline void *mapping_make(size_t size)
{
    struct shared_layout layout = {0};
    struct error why;
    (void)shared_reserve(&layout, size); /* the only region */
    void *at = shared_map(&layout, &why);
    ck_assert_ptr_nonnull(at);
    return at;
}

/* `size` bytes, a multiple of eight, each of them `fill`; to read past their end kills. */
static inline void *mapping_hostile(size_t size, int fill)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
    char *at = mapping_make(whole + page);
    ck_assert_uint_eq(size % 8, 0);
    ck_assert_int_eq(mprotect(at + whole, page, PROT_NONE), 0);
    return memset(at + whole - size, fill, size);
}

/* Runs `run` in a child, which exits with 0 if that returns true. */
static inline pid_t child_start(bool (*run)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(run() ? 0 : 1);
    ck_assert_int_gt(child, 0);
    return child;
}

/* Waits for the child, which must have returned true. */
static inline void child_succeeds(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline void child_kill(pid_t child)
{
    int status;
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
}
