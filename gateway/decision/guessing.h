/* Guessing of passwords (auth.guessing): different wrong credentials of a client are counted, over
 * all ports, protocols and gateways that share a store, and too many of them are a ban. The same
 * wrong password, as of a forgotten phone, counts once however often it comes. */
#pragma once

#include "base/network.h"
#include "config/config.h"
#include "decision/bans.h"
#include "decision/decision.h"
#include "decision/known.h"
#include "telemetry/event.h"

enum { GUESSING_KEY_SIZE = 2 };
#define GUESSING_RULE "auth.guessing" /* as it stands in logs and lists */

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
    const char *account;  /* canonical; as it was given where that is nobody's name */
    struct span password; /* empty where it was not said, as by SCRAM: once an account then */
    bool is_shared;       /* many people are behind the address: they aren't banned, but the account
                             there */
};

/* Counts it, and bans where it is one too many. What becomes of it is logged; the caller needn't
 * wait. An address that is exempt isn't counted. */
void guessing_count(const struct guessing *g, const struct guess *guess);

/* By what bans know an account; never 0. */
uint64_t guessing_account(const struct guessing *g, const char *account);
