/* The node that a Cluster is moving the keys' slot to: what ASK says is there already is asked for
 * there, command by command, over a connection of its own, while the old node stays the one. */
#pragma once

#include "redis/link.h"
#include "redis/redis.h"

struct redis_importer;

/* It has failed somebody: to be closed. */
typedef void redis_importer_fn(void *owner, const char *name, const char *reason);

/* NULL without memory. `options` are those of redis_create. */
struct redis_importer *redis_importer_create(const struct redis_options *options,
                                             redis_importer_fn *fn, void *owner);
void redis_importer_destroy(struct redis_importer **i);

/* A command on its way there. It lies in its owner, who keeps it until `command` is told. */
struct redis_asked {
    struct redis_command asking;
    struct redis_command *command; /* set by the owner */
    struct redis_asked *next;
};

/* Sends it to the node at `to`; what is under way to another is given up. `command` is told once,
 * by its deadline, of the answer, or that none will come. */
void redis_importer_send(struct redis_importer *i, const struct address *to,
                         struct redis_asked *asked);

/* What is under way is told that no answer will come. */
void redis_importer_close(struct redis_importer *i);
