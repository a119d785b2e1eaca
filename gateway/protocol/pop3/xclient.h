/* XCLIENT of POP3, as Dovecot knows it: a proxy tells whose connection it is. Pure. */
#pragma once

#include "base/buffer.h"

/* What is told; texts without spaces or control characters. */
struct pop3_xclient {
    const char *address, *destination; /* numeric, without a port */
    uint16_t port, destination_port;
    const char *session; /* the session's id */
    const char *forward; /* what its log and lookups may use: "key=value", separated by tabs */
};

/* Does the text of the greeting say that XCLIENT from us is listened to? To a proxy it doesn't
 * trust, the server says +OK all the same, and takes nothing. */
bool pop3_xclient_is_offered(struct span greeting);

/* Appends the command with its CRLF. Returns 0, or -1: `out` is full. */
int pop3_xclient_append(const struct pop3_xclient *who, struct buffer *out);
