#include "protocol/smtp/xforward.h"

#include "protocol/smtp/xtext.h"

static const char *const names[XFORWARD_COUNT] = {"NAME", "ADDR",  "PORT",  "PROTO",
                                                  "HELO", "IDENT", "SOURCE"};

unsigned xforward_parse(struct span words)
{
    unsigned found = 0;
    while (words.size > 0) {
        struct span word = span_split(&words, ' ');
        for (unsigned i = 0; i < XFORWARD_COUNT; i++)
            if (span_equals_nocase(word, names[i]))
                found |= 1U << i;
    }
    return found;
}

size_t xforward_command(const struct xforward_values *values, unsigned wanted, unsigned *next,
                        char out[513])
{
    static const char unknown[] = "[UNAVAILABLE]";
    const size_t start = span_copy(span_of("XFORWARD"), out, 513), limit = 510; /* room for CRLF */
    size_t used = start;
    for (; *next < XFORWARD_COUNT; (*next)++) {
        char attribute[300];
        const char *value = values->value[*next];
        if ((wanted >> *next & 1) == 0)
            continue;
        size_t size = xtext_attribute(names[*next], value == NULL ? unknown : value, attribute,
                                      sizeof attribute);
        if (size == 0) /* too long to say, or empty */
            size = xtext_attribute(names[*next], unknown, attribute, sizeof attribute);
        if (used + size > limit)
            break;
        memcpy(out + used, attribute, size);
        used += size;
    }
    if (used == start)
        return 0;
    memcpy(out + used, "\r\n", 3);
    return used + 2;
}
