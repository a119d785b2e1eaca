/* What every store of counters promises (policy/limit/store.h), over random schedules: takes of
 * several keys and groups, each kept or given back later, and different ones that are added.
 *
 * The model is the promise itself, written down as simply as it can be: what is taken of a key is
 * `owed` until a moment; no stretch of time lets more through than burst + rate * (t + D), D the
 * longest time a take stood before it was given back. Time is the store's, which it tells with each
 * answer; between a look before and one after, nobody knows when something was given back. */
#pragma once

#include "policy/limit/gcra.h"
#include "support/store_vectors.h"

#include <stdlib.h>

enum {
    MODEL_KEYS = 5,
    MODEL_GROUPS = 2,
    MODEL_OPEN_MAX = 48,     /* groups that are neither kept nor given back yet */
    MODEL_PASSED_MAX = 4000, /* for good, of a key */
    MODEL_DELAY = 40, /* units: longer a group stands undecided only where the test is slow */
};

/* Per unit of time; the last may be held back. */
static const struct {
    struct rate rate;
    int64_t max_delay;
} model_rules[MODEL_KEYS] = {
    {{1, 1, 5}, 0}, {{2, 1, 3}, 0}, {{60, 60, 10}, 0}, {{100, 300, 20}, 0}, {{7, 10, 7}, 2},
};

struct model_group {
    unsigned quantities[MODEL_KEYS]; /* 0: it has nothing to do with that key */
    int64_t at_us, due_us[MODEL_KEYS], tats_us[MODEL_KEYS];
};

static struct model {
    const struct store_driver *driver;
    int64_t unit_us, now_us;
    uint64_t seed;
    char texts[MODEL_KEYS][40];
    int64_t tats_us[MODEL_KEYS];
    struct model_group open[MODEL_OPEN_MAX];
    size_t open_count;
    int64_t longest_us; /* D */
    int64_t passed_us[MODEL_KEYS][MODEL_PASSED_MAX];
    size_t passed[MODEL_KEYS], given_back;
} model;

static inline unsigned model_any(unsigned below)
{
    model.seed = model.seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(model.seed >> 33) % below;
}

static inline int64_t model_later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline struct rate model_rate(size_t k)
{
    struct rate r = model_rules[k].rate;
    r.period_us *= model.unit_us;
    return r;
}

static inline struct span model_key(size_t k)
{
    return span_of(model.texts[k]);
}

static inline struct counter_take model_take(size_t k, unsigned quantity, uint16_t group,
                                             uint16_t needs)
{
    const struct rate r = model_rate(k);
    return (struct counter_take){.kind = COUNTER_RATE,
                                 .group = group,
                                 .needs = needs,
                                 .slot = (uint16_t)k,
                                 .key = model_key(k),
                                 .rate = {rate_increment(&r, quantity), rate_tolerance(&r),
                                          model_rules[k].max_delay * model.unit_us}};
}

/* ---- taking ---- */

/* Would it pass? `after_us` is when it would be at rest then. */
static inline bool model_passes(const struct counter_take *t, int64_t tat_us, int64_t now_us,
                                int64_t *after_us)
{
    *after_us = model_later(tat_us, now_us) + t->rate.increment_us;
    return *after_us - now_us <= t->rate.tolerance_us + t->rate.max_delay_us;
}

/* The group's answers are those of the model. Returns whether it was taken. */
static inline bool model_check_group(struct model_group *g, bool is_tried,
                                     const struct counter_take *takes,
                                     const struct counter_answer *answers)
{
    size_t at = 0;
    bool is_taken = is_tried, passes[MODEL_KEYS];
    g->at_us = answers[0].now_us;
    for (size_t k = 0; k < MODEL_KEYS; k++) {
        if (g->quantities[k] == 0)
            continue;
        passes[k] = model_passes(&takes[at++], model.tats_us[k], g->at_us, &g->tats_us[k]);
        is_taken = is_taken && passes[k];
    }
    at = 0;
    for (size_t k = 0; k < MODEL_KEYS; k++) {
        if (g->quantities[k] == 0)
            continue;
        const struct counter_answer *a = &answers[at];
        int64_t wait_us = g->tats_us[k] - takes[at].rate.tolerance_us - g->at_us;
        if (!passes[k])
            wait_us -= takes[at].rate.max_delay_us;
        int64_t tat_us = is_taken ? g->tats_us[k] : model_later(model.tats_us[k], a->now_us);
        ASSERT_OFTEN(a->is_taken == is_taken && a->is_refusing == (is_tried && !passes[k]),
                     "key %zu: taken %d, refusing %d", k, a->is_taken, a->is_refusing);
        ASSERT_OFTEN(a->tat_us == tat_us, "key %zu: at rest in %lld us, not in %lld", k,
                     (long long)(a->tat_us - a->now_us), (long long)(tat_us - a->now_us));
        ASSERT_OFTEN((!is_taken && !a->is_refusing) || a->wait_us == model_later(wait_us, 0),
                     "key %zu: %lld us to wait, not %lld", k, (long long)a->wait_us,
                     (long long)wait_us);
        g->due_us[k] = g->at_us + a->wait_us;
        model.tats_us[k] = a->tat_us;
        at++;
    }
    return is_taken;
}

