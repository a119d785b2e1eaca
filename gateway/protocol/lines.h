/* Lines from bytes as they come: CRLF ends one, and nothing else. Pure. */
#pragma once

#include "base/span.h"

/* { 0 } is a reader at its beginning. */
struct line_reader {
    bool is_skipping; /* inside a line that is too long */
};

enum line_result {
    LINE_MORE,  /* none is whole; what is left in `in` must be there again, with more behind it */
    LINE_WHOLE, /* `line` is one, without its CRLF */
    LINE_BARE,  /* a line that ended with LF alone, or holds a lone CR: taken, and to be refused */
    LINE_TOO_LONG, /* a line of more than `max` octets with its CRLF: taken, and to be refused */
};

enum { REPLY_ENDING_MAX = 160 }; /* of what stands in parentheses behind a refusal of ours */

/* Takes one line off the front of `in`. `line` points into it. */
enum line_result line_take(struct line_reader *r, size_t max, struct span *in, struct span *line);

/* Is this first word none of a mail client's? Who speaks HTTP, or sends the fields of a header, is
 * led by somebody else: in what follows he would say commands that a third person has written (a
 * form in a browser, say). `*name` becomes the method of HTTP, or stays. */
bool line_is_foreign(struct span verb, const char **name);

/* Is there a control character or a NUL? */
bool line_has_control(struct span line);
