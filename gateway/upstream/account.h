/* The gateway's own accounts at the servers behind (identities auth and master): read by the
 * master, and kept by workers alone. */
#pragma once

#include "config/config.h"
#include "protocol/smtp/login.h"

struct accounts; /* those of a configuration */

struct account {
    struct smtp_credentials credentials; /* its secret is "" until the first token has come */
    uint16_t version; /* another where the secret is another, within a generation */
};

/* Reads the files with the passwords. What is wrong or odd is added to `errors`; NULL when
 * something is wrong. */
struct accounts *accounts_prepare(const struct config *config, struct errors *errors);

/* Overwrites the secrets. In a process that has no business with them, accounts_forget. */
void accounts_forget(struct accounts *a);
void accounts_destroy(struct accounts **accounts);

/* A token for the upstream of this index, copied, in place of the one before. Returns 0, or -1: no
 * account there takes tokens, it is none, or there is no memory. */
int accounts_take_token(struct accounts *a, size_t upstream, uint16_t version, struct span token);

/* What the gateway logs in with at an upstream; NULL: it logs in nowhere there. */
const struct account *account_of(const struct accounts *a, const struct upstream_config *u);
