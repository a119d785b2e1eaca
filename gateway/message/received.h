/* The trace line that every relay puts on top (RFC 5321 section 4.4). Pure. */
#pragma once

#include "base/span.h"

struct received {
    const char *by;          /* our name */
    const char *id;          /* of the message */
    const char *date;        /* RFC 5322 */
    bool is_smtputf8;        /* "with UTF8SMTPSA", RFC 6531 section 4.3 */
    const char *tls_version; /* as "TLSv1.3" */
    const char *cipher;
};

enum { RECEIVED_MAX = 900 };

/* Writes the field, folded, with its final CRLF, as an authenticated submission over TLS whose
 * client isn't told: "from localhost (...)" would name nobody. Returns its length. */
size_t received_write(const struct received *r, char out[RECEIVED_MAX]);
