/* The values of some fields of a message's header, collected while it goes by (RFC 5322 section
 * 2.2). Pure. */
#pragma once

#include "message/header_reader.h"

#include <stddef.h>

enum { HEADER_VALUES_MAX = 8, HEADER_VALUE_SIZE = 256 };

struct header_values {
    const char *const *names;
    size_t count;
    struct header_reader reader;
    int current; /* the field that is being collected, or -1 */
    struct {
        bool is_there;
        size_t size;
        char text[HEADER_VALUE_SIZE];
    } values[HEADER_VALUES_MAX];
};

/* So many octets of it are needed for that many names. */
static inline size_t header_values_size(size_t count)
{
    return offsetof(struct header_values, values) +
           count * sizeof(((struct header_values *)0)->values[0]);
}

/* HEADER_VALUES_MAX names at most, which outlive it. */
void header_values_init(struct header_values *h, const char *const *names, size_t count);

/* Looks at the next octets of the header, its dots doubled, cut anywhere. Of a field that comes
 * twice the first counts; what is longer than HEADER_VALUE_SIZE - 1 is cut; white space and folds
 * are one space. */
void header_values_take(struct header_values *h, struct span text);

/* NULL: there is none of that name. */
const char *header_values_find(const struct header_values *h, const char *name);
