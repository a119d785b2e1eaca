/* Bytes that somebody else owns: a pointer and a length, never assumed to end in NUL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *data;
    size_t size;
};

/* The bytes of a string, without its NUL; valid as long as `text` is. */
static inline struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

static inline struct span span_make(const char *data, size_t size)
{
    return (struct span){data, size};
}

/* Drops `count` bytes from the front; `count` is at most the size. */
static inline void span_skip(struct span *s, size_t count)
{
    s->data += count;
    s->size -= count;
}

/* The first `count` bytes, taken off the front; `count` is at most the size. */
static inline struct span span_take(struct span *s, size_t count)
{
    struct span front = {s->data, count};
    span_skip(s, count);
    return front;
}

static inline bool span_equals(struct span a, const char *text)
{
    return a.size == strlen(text) && memcmp(a.data, text, a.size) == 0;
}

/* Hot: the byte in lower case, for ASCII alone, whatever the locale. */
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_alnum(char c)
{
    return ascii_is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* Begins with `prefix`, but for the case of ASCII letters. */
bool span_starts_nocase(struct span a, const char *prefix);

/* Equal but for the case of ASCII letters. */
static inline bool span_equals_nocase(struct span a, const char *text)
{
    return a.size == strlen(text) && span_starts_nocase(a, text);
}

/* The bytes before the first `separator`, taken off the front together with it; all of `s` (which
 * is then empty) when there is none. */
struct span span_split(struct span *s, char separator);

/* Without the spaces and tabs at both ends. */
struct span span_trim(struct span s);

/* A decimal number of digits alone, no larger than `max`. Returns 0, or -1 and leaves `number`. */
int span_number(struct span s, uint64_t max, uint64_t *number);

/* Copies into `out` with a closing NUL, cut to fit; returns the length copied. `room` is at least
 * 1. Bytes that are NUL are copied like any other. */
static inline size_t span_copy(struct span s, char *out, size_t room)
{
    size_t size = s.size < room ? s.size : room - 1;
    if (size > 0)
        memcpy(out, s.data, size);
    out[size] = '\0';
    return size;
}
