/* Limits that people have set for an account or a domain at run time, each until a given time or
 * for good. One table for all workers and generations, in the shared mapping.
 *
 * One of a limit and a name replaces what was set before it, whoever did it: of two the later one
 * is in force. What was taken back stays as one without a figure, so that a gateway that hasn't
 * heard of it doesn't bring it back.
 *
 * There is room for some thousands. Where the place of one is taken by SET_LIMIT_WAYS others, it is
 * refused and said so. Times are of the wall clock, so that they hold over a restart.
 *
 * Readers take no lock, and skip one that is just being written. Writers hold one over a few
 * stores; what a killed one was writing is dropped by the master. */
#pragma once

#include "base/error.h"
#include "policy/overrides.h"

enum {
    SET_LIMITS_MAX = 16384,
    SET_LIMIT_WAYS = 16,
    SET_LIMIT_RULE_SIZE = 64,
    SET_LIMIT_NAME_SIZE = 320,
    SET_LIMIT_REASON_SIZE = 128,
};

#define SET_LIMIT_FOR_GOOD INT64_MAX

/* Plain data, also as it is kept in a file. Texts end in NUL. */
struct set_limit {
    char rule[SET_LIMIT_RULE_SIZE]; /* the limit's name */
    char name[SET_LIMIT_NAME_SIZE]; /* of the account, or "@DOMAIN" */
    char reason[SET_LIMIT_REASON_SIZE];
    struct rate figure; /* as in policy/overrides; the count is 0: it was taken back */
    int64_t since_ns, until_ns;
    uint64_t uid; /* of who has set it */
};

struct set_limits; /* in the shared mapping */

size_t set_limits_size(void);

/* The master's, before anybody else: `key` is random. */
void set_limits_begin(struct set_limits *s, const uint64_t key[2]);

/* The master's: what a process that has ended was writing. */
void set_limits_release(struct set_limits *s, size_t process);

enum { SET_LIMITS_FAILED = -1, SET_LIMITS_OLDER = -2 };

/* Puts it in the place of what was set before it; one that has ended by now takes that away.
 * Returns the place; SET_LIMITS_OLDER: what is there was set later, and stays; SET_LIMITS_FAILED
 * and why: it is malformed, there is no room, or another process doesn't let go of the table. */
int set_limits_put(struct set_limits *s, size_t process, const struct set_limit *l, int64_t now_ns,
                   struct error *why);

/* What is in a place below SET_LIMITS_MAX. Returns 0, or -1: nothing that holds now. */
int set_limits_read(const struct set_limits *s, size_t place, int64_t now_ns,
                    struct set_limit *out);

/* The one of a limit and a name; one that was taken back too. Returns its place, or -1: there is
 * none. */
int set_limits_find(const struct set_limits *s, const char *rule, const char *name, int64_t now_ns,
                    struct set_limit *out);

/* Another number after each change; 0: nothing was ever set. */
uint64_t set_limits_version(const struct set_limits *s);

/* Hot, once anything was set: a look at four lines of the cache. For policy/overrides. */
bool set_limits_figure(const void *s, const char *rule, const char *name, int64_t now_s,
                       struct rate *out);
