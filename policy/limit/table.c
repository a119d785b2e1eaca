/* A group is looked at whole before anything of it is written, so that what it doesn't get leaves
 * no trace; a counter that it asks for twice is told from what the first would leave. */
#include "policy/limit/table.h"

#include "policy/limit/cells.h"
#include "policy/limit/distinct.h"
#include "policy/limit/gcra.h"
#include "policy/limit/siphash.h"

#include <assert.h>
#include <string.h>

/* ---- names ---- */

static uint64_t name_of(const struct table *t, enum counter_kind kind, uint16_t slot,
                        struct span key, struct table_name *name)
{
    uint64_t hash[2];
    siphash(t->key, key, hash);
    *name = (struct table_name){.tag = hash[0],
                                .slot = slot % STORE_RULES_MAX,
                                .shard = (uint8_t)(hash[1] % TABLE_SHARDS),
                                .kind = (uint8_t)(kind + 1)};
    return UINT64_C(1) << name->shard;
}

uint64_t table_names(const struct table *t, const struct counter_take *takes, size_t count,
                     struct table_name *names)
{
    uint64_t shards = 0;
    for (size_t i = 0; i < count; i++)
        shards |= name_of(t, takes[i].kind, takes[i].slot, takes[i].key, &names[i]);
    return shards;
}

uint64_t table_settle_names(const struct table *t, const struct counter_settle *settles,
                            size_t count, struct table_name *names)
{
    uint64_t shards = 0;
    for (size_t i = 0; i < count; i++)
        shards |= name_of(t, settles[i].of, settles[i].slot, settles[i].key, &names[i]);
    return shards;
}

static bool is_same(const struct table_name *a, const struct table_name *b)
{
    return a->tag == b->tag && a->shard == b->shard && a->slot == b->slot && a->kind == b->kind;
}

/* ---- halves of a window: cells of their own, three of them in turn ---- */

enum { HALVES = 3, HALF_LEAST_US = 1000 };

static struct table_name part_name(const struct table_name *whole, int number)
{
    struct table_name name = *whole;
    name.tag += (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15);
    return name;
}

static struct table_name half_name(const struct table_name *whole, int64_t number)
{
    return part_name(whole, (int)(number % HALVES));
}

static int64_t half_of(int64_t window_us)
{
    return window_us < 2 * HALF_LEAST_US ? HALF_LEAST_US : window_us / 2;
}

/* The cell of the half that began `back` halves ago, or NULL. */
static struct cell *find_half(const struct shard *s, const struct table_name *whole,
                              int64_t window_us, int64_t now_us, int back)
{
    int64_t half = half_of(window_us), number = now_us / half - back;
    struct table_name name = half_name(whole, number);
    struct cell *c = number < 0 ? NULL : cell_find(s, &name, now_us);
    return c != NULL && c->rest_us == (number + 2) * half ? c : NULL;
}

/* That of the half that is now, to be added to: until `rest_us`. */
static struct cell *claim_half(const struct shard *s, const struct table_name *whole,
                               int64_t window_us, int64_t now_us, int64_t *rest_us)
{
    int64_t half = half_of(window_us), number = now_us / half;
    struct table_name name = half_name(whole, number);
    struct cell *c = cell_claim(s, &name, now_us);
    *rest_us = (number + 2) * half;
    if (c != NULL && c->rest_us != *rest_us) { /* of an earlier one, or of another window */
        cell_forget(s, c);
        c->value = 0;
    }
    return c;
}

/* ---- marks: cells as well, behind the halves ---- */

enum { HOLD = HALVES, NEAR, PARTS };

static int64_t mark_left(const struct shard *s, const struct table_name *whole, int mark,
                         int64_t now_us)
{
    struct table_name name = part_name(whole, mark);
    const struct cell *c = cell_find(s, &name, now_us);
    return c == NULL ? 0 : cell_rest(c, now_us) - now_us;
}

/* Where there is no room, it isn't marked. */
static void put_mark(const struct shard *s, const struct table_name *whole, int mark,
                     int64_t lasts_us, int64_t now_us)
{
    struct table_name name = part_name(whole, mark);
    struct cell *c = cell_claim(s, &name, now_us);
    if (c == NULL)
        return;
    c->value = CELL_MARK;
    c->rest_us = now_us + lasts_us;
}

/* ---- takes ---- */

/* What a rate or an at-once counter is: its TAT or when its last lease ends, and how many are held.
 */
struct state {
    int64_t rest_us;
    uint64_t held;
};

