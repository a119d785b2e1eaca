/* The PROXY protocol, version 2: what a connection begins with, so that the server behind knows
 * whose it is. Pure. */
#pragma once

#include "base/address.h"
#include "base/span.h"

enum { PROXY_HEADER_MAX = 1024, PROXY_ID_MAX = 128, PROXY_TEXT_MAX = 255 };

/* Texts may be "": they are left out, as is one that is too long. */
struct proxy_client {
    const struct address *from, *to;  /* the client, and where it came to */
    const char *id;                   /* of the connection */
    const char *tls_version, *cipher; /* "TLSv1.3"; without a version there was no TLS */
    const char *certificate;          /* whose, if it was verified */
};

/* Writes the header into `out`; returns its length. */
size_t proxy_header_write(const struct proxy_client *client, char out[PROXY_HEADER_MAX]);

/* The same for a connection of our own: the server takes its addresses as they are. */
size_t proxy_header_write_local(char out[PROXY_HEADER_MAX]);
