/* The addresses in a field as From, Sender and Resent-From have it (RFC 5322 section 3.4, with the
 * obsolete forms of section 4.4, the groups of RFC 6854 and the characters of RFC 6532), while its
 * value goes by. Pure.
 *
 * Strict: where two readers may see two different addresses it is wrong, and nothing is skipped. A
 * name that is an address has to be quoted, an address isn't encoded (RFC 2047 section 5). */
#pragma once

#include "base/span.h"
#include "base/utf8.h"

enum { ADDRESSES_LOCAL_MAX = 128, ADDRESSES_DOMAIN_MAX = 255 };

/* Is called with each address: "local@domain" as it stands, but without white space, comments and
 * quotes that it doesn't need. Valid during the call. */
typedef void addresses_fn(void *owner, struct span address);

struct addresses {
    addresses_fn *fn;
    void *owner;
    const char *wrong; /* NULL: nothing so far */
    unsigned count;    /* of addresses so far */
    unsigned char state, within, depth;
    bool is_escaped, is_in_atom, is_in_angle, is_in_group;
    bool has_word, is_after_dot, is_phrase; /* what was read can't be a local part but a name */
    struct utf8_stream utf8;
    unsigned local_size, domain_size;
    char local[ADDRESSES_LOCAL_MAX]; /* without quotes */
    char domain[ADDRESSES_DOMAIN_MAX];
};

/* At the beginning of a field's value. */
void addresses_begin(struct addresses *a, addresses_fn *fn, void *owner);

/* Takes a piece of it, cut anywhere; line ends of folds are white space.
 *
 * Hot: see tests/bench; no allocation. */
void addresses_take(struct addresses *a, struct span piece);

/* It is whole. Returns NULL, or what is wrong with it, for a person: "it ..." */
const char *addresses_end(struct addresses *a);
