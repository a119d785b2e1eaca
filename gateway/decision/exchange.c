/* The script of policy/limit/limits.lua keeps the store's side. A call brings what was made here
 * since the last one, and what the store says has changed since then. */
#include "decision/exchange.h"

#include "base/clock.h"
#include "config/config.h"
#include "policy/limit/siphash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEYS = 3,
    PUTS_MAX = 32, /* of a call */
    ROWS_MAX = 64, /* of an answer: what the script gives at most */
    PREFIX_MAX = 64,
    NUMBER_SIZE = 24,
    ID_ROOM = 40,
    FRONT = REDIS_WORDS_FRONT + KEYS + 3,
    WORDS_MAX = FRONT + 3 * PUTS_MAX,
};
#define PAUSE_NS (200 * CLOCK_MS)

/* What a call puts there. */
struct put {
    struct exchange_row row;
    char until_ms[NUMBER_SIZE];
};

struct exchange {
    struct exchange_options options;
    const struct exchange_kind *kind;
    void *table;
    struct timeout *timer;
    bool is_asking, is_stopped;
    bool is_new;      /* nothing that was known of the store is believed */
    bool is_behind;   /* the store has more to tell: it is heard before it is told anything */
    char id[ID_ROOM]; /* of what the store has; "": it has nothing */
    uint64_t known;   /* the change up to which it was read */
    char keys[KEYS][PREFIX_MAX + 32];
    size_t place;             /* up to which was looked for what is to be told */
    uint64_t version, looked; /* of the table: when that began, and when it was last done */
    struct put puts[PUTS_MAX];
    uint64_t told[]; /* by place: a hash of what the store knows */
};

/* ---- telling ---- */

static uint64_t hash_of(const struct exchange_row *row)
{
    static const uint64_t key[2] = {1, 2}; /* nobody gains by a collision of his own */
    char text[EXCHANGE_NAME_SIZE + EXCHANGE_VALUE_SIZE];
    uint64_t hash[2];
    (void)snprintf(text, sizeof text, "%s\n%s", row->name, row->value); /* fits */
    siphash(key, span_of(text), hash);
    return hash[0];
}

/* What the store is to be told of a place. Returns whether it is news. */
static bool is_news(struct exchange *x, size_t place, int64_t now_ns, struct put *out)
{
    if (!x->kind->read(x->table, place, now_ns, &out->row))
        return false;
    (void)snprintf(out->until_ms, sizeof out->until_ms, "%" PRId64,
                   out->row.until_ns / CLOCK_MS); /* fits */
    uint64_t hash = hash_of(&out->row);
    if (x->told[place] == hash)
        return false;
    x->told[place] = hash;
    return true;
}

/* Fills in `puts`. Returns how many; the rest comes with the next call. */
static size_t gather(struct exchange *x)
{
    int64_t now = clock_wall_ns();
    size_t count = 0;
    if (x->place == 0)
        x->version = x->kind->version(x->table);
    if (x->place == 0 && x->version == x->looked)
        return 0;
    for (; x->place < x->kind->places && count < PUTS_MAX; x->place++)
        count += is_news(x, x->place, now, &x->puts[count]);
    if (x->place == x->kind->places) {
        x->place = 0;
        x->looked = x->version;
    }
    return count;
}

/* Everything is looked at again. */
static void look_again(struct exchange *x)
{
    x->place = 0;
    x->looked = x->kind->version(x->table) - 1;
}

/* ---- hearing ---- */

static void begin_anew(struct exchange *x)
{
    if (x->kind->forget != NULL)
        x->kind->forget(x->table, x->options.process);
    memset(x->told, 0, x->kind->places * sizeof *x->told);
    look_again(x);
    x->is_new = false;
}

/* What stands there now is known to the store, or is to be told. */
static void take_row(struct exchange *x, struct span name, struct span value)
{
    struct exchange_row is;
    int place = x->kind->take(x->table, x->options.process, name, value);
    if (place < 0 || !x->kind->read(x->table, (size_t)place, clock_wall_ns(), &is))
        return;
    bool is_same = span_equals(name, is.name) && span_equals(value, is.value);
    x->told[place] = is_same ? hash_of(&is) : 0;
    if (!is_same)
        look_again(x);
}

