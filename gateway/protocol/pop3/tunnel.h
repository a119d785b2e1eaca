/* What goes through a POP3 session after the login, watched without changing a byte: which commands
 * wait for their response, so that whoever wants to end the session can do it between them. Pure.
 */
#pragma once

#include "base/span.h"

enum { POP3_TUNNEL_COMMANDS = 64 }; /* sent and not yet answered, at most */

/* Those whose successes are counted. */
enum pop3_tunnel_verb { TUNNEL_OTHER, TUNNEL_RETR, TUNNEL_DELE, TUNNEL_RSET, TUNNEL_QUIT };

struct pop3_tunnel_command {
    bool is_multiline;  /* is the response one, if it begins with +OK? */
    unsigned char verb; /* enum pop3_tunnel_verb */
};

/* { 0 } is a tunnel right after the login. */
struct pop3_tunnel {
    bool is_one_by_one;      /* the server has no PIPELINING: one command waits at most */
    unsigned first, waiting; /* a ring of the commands that wait */
    struct pop3_tunnel_command commands[POP3_TUNNEL_COMMANDS];
    enum { TUNNEL_STATUS, TUNNEL_STATUS_REST, TUNNEL_BODY } state; /* of the response */
    bool is_ok;                                                    /* the response began with '+' */
    unsigned match;     /* how much of CRLF . CRLF the last bytes are */
    unsigned errors;    /* -ERR, one behind the other */
    uint32_t retrieved; /* messages read to the end */
    uint32_t deleted;   /* marked by DELE; gone only with has_quit */
    bool has_quit;      /* QUIT was answered +OK */
};

/* Looks at the client's bytes in `in`. Returns how many of them may pass now: whole commands, as
 * long as not too many wait; or -1: a line of more than 255 octets is next, end the session. */
ptrdiff_t pop3_tunnel_commands(struct pop3_tunnel *t, struct span in);

/* Do as many wait as may? */
bool pop3_tunnel_is_full(const struct pop3_tunnel *t);

/* Hot: looks at bytes of the server, all of which pass. 0.1 ns a byte within messages. */
void pop3_tunnel_responses(struct pop3_tunnel *t, struct span in);

/* Is nothing under way: every command answered, the last response whole? */
bool pop3_tunnel_is_quiet(const struct pop3_tunnel *t);

/* Has the client got nothing but errors for a long time? */
bool pop3_tunnel_is_junk(const struct pop3_tunnel *t);
