/* What is known of a session, a message, an account or an address: porteiroctl's show. */
#pragma once

#include "base/sealed.h"
#include "control/banning.h"
#include "control/board.h"
#include "control/suspending.h"
#include "control/witness.h"

/* Where to look. */
struct showing {
    const struct witness *witness;
    const struct board *board;
    const struct banning *banning;
    const struct suspending *suspending;
    const struct sealed *aliases; /* NULL: there are none */
};

enum { SHOWING_LINES_MAX = 40, SHOWING_ROWS_MAX = 20 };

/* {"who": ID, ACCOUNT or ADDRESS}: an object with what it is, its sessions, bans and suspension,
 * the last lines of the log that are of it, oldest first, and since when all are kept. Returns it,
 * the caller's; or NULL and why. Looks through all that is kept: 2 ms, or 20 where all of it is of
 * whom is asked for. */
json_t *showing_answer(const struct showing *s, const json_t *request, struct error *why);

/* The same of an account, with no other lines than those of its logins, also those that failed. */
json_t *showing_logins(const struct showing *s, const json_t *request, struct error *why);
