/* Limits that are others for one account, or for all of a domain: what people have set for them at
 * run time, or what stands in a watched file of the policy. Pure. */
#pragma once

#include "base/error.h"
#include "base/sealed.h"
#include "policy/limit/gcra.h"

struct limit_rule;
struct policy_facts;

/* What is in force in place of what the rule says. */
struct override {
    struct rate figure; /* of a limit by max that is the count, and the period is 0 */
    bool is_of_domain;  /* else of the account itself */
    bool is_set;        /* by people; else it stands in the file */
};

/* What people have set: the figure for a limit and an account or "@DOMAIN". */
struct override_store {
    bool (*find)(const void *owner, const char *limit, const char *name, int64_t now_s,
                 struct rate *out);
    const void *owner;
};

/* The file of a policy. */
struct override_file {
    const char *path;          /* "": there is none */
    const struct sealed *list; /* what is in force of it: a base/lookup by override_key */
};

enum {
    OVERRIDE_KEY_SIZE = 512,
    OVERRIDE_FIGURE_SIZE = 80,
    OVERRIDE_MAX = 1000000, /* of a limit by max */
};

/* "LIMIT NAME", the name of an account or "@DOMAIN". Returns its length, or 0: too long. */
size_t override_key(struct span limit, const char *name, char out[OVERRIDE_KEY_SIZE]);

/* "1000/1h", with a burst ("": the count), or "20", for a limit by max. Returns 0, or -1 and why.
 */
int override_parse(struct span figure, struct span burst, struct rate *out, struct error *why);

/* The same back. Returns `out`. */
const char *override_format(const struct rate *figure, char out[OVERRIDE_FIGURE_SIZE]);

/* Is it one that could have been parsed? */
bool override_is_sane(const struct rate *figure);

/* Could it be in force in place of what the rule says? Returns 0, or -1 and why not. */
int override_check(const struct limit_rule *r, const struct rate *figure, bool is_of_domain,
                   struct error *why);

/* Hot, where there are any: what is in force for these facts. What was set goes before what stands
 * in the file, so that an order is never without effect; in each, what is the account's own before
 * its domain's. The account is what the rule goes by: account, else login, else account_domain, of
 * which the domain's alone is meant. False: what the rule says. */
bool override_find(const struct limit_rule *r, const struct policy_facts *f, struct override *out);
