/* A key has its place among some that follow one another, by its hash, so that looking for it costs
 * a few comparisons however many there are. A process may end between any two stores: what then is
 * half a line nobody can read, and its period goes on. */
#include "control/folding.h"

enum { TRIED = 16 };

struct place {
    uint64_t hash;
    int64_t until_ns; /* of its period */
    uint32_t count;   /* of what isn't told yet */
    uint16_t key_size, line_size;
    uint8_t is_late; /* the first of them came within the period; no bool: others write here */
};

struct folding {
    struct place places[FOLDING_PLACES];
    char keys[FOLDING_PLACES][FOLDING_KEY_MAX];
    char lines[FOLDING_PLACES][FOLDING_LINE_MAX];
};

size_t folding_size(void)
{
    return sizeof(struct folding);
}

/* FNV-1a. */
static uint64_t hash_of(struct span key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static bool is_free(const struct place *p, int64_t now_ns)
{
    return p->count == 0 && p->until_ns <= now_ns;
}

static size_t bounded(size_t size, size_t max)
{
    return size < max ? size : max;
}

/* What lies in shared memory is bounded as it is read. */
static struct span key_at(const struct folding *f, size_t i)
{
    return span_make(f->keys[i], bounded(f->places[i].key_size, FOLDING_KEY_MAX));
}

static bool is_at(const struct folding *f, size_t i, uint64_t hash, struct span key)
{
    const struct span is = key_at(f, i);
    return f->places[i].hash == hash && is.size == key.size &&
           memcmp(is.data, key.data, key.size) == 0;
}

/* Its place; else a free one, which it gets; else FOLDING_PLACES. */
static size_t find(struct folding *f, struct span key, int64_t now_ns)
{
    uint64_t hash = hash_of(key);
    size_t found = FOLDING_PLACES;
    for (size_t n = 0; n < TRIED; n++) {
        size_t i = (hash + n) % FOLDING_PLACES;
        bool is_empty = is_free(&f->places[i], now_ns);
        if (!is_empty && is_at(f, i, hash, key))
            return i;
        if (is_empty && found == FOLDING_PLACES)
            found = i;
    }
    if (found == FOLDING_PLACES)
        return found;
    f->places[found] = (struct place){.hash = hash, .key_size = (uint16_t)key.size};
    memcpy(f->keys[found], key.data, key.size);
    return found;
}

int folding_add(struct folding *f, struct span key, struct span line, int64_t now_ns)
{
    if (key.size > FOLDING_KEY_MAX || line.size > FOLDING_LINE_MAX)
        return -1;
    size_t i = find(f, key, now_ns);
    if (i == FOLDING_PLACES)
        return -1;
    struct place *p = &f->places[i];
    memcpy(f->lines[i], line.data, line.size);
    p->line_size = (uint16_t)line.size;
    if (p->count == 0)
        p->is_late = p->until_ns > now_ns;
    p->count += p->count < UINT32_MAX;
    return p->count == 1 && !p->is_late;
}

bool folding_due(const struct folding *f, size_t *at, int64_t now_ns, struct fold *out)
{
    for (; *at < FOLDING_PLACES; ++*at) {
        const struct place *p = &f->places[*at];
        if (p->count == 0 || p->until_ns > now_ns)
            continue;
        *out =
            (struct fold){.place = *at,
                          .key = key_at(f, *at),
                          .line = span_make(f->lines[*at], bounded(p->line_size, FOLDING_LINE_MAX)),
                          .folded = p->is_late ? p->count : p->count - 1};
        ++*at;
        return true;
    }
    return false;
}

void folding_told(struct folding *f, size_t place, int64_t until_ns)
{
    f->places[place].until_ns = until_ns;
    f->places[place].count = 0;
}

void folding_put_off(struct folding *f, size_t place, int64_t until_ns)
{
    f->places[place].until_ns = until_ns;
}
