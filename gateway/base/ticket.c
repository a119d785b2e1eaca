#include "base/ticket.h"

#include <assert.h>
#include <stdlib.h>

#define NO_SLOT UINT32_MAX

struct slot {
    void *owner;
    uint32_t generation;
    uint32_t next_free;
};

struct tickets {
    struct slot *slots;
    uint32_t limit, used, free, open; /* used: slots that were ever given out */
};

struct tickets *tickets_create(uint32_t limit)
{
    struct tickets *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->slots = calloc(limit, sizeof *t->slots);
    if (t->slots == NULL) {
        free(t);
        return NULL;
    }
    t->limit = limit;
    t->free = NO_SLOT;
    return t;
}

void tickets_destroy(struct tickets **tickets)
{
    if (*tickets == NULL)
        return;
    free((*tickets)->slots);
    free(*tickets);
    *tickets = NULL;
}

int ticket_open(struct tickets *t, void *owner, struct ticket *out)
{
    assert(owner != NULL);
    uint32_t at = t->free;
    if (at != NO_SLOT)
        t->free = t->slots[at].next_free;
    else if (t->used < t->limit)
        at = t->used++;
    else
        return -1;
    t->slots[at].owner = owner;
    t->open++;
    if (t->slots[at].generation == 0)
        t->slots[at].generation = 1; /* so that a zeroed ticket opens nothing */
    *out = (struct ticket){at, t->slots[at].generation};
    return 0;
}

static struct slot *find(const struct tickets *t, struct ticket ticket)
{
    if (ticket.slot >= t->used)
        return NULL;
    struct slot *s = &t->slots[ticket.slot];
    return s->owner != NULL && s->generation == ticket.generation ? s : NULL;
}

void *ticket_owner(const struct tickets *t, struct ticket ticket)
{
    const struct slot *s = find(t, ticket);
    return s == NULL ? NULL : s->owner;
}

void ticket_close(struct tickets *t, struct ticket ticket)
{
    struct slot *s = find(t, ticket);
    if (s == NULL)
        return;
    s->owner = NULL;
    s->generation++;
    s->next_free = t->free;
    t->free = ticket.slot;
    t->open--;
}

void tickets_each(struct tickets *t, void (*visit)(void *owner, void *context), void *context)
{
    for (uint32_t i = 0; i < t->used; i++)
        if (t->slots[i].owner != NULL)
            visit(t->slots[i].owner, context);
}

uint32_t tickets_open(const struct tickets *t)
{
    return t->open;
}
