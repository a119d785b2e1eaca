/* The message of SASL PLAIN (RFC 4616): for whom one acts, who one is, and the password. */
#pragma once

#include "base/span.h"

struct plain {
    struct span identity, name, password; /* within the message */
};

/* Takes it apart. Returns 0, or -1: it is none: not two NULs, or nothing as password. */
int plain_parse(struct span message, struct plain *out);
