#include "control/top.h"

#include <stdio.h>

enum { CHAINS = 2048, NONE = 0 };

const char *const top_kind_names[] = {"account", "login", "script", "ip", "sender_domain", NULL};

/* Beside its name and figures, so that looking for who makes room reads little memory. */
struct entry {
    int64_t minute; /* the last in which it did something */
    uint64_t done;  /* within the hour before that */
    uint32_t hash;
    uint16_t next; /* of its chain; as all places one more than the index, 0 is none */
};

struct names {
    uint16_t chains[CHAINS], used;
    struct entry entries[TOP_NAMES];
    char texts[TOP_NAMES][TOP_NAME_SIZE];
    struct top_counts counts[TOP_NAMES][TOP_MINUTES];
    int64_t evicted_minute;
    uint64_t evicted_done; /* the most that one has done who made room */
};

struct top {
    int64_t began_s;
    struct names kinds[TOP_KINDS];
};

size_t top_size(void)
{
    return sizeof(struct top);
}

void top_begin(struct top *t, int64_t now_s)
{
    t->began_s = now_s;
}

static uint64_t sum(const struct top_counts *c)
{
    return (uint64_t)c->messages + c->recipients + c->refused;
}

/* FNV-1a. */
static uint64_t hash_of(struct span name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static void put_name(char out[TOP_NAME_SIZE], struct span name, uint64_t hash)
{
    enum { TAIL = 17 };
    size_t front = TOP_NAME_SIZE - 1 - TAIL;
    if (name.size < TOP_NAME_SIZE) {
        (void)span_copy(name, out, TOP_NAME_SIZE); /* fits */
        return;
    }
    while (((unsigned char)name.data[front] & 0xc0) == 0x80)
        front--; /* no character is cut */
    (void)snprintf(out, TOP_NAME_SIZE, "%.*s~%016llx", (int)front, name.data,
                   (unsigned long long)hash); /* fits */
}

/* ---- places ---- */

static uint16_t *chain_of(struct names *n, uint32_t hash)
{
    return &n->chains[hash % CHAINS];
}

static uint16_t find(const struct names *n, uint32_t hash, const char *text)
{
    uint16_t at = n->chains[hash % CHAINS];
    while (at != NONE && (n->entries[at - 1].hash != hash || strcmp(n->texts[at - 1], text) != 0))
        at = n->entries[at - 1].next;
    return at;
}

static uint64_t done_lately(const struct entry *e, int64_t minute)
{
    return minute - e->minute >= TOP_MINUTES ? 0 : e->done;
}

/* Who has done least makes room. */
static uint16_t evict(struct names *n, int64_t minute)
{
    uint16_t least = 1;
    for (uint16_t at = 2; at <= TOP_NAMES; at++)
        if (done_lately(&n->entries[at - 1], minute) < done_lately(&n->entries[least - 1], minute))
            least = at;
    uint64_t done = done_lately(&n->entries[least - 1], minute);
    if (minute - n->evicted_minute >= TOP_MINUTES)
        n->evicted_done = 0;
    if (done > 0)
        n->evicted_minute = minute;
    if (done > n->evicted_done)
        n->evicted_done = done;
    uint16_t *at = chain_of(n, n->entries[least - 1].hash);
    while (*at != NONE && *at != least)
        at = &n->entries[*at - 1].next;
    if (*at == least) /* else a process has ended before it stood there */
        *at = n->entries[least - 1].next;
    return least;
}

static uint16_t find_or_make(struct names *n, struct span name, int64_t minute)
{
    char text[TOP_NAME_SIZE];
    uint64_t whole_hash = hash_of(name);
    uint32_t hash = (uint32_t)whole_hash;
    put_name(text, name, whole_hash);
    uint16_t at = find(n, hash, text);
    if (at != NONE)
        return at;
    if (n->used == TOP_NAMES)
        at = evict(n, minute);
    else
        at = ++n->used;
    uint16_t *chain = chain_of(n, hash);
    n->entries[at - 1] = (struct entry){.minute = minute, .hash = hash, .next = *chain};
    *chain = at;
    memcpy(n->texts[at - 1], text, sizeof text);
    memset(n->counts[at - 1], 0, sizeof n->counts[at - 1]);
    return at;
}

/* Forgets the minutes whose places are those of the minutes since it did something. */
static void advance(struct names *n, size_t i, int64_t minute)
{
    struct entry *e = &n->entries[i];
    int64_t from = minute - e->minute >= TOP_MINUTES ? minute - TOP_MINUTES : e->minute;
    for (int64_t m = from + 1; m <= minute; m++) {
        struct top_counts *c = &n->counts[i][m % TOP_MINUTES];
        e->done -= sum(c);
        *c = (struct top_counts){.messages = 0};
    }
    if (minute > e->minute)
        e->minute = minute;
}

void top_add(struct top *t, enum top_kind kind, struct span name, struct top_counts counts,
             int64_t now_s)
{
    struct names *n = &t->kinds[kind];
    int64_t minute = now_s / 60;
    if (name.size == 0)
        return;
    size_t i = (size_t)find_or_make(n, name, minute) - 1;
    advance(n, i, minute);
    struct top_counts *c = &n->counts[i][n->entries[i].minute % TOP_MINUTES]; /* a clock set back */
    c->messages += counts.messages;
    c->recipients += counts.recipients;
    c->refused += counts.refused;
    n->entries[i].done += sum(&counts);
}

/* ---- lists ---- */

static struct top_counts counts_of(const struct names *n, size_t i, int64_t from, int64_t until)
{
    const struct entry *e = &n->entries[i];
    struct top_counts all = {.messages = 0};
    for (int64_t m = from; m <= until && m <= e->minute; m++) {
        const struct top_counts *c = &n->counts[i][m % TOP_MINUTES];
        if (m <= e->minute - TOP_MINUTES)
            continue;
        all.messages += c->messages;
        all.recipients += c->recipients;
        all.refused += c->refused;
    }
    return all;
}

static bool is_more(const struct top_row *a, const struct top_row *b)
{
    uint64_t x = (uint64_t)a->counts.recipients + a->counts.refused;
    uint64_t y = (uint64_t)b->counts.recipients + b->counts.refused;
    return x != y ? x > y : strcmp(a->name, b->name) < 0;
}

static void insert(struct top_list *out, const struct top_row *row)
{
    size_t at = out->count;
    if (at == TOP_ROWS_MAX && !is_more(row, &out->rows[at - 1]))
        return;
    if (at == TOP_ROWS_MAX)
        at--;
    else
        out->count++;
    for (; at > 0 && is_more(row, &out->rows[at - 1]); at--)
        out->rows[at] = out->rows[at - 1];
    out->rows[at] = *row;
}

void top_list(const struct top *t, enum top_kind kind, unsigned minutes, int64_t now_s,
              struct top_list *out)
{
    const struct names *n = &t->kinds[kind];
    int64_t until = now_s / 60, from = until - minutes + 1;
    bool is_hiding = until - n->evicted_minute < TOP_MINUTES;
    out->since_s = from * 60 > t->began_s ? from * 60 : t->began_s;
    out->hidden = is_hiding ? n->evicted_done : 0;
    out->count = 0;
    for (size_t i = 0; i < n->used; i++) {
        struct top_row row = {.counts = counts_of(n, i, from, until)};
        if (sum(&row.counts) == 0)
            continue;
        memcpy(row.name, n->texts[i], sizeof row.name);
        insert(out, &row);
    }
}
