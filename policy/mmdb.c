/* Not by MaxMind's own library: it takes a path, which only the master could open, and that of
 * Debian 12 recurses without a bound, so that a spoiled file of 3 MB ends the process. */
#include "policy/mmdb.h"

static const char marker[] = "\xab\xcd\xefMaxMind.com";

enum {
    ABOUT_MAX = 128 * 1024, /* the description of the file, behind the marker, at its end */
    GAP = 16,               /* octets between the tree and the records */
    WORK_A_OCTET = 4,
    WORK_MIN = 65536,
    STEPS_MAX = 4096, /* values within one record */
};

/* The types that matter, and those whose size isn't how many octets follow. */
enum type { POINTER = 1, TEXT = 2, UINT16 = 5, UINT32 = 6, MAP = 7, ARRAY = 11, BOOLEAN = 14 };

struct value {
    unsigned type;
    size_t size; /* octets; of a map pairs, of an array items; where a pointer leads */
    size_t at;   /* of what follows its head */
};

/* ---- values ---- */

static unsigned octet(struct span s, size_t at)
{
    return (unsigned char)s.data[at];
}

/* Most significant octet first, four at most. */
static uint32_t number(struct span s, size_t at, size_t size)
{
    uint32_t n = 0;
    for (size_t i = 0; i < size; i++)
        n = n << 8 | octet(s, at + i);
    return n;
}

/* How long it is: up to 28 stands in its first octet, else one to three follow. */
static int take_size(struct span s, size_t *at, unsigned first, size_t *out)
{
    static const size_t from[] = {29, 285, 65821};
    unsigned low = first & 31, more = low < 29 ? 0 : low - 28;
    if (s.size - *at < more)
        return -1;
    *out = more == 0 ? low : from[more - 1] + number(s, *at, more);
    *at += more;
    return 0;
}

static int take_pointer(struct span s, size_t *at, unsigned first, size_t *out)
{
    static const size_t from[] = {0, 2048, 526336, 0};
    unsigned more = (first >> 3 & 3) + 1;
    if (s.size - *at < more)
        return -1;
    uint32_t high = more == 4 ? 0 : (uint32_t)(first & 7) << 8 * more;
    *out = from[more - 1] + (high | number(s, *at, more));
    *at += more;
    return 0;
}

/* The head of the value at `*at`, which is then behind it. Returns 0, or -1: it is spoiled. */
static int take_head(struct mmdb *m, struct span s, size_t *at, struct value *out)
{
    if (m->work == 0 || *at >= s.size)
        return -1;
    m->work--;
    unsigned first = octet(s, (*at)++);
    out->type = first >> 5;
    if (out->type == 0 && *at == s.size)
        return -1;
    if (out->type == 0)
        out->type = octet(s, (*at)++) + 7;
    int failed = out->type == POINTER ? take_pointer(s, at, first, &out->size)
                                      : take_size(s, at, first, &out->size);
    out->at = *at;
    return failed;
}

/* Passes over the value behind the head, and all that are within it. */
static int skip(struct mmdb *m, struct span s, size_t *at, struct value v)
{
    size_t left = 1;
    for (int steps = 0; steps < STEPS_MAX; steps++) {
        bool is_many = v.type == MAP || v.type == ARRAY;
        if (is_many)
            left += v.type == MAP ? 2 * v.size : v.size;
        else if (v.type != POINTER && v.type != BOOLEAN && v.size > s.size - *at)
            return -1;
        else if (v.type != POINTER && v.type != BOOLEAN)
            *at += v.size;
        if (--left == 0)
            return 0;
        if (take_head(m, s, at, &v) < 0)
            return -1;
    }
    return -1;
}

/* The value that is meant: a pointer leads to one that is none. */
static int follow(struct mmdb *m, struct span s, struct value *v)
{
    if (v->type != POINTER)
        return 0;
    size_t at = v->size;
    return take_head(m, s, &at, v) < 0 || v->type == POINTER ? -1 : 0;
}

