/* The script of policy/limit/limits.lua keeps the store's side. A call brings what was made here
 * since the last one, and what the store says has changed since then. */
#include "decision/ban_exchange.h"

#include "base/clock.h"
#include "decision/ban_text.h"
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
    char name[BAN_NAME_SIZE], value[BAN_VALUE_SIZE], until_ms[NUMBER_SIZE];
};

struct ban_exchange {
    struct loop *loop;
    struct redis *redis;
    struct bans *bans;
    size_t process;
    struct timeout *timer;
    bool is_asking, is_stopped;
    bool is_new;      /* nothing that was known of the store is believed */
    char id[ID_ROOM]; /* of what the store has; "": it has nothing */
    uint64_t known;   /* the change up to which it was read */
    char keys[KEYS][PREFIX_MAX + 24];
    size_t place;             /* up to which was looked for what is to be told */
    uint64_t version, looked; /* of the table: when that began, and when it was last done */
    uint64_t told[BANS_MAX];  /* by place: a hash of what was told */
    struct put puts[PUTS_MAX];
};

/* ---- telling ---- */

static uint64_t hash_of(const struct put *p)
{
    static const uint64_t key[2] = {1, 2}; /* nobody gains by a collision of his own bans */
    char text[BAN_NAME_SIZE + BAN_VALUE_SIZE];
    uint64_t hash[2];
    (void)snprintf(text, sizeof text, "%s %s", p->name, p->value); /* fits */
    siphash(key, span_of(text), hash);
    return hash[0];
}

/* What was made here in a place. Returns whether it is news. */
static bool is_news(struct ban_exchange *x, size_t place, int64_t now_ns, struct put *out)
{
    struct ban ban;
    if (bans_read(x->bans, place, now_ns, &ban) < 0 || ban.origin != BAN_OF_GATEWAY)
        return false;
    ban_text_write(&ban, out->name, out->value);
    (void)snprintf(out->until_ms, sizeof out->until_ms, "%" PRId64,
                   ban.until_ns / CLOCK_MS); /* fits */
    uint64_t hash = hash_of(out);
    if (x->told[place] == hash)
        return false;
    x->told[place] = hash;
    return true;
}

/* Fills in `puts`. Returns how many; the rest comes with the next call. */
static size_t gather(struct ban_exchange *x)
{
    int64_t now = clock_wall_ns();
    size_t count = 0;
    if (x->place == 0)
        x->version = bans_version(x->bans);
    if (x->place == 0 && x->version == x->looked)
        return 0;
    for (; x->place < BANS_MAX && count < PUTS_MAX; x->place++)
        count += is_news(x, x->place, now, &x->puts[count]);
    if (x->place == BANS_MAX) {
        x->place = 0;
        x->looked = x->version;
    }
    return count;
}

/* ---- hearing ---- */

static void begin_anew(struct ban_exchange *x)
{
    struct ban was;
    for (size_t place = 0; place < BANS_MAX; place++)
        if (bans_read(x->bans, place, clock_wall_ns(), &was) == 0 && was.origin == BAN_OF_STORE)
            (void)bans_lift(x->bans, x->process, place, &was); /* else it ends by itself */
    memset(x->told, 0, sizeof x->told);
    x->place = 0;
    x->looked = bans_version(x->bans) - 1;
    x->is_new = false;
}

/* Ours come back to us: what is the same already isn't the store's. */
static void take_row(struct ban_exchange *x, struct span name, struct span value)
{
    int64_t now = clock_wall_ns();
    struct ban told, is;
    if (ban_text_read(name, value, &told) < 0)
        return;
    told.origin = BAN_OF_STORE;
    if (bans_find(x->bans, &told, now, &is) == 0 && is.since_ns == told.since_ns &&
        is.until_ns == told.until_ns)
        return;
    (void)bans_put(x->bans, x->process, &told, now, NULL); /* it may have ended */
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

static void ask(struct ban_exchange *x);

static void on_answer(void *owner, const struct redis_value *v)
{
    struct ban_exchange *x = owner;
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
    if (v->count == 3 + 2 * ROWS_MAX && !x->is_stopped)
        ask(x); /* there are more */
}

/* ---- calls ---- */

static void ask(struct ban_exchange *x)
{
    const char *texts[WORDS_MAX];
    size_t sizes[WORDS_MAX], puts = x->is_new ? 0 : gather(x);
    char known[NUMBER_SIZE];
    struct redis_words w = {texts, sizes, REDIS_WORDS_FRONT, KEYS};
    (void)snprintf(known, sizeof known, "%" PRIu64, x->is_new ? 0 : x->known); /* fits */
    for (size_t i = 0; i < KEYS; i++)
        texts[w.count++] = x->keys[i];
    texts[w.count++] = "bans";
    texts[w.count++] = x->id;
    texts[w.count++] = known;
    for (size_t i = 0; i < puts; i++) {
        texts[w.count++] = x->puts[i].name;
        texts[w.count++] = x->puts[i].value;
        texts[w.count++] = x->puts[i].until_ms;
    }
    for (size_t i = REDIS_WORDS_FRONT; i < w.count; i++)
        sizes[i] = strlen(texts[i]);
    x->is_asking = redis_script(x->redis, &w, on_answer, x) == 0;
    x->is_new = x->is_new || !x->is_asking;
}

static void on_time(void *owner)
{
    struct ban_exchange *x = owner;
    timeout_set(x->timer, loop_now(x->loop) + PAUSE_NS);
    if (!redis_is_trusted(x->redis))
        x->is_new = true;
    else if (!x->is_asking)
        ask(x);
}

/* Nobody is in a hurry at the start: a server that isn't there is told with its reason first. */
struct ban_exchange *ban_exchange_create(struct loop *loop, struct redis *redis,
                                         const struct redis_config *config, struct bans *bans,
                                         size_t process)
{
    static const char *const names[KEYS] = {"bans", "bans:changes", "bans:ends"};
    struct ban_exchange *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    *x = (struct ban_exchange){
        .loop = loop, .redis = redis, .bans = bans, .process = process, .is_new = true};
    for (size_t i = 0; i < KEYS; i++)
        (void)snprintf(x->keys[i], sizeof x->keys[i], "{%s}:%s", config->prefix,
                       names[i]); /* fits */
    x->timer = timeout_create(loop, on_time, x);
    if (x->timer == NULL) {
        free(x);
        return NULL;
    }
    timeout_set(x->timer, loop_now(loop) + config->timeout_ms * CLOCK_MS + PAUSE_NS);
    return x;
}

void ban_exchange_stop(struct ban_exchange *x)
{
    if (x == NULL)
        return;
    x->is_stopped = true;
    timeout_destroy(&x->timer);
}

void ban_exchange_destroy(struct ban_exchange **x)
{
    ban_exchange_stop(*x);
    free(*x);
    *x = NULL;
}
