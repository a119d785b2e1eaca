/* Handles instead of pointers, for whoever may answer late: a ticket whose owner has gone is stale
 * and opens nothing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ticket {
    uint32_t slot, generation;
};

struct tickets;

/* A table for at most `limit` open tickets, or NULL without memory. */
struct tickets *tickets_create(uint32_t limit);
void tickets_destroy(struct tickets **tickets);

/* Opens a ticket for `owner` (not NULL). Returns 0, or -1 when `limit` are open. */
int ticket_open(struct tickets *t, void *owner, struct ticket *out);

/* The owner, or NULL when the ticket is stale or was never given out. */
void *ticket_owner(const struct tickets *t, struct ticket ticket);

/* Closes it; its owner can't be found any more. A stale ticket is left alone. */
void ticket_close(struct tickets *t, struct ticket ticket);

/* Every open ticket's owner in turn, who may close his own. */
void tickets_each(struct tickets *t, void (*visit)(void *owner, void *context), void *context);

uint32_t tickets_open(const struct tickets *t);
