/* One connection to a Redis: commands go out pipelined, the writes of a turn together; each is
 * answered once, or learns once that it won't be. */
#pragma once

#include "net/connection.h"
#include "redis/codec.h"

struct redis_link;
struct redis_command;

/* The answer, valid during the call alone; or NULL: none will come. */
typedef void redis_command_fn(struct redis_command *command, const struct redis_value *answer);

/* A command under way. It lies in its owner, who keeps it until `fn` is called; from then on the
 * link knows it no more. */
struct redis_command {
    struct redis_command *next;
    char *bytes; /* of redis_command_format; freed by the owner */
    size_t size;
    int64_t deadline_ns; /* on the loop's clock */
    redis_command_fn *fn;
};

enum redis_link_event {
    REDIS_LINK_OPEN, /* connected */
    REDIS_LINK_LOST, /* dead, `reason` says why; to be closed by whoever is called */
};

typedef void redis_link_fn(void *owner, struct redis_link *l, enum redis_link_event event,
                           const char *reason);

struct redis_link_options {
    struct loop *loop;
    int64_t timeout_ms;            /* to connect, handshake of TLS included */
    const struct tls_context *tls; /* NULL: in clear, as a socket that is adopted always is */
    redis_link_fn *fn;
    void *owner;
};

/* Begins to connect. NULL and why when it can't. */
struct redis_link *redis_link_connect(const struct redis_link_options *options,
                                      const struct address *to, struct error *why);

/* Takes over a connected socket. The same; the socket is closed then. */
struct redis_link *redis_link_adopt(const struct redis_link_options *options, int fd,
                                    struct error *why);

/* Closes it; its commands are told that no answer will come. */
void redis_link_close(struct redis_link **l);

/* Another hears of it from now on. */
void redis_link_set_owner(struct redis_link *l, redis_link_fn *fn, void *owner);

/* Sends it behind those that were sent before. An answer that has not come by `deadline_ns`, or by
 * theirs where that is later, loses the link. Called once it is open. */
void redis_link_send(struct redis_link *l, struct redis_command *command);

/* Does no command wait for an answer? */
bool redis_link_is_idle(const struct redis_link *l);

/* What is known of the connection; NULL when it is lost. */
const struct connection *redis_link_connection(const struct redis_link *l);
