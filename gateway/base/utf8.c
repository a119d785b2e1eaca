#include "base/utf8.h"

#include "base/scan.h"

/* How many bytes the character at the front has, or 0 when it is none. */
static size_t character_size(const unsigned char *s, size_t size)
{
    static const unsigned first_of[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length */
    size_t length = s[0] < 0x80             ? 1
                    : (s[0] & 0xe0) == 0xc0 ? 2
                    : (s[0] & 0xf0) == 0xe0 ? 3
                    : (s[0] & 0xf8) == 0xf0 ? 4
                                            : 0;
    if (length <= 1 || length > size)
        return length > size ? 0 : length;
    unsigned point = s[0] & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3f);
    }
    bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < first_of[length] || point > 0x10ffff || is_surrogate ? 0 : length;
}

bool utf8_is_valid(struct span s)
{
    const char *at = s.data, *end = at + s.size;
    while ((at = scan_ascii(at, end)) != end) {
        size_t size = character_size((const unsigned char *)at, (size_t)(end - at));
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

bool utf8_has_non_ascii(struct span s)
{
    return scan_ascii(s.data, s.data + s.size) != s.data + s.size;
}

/* The second octet's bounds keep out what is longer than it has to be, surrogates, and what is past
 * U+10FFFF. */
static bool begin_character(struct utf8_stream *s, unsigned char c)
{
    s->left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    s->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    s->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return c >= 0xc2 && c <= 0xf4;
}

bool utf8_next(struct utf8_stream *s, char octet)
{
    unsigned char c = (unsigned char)octet;
    if (s->left == 0)
        return c < 0x80 || begin_character(s, c);
    if (c < s->low || c > s->high)
        return false;
    s->left--;
    s->low = 0x80;
    s->high = 0xbf;
    return true;
}
