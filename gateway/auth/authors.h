/* Who a message says it is from, held against the addresses of its account: the envelope, and
 * From, Sender and Resent-From while the headers go by. */
#pragma once

#include "auth/account.h"
#include "message/header_addresses.h"
#include "policy/rules/sender.h"

/* Whose addresses they have to be. Both outlive whoever asks. */
struct author {
    const struct sender_rule *rule;
    const char *account;
};

/* Is the sender of the envelope the account's? The same address is written in one way, as in
 * headers; <> is everybody's. `address` is what `out` tells of. */
void authors_look_at_envelope(const struct author *whose, struct span sender,
                              char address[ACCOUNT_SIZE], struct sender_finding *out);

/* The headers of a message, as they go by. It stays where it was begun. */
struct authors {
    struct author whose;
    struct header_addresses header;
    bool is_foreign; /* one of the addresses isn't the account's: the first */
    enum author_field field;
    char address[ACCOUNT_SIZE];
};

/* `whose->account` may be filled in later, if the headers name it, but before any of them is taken.
 */
void authors_begin(struct authors *a, const struct author *whose);

/* As header_addresses_take. */
void authors_take(struct authors *a, struct span headers);

/* They are over: what is wrong with them. */
void authors_end(struct authors *a, struct sender_finding *out);
