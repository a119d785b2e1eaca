/* How a call is written for policy/limit/limits.lua, and how its answer is read.
 *
 * A key is "{PREFIX}:KIND:RULE VALUE"; with the one tag in braces all of them live in one slot of a
 * Cluster. Kinds have names of their own, so that a rule that becomes one of another kind finds no
 * value of the wrong type. */
#include "decision/redis_store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TAKE_WORDS = 7,   /* KIND GROUP NEEDS KEY and three numbers */
    MARK_WORDS = 6,   /* of which take, of a hold, and of what tells nearness: see limits.lua */
    SETTLE_WORDS = 5, /* KIND KEY and three numbers */
    NUMBER_SIZE = 21, /* a uint64_t in decimal, or an int64_t */
    PREFIX_MAX = 64,
    KEYS_MAX = 3 * STORE_TAKES_MAX, /* each with two marks */
    TABLE_SIZE = 4096,
};

/* Longer than anybody waits, and than any tolerance; with it whatever is added up stays below the
 * 53 bits of a Lua number. */
#define LONGEST_US (INT64_C(200) * 366 * 86400 * 1000000)

/* What a kind is called in Redis, and how many keys it has: whole, or one for each of three halves
 * of a window. */
enum { MARK_HOLD = COUNTER_RATIO + 1, MARK_NEAR = MARK_HOLD + COUNTER_RATIO + 1 };
static const struct {
    const char *letter, *keys[3];
    size_t key_count;
} kinds[] = {
    [COUNTER_RATE] = {"r", {"rate:"}, 1},
    [COUNTER_AT_ONCE] = {"a", {"at-once:"}, 1},
    [COUNTER_DISTINCT] = {"d", {"distinct:0:", "distinct:1:", "distinct:2:"}, 3},
    [COUNTER_RATIO] = {"q", {"ratio:0:", "ratio:1:", "ratio:2:"}, 3},
    /* Marks beside each of them: */
    [MARK_HOLD + COUNTER_RATE] = {"", {"hold:rate:"}, 1},
    [MARK_HOLD + COUNTER_AT_ONCE] = {"", {"hold:at-once:"}, 1},
    [MARK_HOLD + COUNTER_DISTINCT] = {"", {"hold:distinct:"}, 1},
    [MARK_HOLD + COUNTER_RATIO] = {"", {"hold:ratio:"}, 1},
    [MARK_NEAR + COUNTER_RATE] = {"", {"near:rate:"}, 1},
    [MARK_NEAR + COUNTER_AT_ONCE] = {"", {"near:at-once:"}, 1},
    [MARK_NEAR + COUNTER_DISTINCT] = {"", {"near:distinct:"}, 1},
    [MARK_NEAR + COUNTER_RATIO] = {"", {"near:ratio:"}, 1},
};

/* One counter of the call that is being written. */
struct key {
    int kind; /* of counter, or of mark */
    struct span name;
    size_t first; /* of its keys in KEYS, from 1 */
};

struct redis_store {
    struct redis *redis;
    char prefix[PREFIX_MAX + 4]; /* "{porteiro}:" */
    size_t prefix_size;
    /* The call that is being written: */
    const char **texts;
    size_t *sizes, word_count, word_room;
    char *text; /* what was made for it: keys and numbers */
    size_t text_size, text_room;
    struct key keys[KEYS_MAX];
    size_t counters, key_count;
    uint16_t table[TABLE_SIZE]; /* by hash, an index into keys + 1 */
};

/* A call under way. */
struct asked {
    redis_store_fn *fn;
    void *owner;
    size_t count;
    struct counter_answer answers[]; /* is_taken says of each whether it is a rate, until then */
};

struct redis_store *redis_store_create(struct redis *redis, const char *prefix)
{
    struct redis_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->redis = redis;
    assert(strlen(prefix) <= PREFIX_MAX);
    s->prefix_size = (size_t)snprintf(s->prefix, sizeof s->prefix, "{%s}:", prefix); /* fits */
    return s;
}

void redis_store_destroy(struct redis_store **store)
{
    if (*store == NULL)
        return;
    free((*store)->texts);
    free((*store)->sizes);
    free((*store)->text);
    free(*store);
    *store = NULL;
}

bool redis_store_is_linked(const struct redis_store *s)
{
    return redis_is_linked(s->redis);
}

