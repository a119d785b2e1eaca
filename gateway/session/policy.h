/* What sessions of all kinds have in common where policy is asked: what is known of them, and how
 * a verdict is told to people. */
#pragma once

#include "policy/policy.h"
#include "session/registry.h"

/* What is known of a session; the rest is its kind's to fill in. */
struct policy_facts session_facts(const struct session *s);

/* "account-hour: at most 600 recipients in 1h, 100 at once; try again in 3 minutes": of a verdict
 * that refuses. Returns `out`. */
enum { VERDICT_TEXT_SIZE = 320 };
const char *verdict_text(const struct verdict *v, char out[VERDICT_TEXT_SIZE]);

/* Counts and logs a verdict that isn't simply to pass. The texts may be "". */
void session_verdict(const struct session *s, const struct verdict *v, const char *message,
                     const char *sender, const char *recipient);
