/* The engine inside another MTA: what all that ask it have in common. One a process, and the
 * loop's thread alone sees it. */
#pragma once

#include "base/id.h"
#include "config/config.h"
#include "decision/guessing.h"
#include "decision/set_limits.h"
#include "net/loop.h"

#define FILTER_LISTENER "filter" /* what stands for the listener, in keys and in `when` */

struct filter {
    struct loop *loop;
    const struct config *config; /* whose filter.policy_rules is there */
    const struct event_log *log;
    struct decider *decider;
    struct guessing guessing;                 /* with the bans and the key of accounts' hashes */
    struct override_store set_limits;         /* of a struct set_limits */
    const struct sealed *aliases, *countries; /* NULL: none */
    struct id_source ids;
};
