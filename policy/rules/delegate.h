/* Delegation: a policy server of the admin's is asked, as Postfix asks it (SMTPD_POLICY_README),
 * and answers with an action of Postfix's access(5). The rule's keys of porteiro.conf, and what the
 * actions mean. Pure. */
#pragma once

#include "base/endpoint.h"
#include "base/setting.h"
#include "policy/match.h"
#include "policy/rules/limit.h"

enum delegate_failure { DELEGATE_ACCEPT, DELEGATE_TEMPFAIL, DELEGATE_REJECT };

struct delegate_rule {
    const char *name;
    struct place place;
    /* As they stand in the file. */
    const char *address;
    struct text_list at;
    int on_failure, mode; /* enum above; enum rule_mode */
    int64_t timeout_ms;
    bool enabled;
    struct match when, except;
    /* What they mean. */
    unsigned stages; /* of `at`: a bit for each enum policy_stage */
    size_t server;   /* of the configuration's policy servers: one for each address */
};

/* The keys of the file, for base/setting: ends with a NULL name. */
extern const struct setting delegate_settings[];

/* Fills in the stages. */
void delegate_rule_prepare(struct delegate_rule *r);

/* Is the server asked at this stage about these facts? What it is told has the account in it, so it
 * is asked when that is known. */
bool delegate_is_asked(const struct delegate_rule *r, enum policy_stage stage,
                       const struct policy_facts *f);

/* "RCPT", "END-OF-MESSAGE": the stage, as policy servers know it. */
const char *delegate_state(enum policy_stage stage);

/* ---- answers ---- */

enum delegate_says {
    DELEGATE_DUNNO,
    DELEGATE_OK,        /* the rules behind it aren't heard */
    DELEGATE_REFUSES,   /* with `code` */
    DELEGATE_IF_PERMIT, /* defers, if nothing behind it refuses for good */
    DELEGATE_IF_REJECT, /* defers what something behind it refuses for good */
    DELEGATE_PREPENDS,  /* `text` is a header to stand in front of the message */
    DELEGATE_DISCARDS,  /* the message is taken, and goes nowhere */
    DELEGATE_WARNS,
    DELEGATE_INFORMS,
    DELEGATE_CANNOT, /* an action that needs a queue, or isn't for here: as DUNNO */
    DELEGATE_FAILED, /* there is no answer: `text` says why */
};

/* `text` lies in the action. */
struct delegate_answer {
    enum delegate_says says;
    int code;           /* of what refuses or may: 4yz or 5yz */
    char enhanced[12];  /* "4.7.1" */
    struct span action; /* "DEFER_IF_PERMIT", as it was written */
    struct span text;   /* behind it and the enhanced code; "" */
};

/* Reads the value of "action". Returns 0, or -1: there is no such action. */
int delegate_understand(struct span action, struct delegate_answer *out);

/* ---- what becomes of it ---- */

/* A rule that was asked, and what its server has said. */
struct delegate_told {
    const struct delegate_rule *rule;
    struct delegate_answer answer;
};

struct delegate_verdict {
    const struct delegate_told *by; /* who decides; NULL: it passes */
    int code;                       /* of the reply; 0: it passes, or is discarded */
    size_t heard;                   /* how many count: nobody hears those behind */
    bool is_discarded;
};

/* What the answers about one and the same thing come to, in the rules' order. What a rule in
 * monitor mode says, one of a policy in that mode (`is_monitored`), changes nothing. */
void delegate_judge(const struct delegate_told *told, size_t count, bool is_monitored,
                    struct delegate_verdict *out);

/* With which code it would refuse by itself; 0: it would not. */
int delegate_refusal(const struct delegate_told *t);
