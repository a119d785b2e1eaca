/* The worker's side of logging in: hands exchanges to the auth processes and gets their answers. */
#pragma once

#include "auth/account.h"
#include "auth/cache.h"
#include "base/span.h"
#include "config/mechanisms.h"
#include "ipc/messages.h"
#include "net/connection.h"

struct auth_client;
struct auth_exchange;

struct auth_answer {
    bool is_done;              /* else `text` is a challenge for the client */
    enum auth_outcome outcome; /* when done */
    struct span text;          /* the challenge; after AUTH_GOOD the account's canonical name, after
                                  AUTH_UNAVAILABLE why, for the log */
};

/* Called by the loop. After an answer that is done the exchange is over and freed. */
typedef void auth_answer_fn(void *owner, const struct auth_answer *answer);

/* With `cache` (NULL: without one), passwords that it knows are answered here. NULL without memory.
 */
struct auth_client *auth_client_create(struct loop *loop, const struct auth_cache *cache);
void auth_client_destroy(struct auth_client **client);

/* Takes over a channel to an auth process. When that one ends, its exchanges are answered
 * AUTH_UNAVAILABLE. */
void auth_client_add(struct auth_client *c, int fd);

struct auth_request {
    enum auth_service service;
    enum mechanism mechanism;
    const struct span *response;           /* the client's first, decoded; NULL: it waits for a
                                              challenge */
    const struct channel_binding *binding; /* NULL: -PLUS is not offered */
    const char *certificate;               /* EXTERNAL: whom the client's verified one names */
    const struct address *client;          /* who asks; NULL: many people are behind its address */
};

/* How many may wait for an auth process at once; of one client's address TURNS_OF_CLIENT_MAX. More
 * are refused at once, so that a crowd of strangers keeps nobody waiting. */
enum { AUTH_WAITING_MAX = 256 };

/* Begins an exchange with the least busy process, or answers by itself: EXTERNAL, and PLAIN where
 * the cache knows it. The answer comes later in any case. NULL and why, for the log, when there is
 * no process that takes it: the answer is AUTH_UNAVAILABLE then. */
struct auth_exchange *auth_begin(struct auth_client *c, const struct auth_request *request,
                                 auth_answer_fn *fn, void *owner, const char **why);

/* The account that a name means, aliases applied. Returns 0, or -1: nobody's. */
int auth_account(const struct auth_client *c, struct span name, char account[ACCOUNT_SIZE]);

/* The client's response to a challenge. Returns 0, or -1 and why: the process doesn't take it, and
 * the exchange is to be cancelled. */
int auth_step(struct auth_exchange *e, struct span response, const char **why);

/* The cache, for who has passwords checked elsewhere: does it know a response of PLAIN? It was
 * right just now. */
bool auth_knows(const struct auth_client *c, struct span response);
void auth_keep(const struct auth_client *c, struct span response);

/* Nothing is known any more of the account's passwords, by its canonical name. */
void auth_forget(const struct auth_client *c, const char *account);

/* Forgets it; no answer comes any more. */
void auth_cancel(struct auth_exchange **e);
