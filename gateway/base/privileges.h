/* What a process gives up before it touches a stranger's bytes. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A user to become. Plain data. */
enum { IDENTITY_GROUPS_MAX = 32 };
struct identity {
    uid_t uid;
    gid_t gid;
    gid_t groups[IDENTITY_GROUPS_MAX]; /* others that are kept; none, unless they are looked up */
    size_t group_count;
};

/* The user of that name, or -1 and why. */
int privileges_find_user(const char *name, struct identity *out, struct error *why);

/* Adds the other groups of that user, for one who is let in somewhere as a member. Returns 0, or -1
 * and why: more than there is room for. */
int privileges_find_groups(const char *name, struct identity *out, struct error *why);

/* Opens an empty directory that no longer has a name, to be a root where nothing can be found or
 * made. Returns the descriptor, or -1 and why. Needs root. */
int privileges_open_empty_root(struct error *why);

/* Becomes `who` for good, with those groups and no others; `root_fd`, unless -1, is the new root.
 * Needs root. Returns 0, or -1 and why: then the process must end. */
int privileges_drop(const struct identity *who, int root_fd, struct error *why);

/* Runs `try` in a child process as `who`, or as we are when that is NULL, and waits for it: to see
 * whether that user could. Returns what `try` returned, with its reason. */
int privileges_try(const struct identity *who, int (*try)(const void *what, struct error *why),
                   const void *what, struct error *why);

/* No new privileges by exec, no core, not to be traced or dumped. For every child that meets
 * strangers, whoever it runs as. */
int privileges_confine(struct error *why);

/* The same but for new privileges, which the admin's commands may need: for who runs those. */
int privileges_hide(struct error *why);
