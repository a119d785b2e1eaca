/* Whose counter a rule goes by: its name and the values of its keys, of facts, as one text. Pure.
 */
#pragma once

#include "policy/limit/store.h"
#include "policy/rules/limit.h"

struct policy_facts;

/* The key of a rule's counter for these facts: "RULE VALUE ...". Returns its length; 0: one of them
 * has no value. For people who ask for a counter by hand as well. */
size_t limit_key_text(const struct limit_rule *r, const struct policy_facts *f,
                      char out[STORE_KEY_MAX]);

/* Does the key of a rule that bans name an account within its network? So it always does where the
 * client's address is many people's and a login has failed. */
bool limit_is_of_account(const struct limit_rule *r, const struct policy_facts *f);

/* Does it refuse a message for a header that isn't there? */
bool limit_lacks_header(const struct limit_rule *r, const struct policy_facts *f);

/* Which of the different ones it is that the rule counts, as a hash; 0: not known. */
uint64_t limit_element(const struct limit_rule *r, const struct policy_facts *f);
