/* What is settled of an account by hand, once each: rules of one name share a counter. */
#pragma once

#include "config/config.h"
#include "policy/limit/store.h"

enum { TALLY_MAX = 64 };

struct tally {
    struct counter_settle settles[TALLY_MAX];
    size_t count;
};

/* So many of its recipients, who were tried before, were nobody's. Keys lie in `a`. */
void tally_rejected(const struct config *c, const char *account, uint32_t count, struct arena *a,
                    struct tally *t);

/* It begins anew with all rules that suspend and go by what is known of an account, and where: its
 * name, its domain and a listener. Of whom else their keys name, as addresses and recipients,
 * nobody knows which there have been: those counters end by themselves. Likewise. */
void tally_suspending(const struct config *c, const char *account, struct arena *a,
                      struct tally *t);
