#include "decision/decision.h"

#include "base/arena.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

enum { CALL_MAX = 2 * 1024 * 1024, SETTLES_AT_ONCE = 100, SPARES_MAX = 16 };

struct decider {
    struct decider_options options;
    struct decision *spares; /* with their memory */
    size_t spare_count;
};

/* ---- life ---- */

struct decider *decider_create(const struct decider_options *options)
{
    struct decider *d = calloc(1, sizeof *d);
    if (d != NULL)
        d->options = *options;
    return d;
}

static void free_decision(struct decision *x)
{
    arena_destroy(&x->arena);
    free(x);
}

void decider_destroy(struct decider **d)
{
    struct decision *next;
    if (*d == NULL)
        return;
    for (struct decision *x = (*d)->spares; x != NULL; x = next) {
        next = x->next;
        free_decision(x);
    }
    free(*d);
    *d = NULL;
}

static struct decision *fresh(void)
{
    struct decision *x = calloc(1, sizeof *x);
    if (x == NULL || (x->arena = arena_create(CALL_MAX)) == NULL) {
        free(x);
        return NULL;
    }
    return x;
}

struct decision *decision_create(struct decider *d)
{
    struct decision *x = d->spares;
    if (x == NULL) {
        x = fresh();
    } else {
        d->spares = x->next;
        d->spare_count--;
    }
    if (x == NULL)
        return NULL;
    *x = (struct decision){.decider = d, .arena = x->arena};
    policy_call_begin(&x->call, x->arena);
    return x;
}

static void put_away(struct decision *x)
{
    struct decider *d = x->decider;
    if (d->spare_count == SPARES_MAX) {
        free_decision(x);
        return;
    }
    arena_reset(x->arena);
    x->next = d->spares;
    d->spares = x;
    d->spare_count++;
}

void decision_destroy(struct decision **x)
{
    struct decision *old = *x;
    *x = NULL;
    if (old == NULL)
        return;
    if (old->is_pending)
        old->fn = NULL; /* the answer finds nobody */
    else
        put_away(old);
}

/* ---- asking ---- */

/* Each gateway lets through its part of what all of them may; but one at least, and a message that
 * is larger than its part, from rest. */
static void divide(struct policy_call *call, size_t i, int64_t gateways)
{
    struct counter_take *take = &call->takes[i];
    if (take->kind == COUNTER_AT_ONCE) {
        int64_t part = take->at_once.max / gateways;
        take->marks.near = (take->marks.near + (uint64_t)gateways - 1) / (uint64_t)gateways;
        take->at_once.max = part < 1 ? 1 : (uint32_t)part;
    }
    if (take->kind != COUNTER_RATE)
        return;
    int64_t one = rate_increment(policy_rate(call, i), 1);
    if (one < RATE_NEVER / gateways && take->rate.increment_us <= take->rate.tolerance_us) {
        int64_t least = one * gateways, most = take->rate.tolerance_us;
        take->rate.tolerance_us = most < least ? least : most;
        take->rate.increment_us = take->rate.increment_us > take->rate.tolerance_us / gateways
                                      ? take->rate.tolerance_us
                                      : take->rate.increment_us * gateways;
    }
}

static enum decision_outcome ask_memory(struct decision *x)
{
    struct policy_call *call = &x->call;
    return memory_take(&x->decider->options.memory, call->takes, call->count, call->answers) == 0
               ? DECISION_ANSWERED
               : DECISION_FAILED;
}

/* Redis is in trouble. */
static enum decision_outcome do_without(struct decision *x)
{
    const struct redis_config *config = x->decider->options.config;
    struct policy_call *call = &x->call;
    x->is_in_redis = false;
    switch ((enum redis_on_failure)config->on_failure) {
    case REDIS_FAILURE_MEMORY:
        for (size_t i = 0; i < call->count; i++)
            divide(call, i, config->gateways);
        return ask_memory(x);
    case REDIS_FAILURE_ACCEPT:
        memset(call->answers, 0,
               call->count * sizeof *call->answers); /* neither taken nor refused */
        return DECISION_ANSWERED;
    case REDIS_FAILURE_TEMPFAIL: break;
    }
    return DECISION_FAILED;
}

/* Nobody wants it any more. */
static void give_up(struct decision *x)
{
    struct receipt *list = NULL;
    (void)decision_keep(x, 0, x->call.count, x->arena, &list); /* what is missing ends by itself */
    decider_give_back(x->decider, &list);
}

