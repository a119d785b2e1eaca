#include "upstream/tokens.h"

#include "ipc/channel.h"

#include <stdlib.h>

struct tokens {
    struct servers *servers;
    struct channel *helper; /* NULL: there is none, or none any more */
};

struct tokens *tokens_create(struct servers *servers)
{
    struct tokens *t = calloc(1, sizeof *t);
    if (t != NULL)
        t->servers = servers;
    return t;
}

void tokens_destroy(struct tokens **tokens)
{
    if (*tokens == NULL)
        return;
    channel_destroy(&(*tokens)->helper);
    free(*tokens);
    *tokens = NULL;
}

/* Whoever waits for the first one goes on. */
static void take(struct tokens *t, const struct message *m)
{
    const struct upstream_context *c = servers_context(t->servers);
    const struct message_token *payload = m->payload;
    if (accounts_take_token(c->accounts, payload->upstream, (uint16_t)payload->version, m->tail) ==
        0)
        servers_wake(t->servers, &c->config->upstreams[payload->upstream]);
}

static void on_helper(void *owner, const struct message *m)
{
    struct tokens *t = owner;
    if (m == NULL)
        channel_destroy(&t->helper); /* the master starts another */
    else if (m->type == MESSAGE_TOKEN)
        take(t, m);
}

void tokens_add(struct tokens *t, int fd)
{
    channel_destroy(&t->helper);
    t->helper = channel_create(servers_context(t->servers)->loop, fd, on_helper, t);
}

void tokens_refused(struct tokens *t, const struct upstream_config *u)
{
    const struct upstream_context *c = servers_context(t->servers);
    const struct account *a = account_of(c->accounts, u);
    const struct message_token m = {.upstream = (uint32_t)(u - c->config->upstreams),
                                    .version = a->version};
    if (t->helper != NULL)
        (void)channel_send(t->helper, MESSAGE_TOKEN_REFUSED, &m, span_make("", 0),
                           -1); /* it runs its command in time anyway */
}
