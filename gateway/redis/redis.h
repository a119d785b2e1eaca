/* A worker's way to Redis: one connection, kept or made again, over which the script of
 * policy/limit/limits.lua is called; to the one server, to the master that a Sentinel names, or to
 * the node of a Cluster that has the keys, also when it becomes another.
 *
 * Redis is trusted as long as it answers. After one time-out or error nobody is answered any more,
 * at once, until a new connection has let the gateway in and has run the script: who waits for a
 * server that doesn't answer would hold up mail. */
#pragma once

#include "config/config.h"
#include "net/loop.h"
#include "redis/codec.h"
#include "telemetry/counters.h"
#include "telemetry/event.h"

struct redis;

struct redis_options {
    struct loop *loop;
    const struct redis_config *config;
    const char *password, *sentinel_password; /* "": none */
    const struct tls_context *tls;            /* NULL: in clear, as a unix socket always is */
    const struct event_log *log;
    struct counters *counters;
    /* A worker can open no path: asks for a connection to the unix socket that stands at this place
     * in `address`. redis_dialled brings it, or not. */
    void (*dial)(void *owner, size_t index);
    void *dial_owner;
};

/* Begins to connect; NULL without memory. */
struct redis *redis_create(const struct redis_options *options);

/* Whoever waits learns that no answer will come. */
void redis_destroy(struct redis **redis);

/* A connected socket, now this one's, for who stands at this place in `address`; -1: it can't be
 * had. What nobody waits for is closed. */
void redis_dialled(struct redis *r, size_t index, int fd);

/* Would a call be sent now, or as soon as there is a connection? */
bool redis_is_trusted(const struct redis *r);

/* Is there a connection over which it would be sent? */
bool redis_is_linked(const struct redis *r);

/* The script's answer, valid during the call alone; or NULL: none will come. */
typedef void redis_fn(void *owner, const struct redis_value *answer);

/* The words of a command, of which the caller sets those behind the first three: its keys, then its
 * arguments. */
struct redis_words {
    const char **texts;
    size_t *sizes;
    size_t count, key_count;
};
enum { REDIS_WORDS_FRONT = 3 };

/* Calls the script. `fn` is called once, by the loop, within `timeout`, or by redis_destroy.
 * Returns 0; or -1: there will be no answer, and `fn` is not called. `fn` may be NULL where nobody
 * wants to know. */
int redis_script(struct redis *r, struct redis_words *words, redis_fn *fn, void *owner);
