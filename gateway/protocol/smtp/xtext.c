#include "protocol/smtp/xtext.h"

static const char digits[] = "0123456789ABCDEF";

static bool is_plain(char c)
{
    return c > ' ' && c < 0x7f && c != '+' && c != '=';
}

static bool is_digit(char c)
{
    return c != '\0' && strchr(digits, c) != NULL;
}

bool xtext_is_valid(struct span s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (is_plain(s.data[i]))
            continue;
        if (s.data[i] != '+' || s.size - i < 3 || !is_digit(s.data[i + 1]) ||
            !is_digit(s.data[i + 2]))
            return false;
        i += 2;
    }
    return true;
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