static void on_answers(void *owner, const struct counter_answer *answers)
{
    struct decision *x = owner;
    x->is_pending = false;
    if (answers != NULL)
        memcpy(x->call.answers, answers, x->call.count * sizeof *answers);
    if (x->fn == NULL) {
        if (answers != NULL)
            give_up(x);
        put_away(x);
    } else {
        x->fn(x->owner, answers != NULL ? DECISION_ANSWERED : do_without(x));
    }
}

enum decision_outcome decision_run(struct decision *x, decision_fn *fn, void *owner)
{
    struct decider *d = x->decider;
    if (x->call.count == 0)
        return DECISION_ANSWERED;
    if (d->options.redis == NULL)
        return ask_memory(x);
    x->fn = fn;
    x->owner = owner;
    x->is_in_redis = x->is_pending =
        redis_store_take(d->options.redis, x->call.takes, x->call.count, on_answers, x) == 0;
    return x->is_pending ? DECISION_PENDING : do_without(x);
}

/* ---- afterwards ---- */

void decision_settle(const struct decision *x, const struct counter_settle *settles, size_t count)
{
    struct decider_options *o = &x->decider->options;
    if (x->is_in_redis)
        redis_store_settle(o->redis, settles, count);
    else
        (void)memory_settle(&o->memory, settles, count); /* what is missing isn't counted */
}

int decision_keep(const struct decision *x, size_t first, size_t end, struct arena *a,
                  struct receipt **list)
{
    for (size_t i = first; i < end; i++) {
        const struct counter_take *take = &x->call.takes[i];
        const struct counter_answer *answer = &x->call.answers[i];
        if (!answer->is_taken || (take->kind != COUNTER_RATE && take->kind != COUNTER_AT_ONCE))
            continue;
        struct receipt *r = arena_alloc(a, sizeof *r);
        const char *key = r == NULL ? NULL : arena_copy(a, take->key);
        if (key == NULL)
            return -1;
        *r = (struct receipt){.next = *list,
                              .is_in_redis = x->is_in_redis,
                              .kind = take->kind,
                              .slot = take->slot,
                              .key = {key, take->key.size}};
        if (take->kind == COUNTER_RATE) {
            r->increment_us = take->rate.increment_us;
            r->tat_us = answer->tat_us;
        } else {
            r->lease = take->at_once.lease;
            memory_name(&x->decider->options.memory, take, &r->name);
        }
        *list = r;
    }
    return 0;
}

static void settle(struct decider *d, bool is_in_redis, const struct counter_settle *settles,
                   size_t count)
{
    if (is_in_redis)
        redis_store_settle(d->options.redis, settles, count);
    else
        (void)memory_settle(&d->options.memory, settles, count); /* too many, never too few */
}

static void fill_in(struct counter_settle *s, const struct receipt *r)
{
    *s = (struct counter_settle){.of = r->kind, .slot = r->slot, .key = r->key};
    if (r->kind == COUNTER_RATE) {
        s->kind = SETTLE_GIVE_BACK;
        s->rate.increment_us = r->increment_us;
        s->rate.tat_us = r->tat_us;
    } else {
        s->kind = SETTLE_RELEASE;
        s->at_once.lease = r->lease;
    }
}

void decider_settle(struct decider *d, const struct counter_settle *settles, size_t count)
{
    const struct redis_store *redis = d->options.redis;
    settle(d, redis != NULL && redis_store_is_trusted(redis), settles, count);
}

/* What lies in one of the stores, from `*list` on; a hundred at most. */
static size_t gather(struct receipt **list, bool is_in_redis, struct counter_settle *settles)
{
    size_t count = 0;
    for (; *list != NULL && (*list)->is_in_redis == is_in_redis && count < SETTLES_AT_ONCE;
         *list = (*list)->next)
        fill_in(&settles[count++], *list);
    return count;
}

void decider_give_back(struct decider *d, struct receipt **list)
{
    struct counter_settle settles[SETTLES_AT_ONCE];
    while (*list != NULL) {
        bool is_in_redis = (*list)->is_in_redis;
        size_t count = gather(list, is_in_redis, settles);
        settle(d, is_in_redis, settles, count);
    }
}

void decider_renew(struct decider *d, const struct receipt *list)
{
    for (; list != NULL; list = list->next) {
        const struct counter_settle renewed = {
            .kind = SETTLE_RENEW,
            .of = list->kind,
            .slot = list->slot,
            .key = list->key,
            .at_once = {.lease = list->lease, .lease_us = POLICY_LEASE_US}};
        if (list->kind == COUNTER_AT_ONCE)
            settle(d, list->is_in_redis, &renewed, 1);
    }
}
