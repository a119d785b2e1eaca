/* Where a node of a Cluster says that a key is (MOVED, ASK), and where a Sentinel says that a
 * master is. Pure. */
#pragma once

#include "base/address.h"
#include "redis/codec.h"

/* "MOVED 3999 192.0.2.1:6381", of that word, said by who is at `from`, which counts where no host
 * is named. Returns 1 and whom to ask instead; 0: it is no such answer; -1: it names nobody who
 * could be connected to, and why: a name would have to be looked up. */
int redis_redirect(const struct redis_value *answer, const char *word, const struct address *from,
                   struct address *out, struct error *why);

/* An answer to SENTINEL GET-MASTER-ADDR-BY-NAME. Returns 0, or -1 and why. */
int redis_master_address(const struct redis_value *answer, struct address *out, struct error *why);
