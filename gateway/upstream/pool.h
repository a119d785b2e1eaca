/* Connections to SMTP servers behind, for a worker's sessions: shared ones that go from client to
 * client, and for identities that are told, fresh ones kept ready. */
#pragma once

#include "upstream/servers.h"
#include "upstream/smtp_link.h"

struct pool;

enum pool_failure {
    POOL_DOWN,    /* no server answers */
    POOL_BUSY,    /* no connection became free in time */
    POOL_REFUSED, /* the server refuses the gateway, or the identity */
    POOL_WRONG,   /* the server refuses the client's login */
};

/* Who wants a connection. The caller fills in the first part, and keeps it until `done`. */
struct pool_request {
    const struct upstream_config *upstream;
    /* What is told, or the client's own login; both NULL: nothing, the connection is shared. */
    const struct xclient_values *values;
    const struct smtp_credentials *login;
    bool wants_new;     /* none that has waited in the pool */
    struct span header; /* a connection of its own begins with it (PROXY); empty: nothing */
    const char *hello;  /* what EHLO says there */
    /* `link` is NULL on failure. It is the owner's, with smtp_link_set_owner. May be called from
     * within pool_take. */
    void (*done)(void *owner, struct smtp_link *link, enum pool_failure failure);
    void *owner;

    /* The pool's. */
    struct pool *pool;
    struct smtp_link *link;
    struct waiter waiter;
    uint64_t tried;
    enum pool_failure failure;
    struct error why;         /* what the server has said to the login */
    bool is_telling, is_kept; /* `link` is being told; it has waited in the pool */
};

struct tokens;

/* `tokens`, which may be NULL, hears of those that are refused. NULL without memory. */
struct pool *pool_create(struct servers *servers, struct tokens *tokens);
void pool_destroy(struct pool **pool);

void pool_take(struct pool *p, struct pool_request *r);

/* Gives up waiting; `done` won't be called. Also after `done`: nothing happens then. */
void pool_cancel(struct pool *p, struct pool_request *r);

/* Did the link come from the pool, so that its first command may find it dead? */
bool pool_was_kept(const struct pool_request *r);

/* Takes a link back in whatever state: it is shared again if it may be, else it ends. */
void pool_give_back(struct pool *p, struct smtp_link **link);

/* Ends a link at once: lost, or in the middle of a text. */
void pool_discard(struct pool *p, struct smtp_link **link);

/* "UPSTREAM/SERVER", and its label's slot. */
const char *pool_server_name(const struct smtp_link *link);
size_t pool_server_slot(const struct smtp_link *link);
