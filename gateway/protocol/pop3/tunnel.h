/* What goes through a POP3 session after the login, watched without changing a byte: which commands
 * wait for their response, so that whoever wants to end the session can do it between them. Pure.
 */
#pragma once

#include "base/span.h"

enum { POP3_TUNNEL_COMMANDS = 64 }; /* sent and not yet answered, at most */

/* { 0 } is a tunnel right after the login. */
struct pop3_tunnel {
    unsigned first, waiting;                 /* a ring of the commands that wait */
    bool is_multiline[POP3_TUNNEL_COMMANDS]; /* is the response one, if it begins with +OK? */
    enum { TUNNEL_STATUS, TUNNEL_STATUS_REST, TUNNEL_BODY } state; /* of the response */
    bool is_ok;                                                    /* the response began with '+' */
    unsigned match; /* how much of CRLF . CRLF the last bytes are */
    uint64_t retrieved, deleted;
};

/* Looks at the client's bytes in `in`. Returns how many of them may pass now: whole commands, as
 * long as not too many wait; or -1: a line of more than 2 KiB, end the session. */
ptrdiff_t pop3_tunnel_commands(struct pop3_tunnel *t, struct span in);

/* Hot: looks at bytes of the server, all of which pass. 0.1 ns a byte within messages. */
void pop3_tunnel_responses(struct pop3_tunnel *t, struct span in);

/* Is nothing under way: every command answered, the last response whole? */
bool pop3_tunnel_is_quiet(const struct pop3_tunnel *t);
