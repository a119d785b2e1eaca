#include "process/tickets.h"

#include "base/clock.h"
#include "process/children.h"

static void make(struct generation *g, struct ticket_keys *keys)
{
    g->ticket_period = ticket_period(clock_wall_ns());
    ticket_keys_derive(secret_bytes(&g->prepared->secret), g->ticket_period, keys);
    tls_contexts_set_tickets(g->prepared->tls, keys);
}

void tickets_begin(struct generation *g)
{
    struct ticket_keys keys;
    make(g, &keys);
    explicit_bzero(&keys, sizeof keys);
}

/* Sessions of a retired one may still begin TLS. */
static void turn(struct generation *g)
{
    struct ticket_keys keys;
    make(g, &keys);
    for (size_t i = 0; i < g->post_count; i++)
        if (g->posts[i].role == PROCESS_WORKER)
            post_send(&g->posts[i], MESSAGE_TICKET_KEYS, &keys);
    explicit_bzero(&keys, sizeof keys);
}

void tickets_turn(struct master_state *m)
{
    int64_t now = ticket_period(clock_wall_ns());
    for (struct generation *g = m->generations; g != NULL; g = g->next)
        if (g->ticket_period != now)
            turn(g);
}
