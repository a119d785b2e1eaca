/* Of whom people ask: an account, an address, "@DOMAIN", a listener, a country as "BR", "global",
 * or several of them, which rules go by together. */
#pragma once

#include "auth/account.h"
#include "base/sealed.h"
#include "control/order.h"
#include "policy/country.h"
#include "policy/policy.h"

struct config;

/* Whose counters; and which kinds of key are his. The facts point into it. */
struct subject {
    char account[ACCOUNT_SIZE], word[ACCOUNT_SIZE];
    struct address client;
    char country[COUNTRY_SIZE];
    const char *listener;
    unsigned keys; /* a bit for each enum limit_key */
    struct policy_facts facts;
};

/* What words are understood by. */
struct subject_lists {
    const struct config *config;
    const struct sealed *aliases, *countries; /* NULL: there are none */
};

/* From an array of 1 to 4 texts, into an empty one. Returns 0, or -1 and why. */
int subject_understand(const struct subject_lists *l, const json_t *keys, struct subject *s,
                       struct error *why);

/* Is also an account; an address that is none may still be a sender's or a recipient's. Returns 0,
 * or -1: it can't be one. */
int subject_be_account(const struct subject_lists *l, const char *word, struct subject *s);

/* Are all keys of the rule his, but for the listener, which is anybody's? */
bool subject_is_asked(const struct subject *s, const struct limit_rule *r);
