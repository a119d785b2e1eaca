/* What a server behind says in its reply to EHLO (RFC 5321 section 4.1.1.1). Pure. */
#pragma once

#include "protocol/smtp/login.h"
#include "protocol/smtp/parameters.h"
#include "protocol/smtp/xforward.h"

/* Attributes that XCLIENT may carry, in the order in which we send them: ADDR and PORT last. */
enum xclient_attribute {
    XCLIENT_NAME,
    XCLIENT_PROTO,
    XCLIENT_HELO,
    XCLIENT_LOGIN,
    XCLIENT_DESTADDR,
    XCLIENT_DESTPORT,
    XCLIENT_PORT,
    XCLIENT_ADDR,
    XCLIENT_COUNT
};

/* Their names; an array of XCLIENT_COUNT. */
extern const char *const xclient_names[];

struct smtp_capabilities {
    unsigned extensions; /* enum smtp_extension */
    unsigned xclient;    /* a bit for each enum xclient_attribute */
    unsigned xforward;   /* a bit for each enum xforward_attribute */
    unsigned mechanisms; /* of AUTH, enum smtp_mechanism */
    uint64_t size;       /* of SIZE; 0: no limit told */
};

/* From the text of the reply: its first line is the greeting, each further one an extension. */
struct smtp_capabilities smtp_capabilities_parse(struct span text);

/* The attributes' values, NUL-ended; NULL: not known to us. */
struct xclient_values {
    const char *value[XCLIENT_COUNT];
};

/* Writes the `*next`th and following attributes that are in `wanted` as one XCLIENT command of at
 * most 512 octets into `out`, with CRLF and a closing NUL, and moves `*next` behind them; ADDR and
 * PORT stand in one command, the last. Returns its length, or 0 when nothing is left to tell. */
size_t xclient_command(const struct xclient_values *values, unsigned wanted, unsigned *next,
                       char out[513]);
