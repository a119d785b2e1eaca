#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

/* Makes room for `count` more bytes behind the last, within the limit, and for `extra` that don't
 * count; moves what is there to the front, or grows. */
static int make_room(struct buffer *b, size_t count, size_t extra)
{
    if (count > b->limit - b->size)
        return -1;
    count += extra;
    if (b->capacity - b->start - b->size >= count)
        return 0;
    if (b->capacity - b->size >= count) {
        memmove(b->data, b->data + b->start, b->size);
        b->start = 0;
        return 0;
    }
    size_t capacity = b->capacity == 0 ? FIRST_CAPACITY : b->capacity;
    while (capacity < b->size + count)
        capacity *= 2;
    char *data = malloc(capacity);
    if (data == NULL)
        return -1;
    if (b->size > 0)
        memcpy(data, b->data + b->start, b->size);
    if (b->data != NULL)
        explicit_bzero(b->data, b->capacity); /* it may have held a secret */
    free(b->data);
    b->data = data;
    b->start = 0;
    b->capacity = capacity;
    return 0;
}

int buffer_append_slowly(struct buffer *b, struct span bytes)
{
    if (make_room(b, bytes.size, 0) < 0)
        return -1;
    memcpy(b->data + b->start + b->size, bytes.data, bytes.size);
    b->size += bytes.size;
    return 0;
}

int buffer_printf(struct buffer *b, const char *format, ...)
{
    char few[512]; /* most texts are short, and written once */
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(few, sizeof few, format, args);
    va_end(args);
    int outcome = -1;
    if (size >= 0 && size < (int)sizeof few) {
        outcome = buffer_append(b, span_make(few, (size_t)size));
    } else if (size > 0 && make_room(b, (size_t)size, 1) == 0) {
        (void)vsnprintf(b->data + b->start + b->size, (size_t)size + 1, format, again); /* fits */
        b->size += (size_t)size;
        outcome = 0;
    }
    va_end(again);
    return outcome;
}

void buffer_consume(struct buffer *b, size_t count)
{
    b->start += count;
    b->size -= count;
    if (b->size == 0)
        buffer_clear(b);
}

void buffer_empty(struct buffer *b)
{
    b->start = b->size = 0;
}

void buffer_clear(struct buffer *b)
{
    if (b->data != NULL)
        explicit_bzero(b->data, b->capacity);
    free(b->data);
    *b = (struct buffer){.limit = b->limit};
}
