/* The headers of a message, while they go by (RFC 5322 sections 2.2 and 4.5): which fields are
 * there, how large they are, and where they end. Pure.
 *
 * Nothing is collected: what has been looked at may go on at once, but for the beginning of a line
 * of which it is not known yet whether it is a field. */
#pragma once

#include "base/span.h"

/* The fields that are looked for. */
enum header_field { HEADER_RECEIVED, HEADER_DATE, HEADER_MESSAGE_ID, HEADER_FIELDS };

enum { HEADERS_NAME_MAX = 127 }; /* a longer name, with white space behind it, is none */

/* { 0 } is the beginning of a message. */
struct headers {
    bool is_over;                  /* no more of the text is to be shown */
    bool is_begun;                 /* there was a field: a line with white space continues it */
    bool is_within_line;           /* whose beginning is known */
    unsigned count[HEADER_FIELDS]; /* how often each was met */
    uint64_t size;                 /* of what went on so far, in octets */
    unsigned which, kept;          /* the line that is kept, and how much of it is there */
    char lines[2][HEADERS_NAME_MAX + 2]; /* in turn: the last one still goes on */
};

enum headers_result {
    HEADERS_MORE,    /* they may go on in the next piece */
    HEADERS_END,     /* what is behind them begins with the empty line */
    HEADERS_NO_LINE, /* a line follows that is no field: the empty line is missing */
};

/* What was kept of the last piece stands in front. Valid until the next call. */
struct headers_cut {
    struct span headers[2];
    struct span behind[2]; /* both empty with HEADERS_MORE */
};

/* Looks at the next piece of a text with its dots doubled, as body_take hands it on; until the end
 * was told. A text that ends with CRLF leaves nothing behind that is kept.
 *
 * Hot: some 80 instructions a line; no copy but of a line's beginning that a piece ends with. */
enum headers_result headers_take(struct headers *h, struct span text, struct headers_cut *cut);
