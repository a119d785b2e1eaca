/* The milters of an SMTP session: what they are told of a message, and what becomes of their
 * answers. Those of a message stand fixed when it begins. */
#pragma once

#include "milter/chain.h"
#include "session/smtp.h"

/* A message begins: which of the listener's milters is it for? Returns 0, or -1 without memory. */
int smtp_filter_begin(struct smtp_session *s);

/* Has one of them to be asked about this message? */
bool smtp_filter_asks(const struct smtp_session *s);

/* They are asked about the batch, MAIL and those recipients that policy lets pass; then `judged` is
 * called, at once or later. MAIL is answered by then, and whoever is refused is marked. */
void smtp_filter_batch(struct smtp_session *s, smtp_judged_fn *judged);

/* Likewise about DATA: `t->denial` is the answer, or NULL. */
void smtp_filter_data(struct smtp_session *s, smtp_judged_fn *judged);

/* The headers are there; the text behind them has grown. */
void smtp_filter_text(struct smtp_session *s);
void smtp_filter_more(struct smtp_session *s);

/* The text is whole, and nobody else has anything against it: theirs is the last word, and the
 * message goes up after it, or is refused. */
void smtp_filter_end_text(struct smtp_session *s);

/* All of them let the message pass: what they have made of it goes up. */
void smtp_filter_passed(struct smtp_session *s);

/* The message is over, however. */
void smtp_filter_message_ended(struct smtp_session *s);

/* A macro's value, in `out` or elsewhere; NULL: there is none. See milter_macro_fn. */
const char *smtp_filter_macro(void *owner, const char *name, char out[MILTER_MACRO_SIZE]);

/* So is the session. */
void smtp_filter_end(struct smtp_session *s);
