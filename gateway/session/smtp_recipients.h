/* Answers to the recipients of a message, in their order. */
#pragma once

#include "session/smtp.h"

/* The client is told of a recipient, whose turn it is; one that was accepted before and is asked
 * again is only counted. Those denied behind it are told too. `text` NULL: out of memory. */
void smtp_recipient_answer(struct smtp_session *s, struct recipient *r, const char *text, int code);

/* Those whose turn it is, and who needed nobody to be refused. */
void smtp_recipients_answer_denied(struct smtp_session *s);

/* All that still wait for an answer get the same one; those of before stay. */
void smtp_recipients_answer_rest(struct smtp_session *s, enum smtp_reply_name name);

/* Nobody is to get the message: its recipients are everybody whom the client names. */
void smtp_recipients_answer_discarded(struct smtp_session *s);
