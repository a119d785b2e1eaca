/* Counters in memory over a restart: what isn't at rest, as the bytes of a file. Who opens, writes
 * and renames it stands above.
 *
 * It is a sequence of chunks: a head with the table's key, the rules by name, a chunk for each
 * shard, and an end with a hash of all that comes before it: of a file that was cut off, or of
 * which the disk has lost a part, nothing is believed. It is read on the machine that wrote it, and
 * numbers stand in it as they do in memory. */
#pragma once

#include "base/error.h"
#include "decision/memory.h"
#include "telemetry/labels.h"

enum {
    LIMITS_ROW_SIZE = 32, /* without its block */
    LIMITS_CHUNK_MAX = 64 + TABLE_CELLS * LIMITS_ROW_SIZE + TABLE_BLOCKS * TABLE_BLOCK_SIZE,
    LIMITS_FILE_MAX = TABLE_SHARDS * LIMITS_CHUNK_MAX + STORE_RULES_MAX * (LABEL_NAME_SIZE + 64)
};

/* How one is written. Two megabytes, of which as much is touched as a chunk needs. */
struct limits_writer {
    uint64_t hash[2]; /* of what was given out so far */
    size_t size;      /* of the chunk */
    char chunk[LIMITS_CHUNK_MAX];
};

/* The chunks in their order, rules and shards as many as there are; each is valid until the next
 * call. A head begins a new file. */
struct span limits_write_head(struct limits_writer *w, const struct memory *m);
struct span limits_write_rule(struct limits_writer *w, size_t slot, const char *name);
struct span limits_write_end(struct limits_writer *w);

/* Empty: the shard is held, and nothing was read out; again later. */
struct span limits_write_shard(struct limits_writer *w, struct memory *m, size_t shard);

/* A file that can be used. It points into the bytes. */
struct limits_reader {
    uint64_t key[2];  /* of the table that it was written from */
    int64_t now_us;   /* when that was; to the second */
    struct span rest; /* behind the head */
};

/* Looks at all of the file. Returns 0; or -1 and why it can't be used. */
int limits_read(struct limits_reader *r, struct span file, struct error *why);

/* The slot that a rule of this name has now; -1: there is none, and its counters are left out. */
typedef int limits_slot_fn(void *owner, const char *name);

/* Puts the counters that aren't at rest by now into a table that has the file's key and that nobody
 * uses yet. Returns how many. */
size_t limits_restore(const struct limits_reader *r, const struct table *table, int64_t now_us,
                      limits_slot_fn *slot_of, void *owner);
