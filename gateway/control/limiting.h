/* What people ask about limits, and tell them: porteiroctl's limits and count. */
#pragma once

#include "base/sealed.h"
#include "control/explaining.h"
#include "control/socket.h"
#include "decision/decision.h"
#include "decision/senders.h"

struct limiting;

struct limiting_options {
    struct loop *loop;
    const struct config *config;
    const struct sealed *aliases, *countries; /* NULL: there are none */
    struct override_store set_limits;
    const struct senders *senders;
    const struct suspending *suspending;
    const struct known *known;
    struct session_table sessions;
    struct memory memory;
    /* The store in Redis, of which nobody needs to think until somebody asks; NULL: there is none.
     */
    struct redis_store *(*open_store)(void *owner);
    void *owner;
};

/* NULL without memory. */
struct limiting *limiting_create(const struct limiting_options *options);

/* Forgets the questions that are under way. */
void limiting_destroy(struct limiting **l);

/* How the counters of somebody stand: an account, an address, "@DOMAIN", a listener, a country as
 * "BR", or "global", or several of them for rules that go by several keys: an array of texts.
 * Nothing is taken. Tells `socket` a row for each counter, and answers the request, within a few
 * seconds. */
void limiting_show(struct limiting *l, struct control_socket *socket, uint32_t request,
                   const json_t *keys);

/* What would happen to a sender now; `question` is explaining_understand's. Takes nothing. Tells a
 * row for each rule, and answers likewise. */
void limiting_explain(struct limiting *l, struct control_socket *socket, uint32_t request,
                      const json_t *question);

/* So many recipients of an account (1 to LIMITING_COUNT_MAX) turned out to be nobody's after their
 * message was taken: bad ones, which were counted as tried then, for all rules on
 * rejected_recipients that go by what is known of an account. Or one of the account whose message
 * it was. Answers likewise. */
enum { LIMITING_COUNT_MAX = 10000 };
void limiting_count(struct limiting *l, struct control_socket *socket, uint32_t request,
                    const char *account, json_int_t count);
void limiting_count_message(struct limiting *l, struct control_socket *socket, uint32_t request,
                            const char *message);

/* The account was let go: what has led to its suspension, or has been counted meanwhile, is
 * forgotten, of all rules that suspend and go by what is known of an account. Answers likewise. */
void limiting_forget(struct limiting *l, struct control_socket *socket, uint32_t request,
                     const char *account);
