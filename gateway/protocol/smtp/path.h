/* Reverse and forward paths of RFC 5321 section 4.1.2, with the characters of RFC 6531. Pure. */
#pragma once

#include "base/span.h"

/* A path; its spans point into the line it was parsed from. */
struct smtp_path {
    struct span address; /* "local@domain" as it is to be sent on; empty for <> */
    struct span local, domain;
    bool is_utf8; /* more than ASCII: needs SMTPUTF8 */
};

/* Takes "<...>" off the front of `in`; a source route is dropped. Returns NULL, or what is wrong
 * with it, for a person. */
const char *smtp_path_parse(struct span *in, struct smtp_path *path);

/* A name as clients give it with EHLO: not as strict as RFC 5321 section 4.1.3, since they say
 * "localhost", names with underscores and in other alphabets, addresses without brackets or without
 * "IPv6:" within them. */
bool smtp_hello_is_valid(struct span name);

/* Domain or address literal, as behind the @ (RFC 5321 section 4.1.3). */
bool smtp_domain_is_valid(struct span domain);
