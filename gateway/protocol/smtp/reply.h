/* SMTP replies: ours by name, the upstream's parsed from bytes (RFC 5321 section 4.2, RFC 2034).
 * Pure. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "protocol/lines.h"

enum smtp_reply_name {
#define REPLY(name, code, enhanced, text) SMTP_REPLY_##name,
#include "protocol/smtp/replies.def"
#undef REPLY
    SMTP_REPLY_COUNT
};

/* A reply's line has at most this many octets before its CRLF. */
enum { SMTP_REPLY_LINE_MAX = 510 };

struct smtp_reply {
    int code;
    char enhanced[12]; /* "5.1.1", or "" where there was none */
    struct span text;  /* without codes; the lines of a long reply are parted by LF */
};

int smtp_reply_code(enum smtp_reply_name name);

/* Its text, with "%s" for the argument: for the log. */
const char *smtp_reply_text(enum smtp_reply_name name);

/* Appends our own reply: one line with its CRLF, cut to fit. `argument` may be NULL; it may hold
 * line ends in EHLO alone, whose every line becomes one of the reply. `id` is added to 4yz and 5yz
 * unless it is NULL. Returns 0, or -1 when `out` is full. */
int smtp_reply_append(enum smtp_reply_name name, const char *argument, const char *id,
                      struct buffer *out);

/* Appends an upstream's reply for our client: one line, cleaned of what isn't printable ASCII, with
 * an enhanced code where there was none, cut to fit. Likewise. */
int smtp_reply_pass(const struct smtp_reply *reply, struct buffer *out);

enum { SMTP_REPLY_TEXT_MAX = 4096 };

struct smtp_reply_parser {
    struct line_reader lines;
    struct smtp_reply reply;
    size_t used;
    unsigned line_count;
    bool is_within; /* a reply has begun and its last line has not come */
    char text[SMTP_REPLY_TEXT_MAX];
};

/* { 0 } is a parser at its beginning.
 *
 * Takes from the front of `in`. Returns 1: `*reply` is whole, valid until the next call; 0: more is
 * needed, and what is left in `in` must be there again; -1: this is no reply (too long, codes
 * differ by line), `why` says which: close. Lines that pass 4 KiB of text are dropped, 100 are the
 * most. */
int smtp_reply_parse(struct smtp_reply_parser *p, struct span *in, const struct smtp_reply **reply,
                     struct error *why);
