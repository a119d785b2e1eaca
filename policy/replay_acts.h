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
    const struct policy *policy;
    const char *listener, *account, *login, *country;
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
    bool is_nobody;
};

/* A message. */
struct mail {
    struct named_head head; /* likewise */
    struct visit *visit;
    const char *account, *login, *sender, *recipient, *script;
    uint64_t count, bytes; /* recipients that the gateway took then */
    int64_t first_us, delayed_us;
    bool has_begun, is_taken; /* is told when it began; the server behind took it */
    bool is_denied;           /* at MAIL, now */
    uint64_t accepted;        /* now */
    struct taken *taken;
    struct tried *tried;
};

/* In the order in which they come where they come at one moment. */
enum act_kind { ACT_CONNECT, ACT_LOGIN, ACT_MAIL, ACT_RCPT, ACT_END, ACT_GONE };

struct act {
    int64_t at_us;
    size_t order;
    enum act_kind kind;
    struct visit *visit;
    struct mail *mail;
    const char *text; /* an account, or a recipient */
};

struct row {
    struct named_head head; /* "RULE\nACCOUNT" */
    struct replay_row row;
};

struct replay {
    struct replay_options options;
    struct arena *scratch; /* of one question */
    struct named visits, mails, rows;
    struct act *acts;
    size_t act_count, act_room;
    bool is_full; /* out of memory */
    int64_t now_us;
};

/* Out of memory, here as below, `is_full` says so. */
void replay_add(struct replay *r, const struct act *a);

/* NULL without memory. */
struct replay_row *replay_row_of(struct replay *r, struct span rule, const char *account);
