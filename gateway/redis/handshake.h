/* What is said first on a connection.
 *
 * To a server: who we are, which database; and whether it does what it is there for, by a call of
 * the script that writes: PING alone is answered by a replica, and by a server that has no memory
 * left. To a Sentinel: who we are, and where the master is. To a node of a Cluster that takes over
 * a slot: who we are. */
#pragma once

#include "config/config.h"
#include "redis/link.h"

struct redis_handshake;

enum redis_peer { REDIS_PEER_SERVER, REDIS_PEER_SENTINEL, REDIS_PEER_IMPORTER };

struct redis_handshake_options {
    const struct redis_config *config;
    enum redis_peer peer;     /* whom it is said to */
    const char *password;     /* for it, there as long as the handshake; "": none */
    const struct address *at; /* where it is; size 0: a unix socket */
    int64_t deadline_ns;      /* on the loop's clock */
};

/* `failure` is NULL: it may be used; or, where `elsewhere` isn't NULL, the one at that address may
 * be: the master that a Sentinel names, the node that has the keys' slot. A link that is lost
 * meanwhile tells its own owner alone. */
typedef void redis_handshake_fn(void *owner, const char *failure, const struct address *elsewhere);

/* NULL without memory. The link is open. */
struct redis_handshake *redis_handshake_begin(struct redis_link *l,
                                              const struct redis_handshake_options *options,
                                              redis_handshake_fn *fn, void *owner);

/* The owner hears no more of it. */
void redis_handshake_end(struct redis_handshake **handshake);
