/* The engine's face: facts go in, questions come out; answers go in, a verdict comes out. Pure: who
 * asks the store, and acts on the verdict, stands above.
 *
 *     policy_ask(call, policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
 *     ... policy_ask once more for each recipient, in the groups' order ...
 *     the store is asked call->takes, and fills in call->answers
 *     policy_judge(call, group, &verdict), for each group */
#pragma once

#include "policy/limit/store.h"
#include "policy/overrides.h"
#include "policy/rules/access.h"
#include "policy/rules/delegate.h"
#include "policy/rules/limit.h"
#include "policy/rules/sender.h"
#include "policy/verdict.h"

struct arena;

/* Whose message it is may be known only when its headers are. Rules that go by the account are
 * passed over until then; afterwards they alone are asked, stage by stage, and at the end the rest:
 * at STAGE_RCPT for each recipient, and without one for all of them. */
enum policy_account { ACCOUNT_KNOWN, ACCOUNT_TO_COME, ACCOUNT_HAS_COME };

/* What is known when something is to be decided. NULL: not known. */
struct policy_facts {
    const char *account, *login; /* canonical; they differ where one sends for another */
    enum policy_account account_state;
    const char *listener;
    const char *sender, *recipient; /* addresses; "" is the empty sender */
    const struct address *client;
    const char *country;        /* of the client, two letters of ISO 3166 */
    int64_t now_s;              /* seconds since 1970 */
    uint64_t recipients, bytes; /* of the message, at STAGE_DATA and STAGE_END */
    uint64_t lease;             /* names the session, and no other of any gateway */
    uint64_t credentials;    /* a hash of those that were wrong, at STAGE_FAILURE; 0: not known */
    bool has_certificate;    /* the client has shown one that was verified, */
    const char *certificate; /* which names this account; NULL: none */
    bool is_shared;          /* many people are behind the client's address */
    bool is_exempt;          /* it isn't banned now, whatever it does */
    int64_t delayed_us;      /* for how long this message was held back already */
    /* The value of a header field, at STAGE_END; NULL: there is none of that name. */
    const char *(*header)(const void *owner, const char *name);
    const void *header_owner;
    const struct override_store *set_limits; /* NULL: nothing was ever set */
};

enum { POLICY_HEADERS_MAX = 8 };

/* Rules, in their order: the first that refuses is the reason that is told. */
struct policy {
    const char *name;
    struct place place;
    const char *base_name; /* "": none */
    int mode;              /* enum rule_mode, of all its rules */
    struct limit_rule *limits;
    size_t limit_count;
    struct access_rule *access;
    size_t access_count;
    struct delegate_rule *delegates;
    size_t delegate_count;
    unsigned stages;          /* a bit for each enum policy_stage at which something is asked */
    unsigned counts;          /* likewise for each enum limit_count */
    struct text_list headers; /* names of fields that are keys */
    struct override_file overrides;
    struct sender_rule sender;
    const char *max_suspensions_text;
    struct rate max_suspensions; /* of a rule; what it says */
};

/* Does the rule only say what it would do? */
static inline bool policy_is_monitored(const struct policy *p, const struct limit_rule *r)
{
    return p->mode == RULE_MONITOR || r->mode == RULE_MONITOR || r->action == LIMIT_LOG;
}

static inline bool access_is_monitored(const struct policy *p, const struct access_rule *r)
{
    return p->mode == RULE_MONITOR || r->mode == RULE_MONITOR;
}

static inline bool delegate_is_monitored(const struct policy *p, const struct delegate_rule *r)
{
    return p->mode == RULE_MONITOR || r->mode == RULE_MONITOR;
}

/* Of who may send as whom it says likewise. */
static inline bool policy_sender_is_monitored(const struct policy *p)
{
    return p->mode == RULE_MONITOR || p->sender.mode == RULE_MONITOR;
}

/* The keys of a policy itself in the file, for base/setting: ends with a NULL name. */
extern const struct setting policy_settings[];