static bool is_answer(const struct redis_value *v)
{
    bool is_good = v != NULL && v->kind == REDIS_ARRAY && v->count >= 3 && v->count % 2 == 1 &&
                   v->count <= 3 + 2 * ROWS_MAX && v->items[0].kind == REDIS_STRING &&
                   v->items[0].text.size < ID_ROOM && v->items[1].kind == REDIS_INTEGER &&
                   v->items[2].kind == REDIS_INTEGER;
    for (size_t i = 3; is_good && i < v->count; i++)
        is_good = v->items[i].kind == REDIS_STRING;
    return is_good;
}

static void ask(struct exchange *x);

static void on_answer(void *owner, const struct redis_value *v)
{
    struct exchange *x = owner;
    x->is_asking = false;
    if (!is_answer(v)) {
        x->is_new = true; /* who knows what it has taken */
        return;
    }
    bool is_another = !span_equals(v->items[0].text, x->id);
    if (x->is_new || is_another || (uint64_t)v->items[1].integer < x->known)
        begin_anew(x);
    (void)span_copy(v->items[0].text, x->id, sizeof x->id); /* fits */
    for (size_t i = 3; i < v->count; i += 2)
        take_row(x, v->items[i].text, v->items[i + 1].text);
    x->known = (uint64_t)v->items[2].integer;
    x->is_behind = v->count == 3 + 2 * ROWS_MAX;
    if (x->is_behind && !x->is_stopped)
        ask(x);
}

/* ---- calls ---- */

static void ask(struct exchange *x)
{
    const char *texts[WORDS_MAX];
    size_t sizes[WORDS_MAX], puts = x->is_new || x->is_behind ? 0 : gather(x);
    char known[NUMBER_SIZE];
    struct redis_words w = {texts, sizes, REDIS_WORDS_FRONT, KEYS};
    (void)snprintf(known, sizeof known, "%" PRIu64, x->is_new ? 0 : x->known); /* fits */
    for (size_t i = 0; i < KEYS; i++)
        texts[w.count++] = x->keys[i];
    texts[w.count++] = "exchange";
    texts[w.count++] = x->id;
    texts[w.count++] = known;
    for (size_t i = 0; i < puts; i++) {
        texts[w.count++] = x->puts[i].row.name;
        texts[w.count++] = x->puts[i].row.value;
        texts[w.count++] = x->puts[i].until_ms;
    }
    for (size_t i = REDIS_WORDS_FRONT; i < w.count; i++)
        sizes[i] = strlen(texts[i]);
    x->is_asking = redis_script(x->options.redis, &w, on_answer, x) == 0;
    x->is_new = x->is_new || !x->is_asking;
}

static void on_time(void *owner)
{
    struct exchange *x = owner;
    timeout_set(x->timer, loop_now(x->options.loop) + PAUSE_NS);
    if (!redis_is_trusted(x->options.redis))
        x->is_new = true;
    else if (!x->is_asking)
        ask(x);
}

/* Nobody is in a hurry at the start: a server that isn't there is told with its reason first. */
struct exchange *exchange_create(const struct exchange_options *options,
                                 const struct exchange_kind *kind, void *table)
{
    static const char *const suffixes[KEYS] = {"", ":changes", ":ends"};
    const struct redis_config *config = options->config;
    struct exchange *x = calloc(1, sizeof *x + kind->places * sizeof *x->told);
    if (x == NULL)
        return NULL;
    x->options = *options;
    x->kind = kind;
    x->table = table;
    x->is_new = true;
    for (size_t i = 0; i < KEYS; i++)
        (void)snprintf(x->keys[i], sizeof x->keys[i], "{%s}:%s%s", config->prefix, kind->name,
                       suffixes[i]); /* fits */
    x->timer = timeout_create(options->loop, on_time, x);
    if (x->timer == NULL) {
        free(x);
        return NULL;
    }
    timeout_set(x->timer, loop_now(options->loop) + config->timeout_ms * CLOCK_MS + PAUSE_NS);
    return x;
}

void exchange_stop(struct exchange *x)
{
    if (x == NULL)
        return;
    x->is_stopped = true;
    timeout_destroy(&x->timer);
}

void exchange_destroy(struct exchange **x)
{
    exchange_stop(*x);
    free(*x);
    *x = NULL;
}
