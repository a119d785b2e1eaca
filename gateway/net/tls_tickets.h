/* Keys of session tickets (RFC 5077 section 4): all gateways with the same secret make the same
 * ones from the time, and so do all workers and generations of one. */
#pragma once

#include "base/span.h"

#include <stdint.h>

/* A key encrypts for one period, two hours, and still decrypts in the next. The one to come
 * decrypts too, for a gateway whose clock is ahead. */
enum {
    TICKET_PERIOD_S = 2 * 60 * 60,
    TICKET_KEY_NEXT = 0,
    TICKET_KEY_CURRENT,
    TICKET_KEY_PREVIOUS,
    TICKET_KEYS
};

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
};

/* Those of one period. */
struct ticket_keys {
    int64_t period;
    struct ticket_key keys[TICKET_KEYS];
};

/* The period that a time, in nanoseconds since 1970, lies in. */
int64_t ticket_period(int64_t wall_ns);

/* Those of a period (HKDF, RFC 5869): nobody who has them finds the secret, or others. */
void ticket_keys_derive(struct span secret, int64_t period, struct ticket_keys *out);

struct ssl_ctx_st;

/* Has tickets of a context encrypted with `keys`, not owned, which may be changed at any time. A
 * ticket lives for a period at most. */
void ticket_keys_use(const struct ticket_keys *keys, struct ssl_ctx_st *ctx);
