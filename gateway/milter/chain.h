/* The milters of a session, in their order: each is told what the client says, and sees what those
 * before it have changed. They are told lazily: connection, HELO and MAIL when a message begins.
 *
 * No function calls back from within; answers come from the loop, in the order of the questions. */
#pragma once

#include "base/address.h"

#include <stdbool.h>
#include <stddef.h>

struct milters;      /* a worker's */
struct milter_chain; /* a session's */
struct fields;
struct spool;
struct listener_config;

enum milter_verdict {
    MILTER_PASSES,
    MILTER_REFUSES,  /* this command or message: `code`, `text` */
    MILTER_DISCARDS, /* the message, at RCPT too: the client hears 250, nobody gets it */
    MILTER_CLOSES,   /* 421, and the end of the session */
};

struct milter_answer {
    enum milter_verdict verdict;
    int code; /* 4yz or 5yz of REFUSES, 421 of CLOSES */
    /* The milter's own reply: whole lines, "550 5.7.1 ...\r\n"; NULL: a plain refusal or a failure,
     * in the gateway's words. */
    const char *text;
    bool is_failure;    /* the milter has failed, and its on_failure refuses */
    const char *milter; /* its name; NULL: all have let it pass */
    const char *reason; /* for the log */
};

/* Something that was asked has its answer. */
enum milter_event_kind {
    MILTER_MAIL, /* MAIL; and what was refused at connection or HELO */
    MILTER_RCPT, /* of `recipient` */
    MILTER_DATA,
    MILTER_TEXT, /* refused or discarded, perhaps while the text comes; no MILTER_END follows */
    MILTER_END,  /* it passes, and the edits are in: fields, and milter_chain_edits */
};

struct milter_event {
    enum milter_event_kind kind;
    void *recipient;
    const struct milter_answer *answer; /* valid during the call */
};

/* It may destroy the chain, or go on with it. */
typedef void milter_fn(void *owner, const struct milter_event *event);

/* A macro's value for what is being told ("i", "{auth_authen}", ...), in `out` or elsewhere. NULL
 * or
 * "": it has none, and isn't sent. Those of a recipient are the chain's own. */
enum { MILTER_MACRO_SIZE = 512 };
typedef const char *milter_macro_fn(void *owner, const char *name, char out[MILTER_MACRO_SIZE]);

struct milter_client {
    const char *name; /* of the host; "[192.0.2.1]" where it isn't known */
    struct address address;
    unsigned port;
};

struct milter_options {
    struct milters *milters;
    const struct listener_config *listener; /* whose milters they are */
    milter_fn *fn;
    milter_macro_fn *macro;
    void *owner;
};

/* NULL without memory. */
struct milter_chain *milter_chain_create(const struct milter_options *options);

/* What is under way ends as milter_chain_abort says. */
void milter_chain_destroy(struct milter_chain **c);

enum { MILTER_PARAMETERS_MAX = 8 };

/* A message begins; the one before is over. `uses`: whether each of the listener's milters is for
 * it. `sender` without brackets, parameters as "SIZE=100", up to MILTER_PARAMETERS_MAX; these texts
 * are valid until MILTER_MAIL, the others are copied. */
void milter_chain_mail(struct milter_chain *c, const struct milter_client *client, const char *helo,
                       const char *sender, const char *const *parameters, size_t count,
                       const bool *uses);

/* A recipient; several may be asked about, right behind MAIL too, and go in one write. Texts are
 * valid until its answer. When MAIL is refused, so are they. Returns 0; or -1 without memory: it
 * isn't asked about. */
int milter_chain_rcpt(struct milter_chain *c, void *recipient, const char *address,
                      const char *const *parameters, size_t count);

/* One that was refused before: told to those who want to know. Nothing is answered. */
void milter_chain_rcpt_refused(struct milter_chain *c, const char *address, const char *why);

void milter_chain_data(struct milter_chain *c);

/* The header is whole, and the chain may edit it; `body` grows: CRLF line ends, no doubled dots.
 * Both stay until MILTER_TEXT, MILTER_END or the end of the message. */
void milter_chain_text(struct milter_chain *c, struct fields *fields, struct spool *body);

/* The body has grown; it is whole. */
void milter_chain_more(struct milter_chain *c);
void milter_chain_end(struct milter_chain *c);

/* The message is over, and what there is of it forgotten, the edits too. Nothing that was asked is
 * answered any more; a milter that is in the midst of it hears of that. */
void milter_chain_abort(struct milter_chain *c);

struct milter_recipient {
    const char *address, *parameters;
    bool is_removed;
};

/* What they have changed, but for the fields. */
struct milter_edits {
    const char *sender, *sender_parameters;    /* NULL: as it was */
    const struct milter_recipient *recipients; /* added or removed, in the order of the edits */
    size_t recipient_count;
    struct spool *body;                      /* in place of the message's; NULL: as it was */
    const char *quarantine, *quarantined_by; /* the first that said so; NULL: none */
};

/* After MILTER_END; valid until the message is over. */
const struct milter_edits *milter_chain_edits(const struct milter_chain *c);

/* May any of them change the message? Known once MILTER_MAIL is answered. */
bool milter_chain_may_edit(const struct milter_chain *c);