struct call {
    const struct table *t;
    const struct counter_take *takes;
    const struct table_name *names;
    int64_t now_us;
    struct counter_answer *answers;
    size_t first;                  /* of the group that is looked at */
    int64_t held[STORE_TAKES_MAX]; /* for how long a take's counter is held */
    struct state after[STORE_TAKES_MAX];
};

static struct shard shard_of(const struct call *c, size_t i)
{
    return shard_open(c->t, c->names[i].shard % TABLE_SHARDS, c->now_us);
}

static struct state stored(const struct call *c, size_t i)
{
    const struct shard s = shard_of(c, i);
    const struct cell *cell = cell_find(&s, &c->names[i], c->now_us);
    if (cell == NULL)
        return (struct state){0};
    return (struct state){cell_rest(cell, c->now_us), cell->value};
}

/* As those of its group that stand before it would leave it. */
static struct state before(const struct call *c, size_t i)
{
    for (size_t k = i; k > c->first; k--)
        if (!c->answers[k - 1].is_refusing && is_same(&c->names[k - 1], &c->names[i]))
            return c->after[k - 1];
    return stored(c, i);
}

static bool look_rate(struct call *c, size_t i)
{
    const struct counter_take *take = &c->takes[i];
    struct counter_answer *a = &c->answers[i];
    struct state s = before(c, i);
    bool passes = gcra_take(&s.rest_us,
                            &(struct gcra_take){take->rate.increment_us, take->rate.tolerance_us,
                                                take->rate.max_delay_us},
                            c->now_us, &a->wait_us);
    c->after[i] = s;
    a->tat_us = s.rest_us > c->now_us ? s.rest_us : c->now_us;
    return passes;
}

static bool look_at_once(struct call *c, size_t i)
{
    const struct counter_take *take = &c->takes[i];
    struct state s = before(c, i);
    bool passes = s.held < take->at_once.max;
    int64_t until_us = c->now_us + take->at_once.lease_us;
    s.held += passes;
    if (s.rest_us < until_us)
        s.rest_us = until_us;
    c->after[i] = s;
    c->answers[i].used = s.held;
    return passes;
}

static uint64_t print_of(const struct table *t, uint64_t element)
{
    uint64_t hash[2];
    siphash(t->key, span_make((const char *)&element, sizeof element), hash);
    return hash[0] >> (64 - HYPERLOGLOG_BITS);
}

static bool look_distinct(struct call *c, size_t i)
{
    const struct counter_take *take = &c->takes[i];
    const struct shard s = shard_of(c, i);
    struct distinct_set set;
    set.count = 0;
    set.is_sketch = false;
    for (int back = 0; back < 2; back++) {
        const struct cell *half =
            find_half(&s, &c->names[i], take->distinct.window_us, c->now_us, back);
        if (half != NULL)
            distinct_gather(&set, &s, half);
    }
    uint64_t used = distinct_count(&set);
    c->answers[i].used = used;
    return used < take->distinct.max ||
           (used == take->distinct.max &&
            distinct_has(&set, print_of(c->t, take->distinct.element)));
}

static bool look_ratio(struct call *c, size_t i)
{
    const struct counter_take *take = &c->takes[i];
    struct counter_answer *a = &c->answers[i];
    const struct shard s = shard_of(c, i);
    for (int back = 0; back < 2; back++) {
        const struct cell *half =
            find_half(&s, &c->names[i], take->ratio.window_us, c->now_us, back);
        uint64_t value = half == NULL ? 0 : half->value;
        a->used += value >> 32;
        a->bad += value & UINT32_MAX;
    }
    return a->used < take->ratio.min || a->bad * 100 <= a->used * take->ratio.percent;
}

static bool (*const looks[])(struct call *c, size_t i) = {
    [COUNTER_RATE] = look_rate,
    [COUNTER_AT_ONCE] = look_at_once,
    [COUNTER_DISTINCT] = look_distinct,
    [COUNTER_RATIO] = look_ratio,
};

static int64_t look_hold(const struct call *c, size_t i)
{
    if (c->takes[i].marks.hold_us == 0)
        return 0;
    const struct shard s = shard_of(c, i);
    return mark_left(&s, &c->names[i], HOLD, c->now_us);
}

