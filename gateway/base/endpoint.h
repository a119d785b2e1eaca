/* Where a server that mail is shown to listens, as Postfix and Sendmail write it:
 * "inet:127.0.0.1:10031", "inet:[::1]:10031", "unix:/run/postgrey/socket". */
#pragma once

#include "base/address.h"

struct endpoint {
    const char *path;  /* of a unix socket, within the text; NULL: `to` says where */
    struct address to; /* else of size 0 */
};

/* Returns 0, or -1 and why; `why` may be NULL. */
int endpoint_parse(const char *text, struct endpoint *out, struct error *why);

/* The same, for tables of settings: only whether it would do. */
int endpoint_check(const char *text, struct error *why);

/* Can a unix socket stand at this path? Returns 0, or -1 and why. */
int endpoint_check_path(const char *path, struct error *why);
