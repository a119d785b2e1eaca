/* What we add to the headers: the trace line that every relay puts on top (RFC 5321 section 4.4),
 * and what a client has left out (RFC 6409 section 8). Pure. */
#pragma once

#include "base/span.h"

struct headers;

/* Texts that are longer than names, addresses and dates can be are cut. */
struct received {
    const char *from;        /* an address literal, as "[192.0.2.1]"; NULL: the client isn't told */
    const char *helo;        /* what it has called itself; NULL, or what is no name: not told */
    const char *by;          /* our name */
    const char *id;          /* of the message */
    const char *date;        /* RFC 5322 */
    bool is_extended;        /* it has said EHLO */
    bool is_account;         /* it has logged in */
    bool is_smtputf8;        /* RFC 6531 section 4.3 */
    const char *tls_version; /* of TLS, as "TLSv1.3"; "": none */
    const char *cipher;
};

enum { RECEIVED_MAX = 1000, MISSING_MAX = 400 };

/* Writes the field, folded, with its final CRLF; its type is that of RFC 3848. Returns its length.
 */
size_t received_write(const struct received *r, char out[RECEIVED_MAX]);

/* Writes Date and Message-ID, as far as the headers have none, each with its CRLF. Returns their
 * length; 0: they are there. */
size_t missing_write(const struct headers *h, const struct received *r, char out[MISSING_MAX]);