/* Would all of the group pass? */
static bool look_at_group(struct call *c, size_t end, bool is_tried, bool is_look)
{
    bool passes = true;
    for (size_t i = c->first; i < end; i++) {
        struct counter_answer *a = &c->answers[i];
        *a = (struct counter_answer){.now_us = c->now_us};
        bool is_good = looks[c->takes[i].kind](c, i);
        c->held[i] = look_hold(c, i);
        if (c->held[i] > 0)
            a->wait_us = c->held[i];
        else if (!is_good && c->takes[i].kind != COUNTER_RATE)
            a->wait_us = -1;
        is_good = is_good && c->held[i] == 0;
        a->is_refusing = !is_good;
        passes = passes && is_good;
    }
    for (size_t i = c->first; i < end && !is_tried && !is_look; i++)
        c->answers[i].is_refusing = false;
    return passes && is_tried;
}

/* Per cent of bad ones are judged as the ratio itself is. */
static bool is_near(const struct counter_take *take, const struct counter_answer *a)
{
    uint64_t near = take->marks.near;
    switch (take->kind) {
    case COUNTER_RATE: return a->tat_us - a->now_us >= (int64_t)near;
    case COUNTER_AT_ONCE:
    case COUNTER_DISTINCT: return a->used >= near;
    case COUNTER_RATIO: return a->used >= take->ratio.min && a->bad * 100 >= a->used * near;
    }
    return false;
}

static void look_near(const struct call *c, size_t i)
{
    const struct counter_take *take = &c->takes[i];
    struct counter_answer *a = &c->answers[i];
    if (take->marks.near == 0 || !is_near(take, a))
        return;
    const struct shard s = shard_of(c, i);
    a->is_near = mark_left(&s, &c->names[i], NEAR, c->now_us) == 0;
    if (a->is_near)
        put_mark(&s, &c->names[i], NEAR, take->marks.near_us, c->now_us);
}

/* Returns false when the memory has been spoiled. */
static bool take_group(struct call *c, size_t end)
{
    for (size_t i = c->first; i < end; i++) {
        enum counter_kind kind = c->takes[i].kind;
        c->answers[i].is_taken = true;
        look_near(c, i);
        if (kind != COUNTER_RATE && kind != COUNTER_AT_ONCE)
            continue;
        const struct shard s = shard_of(c, i);
        struct cell *cell = cell_claim(&s, &c->names[i], c->now_us);
        if (cell == NULL)
            return false;
        cell->value = c->after[i].held;
        cell->rest_us = c->after[i].rest_us;
    }
    return true;
}

/* What refuses goes on refusing. */
static void hold(const struct call *c, size_t i)
{
    struct counter_answer *a = &c->answers[i];
    int64_t hold_us = c->takes[i].marks.hold_us;
    if (!a->is_refusing || hold_us == 0 || c->held[i] > 0)
        return;
    const struct shard s = shard_of(c, i);
    put_mark(&s, &c->names[i], HOLD, hold_us, c->now_us);
    a->wait_us = hold_us;
}

/* As it stands without the group. */
static void leave_group(struct call *c, size_t end, bool is_look)
{
    for (size_t i = c->first; i < end; i++) {
        enum counter_kind kind = c->takes[i].kind;
        struct counter_answer *a = &c->answers[i];
        if (!a->is_refusing || is_look)
            a->wait_us = c->held[i];
        if (!is_look)
            hold(c, i);
        if (kind != COUNTER_RATE && kind != COUNTER_AT_ONCE)
            continue;
        struct state s = stored(c, i);
        if (kind == COUNTER_AT_ONCE)
            a->used = s.held;
        else
            a->tat_us = s.rest_us > c->now_us ? s.rest_us : c->now_us;
    }
}

int table_take(const struct table *t, const struct counter_take *takes,
               const struct table_name *names, size_t count, int64_t now_us,
               struct counter_answer *answers)
{
    struct call c;
    bool taken[STORE_GROUPS_MAX];
    assert(count <= STORE_TAKES_MAX && now_us >= 0);
    c.t = t;
    c.takes = takes;
    c.names = names;
    c.now_us = now_us;
    c.answers = answers;
    for (size_t i = 0; i < count;) {
        uint16_t group = takes[i].group, needs = takes[i].needs;
        size_t end = i;
        while (end < count && takes[end].group == group)
            end++;
        assert(group < STORE_GROUPS_MAX && (needs >= STORE_LOOK || needs < group));
        c.first = i;
        bool is_look = needs == STORE_LOOK;
        bool is_tried = needs == STORE_NO_GROUP || (!is_look && taken[needs]);
        taken[group] = look_at_group(&c, end, is_tried, is_look);
        if (!taken[group])
            leave_group(&c, end, is_look);
        else if (!take_group(&c, end))
            return -1;
        i = end;
    }
    return 0;
}

