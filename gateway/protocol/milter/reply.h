/* What a filter says: its verdicts, and what it wants changed. Pure. */
#pragma once

#include "protocol/milter/codes.h"
#include "protocol/milter/frames.h"

struct milter_reply {
    char code;         /* enum milter_reply_code */
    size_t index;      /* of a field: to insert, from 0; to change, from 1 */
    struct span name;  /* of a field; an address, without brackets */
    struct span value; /* of a field; an address' parameters; a reason; text; a piece of a body */
};

/* Reads one. Actions that weren't agreed on, and those that belong to the end of a message and come
 * before it, are no replies. `out` looks into the frame. Returns 0, or -1 and why: it can't be
 * understood. */
int milter_reply_parse(const struct milter_frame *f, uint32_t actions, bool is_at_end,
                       struct milter_reply *out, struct error *why);

/* Is it something to be changed, or to be held, once the verdict has come? */
bool milter_reply_is_edit(char code);

/* The lines that a filter answers with in place of ours: checked, of printable ASCII, each with an
 * enhanced code of the code's class, 510 octets at most and CRLF. Appends them and returns 1; or,
 * where they can't be used and `code` alone can, 0: then only its first digit is the filter's; or
 * -1: not even that. */
int milter_reply_lines(struct span text, int *code, struct buffer *out);
