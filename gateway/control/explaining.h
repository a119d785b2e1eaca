/* What would happen to a sender now, rule by rule: porteiroctl explain. Takes nothing, counts
 * nothing. */
#pragma once

#include "auth/trusted.h"
#include "control/subject.h"
#include "control/suspending.h"
#include "decision/decision.h"
#include "decision/known.h"
#include "decision/offence.h"
#include "message/header_values.h"
#include "telemetry/sessions.h"

/* What is asked besides counters. */
struct explaining {
    struct subject_lists lists;
    const struct suspending *suspending; /* bans too */
    const struct known *known;
    struct override_store set_limits;
    struct session_table sessions;
};

enum { EXPLAINED_ROWS_MAX = 1024, EXPLAINED_HEADERS_MAX = 4096 };

/* A question, and what was found. */
struct explanation {
    const struct explaining *from;
    const struct listener_config *listener;
    char account[ACCOUNT_SIZE], login[ACCOUNT_SIZE], certificate[ACCOUNT_SIZE];
    char sender[ACCOUNT_SIZE], recipient[ACCOUNT_SIZE];
    bool is_unasked;       /* his network is trusted: nobody logs in */
    struct buffer headers; /* as they stand in the message */
    struct header_values values;
    char country[COUNTRY_SIZE];
    struct address client;
    struct policy_facts facts; /* points into it */
    struct guessing_policy guessing;
    struct policy_row rows[EXPLAINED_ROWS_MAX];
    size_t count, own; /* the first `own` are the policy's, the rest is auth.guessing */
    int decides;       /* which row refuses; -1: none does */
    struct verdict verdict;
};

/* {"account": A, "login": L, "ip": I, "from": F, "to": T, "headers": ["NAME: VALUE", ...],
 * "certificate": NAME, "protocol": "smtp" or "pop3", "listener": NAME, "at": SECONDS}: all but the
 * account may be missing. Fills in an empty one, which stays where it is. Returns 0, or -1 and why.
 * Either way it is the caller's to free. */
int explaining_understand(const struct explaining *x, const json_t *request, struct explanation *e,
                          struct error *why);

/* What it holds; NULL: nothing. */
void explaining_free(struct explanation **e);

/* Asks for the counters. Returns 0, or -1: there are too many. */
int explaining_ask(struct explanation *e, struct policy_call *call);

/* A row for each rule, in the order in which a session comes to them, to `tell`; a row that ends it
 * has "decides". `text`: how it ends, for a person. */
enum { EXPLAINED_TEXT_SIZE = 640 };
void explaining_tell(struct explanation *e, const struct policy_call *call,
                     void (*tell)(void *owner, json_t *row), void *owner,
                     char text[EXPLAINED_TEXT_SIZE]);
