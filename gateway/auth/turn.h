/* Turns of logins that cost others something while they last: few at once of one client's network,
 * so that a stranger who begins many keeps nobody waiting. */
#pragma once

#include "base/network.h"

/* Of one network_number. */
enum { TURNS_OF_CLIENT_MAX = 4 };

/* { NULL } is nobody's. */
struct turns {
    struct turn *first;
};

/* It lies in its owner. */
struct turn {
    struct turn *next, **previous; /* NULL: not taken */
    uint64_t network;
    bool is_counted;
};

/* For this client; NULL: many people are behind its address, and nobody counts. */
void turn_init(struct turn *t, const struct address *client);

/* Takes it, as often as it was given back. Returns 0, or -1: its network has as many as it may. */
int turn_take(struct turns *all, struct turn *t);

/* Gives it back, if it was taken. */
void turn_end(struct turn *t);