bool redis_store_is_trusted(const struct redis_store *s)
{
    return redis_is_trusted(s->redis);
}

/* ---- words ---- */

/* Room for so many words, and for so much text that is made for them. Returns 0, or -1. */
static int reserve(struct redis_store *s, size_t words, size_t text)
{
    if (words > s->word_room) {
        const char **texts = realloc(s->texts, words * sizeof *texts);
        size_t *sizes = realloc(s->sizes, words * sizeof *sizes);
        s->texts = texts == NULL ? s->texts : texts;
        s->sizes = sizes == NULL ? s->sizes : sizes;
        if (texts == NULL || sizes == NULL)
            return -1;
        s->word_room = words;
    }
    char *more = text <= s->text_room ? s->text : realloc(s->text, text);
    if (more == NULL)
        return -1;
    s->text = more;
    s->text_room = text > s->text_room ? text : s->text_room;
    return 0;
}

static void add(struct redis_store *s, const char *text, size_t size)
{
    s->texts[s->word_count] = text;
    s->sizes[s->word_count++] = size;
}

static void add_text(struct redis_store *s, const char *text)
{
    add(s, text, strlen(text));
}

/* Hot: in decimal. */
static void add_number(struct redis_store *s, uint64_t number)
{
    char digits[NUMBER_SIZE], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    size_t size = (size_t)(digits + sizeof digits - at);
    char *text = memcpy(s->text + s->text_size, at, size);
    s->text_size += size;
    add(s, text, size);
}

static void add_time(struct redis_store *s, int64_t us)
{
    int64_t least = us < 0 ? 0 : us;
    add_number(s, (uint64_t)(least > LONGEST_US ? LONGEST_US : least));
}

/* Half a window; a key ends by the millisecond. */
static void add_half(struct redis_store *s, int64_t window_us)
{
    add_time(s, window_us < 2000 ? 1000 : window_us / 2);
}

/* ---- keys ---- */

/* FNV-1a. */
static size_t hash(int kind, struct span name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)kind;
    for (size_t i = 0; i < name.size; i++)
        h = (h ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32) % TABLE_SIZE;
}

/* Its place in the table: where it stands, or would. */
static uint16_t *place_of(struct redis_store *s, int kind, struct span name)
{
    for (size_t at = hash(kind, name);; at = (at + 1) % TABLE_SIZE) {
        const struct key *key = s->table[at] == 0 ? NULL : &s->keys[s->table[at] - 1];
        if (key == NULL || (key->kind == kind && key->name.size == name.size &&
                            memcmp(key->name.data, name.data, name.size) == 0))
            return &s->table[at];
    }
}

/* A counter that is asked for several times has its keys once. */
static void list_key(struct redis_store *s, int kind, struct span name)
{
    uint16_t *place = place_of(s, kind, name);
    if (*place != 0)
        return;
    s->keys[s->counters] = (struct key){kind, name, s->key_count + 1};
    s->key_count += kinds[kind].key_count;
    *place = (uint16_t)++s->counters;
}

static void add_key_index(struct redis_store *s, int kind, struct span name)
{
    uint16_t listed = *place_of(s, kind, name);
    assert(listed > 0);
    add_number(s, s->keys[listed - 1].first);
}

static void add_key(struct redis_store *s, const struct key *key)
{
    for (size_t i = 0; i < kinds[key->kind].key_count; i++) {
        char *text = s->text + s->text_size, *at = text;
        at = mempcpy(at, s->prefix, s->prefix_size);
        at = mempcpy(at, kinds[key->kind].keys[i], strlen(kinds[key->kind].keys[i]));
        at = mempcpy(at, key->name.data, key->name.size);
        s->text_size += (size_t)(at - text);
        add(s, text, (size_t)(at - text));
    }
}

static void begin(struct redis_store *s)
{
    s->word_count = REDIS_WORDS_FRONT;
    s->text_size = s->counters = s->key_count = 0;
    memset(s->table, 0, sizeof s->table);
}

