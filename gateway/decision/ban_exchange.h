/* Bans that gateways with the same Redis tell one another. One worker does it for its gateway: what
 * was made here is told within a fifth of a second, and what others have told is read as often.
 *
 * After Redis was away, or another one has come, all that it has told before is lifted and read
 * anew, and what was made here is told again. What was read holds while Redis is away. */
#pragma once

#include "decision/bans.h"
#include "net/loop.h"
#include "redis/redis.h"

struct ban_exchange;

/* Over `redis`, not owned, of this configuration; `process` is this one's slot. NULL without
 * memory.
 */
struct ban_exchange *ban_exchange_create(struct loop *loop, struct redis *redis,
                                         const struct redis_config *config, struct bans *bans,
                                         size_t process);

/* Before `redis` is destroyed. */
void ban_exchange_stop(struct ban_exchange *x);

/* Afterwards. */
void ban_exchange_destroy(struct ban_exchange **x);
