/* Who may speak to the control socket, and say what. */
#pragma once

#include "config/config.h"

#include <sys/types.h>

enum { GRANTS_MAX = 64, GRANT_REFUSED_MAX = 4 };

/* Made by the master from control_groups; plain data. */
struct grants {
    struct {
        gid_t group;
        enum control_role role;
    } of_group[GRANTS_MAX];
    size_t count;
    uid_t refused[GRANT_REFUSED_MAX]; /* our own users: a worker that was taken over gets nothing */
    size_t refused_count;
    uid_t owner; /* root, or who started us without being root */
};

/* Looks up the groups of the configuration; a group that doesn't exist is added to `errors`. */
void grants_prepare(const struct config *config, struct grants *out, struct errors *errors);

/* What the other end of a unix socket may do. Returns 0, or -1: nothing. */
int grants_of_peer(const struct grants *g, int fd, enum control_role *role, uid_t *uid);