/* The keys that are listed; so many words follow. Returns 0, or -1. */
static int add_keys(struct redis_store *s, size_t words)
{
    size_t text = words * NUMBER_SIZE;
    for (size_t i = 0; i < s->counters; i++)
        text += kinds[s->keys[i].kind].key_count *
                (s->prefix_size + sizeof "hold:distinct:" + s->keys[i].name.size);
    if (reserve(s, REDIS_WORDS_FRONT + s->key_count + 1 + words, text) < 0)
        return -1;
    for (size_t i = 0; i < s->counters; i++)
        add_key(s, &s->keys[i]);
    return 0;
}

static struct redis_words words_of(const struct redis_store *s)
{
    return (struct redis_words){s->texts, s->sizes, s->word_count, s->key_count};
}

/* ---- takes ---- */

static bool is_marked(const struct counter_take *t)
{
    return t->marks.hold_us > 0 || t->marks.near > 0;
}

static void list_take(struct redis_store *s, const struct counter_take *t)
{
    list_key(s, t->kind, t->key);
    if (t->marks.hold_us > 0)
        list_key(s, MARK_HOLD + (int)t->kind, t->key);
    if (t->marks.near > 0)
        list_key(s, MARK_NEAR + (int)t->kind, t->key);
}

static void add_mark(struct redis_store *s, bool is_there, int kind, struct span name)
{
    if (is_there)
        add_key_index(s, kind, name);
    else
        add_number(s, 0);
}

static void add_marks(struct redis_store *s, const struct counter_take *t, size_t number)
{
    add_number(s, number);
    add_mark(s, t->marks.hold_us > 0, MARK_HOLD + (int)t->kind, t->key);
    add_time(s, t->marks.hold_us);
    add_mark(s, t->marks.near > 0, MARK_NEAR + (int)t->kind, t->key);
    add_number(s, t->marks.near);
    add_time(s, t->marks.near_us);
}

/* Behind all of them, where there are any. */
static void add_all_marks(struct redis_store *s, const struct counter_take *takes, size_t count,
                          size_t marked)
{
    for (size_t i = 0; i < count; i++)
        if (is_marked(&takes[i]))
            add_marks(s, &takes[i], i);
    if (marked > 0)
        add_number(s, marked);
}

static void add_numbers(struct redis_store *s, const struct counter_take *t)
{
    switch (t->kind) {
    case COUNTER_RATE:
        add_time(s, t->rate.increment_us);
        add_time(s, t->rate.tolerance_us);
        add_time(s, t->rate.max_delay_us);
        return;
    case COUNTER_AT_ONCE:
        add_number(s, t->at_once.max);
        add_number(s, t->at_once.lease);
        add_time(s, t->at_once.lease_us);
        return;
    case COUNTER_DISTINCT:
        add_number(s, t->distinct.max);
        add_number(s, t->distinct.element);
        add_half(s, t->distinct.window_us);
        return;
    case COUNTER_RATIO:
        add_number(s, t->ratio.percent);
        add_number(s, t->ratio.min);
        add_half(s, t->ratio.window_us);
        return;
    }
}

static void add_take(struct redis_store *s, const struct counter_take *t)
{
    add_text(s, kinds[t->kind].letter);
    add_number(s, t->group);
    add_number(s, t->needs);
    add_key_index(s, t->kind, t->key);
    add_numbers(s, t);
}

/* Four numbers for each take, behind the clock: see limits.lua. Returns 0; or -1: it is none. */
static int read_answers(struct asked *a, const struct redis_value *answer)
{
    enum { NEITHER, TAKEN, REFUSED, NEAR };
    if (answer == NULL || answer->kind != REDIS_ARRAY || answer->count != 1 + 4 * a->count)
        return -1;
    for (size_t i = 0; i < answer->count; i++)
        if (answer->items[i].kind != REDIS_INTEGER || answer->items[i].integer < -1)
            return -1;
    for (size_t i = 0; i < a->count; i++) {
        const struct redis_value *v = &answer->items[1 + 4 * i];
        bool is_rate = a->answers[i].is_taken;
        if (v[0].integer < NEITHER || v[0].integer > NEAR || v[1].integer < 0)
            return -1;
        a->answers[i] =
            (struct counter_answer){.is_taken = v[0].integer == TAKEN || v[0].integer == NEAR,
                                    .is_near = v[0].integer == NEAR,
                                    .is_refusing = v[0].integer == REFUSED,
                                    .now_us = answer->items[0].integer,
                                    .tat_us = is_rate ? v[1].integer : 0,
                                    .wait_us = v[2].integer,
                                    .used = is_rate ? 0 : (uint64_t)v[1].integer,
                                    .bad = (uint64_t)v[3].integer};
    }
    return 0;
}

