/* A header that somebody else orders to stand in front of a message: "X-Name: value". Pure. */
#pragma once

#include "base/buffer.h"

enum { HEADER_LINE_MAX = 998 }; /* octets before the CRLF: RFC 5322 section 2.1.1 */

/* Appends it as one line with its CRLF. What is neither printable ASCII, nor UTF-8 where `is_utf8`
 * says that it may be, becomes "?". Returns 0; or -1: it is no header, is longer than a line, or
 * `out` has no room. */
int header_line_append(struct span text, bool is_utf8, struct buffer *out);
