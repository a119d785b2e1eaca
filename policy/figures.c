#include "policy/figures.h"

#include "policy/policy.h"

__extension__ typedef unsigned __int128 wide;

static int64_t owed_us(const struct counter_answer *a)
{
    return a->tat_us > a->now_us ? a->tat_us - a->now_us : 0;
}

/* In the store's own terms: they hold where a rule is overridden, or divided by gateways. */
static int64_t left_of_rate(const struct counter_take *take, const struct counter_answer *a)
{
    int64_t room_us = take->rate.tolerance_us - owed_us(a);
    if (room_us <= 0 || take->rate.increment_us <= 0)
        return 0;
    wide left = (wide)room_us * take->cost / (uint64_t)take->rate.increment_us;
    return left > INT64_MAX ? INT64_MAX : (int64_t)left;
}

static int64_t left_of_max(uint64_t max, uint64_t used)
{
    return max > used ? (int64_t)(max - used) : 0;
}

int64_t figures_left(const struct counter_take *take, const struct counter_answer *answer)
{
    switch (take->kind) {
    case COUNTER_RATE: return left_of_rate(take, answer);
    case COUNTER_AT_ONCE: return left_of_max(take->at_once.max, answer->used);
    case COUNTER_DISTINCT: return left_of_max(take->distinct.max, answer->used);
    case COUNTER_RATIO: break;
    }
    return -1;
}

/* Likewise: what doesn't pass at once is used up. */
static int64_t used_of_rate(const struct counter_take *take, const struct counter_answer *a)
{
    int64_t increment_us = take->rate.increment_us;
    if (increment_us <= 0)
        return -1;
    wide used =
        ((wide)owed_us(a) * take->cost + (uint64_t)increment_us - 1) / (uint64_t)increment_us;
    return used > INT64_MAX ? INT64_MAX : (int64_t)used;
}

int64_t figures_used(const struct counter_take *take, const struct counter_answer *answer)
{
    switch (take->kind) {
    case COUNTER_RATE: return used_of_rate(take, answer);
    case COUNTER_AT_ONCE:
    case COUNTER_DISTINCT: return answer->used > INT64_MAX ? INT64_MAX : (int64_t)answer->used;
    case COUNTER_RATIO:
        return answer->used == 0 ? 0 : (int64_t)((wide)answer->bad * 100 / answer->used);
    }
    return -1;
}

/* Of what counts as it is asked; -1: it doesn't. */
static double share_used(const struct counter_take *take, const struct counter_answer *a)
{
    double used = take->kind == COUNTER_RATE ? (double)owed_us(a) : (double)a->used;
    double most = take->kind == COUNTER_RATE
                      ? (double)take->rate.tolerance_us + (double)take->rate.max_delay_us
                      : (double)take->at_once.max;
    if (!a->is_taken || (take->kind != COUNTER_RATE && take->kind != COUNTER_AT_ONCE))
        return -1;
    return most <= 0 || used > most ? 1 : used / most;
}

static bool is_same(const struct policy_call *call, size_t a, size_t b)
{
    const struct span x = call->takes[a].key, y = call->takes[b].key;
    return call->rules[a] == call->rules[b] && x.size == y.size &&
           memcmp(x.data, y.data, x.size) == 0;
}

double figures_tightest(const struct policy_call *call, struct verdict *out)
{
    double most = -1;
    size_t tightest = 0;
    for (size_t i = 0; i < call->count; i++) {
        double share = share_used(&call->takes[i], &call->answers[i]);
        if (share > most) {
            most = share;
            tightest = i;
        }
    }
    if (most < 0)
        return -1;
    *out = (struct verdict){.kind = VERDICT_PASS,
                            .rule = call->rules[tightest],
                            .key = call->takes[tightest].key,
                            .left = figures_left(&call->takes[tightest], &call->answers[tightest]),
                            .used = -1};
    for (size_t i = 0; i < call->count; i++)
        if (call->answers[i].is_taken && is_same(call, i, tightest))
            out->cost += call->takes[i].cost;
    return most;
}
