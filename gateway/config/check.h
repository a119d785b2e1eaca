/* What can be said of a configuration only when all of it has been read. */
#pragma once

#include "config/config.h"

/* Fills in what follows from other values (addresses, names that are referred to, the host's name)
 * and adds what doesn't fit together to `errors`. */
void config_check(struct config *c, struct errors *errors);

/* The same for those of a listener who are believed without a password; for config/check.c. */
void config_check_trust(struct config *config, struct listener_config *l, struct errors *errors);

/* The same for policies, and for the listeners that name them. */
void config_check_policies(struct config *c, struct errors *errors);

/* The same for a policy's rules of access, and for the certificates that they ask a listener for.
 */
void config_check_access(struct config *c, const struct policy *p, struct errors *errors);
void config_check_certificates(const struct listener_config *l, struct errors *errors);

/* The same for milters, and for the listeners that name them. */
void config_check_milters(struct config *c, struct errors *errors);

/* The same for what porteiro-milter does, after the policies: which it names, and what of it can't
 * be there. */
void config_check_filter(struct config *c, struct errors *errors);

/* The same for Redis. */
void config_check_redis(const struct config *c, struct errors *errors);

/* Adds a file to be watched, for these. One whose path is "" is none. */
void config_watch(struct config *c, const struct watched_config *w, struct errors *errors);
