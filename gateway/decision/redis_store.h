/* The store of counters (policy/limit/store.h) in Redis, shared by all gateways of one prefix. */
#pragma once

#include "policy/limit/store.h"
#include "redis/redis.h"

struct redis_store;

/* Over `redis`, not owned. NULL without memory. */
struct redis_store *redis_store_create(struct redis *redis, const char *prefix);
void redis_store_destroy(struct redis_store **store);

/* Is there a connection to ask over? */
bool redis_store_is_linked(const struct redis_store *store);

/* Would a call be sent now? */
bool redis_store_is_trusted(const struct redis_store *s);

/* One answer for each take, in their order, valid during the call alone; or NULL: there is none,
 * and nobody knows whether it was taken: it is never given back. */
typedef void redis_store_fn(void *owner, const struct counter_answer *answers);

/* Asks for 1 to STORE_TAKES_MAX takes, which may go away afterwards. `fn` is called once, by the
 * loop, within the configuration's `timeout`. Returns 0; or -1: there will be no answer, and `fn`
 * is not called. */
int redis_store_take(struct redis_store *s, const struct counter_take *takes, size_t count,
                     redis_store_fn *fn, void *owner);

/* Settles 1 to STORE_TAKES_MAX of them. What can't be told to Redis now is lost: the counters end
 * by themselves. */
void redis_store_settle(struct redis_store *s, const struct counter_settle *settles, size_t count);