/* One call of one or two groups. */
static inline void model_call(void)
{
    struct model_group groups[MODEL_GROUPS] = {0};
    struct counter_take takes[MODEL_GROUPS * MODEL_KEYS];
    struct counter_answer answers[MODEL_GROUPS * MODEL_KEYS];
    size_t count = 0, group_count = 1 + model_any(MODEL_GROUPS), firsts[MODEL_GROUPS];
    bool is_needed = model_any(2), is_taken = true;
    for (size_t g = 0; g < group_count; g++) {
        firsts[g] = count;
        for (size_t k = 0; k < MODEL_KEYS; k++)
            groups[g].quantities[k] = model_any(2) ? 0 : 1 + model_any(10) / 9;
        groups[g].quantities[model_any(MODEL_KEYS)] = 1; /* of one at least */
        for (size_t k = 0; k < MODEL_KEYS; k++)
            if (groups[g].quantities[k] > 0)
                takes[count++] = model_take(k, groups[g].quantities[k], (uint16_t)g,
                                            g > 0 && is_needed ? 0 : STORE_NO_GROUP);
    }
    model.driver->take(takes, count, answers);
    for (size_t g = 0; g < group_count; g++) {
        bool is_tried = g == 0 || !is_needed || is_taken;
        is_taken = model_check_group(&groups[g], is_tried, &takes[firsts[g]], &answers[firsts[g]]);
        if (is_taken)
            model.open[model.open_count++] = groups[g];
    }
    model.now_us = answers[0].now_us;
}

/* ---- and afterwards ---- */

static inline void model_keep(const struct model_group *g)
{
    for (size_t k = 0; k < MODEL_KEYS; k++)
        for (unsigned i = 0; i < g->quantities[k] && model.passed[k] < MODEL_PASSED_MAX; i++)
            model.passed_us[k][model.passed[k]++] = g->due_us[k];
}

/* As it stands now, which the store tells. */
static inline int64_t model_look(size_t k)
{
    const struct counter_take look = model_take(k, 1, 0, STORE_LOOK);
    struct counter_answer a;
    model.driver->take(&look, 1, &a);
    ASSERT_OFTEN(!a.is_taken, "a look took something");
    model.now_us = a.now_us;
    return a.tat_us;
}

/* What is left of a take that was given back at that time. */
static inline int64_t model_given_back(int64_t tat_us, int64_t increment_us, int64_t taken_us,
                                       int64_t now_us)
{
    int64_t still_owed = model_later(taken_us - now_us, 0);
    int64_t back = increment_us < still_owed ? increment_us : still_owed;
    return model_later(tat_us - back, now_us);
}

static inline void model_give_back(const struct model_group *g)
{
    for (size_t k = 0; k < MODEL_KEYS; k++) {
        if (g->quantities[k] == 0)
            continue;
        const struct counter_take t = model_take(k, g->quantities[k], 0, STORE_NO_GROUP);
        const struct counter_settle s = {.kind = SETTLE_GIVE_BACK,
                                         .of = COUNTER_RATE,
                                         .slot = (uint16_t)k,
                                         .key = model_key(k),
                                         .rate = {t.rate.increment_us, g->tats_us[k]}};
        int64_t tat = model_look(k), before = model.now_us;
        model.driver->settle(&s, 1);
        int64_t told = model_look(k), after = model.now_us;
        int64_t least = model_given_back(tat, s.rate.increment_us, g->tats_us[k], before);
        int64_t most = model_given_back(tat, s.rate.increment_us, g->tats_us[k], after);
        ASSERT_OFTEN(told >= model_later(least, after) && told <= most,
                     "key %zu: given back, it is at rest in %lld us, not in %lld to %lld", k,
                     (long long)(told - after), (long long)(least - after),
                     (long long)(most - after));
        model.tats_us[k] = told;
        model.longest_us = model_later(model.longest_us, after - g->at_us);
    }
    model.given_back++;
}

