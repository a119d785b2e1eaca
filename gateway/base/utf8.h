/* UTF-8 of RFC 3629: what is valid, and what is more than ASCII. */
#pragma once

#include "base/span.h"

/* Whole characters alone, in their shortest form, no surrogates, none past U+10FFFF. */
bool utf8_is_valid(struct span s);

/* Is there a byte above 0x7f? */
bool utf8_has_non_ascii(struct span s);

/* The same, octet by octet; { 0 } is the beginning. */
struct utf8_stream {
    unsigned char left, low,
        high; /* octets of a character that are to come; what the next may be */
};

/* Hot: is the octet what may come next? After one that isn't nothing more is asked. */
bool utf8_next(struct utf8_stream *s, char octet);

/* Is no character under way? */
static inline bool utf8_stream_is_whole(const struct utf8_stream *s)
{
    return s->left == 0;
}
