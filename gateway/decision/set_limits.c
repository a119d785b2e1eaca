/* What is looked at for each take stands apart from what people read: the heads of one set are four
 * cache lines, with a hash of the limit and the name whose key nobody knows. A row's sequence is
 * odd while it is written, under the lock. */
#include "decision/set_limits.h"

#include "base/clock.h"
#include "base/shared_lock.h"
#include "policy/limit/siphash.h"

#include <string.h>

enum { SETS = SET_LIMITS_MAX / SET_LIMIT_WAYS, READ_TRIES = 100 };

#define PATIENCE_NS (50 * CLOCK_MS)
#define AHEAD_NS    (86400 * CLOCK_SECOND) /* another gateway's clock, at most */

struct head {
    _Atomic uint64_t hash;
    _Atomic int64_t until_ns;
};

struct row {
    _Atomic uint32_t sequence;
    struct set_limit content;
};

struct set_limits {
    struct shared_lock lock;
    _Atomic uint64_t version;
    uint64_t key[2];
    struct head heads[SET_LIMITS_MAX];
    struct row rows[SET_LIMITS_MAX];
};

size_t set_limits_size(void)
{
    return sizeof(struct set_limits);
}

void set_limits_begin(struct set_limits *s, const uint64_t key[2])
{
    s->key[0] = key[0];
    s->key[1] = key[1];
}

uint64_t set_limits_version(const struct set_limits *s)
{
    return atomic_load_explicit(&s->version, memory_order_relaxed);
}

/* ---- reading ---- */

/* Where the set of a limit and a name begins. Too long a name has the hash of nobody's. */
static size_t set_of(const struct set_limits *s, const char *rule, const char *name, uint64_t *hash)
{
    char text[OVERRIDE_KEY_SIZE];
    uint64_t hashes[2];
    size_t size = override_key(span_of(rule), name, text);
    siphash(s->key, span_make(text, size), hashes);
    *hash = hashes[0];
    return hashes[1] % SETS * SET_LIMIT_WAYS;
}

/* Has it come from us, whatever was written over it since? */
static bool is_whole(const struct set_limit *l, int64_t now_ns)
{
    return l->rule[0] != '\0' && l->name[0] != '\0' && l->since_ns > 0 &&
           l->since_ns <= now_ns + AHEAD_NS &&
           (l->figure.count == 0 || override_is_sane(&l->figure)) &&
           memchr(l->rule, '\0', sizeof l->rule) != NULL &&
           memchr(l->name, '\0', sizeof l->name) != NULL &&
           memchr(l->reason, '\0', sizeof l->reason) != NULL;
}

static bool is_written(const struct row *r, uint32_t before)
{
    atomic_thread_fence(memory_order_acquire);
    return (before & 1) == 0 && before == atomic_load_explicit(&r->sequence, memory_order_relaxed);
}

int set_limits_read(const struct set_limits *s, size_t place, int64_t now_ns, struct set_limit *out)
{
    if (place >= SET_LIMITS_MAX ||
        atomic_load_explicit(&s->heads[place].until_ns, memory_order_relaxed) <= now_ns)
        return -1; /* most of them */
    const struct row *r = &s->rows[place];
    for (int tries = 0; tries < READ_TRIES; tries++) {
        uint32_t before = atomic_load_explicit(&r->sequence, memory_order_acquire);
        *out = r->content;
        if (is_written(r, before))
            return out->until_ns > now_ns && is_whole(out, now_ns) ? 0 : -1;
    }
    return -1;
}

static bool is_of(const struct set_limits *s, size_t place, uint64_t hash)
{
    return atomic_load_explicit(&s->heads[place].hash, memory_order_relaxed) == hash;
}

int set_limits_find(const struct set_limits *s, const char *rule, const char *name, int64_t now_ns,
                    struct set_limit *out)
{
    uint64_t hash;
    size_t set = set_of(s, rule, name, &hash);
    for (size_t i = set; i < set + SET_LIMIT_WAYS; i++)
        if (is_of(s, i, hash) && set_limits_read(s, i, now_ns, out) == 0 &&
            strcmp(out->rule, rule) == 0 && strcmp(out->name, name) == 0)
            return (int)i;
    return -1;
}

bool set_limits_figure(const void *s, const char *rule, const char *name, int64_t now_s,
                       struct rate *out)
{
    struct set_limit found;
    if (set_limits_find(s, rule, name, now_s * CLOCK_SECOND, &found) < 0 || found.figure.count == 0)
        return false;
    *out = found.figure;
    return true;
}

/* ---- writing, under the lock ---- */

static void write_row(struct set_limits *s, size_t place, uint64_t hash, const struct set_limit *l)
{
    struct row *r = &s->rows[place];
    uint32_t sequence = atomic_load_explicit(&r->sequence, memory_order_relaxed);
    atomic_store_explicit(&r->sequence, sequence | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&s->heads[place].hash, hash, memory_order_relaxed);
    atomic_store_explicit(&s->heads[place].until_ns, l->until_ns, memory_order_relaxed);
    r->content = *l;
    atomic_store_explicit(&r->sequence, (sequence | 1) + 1, memory_order_release);
}

/* In its set the place of the same, which is copied to `was`; else one that is free, and `was` is
 * of no time; or -1: there is none. */
static int find_place(const struct set_limits *s, size_t set, const struct set_limit *l,
                      int64_t now_ns, struct set_limit *was)
{
    int place = -1;
    for (size_t i = set; i < set + SET_LIMIT_WAYS; i++) {
        bool is_taken = set_limits_read(s, i, now_ns, was) == 0;
        if (is_taken && strcmp(was->rule, l->rule) == 0 && strcmp(was->name, l->name) == 0)
            return (int)i;
        if (!is_taken && place < 0)
            place = (int)i;
    }
    was->since_ns = 0;
    return place;
}

static int put(struct set_limits *s, const struct set_limit *l, int64_t now_ns, struct error *why)
{
    uint64_t hash;
    struct set_limit was;
    size_t set = set_of(s, l->rule, l->name, &hash);
    int place = find_place(s, set, l, now_ns, &was);
    if (place < 0)
        return error_set(why, "there is no room for another limit beside those that were set");
    if (was.since_ns > l->since_ns)
        return SET_LIMITS_OLDER;
    if (was.since_ns < l->since_ns && (was.since_ns > 0 || l->until_ns > now_ns)) {
        write_row(s, (size_t)place, hash, l);
        atomic_fetch_add(&s->version, 1);
    }
    return place;
}

int set_limits_put(struct set_limits *s, size_t process, const struct set_limit *l, int64_t now_ns,
                   struct error *why)
{
    if (!is_whole(l, now_ns))
        return error_set(why, "what was set is malformed");
    if (shared_lock_take(&s->lock, process, clock_monotonic_ns() + PATIENCE_NS) < 0)
        return error_set(why, "another process holds the table of limits; try again");
    int outcome = put(s, l, now_ns, why);
    shared_lock_give(&s->lock);
    return outcome;
}

/* Only while it held the lock can it have left something half written. */
void set_limits_release(struct set_limits *s, size_t process)
{
    static const struct set_limit nothing = {.until_ns = 0};
    if (!shared_lock_is_of(&s->lock, process))
        return;
    for (size_t i = 0; i < SET_LIMITS_MAX; i++)
        if ((atomic_load(&s->rows[i].sequence) & 1) != 0)
            write_row(s, i, 0, &nothing);
    shared_lock_give(&s->lock);
}
