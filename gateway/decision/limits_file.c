#include "decision/limits_file.h"

#include "policy/limit/siphash.h"

#include <assert.h>
#include <string.h>

enum { VERSION = 1 };

#define SECOND_US INT64_C(1000000)

static const char magic[16] = "porteiro limits";

/* Before each chunk. */
struct head {
    uint32_t kind, size; /* of what follows */
};

enum { CHUNK_HEAD = 1, CHUNK_RULE, CHUNK_SHARD, CHUNK_END };

struct first {
    char magic[16];
    uint32_t version, now_s; /* seconds since 1970 */
    uint64_t key[2];
};

/* A counter. */
struct row {
    uint64_t tag;
    int64_t rest_us;
    uint64_t value;
    uint16_t slot;
    uint8_t shard, kind;
    uint32_t has_block; /* TABLE_BLOCK_SIZE octets follow */
};

static_assert(sizeof(struct head) == 8 && sizeof(struct first) == 40 &&
                  sizeof(struct row) == LIMITS_ROW_SIZE,
              "without gaps");

static void hash_in(uint64_t hash[2], struct span chunk)
{
    const uint64_t before[2] = {hash[0], hash[1]};
    siphash(before, chunk, hash);
}

/* ---- writing ---- */

/* False: there is no room for all of it. */
static bool append(struct limits_writer *w, const void *bytes, size_t size)
{
    if (size > sizeof w->chunk - w->size)
        return false;
    memcpy(w->chunk + w->size, bytes, size);
    w->size += size;
    return true;
}

static void begin_chunk(struct limits_writer *w)
{
    w->size = sizeof(struct head);
}

static struct span end_chunk(struct limits_writer *w, uint32_t kind)
{
    const struct head h = {kind, (uint32_t)(w->size - sizeof h)};
    struct span chunk = span_make(w->chunk, w->size);
    memcpy(w->chunk, &h, sizeof h);
    hash_in(w->hash, chunk);
    return chunk;
}

struct span limits_write_head(struct limits_writer *w, const struct memory *m)
{
    struct first f = {.version = VERSION,
                      .now_s = (uint32_t)(memory_now_us(m) / SECOND_US),
                      .key = {m->table.key[0], m->table.key[1]}};
    memcpy(f.magic, magic, sizeof magic);
    w->hash[0] = w->hash[1] = 0;
    begin_chunk(w);
    (void)append(w, &f, sizeof f); /* fits, as below */
    return end_chunk(w, CHUNK_HEAD);
}

struct span limits_write_rule(struct limits_writer *w, size_t slot, const char *name)
{
    const uint16_t number = (uint16_t)slot;
    assert(slot < STORE_RULES_MAX && strlen(name) < LABEL_NAME_SIZE);
    begin_chunk(w);
    (void)append(w, &number, sizeof number);
    (void)append(w, name, strlen(name));
    return end_chunk(w, CHUNK_RULE);
}

struct span limits_write_end(struct limits_writer *w)
{
    begin_chunk(w);
    (void)append(w, w->hash, sizeof w->hash);
    return end_chunk(w, CHUNK_END);
}

/* A shard that was spoiled may say that it has more blocks than there are: some are left out. */
static void write_row(void *owner, const struct table_row *r)
{
    struct limits_writer *w = owner;
    const struct row row = {r->name.tag,   r->rest_us,   r->value,        r->name.slot,
                            r->name.shard, r->name.kind, r->block != NULL};
    size_t before = w->size;
    if (!append(w, &row, sizeof row) ||
        (r->block != NULL && !append(w, r->block, TABLE_BLOCK_SIZE)))
        w->size = before;
}

struct span limits_write_shard(struct limits_writer *w, struct memory *m, size_t shard)
{
    begin_chunk(w);
    if (memory_each(m, shard, write_row, w) < 0)
        return span_make("", 0);
    return end_chunk(w, CHUNK_SHARD);
}

/* ---- reading ---- */

struct chunk {
    uint32_t kind;
    struct span whole, payload;
};

