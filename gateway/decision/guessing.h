/* Logins that have failed are counted: by auth.guessing, over all ports, protocols and gateways
 * that share a store, and by rules of the listener's policy (auth_failures, distinct_credentials),
 * of which auth.guessing is one that everybody has. Of different wrong credentials the same, as
 * those of a forgotten phone, count once however often they come; too many are a ban. */
#pragma once

#include "base/network.h"
#include "config/config.h"
#include "decision/bans.h"
#include "decision/decision.h"
#include "decision/known.h"
#include "telemetry/event.h"

enum { GUESSING_KEY_SIZE = 2 };
#define GUESSING_RULE "auth.guessing" /* as it stands in logs and lists */

/* auth.guessing as a rule like others, alone in a policy; it stays where it was made. */
struct guessing_policy {
    struct limit_rule rule;
    struct policy policy;
};
void guessing_policy_make(const struct guessing_config *c, struct guessing_policy *out);

/* A worker's way to it: plain data, which outlives every guess. */
struct guessing {
    const struct auth_config *config;
    struct decider *decider;
    struct bans *bans;
    struct known *known;
    uint64_t key[GUESSING_KEY_SIZE]; /* of hashes; made from the secret of all gateways */
    const struct event_log *log;
    size_t process; /* this one's slot */
};

/* Credentials that were wrong. */
struct guess {
    const struct address *client;
    const char *account;  /* canonical; as it was given where that is nobody's name; NULL: unsaid */
    struct span password; /* empty where it was not said, as by SCRAM: once an account then */
    bool is_shared;       /* many people are behind the address: they aren't banned, but the account
                             there */
    /* For the rules of a policy, which outlives the guess, as does the listener's name. */
    const struct policy *policy; /* or NULL */
    const char *listener, *session;
    const char *country; /* of the client; NULL or "": not known */
};

/* Counts it, and does what a rule says where it is one too many. What becomes of it is logged; the
 * caller needn't wait. An address that is exempt isn't counted by rules that ban. */
void guessing_count(const struct guessing *g, const struct guess *guess);

/* What an account has logged in with, as `known` has it; an empty password was not said. */
uint32_t guessing_credential(const uint64_t key[GUESSING_KEY_SIZE], const char *account,
                             struct span password);

/* By what bans know an account, by its canonical name; never 0. */
uint64_t guessing_account(const uint64_t key[GUESSING_KEY_SIZE], const char *account);