static void on_answer(void *owner, const struct redis_value *answer)
{
    struct asked *a = owner;
    a->fn(a->owner, read_answers(a, answer) < 0 ? NULL : a->answers);
    free(a);
}

int redis_store_take(struct redis_store *s, const struct counter_take *takes, size_t count,
                     redis_store_fn *fn, void *owner)
{
    struct asked *a = NULL;
    size_t marked = 0;
    assert(count > 0 && count <= STORE_TAKES_MAX);
    if (!redis_is_trusted(s->redis))
        return -1; /* it would be written for nothing */
    begin(s);
    for (size_t i = 0; i < count; i++) {
        list_take(s, &takes[i]);
        marked += is_marked(&takes[i]);
    }
    if (add_keys(s, TAKE_WORDS * count + MARK_WORDS * marked + 1) < 0 ||
        (a = malloc(sizeof *a + count * sizeof *a->answers)) == NULL)
        return -1;
    add_text(s, marked > 0 ? "marked" : "take");
    for (size_t i = 0; i < count; i++) {
        add_take(s, &takes[i]);
        a->answers[i].is_taken = takes[i].kind == COUNTER_RATE;
    }
    add_all_marks(s, takes, count, marked);
    a->fn = fn;
    a->owner = owner;
    a->count = count;
    struct redis_words words = words_of(s);
    int outcome = redis_script(s->redis, &words, on_answer, a);
    if (outcome < 0)
        free(a);
    return outcome;
}

/* ---- settling ---- */

static void list_settle(struct redis_store *s, const struct counter_settle *t)
{
    list_key(s, t->of, t->key);
    if (t->kind != SETTLE_FORGET)
        return;
    list_key(s, MARK_HOLD + (int)t->of, t->key);
    list_key(s, MARK_NEAR + (int)t->of, t->key);
}

static void add_settle(struct redis_store *s, const struct counter_settle *t)
{
    static const char *const letters[] = {
        [SETTLE_GIVE_BACK] = "g", [SETTLE_RENEW] = "n", [SETTLE_RELEASE] = "l",
        [SETTLE_ADD] = "d",       [SETTLE_COUNT] = "q", [SETTLE_FORGET] = "f"};
    size_t words = s->word_count + SETTLE_WORDS;
    add_text(s, letters[t->kind]);
    add_key_index(s, t->of, t->key);
    switch (t->kind) {
    case SETTLE_GIVE_BACK:
        add_time(s, t->rate.increment_us);
        add_number(s, t->rate.tat_us < 0 ? 0 : (uint64_t)t->rate.tat_us);
        break;
    case SETTLE_RENEW:
    case SETTLE_RELEASE:
        add_number(s, t->at_once.lease);
        add_time(s, t->kind == SETTLE_RENEW ? t->at_once.lease_us : 0);
        break;
    case SETTLE_ADD:
        add_number(s, t->distinct.element);
        add_half(s, t->distinct.window_us);
        break;
    case SETTLE_COUNT:
        add_number(s, t->ratio.tried);
        add_number(s, t->ratio.bad);
        add_half(s, t->ratio.window_us);
        break;
    case SETTLE_FORGET:
        add_number(s, kinds[t->of].key_count);
        add_key_index(s, MARK_HOLD + (int)t->of, t->key);
        add_key_index(s, MARK_NEAR + (int)t->of, t->key);
        break;
    }
    while (s->word_count < words)
        add_number(s, 0);
}

void redis_store_settle(struct redis_store *s, const struct counter_settle *settles, size_t count)
{
    assert(count > 0 && count <= STORE_TAKES_MAX);
    if (!redis_is_trusted(s->redis))
        return;
    begin(s);
    for (size_t i = 0; i < count; i++)
        list_settle(s, &settles[i]);
    if (add_keys(s, SETTLE_WORDS * count) < 0)
        return;
    add_text(s, "settle");
    for (size_t i = 0; i < count; i++)
        add_settle(s, &settles[i]);
    struct redis_words words = words_of(s);
    (void)redis_script(s->redis, &words, NULL, NULL); /* see the header */
}
