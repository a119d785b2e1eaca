#include "ipc/dialler.h"

#include <stdlib.h>

enum { DIALS_MAX = 1024 };

struct dialler {
    struct channel *const *master;
    struct tickets *open;
};

struct dialler *dialler_create(struct channel *const *master)
{
    struct dialler *dialler = calloc(1, sizeof *dialler);
    if (dialler == NULL)
        return NULL;
    dialler->master = master;
    dialler->open = tickets_create(DIALS_MAX);
    if (dialler->open == NULL)
        dialler_destroy(&dialler);
    return dialler;
}

void dialler_destroy(struct dialler **dialler)
{
    if (*dialler == NULL)
        return;
    tickets_destroy(&(*dialler)->open);
    free(*dialler);
    *dialler = NULL;
}

int dialler_ask(struct dialler *dialler, struct dial *d, enum dial_kind kind, size_t index,
                dialled_fn *fn, void *owner)
{
    struct message_dial which = {.kind = kind, .index = (uint32_t)index};
    dialler_forget(dialler, d);
    d->fn = fn;
    d->owner = owner;
    if (*dialler->master == NULL || ticket_open(dialler->open, d, &d->ticket) < 0)
        return -1;
    which.ticket = d->ticket;
    if (channel_send(*dialler->master, MESSAGE_DIAL, &which, span_make("", 0), -1) == 0)
        return 0;
    dialler_forget(dialler, d);
    return -1;
}

void dialler_forget(struct dialler *dialler, struct dial *d)
{
    ticket_close(dialler->open, d->ticket);
    d->ticket = (struct ticket){0, 0};
}

void dialler_take(struct dialler *dialler, const struct message *m)
{
    const struct message_dial *which = m->payload;
    struct dial *d = ticket_owner(dialler->open, which->ticket);
    if (d == NULL)
        return; /* it came too late */
    dialler_forget(dialler, d);
    d->fn(d->owner, message_take_fd(m));
}
