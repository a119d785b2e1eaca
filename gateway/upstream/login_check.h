/* Does a server behind let this user in? Asked by a login there, which ends with QUIT: nothing is
 * sent, read or deleted. */
#pragma once

#include "upstream/pool.h"

struct login_check;

enum login_check_result {
    LOGIN_CHECK_GOOD,
    LOGIN_CHECK_WRONG,       /* the server has refused name and password */
    LOGIN_CHECK_UNAVAILABLE, /* nothing is known of them: `reason` says why */
};

/* Called by the loop, once; ends the check with login_check_end. */
typedef void login_check_fn(void *owner, enum login_check_result result, const char *reason);

/* What it is asked with; copied. */
struct login_check_options {
    struct servers *servers;
    struct pool *pool;
    const struct upstream_config *upstream;
    const char *user;
    struct span password;
};

/* Begins to ask. NULL without memory. */
struct login_check *login_check_begin(const struct login_check_options *options, login_check_fn *fn,
                                      void *owner);

/* Gives it up, and overwrites the password. */
void login_check_end(struct login_check **check);
