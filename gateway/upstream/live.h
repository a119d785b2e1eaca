/* What the servers behind really do, for a person who sets the gateway up: each is connected to as
 * a session would, and what it says is told in words. */
#pragma once

#include "net/tls.h"
#include "upstream/account.h"

/* Connects to all servers of the configuration at once and waits for what comes of it: seconds,
 * with the upstreams' own time-outs but 10 s at most for a reply. Appends a paragraph for each, in
 * the configuration's order, to `out`. No mail is sent. Returns 0; 1: one of them can't serve as it
 * is configured, the paragraph says why; or -1 and why. */
int live_check(const struct config *config, const struct tls_contexts *tls,
               const struct accounts *accounts, struct buffer *out, struct error *why);
