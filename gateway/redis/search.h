/* The way to the server that counts: from those that the configuration names, by way of a Sentinel,
 * who names the master, or of a node of a Cluster, who names the one that has the keys' slot, to a
 * server that has let the gateway in and has run the script.
 *
 * CLUSTER SLOTS is not asked for: all keys have one hash tag and so one slot, and MOVED names its
 * node. */
#pragma once

#include "redis/link.h"
#include "redis/redis.h"

struct redis_search;

/* A server, and what it is called in the log. */
struct redis_place {
    struct address at; /* size 0: a unix socket */
    char name[128];
};

/* `found` is the callee's; NULL: no server will do now, this one was the last that was tried, for
 * this reason. */
typedef void redis_search_fn(void *owner, struct redis_link *found, const struct redis_place *place,
                             const char *failure);

/* NULL without memory. `options` are those of redis_create. */
struct redis_search *redis_search_create(const struct redis_options *options, redis_search_fn *fn,
                                         void *owner);
void redis_search_destroy(struct redis_search **s);

/* Looks for it, first at `to`, or NULL; then at each server of the configuration, from the last
 * that was of use on. `fn` is called once, by the loop, unless it is stopped. */
void redis_search_begin(struct redis_search *s, const struct address *to);
void redis_search_stop(struct redis_search *s);

/* As redis_dialled. */
void redis_search_dialled(struct redis_search *s, size_t index, int fd);