/* ---- settles ---- */

static void give_back(const struct shard *s, const struct counter_settle *w,
                      const struct table_name *name, int64_t now_us)
{
    struct cell *c = cell_find(s, name, now_us);
    if (c == NULL)
        return;
    int64_t tat = cell_rest(c, now_us);
    gcra_give_back(&tat, w->rate.increment_us, w->rate.tat_us, now_us);
    c->rest_us = tat;
}

/* One that has been lost, or ran out, counts again. */
static void renew(const struct shard *s, const struct counter_settle *w,
                  const struct table_name *name, int64_t now_us)
{
    struct cell *c = cell_claim(s, name, now_us);
    int64_t until_us = now_us + w->at_once.lease_us;
    if (c == NULL)
        return;
    if (c->rest_us <= now_us || c->value == 0)
        c->value = 1;
    if (c->rest_us < until_us)
        c->rest_us = until_us;
}

static void release(const struct shard *s, const struct table_name *name, int64_t now_us)
{
    struct cell *c = cell_find(s, name, now_us);
    if (c == NULL)
        return;
    uint64_t held = c->value;
    if (held <= 1)
        c->rest_us = 0;
    c->value = held <= 1 ? 0 : held - 1;
}

static void add(const struct table *t, const struct shard *s, const struct counter_settle *w,
                const struct table_name *name, int64_t now_us)
{
    int64_t rest_us;
    struct cell *c = claim_half(s, name, w->distinct.window_us, now_us, &rest_us);
    if (c == NULL)
        return;
    distinct_add(s, c, print_of(t, w->distinct.element), now_us);
    c->rest_us = rest_us;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a + b > UINT32_MAX ? UINT32_MAX : a + b;
}

static void count_in(const struct shard *s, const struct counter_settle *w,
                     const struct table_name *name, int64_t now_us)
{
    int64_t rest_us;
    struct cell *c = claim_half(s, name, w->ratio.window_us, now_us, &rest_us);
    if (c == NULL)
        return;
    uint64_t value = c->value;
    c->value = sum(value >> 32, w->ratio.tried) << 32 | sum(value & UINT32_MAX, w->ratio.bad);
    c->rest_us = rest_us;
}

static void forget(const struct shard *s, const struct table_name *name, int64_t now_us)
{
    for (int number = 0; number < PARTS; number++) {
        struct table_name part = part_name(name, number);
        struct cell *c = cell_find(s, &part, now_us);
        if (c != NULL)
            cell_forget(s, c);
    }
}

void table_settle(const struct table *t, const struct counter_settle *settles,
                  const struct table_name *names, size_t count, int64_t now_us)
{
    for (size_t i = 0; i < count; i++) {
        const struct counter_settle *w = &settles[i];
        const struct shard s = shard_open(t, names[i].shard % TABLE_SHARDS, now_us);
        switch (w->kind) {
        case SETTLE_GIVE_BACK: give_back(&s, w, &names[i], now_us); break;
        case SETTLE_RENEW: renew(&s, w, &names[i], now_us); break;
        case SETTLE_RELEASE: release(&s, &names[i], now_us); break;
        case SETTLE_ADD: add(t, &s, w, &names[i], now_us); break;
        case SETTLE_COUNT: count_in(&s, w, &names[i], now_us); break;
        case SETTLE_FORGET: forget(&s, &names[i], now_us); break;
        }
    }
}

void table_release(const struct table *t, const struct table_name *names, size_t count,
                   int64_t now_us)
{
    for (size_t i = 0; i < count; i++) {
        const struct shard s = shard_open(t, names[i].shard % TABLE_SHARDS, now_us);
        if (names[i].kind == COUNTER_AT_ONCE + 1)
            release(&s, &names[i], now_us);
    }
}

/* ---- by rule ---- */

void table_usage(const struct table *t, size_t slot, struct table_usage *out)
{
    *out = (struct table_usage){0};
    for (size_t i = 0; i < TABLE_SHARDS; i++)
        cells_usage(t, i, slot % STORE_RULES_MAX, out);
}

void table_clear(const struct table *t, size_t number, size_t slot, int64_t now_us)
{
    const struct shard s = shard_open(t, number % TABLE_SHARDS, now_us);
    cells_clear(&s, slot % STORE_RULES_MAX, now_us);
}
