/* A message under way, as the files of mail see it; nobody else does. */
#pragma once

#include "auth/account.h"
#include "decision/decision.h"
#include "filter/mail.h"
#include "message/header_values.h"

struct accepted {
    struct accepted *next;
    const char *address;
};

struct mail {
    struct filter *filter;
    const struct policy *policy;
    const struct mail_client *client;
    struct arena *arena;
    char id[ID_SIZE];
    char given[ACCOUNT_SIZE], account[ACCOUNT_SIZE]; /* "" where nobody has logged in */
    const char *sender;
    uint64_t recipients; /* that have passed */
    uint64_t bytes;
    int64_t delayed_us;
    int64_t begun_ns, due_ns;            /* due: when it may pass, by the limits so far */
    struct accepted *first;              /* recipients, where they count afterwards */
    struct header_values *header_values; /* NULL: none is a key, or they haven't come */
    struct receipt *receipts, *before_last;
    /* What is asked just now. */
    struct decision *decision;
    int group;
    const char *recipient;
    struct mail_answer answer;
    bool is_stopped; /* a rule that suspends has said so in `answer` */
    mail_fn *fn;
    void *owner;
};

/* Whose it is; NULL: nobody has logged in. */
const char *mail_account(const struct mail *m);

struct policy_facts mail_facts(const struct mail *m);

/* Is its account suspended, and what is told of that? */
bool mail_is_suspended(const struct mail *m, char text[SUSPENSION_TEXT_SIZE]);

/* Logs with what is known of it before the fields. */
#define mail_event(m, event, ...) \
    mail_event_fields((m), (event), (const struct field[]){__VA_ARGS__, {.kind = FIELD_END}})
void mail_event_fields(const struct mail *m, enum event event, const struct field *fields);

/* It is refused so. */
void mail_say(struct mail *m, enum smtp_reply_name name, const char *argument);

/* What is asked from here on is about `recipient`, or nobody; nothing is refused yet. */
void mail_begin(struct mail *m, const char *recipient, mail_fn *fn, void *owner);

/* Asks the limits of a stage, and tells `fn` afterwards; or tells it what was found already. */
void mail_ask(struct mail *m, enum policy_stage stage);
void mail_tell(struct mail *m);

/* May it be begun: by its account's name, bans, its suspension, access, and the sender's address?
 * Else it is refused, and logged. */
bool mail_is_welcome(struct mail *m);

/* Is its account suspended by now? Then it is refused, and logged. */
bool mail_is_free(struct mail *m);

/* Are From, Sender and Resent-From the account's? Likewise. */
bool mail_has_good_authors(struct mail *m, struct span headers);

/* Adds to counters what `what` says, of that recipient. */
void mail_count(struct mail *m, enum policy_after what, const char *recipient, bool is_bad);
