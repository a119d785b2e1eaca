/* What the fuzz targets stand on: promises that must hold for every input, inputs cut at places
 * that the fuzzer chooses, and a record of what a reader said to them. */
#pragma once

#include "base/buffer.h"
#include "support/splits.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Ends the run, with the promise, when it isn't kept. */
static inline void must(bool is_kept, const char *promise)
{
    if (is_kept)
        return;
    fprintf(stderr, "not kept: %s\n", promise);
    abort();
}

/* The first byte of the input, taken off; 0 when there is none. */
static inline unsigned take_byte(struct span *input)
{
    return input->size == 0 ? 0 : (unsigned char)span_take(input, 1).data[0];
}

/* Where to cut: 0 is one piece, others are pieces of 1 to 64 octets, the same for the same seed. */
struct cuts {
    uint32_t seed;
};

static inline struct span next_piece(struct cuts *c, struct span *rest)
{
    if (c->seed == 0)
        return span_take(rest, rest->size);
    c->seed = c->seed * UINT32_C(1664525) + UINT32_C(1013904223);
    size_t most = UINT32_C(1) << (c->seed >> 16) % 7, size = 1 + (c->seed >> 24) % most;
    return span_take(rest, size < rest->size ? size : rest->size);
}

/* What was said, one thing after the other. */
struct record {
    struct buffer bytes;
};

static inline struct record record_make(void)
{
    return (struct record){{.limit = 16 * 1024 * 1024}};
}

static inline void record_number(struct record *r, long long number)
{
    must(buffer_printf(&r->bytes, "%lld;", number) == 0, "a record has room");
}

static inline void record_span(struct record *r, struct span bytes)
{
    record_number(r, (long long)bytes.size);
    must(buffer_append(&r->bytes, bytes) == 0, "a record has room");
}

/* Both are forgotten. */
static inline void records_are_equal(struct record *a, struct record *b, const char *promise)
{
    struct span x = buffer_bytes(&a->bytes), y = buffer_bytes(&b->bytes);
    must(x.size == y.size && (x.size == 0 || memcmp(x.data, y.data, x.size) == 0), promise);
    buffer_clear(&a->bytes);
    buffer_clear(&b->bytes);
}

/* ---- what many promise ---- */

static inline bool lies_in(struct span part, struct span whole)
{
    return part.size == 0 ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

/* No control character and none of `others`. */
static inline bool is_clean(struct span s, const char *others)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f ||
            strchr(others, s.data[i]) != NULL)
            return false;
    return true;
}

static inline bool is_ascii(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((s.data[i] & 0x80) != 0)
            return false;
    return true;
}

/* One line of printable ASCII with its CRLF, of 512 octets at most (RFC 5321 section 4.5.3.1.5). */
static inline bool is_reply_line(struct span s)
{
    return s.size >= 2 && s.size <= 512 && memcmp(s.data + s.size - 2, "\r\n", 2) == 0 &&
           is_clean(span_make(s.data, s.size - 2), "") && is_ascii(s);
}
