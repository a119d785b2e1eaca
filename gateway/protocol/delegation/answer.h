/* What a policy server answers (Postfix's SMTPD_POLICY_README): lines of name=value, of which
 * "action" alone has a meaning, and an empty one. What it means is policy/rules/delegate's to say.
 * Pure. */
#pragma once

#include "base/error.h"
#include "base/span.h"

enum { DELEGATION_ANSWER_MAX = 4096 };

/* Takes a whole answer off the front of `in`. Returns 1: `action` is the value, within what was
 * taken; 0: more is needed, and all of `in` must be there again; -1: this is no answer (too long,
 * no action, no name=value), `why` says which: close. */
int delegation_answer_parse(struct span *in, struct span *action, struct error *why);
