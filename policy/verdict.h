/* What the store's answers to a call mean: whether somebody passes, and if not, which rule says so
 * and what he may be told. Pure. */
#pragma once

#include "policy/rules/access.h"
#include "policy/rules/limit.h"

struct policy_call;
struct policy_row;

enum verdict_kind { VERDICT_PASS, VERDICT_DEFER, VERDICT_REJECT };

struct verdict {
    enum verdict_kind kind;
    const struct limit_rule *rule;   /* that refuses, or has it wait; NULL: none */
    struct access_refusal access;    /* its rule: that doesn't let in; NULL: none */
    const struct override *override; /* that is in force in its place; NULL: none */
    struct span key;                 /* of its counter */
    int64_t wait_us;   /* PASS: to be held back so long; DEFER: try again after it; -1: unknown */
    bool is_too_large; /* it is more than the rule ever lets through at once */
    bool lacks_header; /* that the rule wants */
    uint64_t cost;     /* how many of what the rule counts were asked for; 0: it counts otherwise */
    int64_t left;      /* how many would pass at once now; -1: unknown */
    int64_t used;      /* how much of the limit is used up, see policy/figures; -1: unknown */
    uint64_t tries;    /* of what is counted, that led to it */
};

/* What the answer to a take says; VERDICT_PASS, without a rule, where there is nothing to say. */
void policy_judge_one(const struct policy_call *call, size_t take, struct verdict *out);

/* What the answers say of a group. */
void policy_judge(const struct policy_call *call, int group, struct verdict *out);

/* What would become of one who asked for it when it is the row's turn, by what was looked at. */
void policy_judge_look(const struct policy_call *call, const struct policy_row *row,
                       struct verdict *out);

/* Which of the rows decides, as a session comes to them, and what is held back meanwhile: fills in
 * its verdict, and how late each has its turn. -1: none refuses; then `out` says how long replies
 * are held back. */
int policy_explained(const struct policy_call *call, struct policy_row *rows, size_t count,
                     struct verdict *out);

typedef void policy_told_fn(void *owner, const struct verdict *v);

/* Calls `fn` for each rule in monitor mode, or of action log, that would have refused. */
void policy_monitored(const struct policy_call *call, const struct policy *p, policy_told_fn *fn,
                      void *owner);

/* Calls `fn` for each rule that suspends, where it is to. Those stand alone: what is asked about
 * passes as far as the others let it, until the account is suspended. */
void policy_suspending(const struct policy_call *call, const struct policy *p, policy_told_fn *fn,
                       void *owner);

/* Calls `fn` for each rule that passes and has come to its warn_at: the verdict says its rule, what
 * is in force in its place, its key and how much is used up. */
void policy_near(const struct policy_call *call, policy_told_fn *fn, void *owner);
