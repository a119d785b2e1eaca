/* UTF-8 of RFC 3629: what is valid, and what is more than ASCII. */
#pragma once

#include "base/span.h"

/* Whole characters alone, in their shortest form, no surrogates, none past U+10FFFF. */
bool utf8_is_valid(struct span s);

/* Is there a byte above 0x7f? */
bool utf8_has_non_ascii(struct span s);
