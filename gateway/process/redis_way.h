/* A process's way to the Redis of its configuration: the link, and the store of counters over it.
 */
#pragma once

#include "decision/redis_store.h"
#include "process/role.h"

struct redis_way {
    struct role *role;
    struct redis *redis; /* NULL: none is configured, or it isn't open */
    struct redis_store *store;
    struct dial dial; /* at most one is waited for */
    size_t dialled;   /* to which server */
};

/* Begins to connect, where one is configured. Out of memory ends the process. */
void redis_way_open(struct redis_way *w, struct role *role);

/* Whoever waits for an answer learns that none will come. */
void redis_way_close(struct redis_way *w);