/* The value of that name in a map. Returns 1; 0: it has none; -1: it is spoiled. */
static int find(struct mmdb *m, struct span s, const struct value *map, const char *name,
                struct value *out)
{
    size_t at = map->at;
    if (map->type != MAP)
        return 0;
    for (size_t i = 0; i < map->size; i++) {
        struct value key;
        if (i == STEPS_MAX || take_head(m, s, &at, &key) < 0)
            return -1;
        struct value text = key;
        if (follow(m, s, &text) < 0 || text.type != TEXT || text.size > s.size - text.at)
            return -1;
        at = key.type == POINTER ? key.at : text.at + text.size;
        if (take_head(m, s, &at, out) < 0)
            return -1;
        if (span_equals(span_make(s.data + text.at, text.size), name))
            return follow(m, s, out) < 0 ? -1 : 1;
        if (skip(m, s, &at, *out) < 0)
            return -1;
    }
    return 0;
}

int mmdb_text(struct mmdb *m, uint32_t record, const char *group, const char *name,
              struct span *out)
{
    struct value v, inner;
    if (record - m->nodes < GAP)
        return -1;
    size_t at = record - m->nodes - GAP;
    if (take_head(m, m->data, &at, &v) < 0 || follow(m, m->data, &v) < 0)
        return -1;
    int found = find(m, m->data, &v, group, &inner);
    if (found > 0)
        found = find(m, m->data, &inner, name, &v);
    if (found <= 0 || v.type != TEXT)
        return found < 0 ? -1 : 0;
    if (v.size > m->data.size - v.at)
        return -1;
    *out = span_make(m->data.data + v.at, v.size);
    return 1;
}

/* ---- the file ---- */

/* Where the description begins, behind the last marker; 0: there is none. */
static size_t find_about(struct span s)
{
    size_t size = sizeof marker - 1, first = s.size > ABOUT_MAX ? s.size - ABOUT_MAX : 0;
    for (size_t at = s.size; at >= first + size; at--)
        if (memcmp(s.data + at - size, marker, size) == 0)
            return at;
    return 0;
}

static int take_number(struct mmdb *m, struct span about, const char *name, uint32_t *out)
{
    struct value map, v;
    size_t at = 0;
    if (take_head(m, about, &at, &map) < 0 || find(m, about, &map, name, &v) != 1 ||
        (v.type != UINT16 && v.type != UINT32) || v.size > 4 || v.size > about.size - v.at)
        return -1;
    *out = number(about, v.at, v.size);
    return 0;
}

int mmdb_open(struct span octets, struct mmdb *out, struct error *why)
{
    size_t at = find_about(octets);
    uint32_t version, side_bits, ip_version;
    if (at == 0)
        return error_set(why, "is no MaxMind database, or only a part of one");
    struct span about = span_make(octets.data + at, octets.size - at);
    *out = (struct mmdb){.work = octets.size * WORK_A_OCTET + WORK_MIN};
    if (take_number(out, about, "binary_format_major_version", &version) < 0 ||
        take_number(out, about, "node_count", &out->nodes) < 0 ||
        take_number(out, about, "record_size", &side_bits) < 0 ||
        take_number(out, about, "ip_version", &ip_version) < 0)
        return error_set(why, "is spoiled: its description can't be read");
    if (version != 2)
        return error_set(why, "is of version %u of the format; 2 is known", version);
    size_t records = at - (sizeof marker - 1);
    uint64_t tree = (uint64_t)out->nodes * side_bits / 4;
    if (out->nodes == 0 || (side_bits != 24 && side_bits != 28 && side_bits != 32) ||
        (ip_version != 4 && ip_version != 6) || tree + GAP > records)
        return error_set(why, "is spoiled: its description doesn't fit it");
    out->side_bits = side_bits;
    out->is_v6 = ip_version == 6;
    out->tree = span_make(octets.data, (size_t)tree);
    out->data = span_make(octets.data + tree + GAP, records - (size_t)tree - GAP);
    return 0;
}

uint32_t mmdb_side(const struct mmdb *m, uint32_t node, unsigned bit)
{
    size_t size = m->side_bits / 4, at = node * size;
    if (m->side_bits != 28)
        return number(m->tree, at + bit * size / 2, size / 2);
    unsigned middle = octet(m->tree, at + 3);
    return (bit == 0 ? middle >> 4 : middle & 15) << 24 | number(m->tree, at + bit * 4, 3);
}
