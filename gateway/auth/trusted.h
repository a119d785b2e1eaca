/* Who may send without a password of his own: whole networks, as one account, and logins, for
 * accounts that they name (`trusted` of a listener). */
#pragma once

#include "auth/account.h"

/* Makes the accounts' names canonical, once for all messages. Whatever is none is added to
 * `errors`. */
void trusted_prepare(struct config *config, struct errors *errors);

/* The entry whose network holds the address, or NULL. */
const struct trusted_config *trusted_network(const struct listener_config *l,
                                             const struct address *client);

/* The entry whose logins this account, a canonical name, is one of, or NULL. */
const struct trusted_config *trusted_login(const struct listener_config *l, const char *account);
