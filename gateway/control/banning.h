/* What people order of bans: porteiroctl's ban, unban and bans. */
#pragma once

#include "config/config.h"
#include "decision/bans.h"
#include "telemetry/event.h"

#include <jansson.h>
#include <sys/types.h>

#define BANNING_EXEMPT_NS (INT64_C(3600) * 1000000000)

/* Where they lie, and who writes. */
struct banning {
    struct bans *bans;
    const struct config *config; /* its shared_networks are never banned */
    const struct event_log *log;
    size_t process; /* this one's slot */
};

/* {"network": ADDRESS or NETWORK, "seconds": N, "reason": TEXT}: an IPv6 address stands for its
 * /64. What exempts all of it is lifted. Return 0 and what was done, or -1 and why not. */
int banning_ban(const struct banning *b, const json_t *request, uid_t uid, struct error *said);

/* {"network": ADDRESS or NETWORK}: lifts every ban that covers it, and exempts it for
 * BANNING_EXEMPT_NS. */
int banning_unban(const struct banning *b, const json_t *request, uid_t uid, struct error *said);

/* What is in a place below BANS_MAX, or NULL: nothing. The caller's. */
json_t *banning_row(const struct banning *b, size_t place, int64_t now_wall_ns);
