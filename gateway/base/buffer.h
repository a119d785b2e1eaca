/* Bytes that wait: appended at the end, taken from the front, never more than a limit. */
#pragma once

#include "base/span.h"

/* Plain data; { .limit = N } is an empty one. Memory is held only while there are bytes in it. */
struct buffer {
    char *data;
    size_t start, size, capacity;
    size_t limit;
};

/* An empty one in memory of the caller's, for a text of his: it never takes other memory, and isn't
 * cleared. */
static inline struct buffer buffer_on(char *memory, size_t size)
{
    return (struct buffer){.data = memory, .capacity = size, .limit = size};
}

static inline struct span buffer_bytes(const struct buffer *b)
{
    return b->data == NULL ? span_make("", 0) : span_make(b->data + b->start, b->size);
}

static inline size_t buffer_room(const struct buffer *b)
{
    return b->limit - b->size;
}

/* For buffer_append: moves what is there, or grows, and appends. */
int buffer_append_slowly(struct buffer *b, struct span bytes);

/* Hot: adds all of `bytes` or, past the limit or out of memory, nothing and returns -1. `bytes` may
 * not lie in the buffer. */
static inline int buffer_append(struct buffer *b, struct span bytes)
{
    size_t end = b->start + b->size;
    if (bytes.size > b->capacity - end || bytes.size > buffer_room(b))
        return buffer_append_slowly(b, bytes);
    if (bytes.size > 0)
        memcpy(b->data + end, bytes.data, bytes.size);
    b->size += bytes.size;
    return 0;
}

/* Appends formatted text, with the same outcome. */
int buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops `count` bytes, at most the size, from the front; frees the memory with the last of them. */
void buffer_consume(struct buffer *b, size_t count);

/* Drops all bytes and keeps the memory, for what is written next. */
void buffer_empty(struct buffer *b);

/* Overwrites what is there, for secrets, and frees the memory. The limit stays. */
void buffer_clear(struct buffer *b);
