/* Place and hours: whether rules of access let a session in, and whether they still do. */
#pragma once

#include "policy/policy.h"

struct registry;
struct session;

/* Is the client let in, as the account that the session has now? Rules that don't, and those in
 * monitor mode that wouldn't, are logged, with the message's id and sender, which may be "".
 * Returns false and why not. */
bool session_is_let_in(struct session *s, enum policy_account state, const char *message,
                       const char *sender, struct access_refusal *out);

/* Somebody has logged in: should his hours end, his session does. */
void session_note_access(struct session *s);

/* Sessions that were let in, and that a rule with end_sessions wouldn't let in any more, end
 * between commands. For each second: whatever the clock was set to, and files have changed to,
 * counts. */
void registry_look_for_hours(struct registry *r, int64_t now_s);
