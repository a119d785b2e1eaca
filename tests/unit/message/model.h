/* What is to become of a message's text (message/body.h), asked of all of it at once: the input is
 * gone through once for each question. */
#pragma once

#include "base/span.h"

/* Whoever makes one gives it room enough. */
struct text {
    char *bytes;
    size_t size;
};

static inline bool has_at(struct span s, size_t at, const char *what)
{
    return s.size - at >= strlen(what) && memcmp(s.data + at, what, strlen(what)) == 0;
}

/* Does a line begin here? CRLF is before it, or the text's beginning, which DATA's CRLF is before.
 */
static inline bool is_line_start(struct span s, size_t at)
{
    return at == 0 || (at >= 2 && has_at(s, at - 2, "\r\n"));
}

/* RFC 5321 section 4.1.1.4: <CRLF>.<CRLF> ends the text, and nothing else. Returns its size, with
 * the CRLF; `*behind` is where commands begin. Without an end both are the size of `s`. */
static inline size_t text_size(struct span s, size_t *behind)
{
    for (size_t at = 0; at < s.size; at++)
        if (is_line_start(s, at) && has_at(s, at, ".\r\n")) {
            *behind = at + 3;
            return at;
        }
    *behind = s.size;
    return s.size;
}

static inline void text_put(struct text *t, char c)
{
    t->bytes[t->size++] = c;
}

/* Section 4.5.2: who receives a text takes away the dot that begins a line. */
static inline void undot(struct span s, struct text *out)
{
    out->size = 0;
    for (size_t at = 0; at < s.size; at++)
        if (!is_line_start(s, at) || s.data[at] != '.')
            text_put(out, s.data[at]);
}

/* body.h: LF alone becomes CRLF, CR alone a space. */
static inline void mend_line_ends(struct span s, struct text *out)
{
    out->size = 0;
    for (size_t at = 0; at < s.size; at++) {
        bool is_behind_cr = at > 0 && s.data[at - 1] == '\r';
        if (s.data[at] == '\n' && !is_behind_cr)
            text_put(out, '\r');
        text_put(out, s.data[at] == '\r' && !has_at(s, at, "\r\n") ? ' ' : s.data[at]);
    }
}
