/* Where clients come in. */
#pragma once

#include "session/registry.h"

/* A client at a door: a session of the listener's role begins, or he is sent away: banned, one too
 * many, or the gateway is being stopped. `fd` is taken
 * over; `is_last`: there are no descriptors left. */
void door_accept(struct registry *r, const struct listener_config *listener, int fd,
                 const struct address *peer, bool is_last);
