#include "protocol/smtp/xtext.h"

#include <stdio.h>

static const char digits[] = "0123456789ABCDEF";

static bool is_plain(char c)
{
    return c > ' ' && c < 0x7f && c != '+' && c != '=';
}

static int digit(char c)
{
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    return found == NULL ? -1 : (int)(found - digits);
}

/* The octet that "+XX" at `at` stands for, or -1. */
static int escaped(struct span s, size_t at)
{
    if (s.data[at] != '+' || s.size - at < 3)
        return -1;
    int high = digit(s.data[at + 1]), low = digit(s.data[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool xtext_is_valid(struct span s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (is_plain(s.data[i]))
            continue;
        int c = escaped(s, i);
        if (c < ' ' || c >= 0x7f)
            return false;
        i += 2;
    }
    return true;
}

ssize_t xtext_decode(struct span s, char *out, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < s.size; i++) {
        bool is_escaped = !is_plain(s.data[i]);
        int c = is_escaped ? escaped(s, i) : s.data[i];
        if (c < 0 || used == room)
            return -1;
        out[used++] = (char)c;
        i += is_escaped ? 2 : 0;
    }
    return (ssize_t)used;
}

size_t xtext_encode(struct span s, char *out, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (room < used + (is_plain((char)c) ? 1 : 3) + 1)
            return 0;
        if (is_plain((char)c)) {
            out[used++] = (char)c;
        } else {
            out[used++] = '+';
            out[used++] = digits[c >> 4];
            out[used++] = digits[c & 15];
        }
    }
    if (room > 0)
        out[used] = '\0';
    return used;
}

size_t xtext_attribute(const char *name, const char *value, char *out, size_t room)
{
    int used = snprintf(out, room, " %s=", name);
    if (used < 0 || (size_t)used >= room)
        return 0;
    size_t size = xtext_encode(span_of(value), out + used, room - (size_t)used);
    return size == 0 ? 0 : (size_t)used + size;
}
