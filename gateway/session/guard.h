/* Who is not let in, or not let log in. */
#pragma once

#include "decision/bans.h"

struct session_context;

/* Is the address banned? Those of shared_networks never are. Hot: see bans_hold. */
bool guard_bans(const struct session_context *c, const struct address *client,
                struct ban_verdict *out);
