/* Who comes to a unix socket, as which user and of which groups. Run by root, a visitor is somebody
 * else for as long as he connects; run by anybody else, he is that one. */
#pragma once

#include "support/test.h"

#include <grp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { VISITOR_USER = 54321, VISITOR_GROUP = 54322, VISITOR_SECOND_GROUP = 54323 };

static inline bool visitor_is_root(void)
{
    return getuid() == 0;
}

static inline uid_t visitor_user(void)
{
    return visitor_is_root() ? VISITOR_USER : geteuid();
}

static inline gid_t visitor_group(void)
{
    return visitor_is_root() ? VISITOR_GROUP : getegid();
}

/* A group that he is in beside his own. */
static inline gid_t visitor_second_group(void)
{
    gid_t all[256];
    if (visitor_is_root())
        return VISITOR_SECOND_GROUP;
    int count = getgroups(256, all);
    return count > 0 ? all[count - 1] : getegid();
}

/* From here to visitor_leaves this process is the visitor. */
static inline void visitor_comes(void)
{
    static const gid_t second = VISITOR_SECOND_GROUP;
    if (!visitor_is_root())
        return;
    ck_assert_int_eq(setgroups(1, &second), 0);
    ck_assert_int_eq(setegid(VISITOR_GROUP), 0);
    ck_assert_int_eq(seteuid(VISITOR_USER), 0);
}

static inline void visitor_leaves(void)
{
    if (!visitor_is_root())
        return;
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(setegid(0), 0);
    ck_assert_int_eq(setgroups(0, NULL), 0);
    ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0); /* for the search for leaks */
}
