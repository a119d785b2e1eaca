/* What a parser said to an input, written down as text: the same however the input was cut. */
#pragma once

#include "base/span.h"
#include "support/test.h"

#include <stdarg.h>
#include <stdio.h>

struct said {
    char text[16384];
    size_t size;
};

/* Writes down one more thing. */
__attribute__((format(printf, 2, 3))) static inline void say(struct said *s, const char *format,
                                                             ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(s->text + s->size, sizeof s->text - s->size, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof s->text - s->size)
        ck_abort_msg("more was said than a test has room for");
    s->size += (size_t)size;
}

static inline void say_bytes(struct said *s, struct span bytes)
{
    if (bytes.size >= sizeof s->text - s->size)
        ck_abort_msg("more was said than a test has room for");
    if (bytes.size > 0)
        memcpy(s->text + s->size, bytes.data, bytes.size);
    s->size += bytes.size;
    s->text[s->size] = '\0';
}

static inline void say_nothing(struct said *s)
{
    s->size = 0;
    s->text[0] = '\0';
}

static inline void said_is(const struct said *s, const char *expected, const char *input)
{
    if (s->size != strlen(expected) || memcmp(s->text, expected, s->size) != 0)
        ck_abort_msg("to <%.200s>\nsaid:\n%s\nshould have said:\n%s", input, s->text, expected);
}

/* Numbers without pattern, the same at every run. */
static inline uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return *seed >> 16;
}
