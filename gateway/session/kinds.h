/* The kinds of session, by the role of the door that a client has come to. */
#pragma once

#include "session/registry.h"

/* Take over `fd` and `row`. Return 0, or -1 without memory: then `fd` is closed, and the row is the
 * caller's. */
int smtp_session_create(struct registry *r, const struct listener_config *listener, int row, int fd,
                        const struct address *peer);
int pop3_session_create(struct registry *r, const struct listener_config *listener, int row, int fd,
                        const struct address *peer);
int refuse_session_create(struct registry *r, const struct listener_config *listener, int row,
                          int fd, const struct address *peer);
