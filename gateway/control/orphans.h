/* Sessions whose worker has died: what they held at a time in Redis is given back. The master hands
 * their rows of the table of sessions to this process; what they held in memory it has given back
 * itself. */
#pragma once

#include "decision/leases.h"
#include "net/loop.h"

struct orphans;

struct orphans_options {
    struct loop *loop;
    struct session_table sessions;
    size_t process; /* this one's slot */
    /* The store in Redis, opened when it is first wanted; NULL: there is none. */
    struct redis_store *(*open_store)(void *owner);
    void *owner;
};

/* NULL without memory. */
struct orphans *orphans_create(const struct orphans_options *options);

/* Before the store is closed. */
void orphans_destroy(struct orphans **o);

/* Rows have come: gives back what they hold, at once or when the store has a connection, and frees
 * them. Where it has none within two seconds, the leases end by themselves. */
void orphans_take(struct orphans *o);
