/* What gateways with the same Redis tell one another of a table of theirs: bans, and limits that
 * people have set. One worker does it for its gateway: what was made here is told within a fifth of
 * a second, and what others have told is read as often.
 *
 * After Redis was away, or another one has come, all that it has is read first, and then told again
 * what it lacks. What was read holds while Redis is away. */
#pragma once

#include "net/loop.h"
#include "redis/redis.h"

enum { EXCHANGE_NAME_SIZE = 512, EXCHANGE_VALUE_SIZE = 640 };

/* One thing that is told: whose it is, what is known of it, and when it ends. */
struct exchange_row {
    char name[EXCHANGE_NAME_SIZE], value[EXCHANGE_VALUE_SIZE];
    int64_t until_ns; /* of the wall clock */
};

/* A kind of table. */
struct exchange_kind {
    const char *name; /* of its keys in Redis */
    size_t places;
    uint64_t (*version)(const void *table); /* another number after each change */

    /* What is to be told of a place. False: nothing. */
    bool (*read)(const void *table, size_t place, int64_t now_ns, struct exchange_row *out);

    /* Takes what another has told, who may have told anything. Returns the place where it stands
     * now, or something that the store is to be told in its stead; -1: that doesn't matter. */
    int (*take)(void *table, size_t process, struct span name, struct span value);

    /* What was taken is forgotten before it is read anew; NULL: it stays. */
    void (*forget)(void *table, size_t process);
};

extern const struct exchange_kind exchange_bans, exchange_limits;

struct exchange;

/* Over `redis`, not owned, of this configuration; `process` is this one's slot. NULL without
 * memory. */
struct exchange_options {
    struct loop *loop;
    struct redis *redis;
    const struct redis_config *config;
    size_t process;
};
struct exchange *exchange_create(const struct exchange_options *options,
                                 const struct exchange_kind *kind, void *table);

/* Before `redis` is destroyed. */
void exchange_stop(struct exchange *x);

/* Afterwards. */
void exchange_destroy(struct exchange **x);
