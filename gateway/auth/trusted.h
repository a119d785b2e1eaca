/* Who may send without a password of his own: whole networks, as one account, and logins, for
 * accounts that they name (`trusted` of a listener). */
#pragma once

#include "auth/account.h"

/* Are the accounts' names good? Whatever is wrong is added to `errors`. */
void trusted_prepare(const struct config *config, struct errors *errors);

/* The entry whose network holds the address, or NULL. */
const struct trusted_config *trusted_network(const struct listener_config *l,
                                             const struct address *client);

/* The entry whose logins this account, a canonical name, is one of, or NULL. */
const struct trusted_config *trusted_login(const struct config *config,
                                           const struct listener_config *l, const char *account);
