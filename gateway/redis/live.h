/* What Redis really is, for a person who sets the gateway up: it is looked for as a worker does,
 * and what it says is told in words. */
#pragma once

#include "base/buffer.h"
#include "net/tls.h"
#include "redis/password.h"

/* Looks for the server that counts, once, with the configuration's time-out for each step, and
 * appends a paragraph to `out`; none where there is no Redis. `fd` is a connected socket, or -1,
 * where a unix socket is configured; it is closed. Returns 0; 1: it can't serve as it is
 * configured, the paragraph says why; or -1 and why. */
int redis_live_check(const struct config *config, const struct redis_passwords *passwords,
                     const struct tls_contexts *tls, int fd, struct buffer *out, struct error *why);
