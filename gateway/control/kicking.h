/* What people order of sessions: porteiroctl's kick. */
#pragma once

#include "base/sealed.h"
#include "control/board.h"
#include "ipc/channel.h"

/* Where they are, and who tells the workers. */
struct kicking {
    const struct board *board;
    const struct sealed *aliases; /* NULL: there are none */
    struct channel *master;
};

/* {"who": ACCOUNT, ID of a session, ADDRESS or NETWORK, "reason": TEXT for their clients}: an IPv6
 * address stands for its /64. Sessions of who has logged in as the account, or has come from there,
 * end in all workers and generations, each as soon as nothing is under way. Returns 0 and how many
 * there are, or -1: there is none. */
int kicking_kick(const struct kicking *k, const json_t *request, struct error *said);
