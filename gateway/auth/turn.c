#include "auth/turn.h"

#include <string.h>

/* All of an IPv4 address, the first half of an IPv6 one. */
static struct in6_addr network_of(const struct address *a)
{
    struct in6_addr network = IN6ADDR_ANY_INIT;
    if (a->any.sa_family == AF_INET)
        memcpy(&network.s6_addr[12], &a->v4.sin_addr, 4);
    else if (address_is_v6(a))
        memcpy(&network, &a->v6.sin6_addr, 8);
    else
        memcpy(&network.s6_addr[12], &a->v6.sin6_addr.s6_addr[12], 4);
    return network;
}

void turn_init(struct turn *t, const struct address *client)
{
    *t = (struct turn){.is_counted = client != NULL};
    if (client != NULL)
        t->network = network_of(client);
}

int turn_take(struct turns *all, struct turn *t)
{
    unsigned taken = 0;
    for (const struct turn *o = all->first; t->is_counted && o != NULL; o = o->next)
        taken += o->is_counted && memcmp(&o->network, &t->network, sizeof t->network) == 0;
    if (taken >= TURNS_OF_CLIENT_MAX)
        return -1;
    t->next = all->first;
    t->previous = &all->first;
    if (t->next != NULL)
        t->next->previous = &t->next;
    all->first = t;
    return 0;
}

void turn_end(struct turn *t)
{
    if (t->previous == NULL)
        return;
    *t->previous = t->next;
    if (t->next != NULL)
        t->next->previous = t->previous;
    t->next = NULL;
    t->previous = NULL;
}
