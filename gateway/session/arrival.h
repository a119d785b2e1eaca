/* From accept to the greeting: policy on connections, then TLS where it comes first. */
#pragma once

#include "session/registry.h"

/* Takes over the client's socket; its events go to `fn`, with `s`. Without memory, and where policy
 * refuses the connection, the session is destroyed. The caller doesn't touch it afterwards. */
void session_arrive(struct session *s, int fd, const struct address *peer, connection_fn *fn);
