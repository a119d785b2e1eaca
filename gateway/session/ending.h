/* Sessions that are ended though their clients could go on: a ban, an order. Each ends between
 * commands, in SMTP after the transaction under way, in POP3 also within a response of which the
 * client has taken nothing for a while; what was marked in a mailbox isn't deleted. */
#pragma once

#include "protocol/pop3/reply.h"
#include "protocol/smtp/reply.h"
#include "session/registry.h"

/* What the client of a session that is to end is told, with last_word as the argument: why, or that
 * the service is being stopped. */
enum smtp_reply_name ending_smtp_reply(const struct session *s);
enum pop3_reply_name ending_pop3_reply(const struct session *s);

/* The same for the log. Valid as long as the session. */
const char *ending_text(const struct session *s);

/* Isn't a transaction waited for? */
bool ending_is_at_once(const struct session *s);

/* Ends those of this process that are meant; the message is looked at as one of anybody's. */
void end_sessions(struct registry *r, const struct message_end_sessions *m);