static bool next_chunk(struct span *rest, struct chunk *out)
{
    struct head h;
    if (rest->size < sizeof h)
        return false;
    memcpy(&h, rest->data, sizeof h);
    if (h.size > rest->size - sizeof h)
        return false;
    out->kind = h.kind;
    out->whole = span_take(rest, sizeof h + h.size);
    out->payload = span_make(out->whole.data + sizeof h, h.size);
    return true;
}

static int read_first(const struct chunk *c, struct limits_reader *r, struct error *why)
{
    struct first f;
    if (c->kind != CHUNK_HEAD || c->payload.size < sizeof f)
        return error_set(why, "it is no file of limits");
    memcpy(&f, c->payload.data, sizeof f);
    if (memcmp(f.magic, magic, sizeof magic) != 0)
        return error_set(why, "it is no file of limits");
    if (f.version != VERSION)
        return error_set(why, "it is of version %u, not %d", f.version, VERSION);
    r->key[0] = f.key[0];
    r->key[1] = f.key[1];
    r->now_us = f.now_s * SECOND_US;
    return 0;
}

/* Has it its end, and is all before it as it was written? */
static bool is_whole(struct span rest, uint64_t hash[2])
{
    struct chunk c;
    while (next_chunk(&rest, &c)) {
        if (c.kind == CHUNK_END)
            return rest.size == 0 && c.payload.size == 2 * sizeof *hash &&
                   memcmp(c.payload.data, hash, 2 * sizeof *hash) == 0;
        hash_in(hash, c.whole);
    }
    return false;
}

int limits_read(struct limits_reader *r, struct span file, struct error *why)
{
    uint64_t hash[2] = {0, 0};
    struct chunk c;
    r->rest = file;
    if (!next_chunk(&r->rest, &c))
        return error_set(why, "it is no file of limits");
    if (read_first(&c, r, why) < 0)
        return -1;
    hash_in(hash, c.whole);
    if (!is_whole(r->rest, hash))
        return error_set(why, "it is not whole");
    return 0;
}

/* Slots of then, as those of now; -1: nobody has the name. */
struct renaming {
    int now[STORE_RULES_MAX];
};

static void read_rule(struct renaming *n, struct span payload, limits_slot_fn *slot_of, void *owner)
{
    char name[LABEL_NAME_SIZE];
    uint16_t slot;
    if (payload.size < sizeof slot)
        return;
    memcpy(&slot, span_take(&payload, sizeof slot).data, sizeof slot);
    if (slot >= STORE_RULES_MAX || payload.size >= sizeof name)
        return;
    (void)span_copy(payload, name, sizeof name); /* fits */
    n->now[slot] = slot_of(owner, name);
}

/* Takes one off the front. False: there is no other. */
static bool next_row(struct span *rest, struct table_row *out)
{
    struct row row;
    if (rest->size < sizeof row)
        return false;
    memcpy(&row, span_take(rest, sizeof row).data, sizeof row);
    *out =
        (struct table_row){{row.tag, row.slot, row.shard, row.kind}, row.rest_us, row.value, NULL};
    if (row.has_block == 0)
        return true;
    if (rest->size < TABLE_BLOCK_SIZE)
        return false;
    out->block = (const unsigned char *)span_take(rest, TABLE_BLOCK_SIZE).data;
    return true;
}

static size_t read_rows(const struct renaming *n, struct span rest, const struct table *table,
                        int64_t now_us)
{
    size_t count = 0;
    struct table_row row;
    while (next_row(&rest, &row)) {
        int slot = row.name.slot < STORE_RULES_MAX ? n->now[row.name.slot] : -1;
        row.name.slot = (uint16_t)slot;
        count += slot >= 0 && table_put(table, &row, now_us) == 0;
    }
    return count;
}

size_t limits_restore(const struct limits_reader *r, const struct table *table, int64_t now_us,
                      limits_slot_fn *slot_of, void *owner)
{
    struct renaming n;
    struct span rest = r->rest;
    struct chunk c;
    size_t count = 0;
    for (size_t i = 0; i < STORE_RULES_MAX; i++)
        n.now[i] = -1;
    while (next_chunk(&rest, &c)) {
        if (c.kind == CHUNK_RULE)
            read_rule(&n, c.payload, slot_of, owner);
        else if (c.kind == CHUNK_SHARD)
            count += read_rows(&n, c.payload, table, now_us);
    }
    return count;
}
