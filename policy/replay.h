/* A log's sessions and messages through policies once more: what they would have decided. Pure.
 *
 * First the whole log is heard, then it is run: a line tells the end of a session or message, and
 * how long it took. What a log at level info doesn't tell isn't known here either: who the
 * recipients of a message with several were, or of one that was refused at MAIL; whom From names,
 * unless that was asked about; who was sent away at the door; and which credentials were wrong. */
#pragma once

#include "policy/limit/table.h"
#include "policy/policy.h"
#include "policy/record.h"

struct replay;

/* Can a log tell what a rule has counted? The others of a policy have to be dropped. */
bool replay_knows(const struct limit_rule *r);

/* A listener, which outlives the replay. Slots of rules differ by name. */
struct replay_listener {
    const char *name;
    const struct policy *policy; /* NULL: it has none */
    bool is_pop3;
};

struct replay_options {
    struct arena *arena; /* holds all of it */
    /* Fills in the listener of that name. Returns false: there is none. */
    bool (*listener_of)(const void *owner, struct span name, struct replay_listener *out);
    /* The account that a certificate names, and an address as addresses are compared, into `out` of
     * that size. Returns false: there is none, or it can't be compared. */
    bool (*account_of)(const void *owner, struct span name, char *out, size_t size);
    bool (*address_of)(const void *owner, struct span given, char *out, size_t size);
    const void *owner;
    struct table table; /* empty */
};

/* How often a rule refused an account's, delayed it, or would have refused (monitor). */
enum replay_what { REPLAY_REFUSED, REPLAY_DELAYED, REPLAY_MONITORED, REPLAY_WHATS };
struct replay_row {
    const char *rule, *account;                   /* "": it wasn't known */
    uint64_t was[REPLAY_WHATS], is[REPLAY_WHATS]; /* in the log, and now */
};

/* NULL without memory. */
struct replay *replay_create(const struct replay_options *options);

void replay_destroy(struct replay **r);

/* A line of the log. Returns 0, or -1 without memory. */
int replay_hear(struct replay *r, const struct record_line *line);

/* Runs all that was heard. Returns 0, or -1 without memory. */
int replay_run(struct replay *r);

/* What couldn't be judged. */
struct replay_unknown {
    uint64_t authors; /* messages whose From isn't in the log, for a policy that asks for it */
    uint64_t tries;   /* that were refused at MAIL, and would pass there now: to whom? */
};
const struct replay_unknown *replay_unknown(const struct replay *r);

/* By rule and account, in the order of their names. Returns how many; they lie in the arena.
 * SIZE_MAX without memory. */
size_t replay_rows(struct replay *r, struct replay_row **out);
