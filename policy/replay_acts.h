/* What a log has told of sessions and messages: between who hears it and who runs it. For
 * policy/replay alone. */
#pragma once

#include "policy/named.h"
#include "policy/replay.h"

#define REPLAY_SECOND INT64_C(1000000)

/* What was taken, for as long as it may have to be given back. */
struct taken {
    struct taken *next;
    struct counter_settle back;
};

/* A session. */
struct visit {
    struct named_head head; /* its id, at the front */
    struct replay_listener listener;
    const char *account, *login, *country;
    const char *certificate; /* whose it has shown; NULL: none */
    const char *certified;   /* the account that this is; NULL: none */
    struct address client;
    bool has_client, is_away; /* it isn't let in, now */
    uint64_t number;
    int64_t first_us; /* when it was first heard of; 0: not yet */
    struct taken *held;
};

/* A recipient whom the gateway took, and the server behind refused. */
struct tried {
    struct tried *next;
    const char *recipient;
    bool is_nobody, passes; /* now */
};

/* A message. */
struct mail {
    struct named_head head; /* likewise */
    struct visit *visit;
    const char *account, *login, *sender, *recipient, *script;
    const char *author; /* of its headers the address that was decided on; NULL: it isn't known */
    uint64_t count, bytes; /* recipients that the gateway took then */
    int64_t first_us, delayed_us;
    bool has_begun, is_taken; /* is told when it began; the server behind took it */
    bool is_try;              /* it was refused at MAIL, and nothing else is known of it */
    bool is_denied;           /* at MAIL, now */
    uint64_t accepted;        /* now */
    struct taken *taken;
    struct tried *tried;
};

/* In the order in which they come where they come at one moment. */
enum act_kind {
    ACT_ORDER, /* of a person */
    ACT_CONNECT,
    ACT_LOGIN,
    ACT_MAIL,
    ACT_RCPT,
    ACT_END,
    ACT_GONE
};

/* What people have ordered of a limit (`limit` is its name) or a suspension (NULL). */
struct order {
    const char *account, *limit;
    struct rate figure;
    int64_t until_us; /* 0: it is taken back */
};

struct act {
    int64_t at_us;
    size_t order;
    enum act_kind kind;
    struct visit *visit;
    struct mail *mail;
    const char *text; /* an account, or a recipient */
    const struct order *given;
};

struct row {
    struct named_head head; /* "RULE\nACCOUNT" */
    struct replay_row row;
};

/* A limit that was set, by "LIMIT\nNAME", and a suspended account, by its name. */
struct figure_set {
    struct named_head head;
    struct rate figure;
    int64_t until_us;
};
struct suspended {
    struct named_head head;
    const char *rule; /* NULL: a person did */
    int64_t since_us, until_us;
    bool is_of_all;
};

enum { POLICIES_MAX = 64 };

struct replay {
    struct replay_options options;
    const struct policy *policies[POLICIES_MAX]; /* that were met */
    size_t policy_count;
    struct arena *scratch; /* of one question */
    struct named visits, mails, rows, figures, suspended;
    struct override_store set_limits;
    struct replay *itself; /* for set_limits */
    struct replay_unknown unknown;
    struct act *acts;
    size_t act_count, act_room;
    bool is_full; /* out of memory */
    int64_t now_us;
};

/* Out of memory, here as below, `is_full` says so. */
void replay_add(struct replay *r, const struct act *a);

/* Counts what a rule did now. */
void replay_count(struct replay *r, const char *rule, const char *account, enum replay_what what);

/* ---- replay_doors: what isn't counted ---- */

/* Do the policy's rules of access let in? */
bool replay_lets_in(struct replay *r, const struct visit *v, const struct policy_facts *f);

/* May the account send as who stands in MAIL FROM, and in the headers? */
bool replay_owns_sender(struct replay *r, const struct mail *m, const struct policy_facts *f);
bool replay_owns_author(struct replay *r, const struct mail *m, const struct policy_facts *f);

/* Counting begins anew. */
void replay_forget(struct replay *r, const struct limit_rule *rule, struct span key);

/* What people have ordered is in force. */
void replay_obey(struct replay *r, const struct order *o);

/* For override_store. */
bool replay_figure(const void *owner, const char *limit, const char *name, int64_t now_s,
                   struct rate *out);

/* Is it suspended now, from sending or from all? NULL is nobody. */
bool replay_is_suspended(struct replay *r, const char *account, bool from_all);

/* A rule suspends it, unless it has suspended `most` already: then it is false. */
bool replay_suspend(struct replay *r, const struct limit_rule *rule, const char *account,
                    const struct rate *most);

/* NULL without memory. */
struct replay_row *replay_row_of(struct replay *r, struct span rule, const char *account);
