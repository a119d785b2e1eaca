/* The dots that DATA doubles (RFC 5321 section 4.5.2), taken away for whoever is shown the text as
 * its reader will have it, and put there again. Pure. */
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

/* A piece of such a text, cut anywhere, with a dot in front of each that begins a line. It is the
 * piece itself where none does; else it lies in `spare`, which has room for twice as much.
 *
 * Hot: 0.06 ns a byte; a copy where there is such a dot. */
struct span dots_double(struct dots *d, struct span text, char *spare);

/* What must stand behind all of it, so that it ends with CRLF: nothing, or that. */
struct span dots_end(const struct dots *d);
