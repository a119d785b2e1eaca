/* What a store has answered, in figures for people. Pure. */
#pragma once

#include "policy/limit/store.h"

struct policy_call;
struct verdict;

/* How many more of what is counted would pass at once now; -1: that can't be said. */
int64_t figures_left(const struct counter_take *take, const struct counter_answer *answer);

/* How much of a limit is used up: what passed lately, is held, or is different; of a ratio per
 * cent. -1: that can't be said. */
int64_t figures_used(const struct counter_take *take, const struct counter_answer *answer);

/* Of all that the call has counted, in whatever group: the counter that is nearest to its limit, as
 * a verdict that passes; its cost is all that it was asked for. Returns how much of it is used up,
 * 0 to 1; or -1: nothing was counted, and `out` is left alone. One pass over the takes. */
double figures_tightest(const struct policy_call *call, struct verdict *out);
