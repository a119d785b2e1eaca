/* A message's header, field by field, while it goes by (RFC 5322 sections 2.2 and 4.5): the names,
 * and the values in pieces. Pure. */
#pragma once

#include "base/span.h"

enum { HEADER_NAME_MAX = 64 }; /* whatever has a longer name is passed over */

/* { 0 } is the beginning of a header. */
struct header_reader {
    enum { AT_LINE, BEHIND_DOT, IN_NAME, BEHIND_NAME, IN_VALUE, IN_REST } state;
    char name[HEADER_NAME_MAX + 1]; /* of the field that begins; ends with NUL */
    size_t name_size;
};

enum header_event {
    HEADER_MORE,   /* the text is used up */
    HEADER_ENDS,   /* the last field, if there was one; the header's end says it of none */
    HEADER_BEGINS, /* a field: `name` is its name */
    HEADER_VALUE,  /* `value` is a piece of it, perhaps with CR at its end and never with LF */
};

/* Takes octets of the header, its dots doubled and cut anywhere, off the front of `text`, up to
 * the next event. The value of a fold goes on with its white space; that of what is no field comes
 * too, and belongs to none.
 *
 * Hot: a memchr a line, but for its name. */
enum header_event header_reader_next(struct header_reader *r, struct span *text,
                                     struct span *value);
