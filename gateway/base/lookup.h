/* Texts by key, as octets without pointers: built once by one process, read where it is mapped by
 * others. Every offset is bounded as it is read: who has built it may have been taken over. */
#pragma once

#include "base/buffer.h"

/* ---- building ---- */

struct lookup_builder;

/* NULL without memory. */
struct lookup_builder *lookup_builder_create(void);
void lookup_builder_destroy(struct lookup_builder **b);

/* Adds a copy of a pair. Patterns are kept apart, in their order: what they match, the reader says.
 * `line` is where it stands. Returns 0; or -1 without memory, or past 64 MiB of text. */
int lookup_add(struct lookup_builder *b, struct span key, struct span value, unsigned line);
int lookup_add_pattern(struct lookup_builder *b, struct span key, struct span value);

/* Appends the octets. Returns 0; or -1: `lines` are those of two pairs with the same key, or both 0
 * when there was no memory. */
int lookup_build(struct lookup_builder *b, struct buffer *out, unsigned lines[2]);

/* ---- reading ---- */

/* Where the octets lie. Plain data; {0} is an empty one. */
struct lookup {
    const char *base;
    size_t size;
};

/* Is it one, as far as its head tells? */
bool lookup_is_valid(struct lookup l);

/* How many pairs, and how many patterns. */
size_t lookup_count(struct lookup l);
size_t lookup_pattern_count(struct lookup l);

/* The value of exactly this key; it lies in the octets. False: there is none. */
bool lookup_find(struct lookup l, struct span key, struct span *value);

/* The i-th pattern. */
void lookup_pattern(struct lookup l, size_t i, struct span *key, struct span *value);
