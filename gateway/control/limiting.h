/* What people ask about limits: porteiroctl's limits. */
#pragma once

#include "base/sealed.h"
#include "control/socket.h"
#include "decision/decision.h"

struct limiting;

struct limiting_options {
    struct loop *loop;
    const struct config *config;
    const struct sealed *aliases, *countries; /* NULL: there are none */
    struct override_store set_limits;
    struct memory memory;
    /* The store in Redis, of which nobody needs to think until somebody asks; NULL: there is none.
     * Asked once. */
    struct redis_store *(*open_store)(void *owner);
    void *owner;
};

/* NULL without memory. */
struct limiting *limiting_create(const struct limiting_options *options);

/* Forgets the questions that are under way. */
void limiting_destroy(struct limiting **l);

/* How the counters of somebody stand: an account, an address, "@DOMAIN", a listener, a country as
 * "BR", or "global", or several of them for rules that go by several keys: an array of texts.
 * Nothing is taken. Tells `socket` a row for each counter, and answers the request, within a few
 * seconds. */
void limiting_show(struct limiting *l, struct control_socket *socket, uint32_t request,
                   const json_t *keys);
