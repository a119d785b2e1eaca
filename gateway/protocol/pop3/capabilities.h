/* What a POP3 server behind says in its response to CAPA (RFC 2449, RFC 6856), as far as it is
 * passed on or used. Pure. */
#pragma once

#include "base/buffer.h"

enum pop3_capability {
    POP3_TOP = 1 << 0,
    POP3_UIDL = 1 << 1,
    POP3_PIPELINING = 1 << 2,
    POP3_EXPIRE = 1 << 3,           /* how long messages stay */
    POP3_EXPIRE_USER = 1 << 4,      /* which differs by user: this is the least */
    POP3_LOGIN_DELAY = 1 << 5,      /* between two logins */
    POP3_LOGIN_DELAY_USER = 1 << 6, /* likewise: the most */
    POP3_UTF8 = 1 << 7,             /* UTF8, which is said before the login */
    POP3_UTF8_USER = 1 << 8,        /* names and passwords too */
};

/* What a server offers that doesn't know CAPA, or has not been asked yet: nearly all have these. */
enum { POP3_CAPABILITIES_OLD = POP3_TOP | POP3_UIDL };

#define POP3_EXPIRE_NEVER UINT32_MAX

struct pop3_capabilities {
    unsigned offered; /* enum pop3_capability */
    uint32_t expire_days, login_delay_s;
};

/* Adds what a line of the response offers. */
void pop3_capabilities_take(struct pop3_capabilities *c, struct span line);

/* Leaves what the other promises too. */
void pop3_capabilities_narrow(struct pop3_capabilities *c, const struct pop3_capabilities *other);

/* Appends the lines that tell a client of it, but for PIPELINING. Returns 0, or -1: `out` is full.
 */
int pop3_capabilities_append(const struct pop3_capabilities *c, struct buffer *out);
