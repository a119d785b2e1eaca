#include "base/span.h"

bool span_starts_nocase(struct span a, const char *prefix)
{
    for (size_t i = 0; prefix[i] != '\0'; i++)
        if (i == a.size || ascii_lower(a.data[i]) != ascii_lower(prefix[i]))
            return false;
    return true;
}

struct span span_split(struct span *s, char separator)
{
    const char *at = s->size == 0 ? NULL : memchr(s->data, separator, s->size);
    if (at == NULL)
        return span_take(s, s->size);
    struct span front = span_take(s, (size_t)(at - s->data));
    span_skip(s, 1);
    return front;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    while (s.size > 0 && is_blank(s.data[0]))
        span_skip(&s, 1);
    while (s.size > 0 && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

int span_number(struct span s, uint64_t max, uint64_t *number)
{
    uint64_t value = 0;
    if (s.size == 0)
        return -1;
    for (size_t i = 0; i < s.size; i++) {
        if (!ascii_is_digit(s.data[i]))
            return -1;
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (digit > max || value > (max - digit) / 10)
            return -1;
        value = value * 10 + digit;
    }
    *number = value;
    return 0;
}
