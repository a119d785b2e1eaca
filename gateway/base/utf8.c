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
