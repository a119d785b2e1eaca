/* Replies leave in the order of their commands, whoever answers first, and together in one write.
 *
 * While the answer to a command is still to come from upstream, what was said after it waits. */
#pragma once

#include "base/buffer.h"
#include "protocol/smtp/client.h"

enum { SMTP_REPLIES_MAX = 128 }; /* waiting at most */

/* { 0 } after smtp_replies_init; holds no memory while nothing waits. */
struct smtp_replies {
    struct buffer ready;   /* may go */
    struct buffer later;   /* stands behind an answer that is to come */
    unsigned short *queue; /* sizes of what lies in `later`, in order; 0: an answer to come */
    unsigned first, count;
};

void smtp_replies_init(struct smtp_replies *r);
void smtp_replies_clear(struct smtp_replies *r);

/* One of our own; as smtp_reply_append. All that add return 0, or -1: no memory, or too many. */
int smtp_replies_add(struct smtp_replies *r, enum smtp_reply_name name, const char *argument,
                     const char *id);

/* The answer to a command that will come: later, by smtp_replies_answer, in order. */
int smtp_replies_expect(struct smtp_replies *r);

/* The oldest answer to come has come: whole lines. */
int smtp_replies_answer(struct smtp_replies *r, struct span text);

/* Is an answer still to come; is there room for more commands? */
bool smtp_replies_are_due(const struct smtp_replies *r);
bool smtp_replies_are_full(const struct smtp_replies *r);

/* May a reply of the upstream go to our client as it is? Else it speaks of the gateway, or makes no
 * sense: `*instead` is said, and `*is_admins` tells that the admin has something to mend. `command`
 * is one of MAIL, RCPT, DATA and DOT. */
bool smtp_replies_pass(enum smtp_command command, int code, enum smtp_reply_name *instead,
                       bool *is_admins);
