/* Access: from where, at which hours and with which certificate somebody is let in. Its keys of
 * porteiro.conf, what they mean, and how it is told to people. Pure.
 *
 * Whoever a rule is for has to satisfy it; of several, all. Networks, countries and hours say where
 * and when he may; what isn't known of him isn't among them. */
#pragma once

#include "base/setting.h"
#include "policy/match.h"

struct policy;
struct policy_facts;

enum access_certificate { ACCESS_CERTIFICATE_NONE, ACCESS_CERTIFICATE_ANY, ACCESS_CERTIFICATE_OWN };

struct access_rule {
    const char *name;
    struct place place;
    /* As they stand in the file. */
    const char *zone_name, *closed;
    int certificate, mode; /* enum above; enum rule_mode */
    bool deny, end_sessions, enabled;
    struct match inside; /* networks, countries and hours: all of what is asked for */
    struct match when, except;
    const struct sealed *closed_days; /* what is in force of `closed`; NULL: none */
};

/* The keys of the file, for base/setting: ends with a NULL name. */
extern const struct setting access_settings[];

/* Do the keys go together? Returns 0; or -1: everything that is wrong was added to `errors`, with
 * the rule's place and `path`. */
int access_rule_check(const struct access_rule *r, const char *path, struct errors *errors);

/* Does it go by the clock? */
bool access_has_hours(const struct access_rule *r);

/* Does it go by whose account it is? */
bool access_goes_by_account(const struct access_rule *r);

/* What is wrong. */
enum access_lack {
    ACCESS_DENIED,
    ACCESS_NETWORK,
    ACCESS_COUNTRY,
    ACCESS_NO_CERTIFICATE,
    ACCESS_OTHERS_CERTIFICATE,
    ACCESS_CLOSED,
    ACCESS_HOURS,
};

struct access_refusal {
    const struct access_rule *rule;
    enum access_lack lack;
};

typedef void access_told_fn(void *owner, const struct access_refusal *r);

/* Do all rules of the policy, which may be NULL, let them in? Rules in monitor mode that wouldn't
 * are told to `fn`, NULL: nobody. Where the account is still to come, rules that go by it are
 * passed over; when it has, they alone are asked. Returns false and the first that doesn't. */
bool access_allows(const struct policy *p, const struct policy_facts *f, access_told_fn *fn,
                   void *owner, struct access_refusal *out);

/* What one rule says of who comes in: 1: it lets them; 0: it doesn't, and why; -1: it isn't for
 * them. */
int access_judge(const struct access_rule *r, const struct policy_facts *f, enum access_lack *lack);

/* Likewise of somebody who was let in before: would a rule with end_sessions still do it? */
bool access_lasts(const struct policy *p, const struct policy_facts *f, struct access_refusal *out);

/* Another number whenever the clock, a zone's file or one of closed days makes a difference to
 * access_lasts: then all are to be asked anew. */
uint64_t access_moment(const struct policy *p, int64_t now_s);

/* "office-only: closed now; open Mon-Fri 08:00-18:00 (America/Sao_Paulo)": into `out`, cut to fit.
 * Returns `out`. */
const char *access_text(const struct access_refusal *r, char *out, size_t room);
