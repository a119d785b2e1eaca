/* A worker's view of the servers behind: which one is next, how many connections it may have, and
 * who waits for one. */
#pragma once

#include "config/config.h"
#include "net/loop.h"
#include "net/tls.h"
#include "protocol/pop3/capabilities.h"
#include "telemetry/counters.h"
#include "telemetry/event.h"
#include "upstream/account.h"
#include "upstream/health.h"

/* What the room needs to work; all of it outlives the room. */
struct upstream_context {
    struct loop *loop;
    const struct config *config;
    const struct tls_contexts *tls;
    struct accounts *accounts; /* NULL: nobody logs in, as in a probe */
    struct health *health;
    const struct labels *labels;
    size_t process;      /* this one's slot */
    unsigned generation; /* of the configuration */
    int bell;            /* an eventfd of all processes, or -1: rung when a permit is given back */
    const struct event_log *log;
    struct counters *counters;
};

struct server {
    const struct server_config *config;
    struct upstream *upstream;
    size_t slot; /* of its label */
    void *pool;  /* the SMTP pool's own */
};

struct servers;

/* NULL without memory. */
struct servers *servers_create(const struct upstream_context *context);
void servers_destroy(struct servers **servers);

const struct upstream_context *servers_context(const struct servers *s);

/* The servers of an upstream, in the order of the configuration. */
struct server *servers_of(const struct servers *s, const struct upstream_config *upstream,
                          size_t *count);

/* The next server in turn that is not out and not in `tried`, a bit for each server in order; NULL:
 * there is none. */
struct server *servers_choose(struct servers *s, const struct upstream_config *upstream,
                              uint64_t tried);
uint64_t server_bit(const struct server *s);
const struct upstream_config *server_upstream(const struct server *s);

/* A permit for a connection, of `max` at most. Returns 0, or -1: all are in use. */
int server_permit(struct servers *s, struct server *server, uint32_t max);

/* Gives it back; whoever waits for it, here or in another process, is woken. */
void server_return(struct servers *s, struct server *server);

/* A connection to it failed, or could be used. Logged when that is news. */
void server_failed(struct servers *s, struct server *server, const char *reason);
void server_is_busy(struct servers *s, struct server *server, const char *reason);

/* Somebody who waits for a permit, or for a connection that another gives back. */
struct waiter {
    void (*wake)(void *owner, bool is_late); /* try again; is_late: wait_timeout has passed */
    void *owner;
    const struct upstream_config *upstream;
    struct waiter *next;
    struct timeout *timeout;
    struct servers *servers;
    bool is_queued;
};

/* Waits, at most for the upstream's wait_timeout since it first waited. Returns 0, or -1 without
 * memory. To be called again from `wake` when there was nothing after all. */
int waiter_wait(struct servers *s, struct waiter *w);

/* Waits no more. */
void waiter_stop(struct waiter *w);

/* Wakes those who wait for this upstream, one after the other, until one finds nothing. */
void servers_wake(struct servers *s, const struct upstream_config *upstream);
bool servers_has_waiter(const struct servers *s, const struct upstream_config *upstream);

/* Does another process wait for a permit of this server, and all are in use? */
bool server_is_wanted(const struct servers *s, const struct server *server);

/* Gives a permit back for another process: nobody is woken here. */
void server_yield(struct servers *s, struct server *server);

/* Calls `fn` whenever the bell has rung. */
void servers_on_bell(struct servers *s, loop_fn *fn, void *owner);

/* Does any server of the upstream offer the extension, as far as probes tell? */
bool servers_have(const struct servers *s, const struct upstream_config *upstream,
                  unsigned extension);

/* What every server of the upstream that was probed offers, enum smtp_extension; none before the
 * first answer. `max_size` is the smallest limit told, 0: none. */
unsigned servers_offer(const struct servers *s, const struct upstream_config *upstream,
                       uint64_t *max_size);

/* The same of POP3 servers; before the first answer what nearly all have: who is told that there is
 * no UIDL may read all again. */
struct pop3_capabilities servers_pop3_offer(const struct servers *s,
                                            const struct upstream_config *upstream);
