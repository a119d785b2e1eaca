/* The dots that DATA doubles (RFC 5321 section 4.5.2), taken away again: for whoever is shown the
 * text as its reader will have it. Pure. */
#pragma once

#include "base/span.h"

/* { 0 } is the beginning of a text, or of a line of it. */
struct dots {
    bool is_within_line;
};

/* Takes octets of a text whose lines end with CRLF off the front of `text`, which may be cut
 * anywhere. Returns the next piece that stands together without the first dot of its lines; empty
 * when the text is used up.
 *
 * Hot: a piece for each line that begins with a dot; no copy. */
struct span dots_next(struct dots *d, struct span *text);
