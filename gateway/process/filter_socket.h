/* Where porteiro-milter is found: sockets that are opened before it gives up root. */
#pragma once

#include "base/privileges.h"
#include "config/config.h"

/* Opens what is configured, in place of a unix socket that was left there: the milter's, which is
 * libmilter's own, and the policy service's, whose descriptor is `*service`, or -1. A unix socket
 * is for `user` (NULL: who we are) and the members of `group`. Returns 0, or -1 and why. */
int filter_socket_open(const struct filter_config *c, const struct identity *user, int *service,
                       struct error *why);