/* What is held at a time is given up when nobody has renewed it for so long. */
enum { POLICY_LEASE_US = 120 * 1000000 };

/* The questions of one decision. */
struct policy_call {
    struct arena *arena;
    struct counter_take *takes;
    struct counter_answer *answers;    /* as many */
    const struct limit_rule **rules;   /* of each take */
    const struct override **overrides; /* likewise; NULL: what the rule says is in force */
    size_t count, room;
    uint16_t groups;                       /* so far */
    const struct limit_rule *lacks_header; /* that refuses a message without its header */
};

/* An empty one in `a`, of at most STORE_TAKES_MAX takes. What it needs is taken there. */
void policy_call_begin(struct policy_call *call, struct arena *a);

/* The rate in force for a take of that kind. */
static inline const struct rate *policy_rate(const struct policy_call *call, size_t i)
{
    return call->overrides[i] == NULL ? &call->rules[i]->rate : &call->overrides[i]->figure;
}

enum { POLICY_NOTHING = -1, POLICY_FAILED = -2 };

/* Hot: asks what the policy has to ask at this stage; what is asked stands or falls together.
 * `needs` is a group of this call without which it is pointless. Returns the group; POLICY_NOTHING:
 * there is nothing to ask, it passes; POLICY_FAILED: no memory, or too many questions. The facts
 * may go away afterwards. */
int policy_ask(struct policy_call *call, const struct policy *p, enum policy_stage stage,
               const struct policy_facts *f, uint16_t needs);

/* Asks how all counters that the policy has for these facts stand, of whatever stage, and takes
 * nothing: one group of them. Returns as policy_ask. */
int policy_look(struct policy_call *call, const struct policy *p, const struct policy_facts *f);

/* Of one rule, for facts that somebody wonders about: what it would do, or why it isn't for them.
 */
enum policy_row_kind {
    POLICY_ROW_LOOKED,  /* its counter is looked at: policy_judge_look */
    POLICY_ROW_WHEN,    /* `when` doesn't hold */
    POLICY_ROW_EXCEPT,  /* `except` does */
    POLICY_ROW_EXEMPT,  /* it bans, and the client is exempt now */
    POLICY_ROW_UNKNOWN, /* a key of it has no value */
    POLICY_ROW_LACKS,   /* so too, a header's, for which it refuses */
};
enum { POLICY_TURNS = 8 * STAGE_COUNT };
struct policy_row {
    const struct limit_rule *rule;
    enum policy_row_kind kind;
    size_t take;      /* of the call */
    unsigned turn;    /* below POLICY_TURNS: in which order they are asked */
    bool is_late;     /* it has its turn when the headers have named the account */
    bool is_harmless; /* it refuses nobody here, whatever it says */
    /* Until its turn: time, and for how long the message is held back of it. */
    int64_t passed_us, delayed_us;
};

/* Adds a row for each rule that isn't dropped, in their order, and looks at the counters of those
 * that are for these facts, one group of each, taking nothing. With ACCOUNT_HAS_COME the headers
 * name the account, and all know who has logged in. `rows` has room for all of the policy's.
 * Returns how many rows, or POLICY_FAILED. */
int policy_explain(struct policy_call *call, const struct policy *p, const struct policy_facts *f,
                   struct policy_row *rows);

/* Is there room for what the policy may have to ask once more? */
bool policy_has_room(const struct policy_call *call, const struct policy *p);

/* What is added to counters afterwards. */
enum policy_after {
    AFTER_LOGIN,   /* who has logged in, and from where */
    AFTER_ATTEMPT, /* the server behind has answered for f->recipient; `is_bad`: there is nobody */
    AFTER_MESSAGE, /* it has taken the message, for f->recipient among others */
};

/* Writes what is to be settled for it, up to `room`; keys lie in `a`. Returns how many. */
size_t policy_after(const struct policy *p, enum policy_after what, const struct policy_facts *f,
                    bool is_bad, struct arena *a, struct counter_settle *out, size_t room);
