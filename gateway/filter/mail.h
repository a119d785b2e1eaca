/* A message that an MTA asks about, stage by stage as it hears of it: who sends it, to whom, what
 * it says, how large it is. What is taken of limits is given back unless it is kept at the end.
 * For the loop's thread; one question at a time. */
#pragma once

#include "base/id.h"
#include "base/span.h"
#include "filter/filter.h"
#include "policy/country.h"
#include "protocol/smtp/reply.h"

struct mail;

/* The MTA's client. */
struct mail_client {
    char session[ID_SIZE];
    struct address address; /* of size 0: it came another way */
    char text[ADDRESS_TEXT_SIZE];
    char country[COUNTRY_SIZE];
};

/* `address` may be NULL. */
void mail_client_begin(struct filter *f, const struct address *address, struct mail_client *out);

/* What the MTA is to answer. */
struct mail_answer {
    int code; /* 0: it passes */
    char enhanced[12];
    char text[SMTP_REPLY_LINE_MAX + 1]; /* without codes; printable ASCII */
    int64_t wait_ns; /* of the whole message: it passes so much later (action delay) */
};

typedef void mail_fn(void *owner, const struct mail_answer *answer);

/* Of a client, who outlives it. `login` is who has logged in, as the MTA has it; empty: nobody.
 * NULL without memory. */
struct mail *mail_create(struct filter *f, const struct mail_client *client, struct span login,
                         struct span sender);

/* What isn't kept is given back. An answer that is awaited doesn't come any more. */
void mail_destroy(struct mail **mail);

/* MAIL, RCPT, and DATA: all recipients are known. `fn` is called once, at once or by the loop
 * within redis.timeout; it may destroy the mail. */
void mail_ask_sender(struct mail *m, mail_fn *fn, void *owner);
void mail_ask_recipient(struct mail *m, struct span address, mail_fn *fn, void *owner);
void mail_ask_data(struct mail *m, mail_fn *fn, void *owner);

/* The headers are over: those whose names mail_wants_header, as they stand in the message. What
 * they say of the sender is judged. */
void mail_ask_headers(struct mail *m, struct span headers, mail_fn *fn, void *owner);

/* Does the policy go by that field? Any thread's. */
bool mail_wants_header(const struct policy *p, const char *name);

/* The whole message is there, of so many octets; 0: nobody has counted. */
void mail_ask_end(struct mail *m, uint64_t bytes, mail_fn *fn, void *owner);

/* The answers were held back so long already. */
void mail_delayed(struct mail *m, int64_t ns);

/* It has passed, and what it has taken stays taken. `queue` is its id at the MTA, or "". */
void mail_keep(struct mail *m, const char *queue);

/* The same where nobody tells what became of it. */
void mail_leave(struct mail *m);

/* The MTA has refused a recipient before it asked, with an enhanced code as "5.1.1". */
void mail_refused_recipient(struct mail *m, struct span address, struct span status);

/* The last answer was of no use: what it has taken is given back. */
void mail_undo(struct mail *m);

/* A refusal of our own, with the id of the client's session; NULL: without. Any thread's. */
void mail_refuse(const struct mail_client *client, const struct config *config,
                 enum smtp_reply_name name, const char *argument, struct mail_answer *out);