/* Half of what is undecided is kept, half is given back, in any order. */
static inline void model_decide(bool is_all)
{
    for (size_t i = 0; i < model.open_count;) {
        struct model_group *g = &model.open[i];
        bool is_late = g->at_us + MODEL_DELAY * model.unit_us <= model.now_us;
        if (!is_all && !is_late && model_any(6) > 0) {
            i++;
            continue;
        }
        if (model_any(2))
            model_keep(g);
        else
            model_give_back(g);
        *g = model.open[--model.open_count];
    }
}

static inline int model_compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Over every stretch of time that begins and ends with one that has passed. */
static inline void model_check_stretches(size_t k)
{
    const struct rate r = model_rate(k);
    int64_t *at = model.passed_us[k];
    size_t count = model.passed[k];
    qsort(at, count, sizeof *at, model_compare);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i; j < count; j++) {
            double stretch = (double)(at[j] - at[i] + model.longest_us);
            double most = (double)r.burst + stretch * (double)r.count / (double)r.period_us;
            ASSERT_OFTEN((double)(j - i + 1) <= most + 0.001, "%zu of key %zu in %lld us",
                         j - i + 1, k, (long long)(at[j] - at[i]));
        }
}

/* So many calls. `seed` is another schedule, of other keys; a unit is how long a cell takes. */
static inline void store_model_run(const struct store_driver *driver, uint64_t seed,
                                   int64_t unit_us, unsigned calls)
{
    memset(&model, 0, sizeof model);
    model.driver = driver;
    model.seed = seed;
    model.unit_us = unit_us;
    for (size_t k = 0; k < MODEL_KEYS; k++)
        (void)snprintf(model.texts[k], sizeof model.texts[k], "model-%llu key-%zu",
                       (unsigned long long)seed, k); /* fits */
    for (unsigned n = 0; n < calls; n++) {
        driver->advance(model_any(10) == 0 ? model_any(20) * unit_us
                                           : model_any(30) * unit_us / 100);
        model_decide(model.open_count + MODEL_GROUPS > MODEL_OPEN_MAX);
        model_call();
    }
    model_decide(true);
    ck_assert_uint_gt(model.given_back, calls / 20);
    for (size_t k = 0; k < MODEL_KEYS; k++) {
        ck_assert_uint_gt(model.passed[k], calls / 40);
        model_check_stretches(k);
    }
}

/* ---- different ones ---- */

static inline uint64_t model_different(const struct store_driver *driver, struct span key)
{
    const struct counter_take t = {.kind = COUNTER_DISTINCT,
                                   .needs = STORE_NO_GROUP,
                                   .slot = 1,
                                   .key = key,
                                   .distinct = {UINT32_MAX, 0, 2 * VECTOR_HOUR}};
    struct counter_answer a;
    driver->take(&t, 1, &a);
    return a.used;
}

static inline void model_add(const struct store_driver *driver, struct span key, uint64_t element)
{
    const struct counter_settle s = {.kind = SETTLE_ADD,
                                     .of = COUNTER_DISTINCT,
                                     .slot = 1,
                                     .key = key,
                                     .distinct = {element, 2 * VECTOR_HOUR}};
    driver->settle(&s, 1);
}

/* Any order, and any of them again: up to 32 are told to within `slack`, more of them within four
 * times the sketch's standard error. */
static inline void store_model_distinct(const struct store_driver *driver, unsigned slack,
                                        double standard_error)
{
    static const unsigned looks[] = {1, 2, 3, 5, 8, 13, 21, 31, 32, 33, 64, 200, 1000, 3000};
    char text[40];
    for (uint64_t set = 1; set <= 5; set++) {
        unsigned added = 0;
        struct span key = span_make(text, (size_t)snprintf(text, sizeof text, "set %llu",
                                                           (unsigned long long)set)); /* fits */
        for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
            for (; added < looks[i]; added++) {
                model_add(driver, key, (set << 32 | added) * UINT64_C(0x9e3779b97f4a7c15));
                model_add(driver, key,
                          (set << 32 | added / 2) * UINT64_C(0x9e3779b97f4a7c15)); /* again */
            }
            double n = added, got = (double)model_different(driver, key);
            double most = added <= 32 ? slack : 4 * standard_error * n + 1;
            ck_assert_msg(got >= n - most && got <= n + most, "%u of set %llu are told as %.0f",
                          added, (unsigned long long)set, got);
        }
    }
}
