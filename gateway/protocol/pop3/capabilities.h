/* What a POP3 server behind says in its response to CAPA (RFC 2449). Pure. */
#pragma once

#include "base/span.h"

enum pop3_capability {
    POP3_TOP = 1 << 0,
    POP3_UIDL = 1 << 1,
    POP3_PIPELINING = 1 << 2,
};

/* What a server offers that doesn't know CAPA, or has not been asked yet: nearly all have these. */
enum { POP3_CAPABILITIES_OLD = POP3_TOP | POP3_UIDL };

/* What a line of the response offers: one of enum pop3_capability, or 0: nothing that we use. */
unsigned pop3_capability_of(struct span line);
