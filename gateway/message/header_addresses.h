/* Who a message says it is from: the addresses in From, Sender and Resent-From (RFC 5322 sections
 * 3.6.2 and 3.6.6), while its header goes by. Pure. */
#pragma once

#include "message/addresses.h"
#include "message/header_reader.h"

enum { AUTHORS_MAX = 100 }; /* whoever reads more of them is kept busy */

enum author_field { AUTHOR_FROM, AUTHOR_SENDER, AUTHOR_RESENT_FROM, AUTHOR_FIELDS };

/* As they are written: "From", "Sender", "Resent-From". */
extern const char *const author_names[AUTHOR_FIELDS];

/* Is called with each address, as addresses_fn. */
typedef void author_fn(void *owner, enum author_field field, struct span address);

struct header_addresses {
    author_fn *fn;
    void *owner;
    struct header_reader reader;
    struct addresses addresses;
    int current;                   /* enum author_field: is being read; -1: none is */
    unsigned count[AUTHOR_FIELDS]; /* how often each was met */
    unsigned given;                /* addresses so far */
    const char *wrong; /* with the first field that can't be read, for a person: "it ..." */
    enum author_field wrong_field;
};

void header_addresses_begin(struct header_addresses *h, author_fn *fn, void *owner);

/* Looks at the next octets of the header, its dots doubled, cut anywhere. Every field of these
 * names is read, however often it comes, and nothing behind one that is wrong; more than
 * AUTHORS_MAX addresses are.
 *
 * Hot: as header_reader_next, and as addresses_take in these fields; no allocation. */
void header_addresses_take(struct header_addresses *h, struct span text);

/* The header is over: `wrong` and `count` are final. */
void header_addresses_end(struct header_addresses *h);
