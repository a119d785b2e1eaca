/* What becomes of whoever has broken a rule that bans (action = "ban"): his address or network, or
 * an account there, is banned, and counting begins anew. For connections and logins that have
 * failed, which may be strangers', whoever has logged in there lately isn't meant; for what
 * somebody does who has logged in, he is. */
#pragma once

#include "decision/bans.h"
#include "policy/policy.h"

struct decision;
struct guessing;

/* Makes the ban that the verdict of a rule is about, of these facts, and logs it; nothing, where
 * rules don't ban: of an address that is exempt, or of many people, unless it is of an account
 * there. Returns whether there is one now. */
bool offence_ban(const struct guessing *g, const struct verdict *v, const struct policy_facts *f);

/* Suspends the account of the facts, as the verdict's rule says (action = "suspend"), and logs it;
 * unless it is suspended already, or the rule has suspended `most` of them: that is logged once in
 * its period. It carries what the account has logged in with lately, and `f->credentials`, which it
 * did now. Returns whether it is suspended now. */
bool offence_suspend(const struct guessing *g, const struct verdict *v,
                     const struct policy_facts *f, const struct rate *most);

/* Has the rule suspended `most` accounts already? Looks through all bans. */
bool offence_is_flood(const struct bans *b, const char *rule, const struct rate *most,
                      int64_t now_ns);

/* The account has logged in with `credential` (guessing_credential). Lifts its suspension, and logs
 * it, if a rule made that, and nothing of what it carries or is remembered here is the same, and
 * all of it is told apart: nothing of it is KNOWN_UNSAID, and there is something. */
void offence_logged_in(const struct guessing *g, const char *account, uint32_t credential);
