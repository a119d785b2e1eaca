#include "auth/turn.h"

void turn_init(struct turn *t, const struct address *client)
{
    *t = (struct turn){.is_counted = client != NULL};
    if (client != NULL)
        t->network = network_number(client);
}

int turn_take(struct turns *all, struct turn *t)
{
    unsigned taken = 0;
    for (const struct turn *o = all->first; t->is_counted && o != NULL; o = o->next)
        taken += o->is_counted && o->network == t->network;
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
