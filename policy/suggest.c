#include "policy/suggest.h"

#include "base/arena.h"
#include "policy/named.h"

#include <stdlib.h>

enum { SUMS_AT_FIRST = 8 };

static const int64_t period_us[] = {
    [SUGGEST_HOUR] = INT64_C(3600000000), [SUGGEST_DAY] = INT64_C(86400000000)};

/* Of one hour or day. */
struct sum {
    int64_t number; /* of the period since 1970 */
    uint64_t counts[SUGGEST_COUNTS];
};

struct account {
    struct named_head head; /* at the front */
    uint64_t totals[SUGGEST_COUNTS], refused;
    int64_t tat_us; /* of the limit that is tried */
    struct {
        struct sum *items; /* by number */
        size_t count, room;
    } sums[SUGGEST_PERIODS];
};

struct suggest {
    struct arena *arena;
    struct rate limit; /* of count 0: none is tried */
    enum suggest_count count;
    struct named accounts;
};

struct suggest *suggest_create(struct arena *a, const struct rate *limit, enum suggest_count count)
{
    struct suggest *s = arena_alloc(a, sizeof *s);
    if (s == NULL)
        return NULL;
    s->arena = a;
    s->accounts.arena = a;
    s->count = count;
    if (limit != NULL)
        s->limit = *limit;
    return s;
}

/* ---- what was sent ---- */

/* The one of that number; most are the last. NULL without memory. */
static struct sum *sum_of(struct suggest *s, struct account *a, int period, int64_t number)
{
    size_t at = a->sums[period].count;
    struct sum *items = a->sums[period].items;
    while (at > 0 && items[at - 1].number > number)
        at--;
    if (at > 0 && items[at - 1].number == number)
        return &items[at - 1];
    if (a->sums[period].count == a->sums[period].room) {
        size_t room = a->sums[period].room == 0 ? SUMS_AT_FIRST : a->sums[period].room * 2;
        items = arena_alloc(s->arena, room * sizeof *items);
        if (items == NULL)
            return NULL;
        if (a->sums[period].count > 0)
            memcpy(items, a->sums[period].items, a->sums[period].count * sizeof *items);
        a->sums[period].items = items;
        a->sums[period].room = room;
    }
    memmove(items + at + 1, items + at, (a->sums[period].count - at) * sizeof *items);
    items[at] = (struct sum){.number = number};
    a->sums[period].count++;
    return &items[at];
}

/* As many as fit pass. */
static void try_limit(const struct suggest *s, struct account *a, int64_t now_us, uint64_t quantity)
{
    const struct gcra_take one = {rate_increment(&s->limit, 1), rate_tolerance(&s->limit), 0};
    int64_t wait_us;
    for (uint64_t i = 0; i < quantity; i++)
        if (!gcra_take(&a->tat_us, &one, now_us, &wait_us)) {
            a->refused += quantity - i;
            return;
        }
}

int suggest_hear(struct suggest *s, const struct record_line *r)
{
    enum { RECIPIENTS_MAX = 1000000 };
    const struct span name = record_value(r, "account");
    uint64_t quantities[SUGGEST_COUNTS] = {[SUGGEST_MESSAGES] = 1};
    int64_t now_us = record_time_us(r);
    if (!record_is(r, "event", "message_accepted") || name.size == 0 || now_us < 0 ||
        span_number(record_value(r, "recipients"), RECIPIENTS_MAX,
                    &quantities[SUGGEST_RECIPIENTS]) < 0)
        return 0;
    struct account *a = named_get(&s->accounts, name, sizeof *a);
    if (a == NULL)
        return -1;
    for (int period = 0; period < SUGGEST_PERIODS; period++) {
        struct sum *sum = sum_of(s, a, period, now_us / period_us[period]);
        if (sum == NULL)
            return -1;
        for (int count = 0; count < SUGGEST_COUNTS; count++)
            sum->counts[count] += quantities[count];
    }
    for (int count = 0; count < SUGGEST_COUNTS; count++)
        a->totals[count] += quantities[count];
    if (s->limit.count > 0)
        try_limit(s, a, now_us, quantities[s->count]);
    return 0;
}

/* ---- what that comes to ---- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The nearest rank: the smallest that so many of a hundred don't exceed. */
static uint64_t percentile(const uint64_t *sorted, size_t count, size_t percent)
{
    return sorted[(count * percent + 99) / 100 - 1];
}

/* `numbers` has room for all periods. */
static struct suggest_spread spread_of(const struct account *a, int count, int period,
                                       uint64_t *numbers)
{
    size_t periods = a->sums[period].count;
    for (size_t i = 0; i < periods; i++)
        numbers[i] = a->sums[period].items[i].counts[count];
    qsort(numbers, periods, sizeof *numbers, compare);
    return (struct suggest_spread){percentile(numbers, periods, 50),
                                   percentile(numbers, periods, 95),
                                   percentile(numbers, periods, 99), numbers[periods - 1]};
}

static int describe(struct suggest *s, const struct account *a, struct suggest_account *out)
{
    uint64_t *numbers = arena_alloc(s->arena, a->sums[SUGGEST_HOUR].count * sizeof *numbers);
    if (numbers == NULL)
        return -1;
    *out = (struct suggest_account){.name = a->head.name,
                                    .messages = a->totals[SUGGEST_MESSAGES],
                                    .recipients = a->totals[SUGGEST_RECIPIENTS],
                                    .refused = a->refused};
    for (int period = 0; period < SUGGEST_PERIODS; period++) {
        out->periods[period] = a->sums[period].count;
        for (int count = 0; count < SUGGEST_COUNTS; count++)
            out->spread[count][period] = spread_of(a, count, period, numbers);
    }
    return 0;
}

static int by_most(const void *a, const void *b)
{
    const struct suggest_account *x = a, *y = b;
    uint64_t x_most = x->spread[SUGGEST_RECIPIENTS][SUGGEST_HOUR].most;
    uint64_t y_most = y->spread[SUGGEST_RECIPIENTS][SUGGEST_HOUR].most;
    return x_most != y_most ? (x_most < y_most ? 1 : -1) : strcmp(x->name, y->name);
}

size_t suggest_accounts(struct suggest *s, struct suggest_account **out)
{
    size_t count = 0;
    *out = arena_alloc(s->arena, (s->accounts.count + 1) * sizeof **out);
    if (*out == NULL)
        return SIZE_MAX;
    for (size_t i = 0; i < s->accounts.room; i++)
        if (s->accounts.table[i] != NULL && describe(s, s->accounts.table[i], &(*out)[count++]) < 0)
            return SIZE_MAX;
    qsort(*out, count, sizeof **out, by_most);
    return count;
}
