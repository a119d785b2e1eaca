/* What sessions of all kinds have in common where policy is asked: what is known of them, the
 * questions about themselves, and how a verdict is told to people. */
#pragma once

#include "policy/verdict_text.h"
#include "session/registry.h"

/* What is known of a session; the rest is its kind's to fill in. */
struct policy_facts session_facts(const struct session *s);

/* Logs a verdict, and counts what isn't simply to pass. The texts may be "". */
void session_verdict(const struct session *s, const struct verdict *v, const char *message,
                     const char *sender, const char *recipient);

/* Logs that a rule has come to its warn_at. */
void session_near(const struct session *s, const struct verdict *v, const char *message,
                  const char *sender);

/* Asks about a connection that was accepted (STAGE_CONNECT), or a login that is right
 * (STAGE_LOGIN). Returns true: `judged` was called, and the session may be gone; false: it will be
 * called later, and the session waits until then; `is_late` says so afterwards. */
bool session_ask_policy(struct session *s, enum policy_stage stage, session_judged_fn *judged);

/* Its deadline has passed: the answer was held back long enough. Returns false when nothing of the
 * kind was awaited. */
bool session_policy_delayed(struct session *s);

/* Adds to counters what `what` says, of these facts. */
void session_after(const struct session *s, enum policy_after what, const struct policy_facts *f,
                   bool is_bad);

/* The login has come to its end well: what it has taken stays taken, but for what is held as long
 * as the session lasts. */
void session_policy_keep(struct session *s);

/* There is no login any more: what it holds is given back. */
void session_policy_give_back(struct session *s);

/* The session is over: all that it holds is given back. */
void session_policy_end(struct session *s);

/* What it holds is said to be held still: once a minute. */
void session_policy_renew(const struct session *s);
