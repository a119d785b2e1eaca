#include "session/guard.h"

#include "base/clock.h"
#include "session/registry.h"

bool guard_bans(const struct session_context *c, const struct address *client,
                struct ban_verdict *out)
{
    return !networks_hold(&c->config->shared, client) &&
           bans_hold(c->bans, client, 0, clock_wall_ns(), out);
}
