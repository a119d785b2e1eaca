/* POP3 replies: ours by name, the upstream's from bytes (RFC 1939 section 3). Pure. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "protocol/lines.h"

enum pop3_reply_name {
#define REPLY(name, text) POP3_REPLY_##name,
#include "protocol/pop3/replies.def"
#undef REPLY
    POP3_REPLY_COUNT
};

/* Appends our own reply, one line with its CRLF, of at most 512 octets; `argument` may be NULL,
 * what isn't printable in it is masked. `id` is added to -ERR unless it is NULL. Returns 0, or -1
 * when `out` is full. */
int pop3_reply_append(enum pop3_reply_name name, const char *argument, const char *id,
                      struct buffer *out);

/* Does it begin with -ERR? */
bool pop3_reply_is_error(enum pop3_reply_name name);

struct pop3_reply {
    bool is_ok;
    struct span text; /* behind +OK or -ERR */
    struct span code; /* "AUTH" of "[AUTH]", or empty */
};

/* Is it one that clients know, and that means what it says whoever wrote it (RFC 2449 section 8,
 * RFC 3206)? */
bool pop3_code_is_known(struct span code);

/* Takes one reply line off the front of `in`; its spans point into it. Returns 1; 0: more is
 * needed, and what is left must be there again; -1 and why: no reply. */
int pop3_reply_parse(struct line_reader *lines, struct span *in, struct pop3_reply *reply,
                     struct error *why);
