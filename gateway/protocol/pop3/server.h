/* The server's side of POP3 up to the login (RFC 1939, 2449, 2595, 5034): commands from bytes as
 * they come. Pure: whoever asks it answers the client and tells it how that went. */
#pragma once

#include "protocol/lines.h"
#include "protocol/pop3/reply.h"

enum pop3_state {
    POP3_CLEAR = 1 << 0,    /* STLS must come first */
    POP3_READY = 1 << 1,    /* a login may begin */
    POP3_HAS_USER = 1 << 2, /* USER was taken */
    POP3_IN_AUTH = 1 << 3,  /* the line is a response to a challenge */
};

/* { .state } is one at its beginning: POP3_CLEAR or POP3_READY. */
struct pop3_server {
    enum pop3_state state;
    struct line_reader lines;
};

enum pop3_event_kind {
    POP3_EVENT_CAPA,
    POP3_EVENT_STLS,
    POP3_EVENT_UTF8,
    POP3_EVENT_USER,          /* text: the name */
    POP3_EVENT_PASS,          /* text: the password, spaces included */
    POP3_EVENT_AUTH,          /* text: the mechanism, empty to ask which there are; response, if
                                 has_response,          in base64 */
    POP3_EVENT_AUTH_RESPONSE, /* response, in base64 */
    POP3_EVENT_AUTH_CANCEL,
    POP3_EVENT_QUIT,
    POP3_EVENT_REFUSED /* refusal; text: its argument */
};

/* Spans point into the input of the call that returned it. */
struct pop3_event {
    enum pop3_event_kind kind;
    bool has_response;
    struct span text, response;
    enum pop3_reply_name refusal;
};

/* Takes one command off the front of `in`: 1 with `*event`; or 0: none is whole, and what is left
 * must be there again with more behind it. USER and AUTH change the state by themselves. */
int pop3_server_next(struct pop3_server *s, struct span *in, struct pop3_event *event);

/* TLS stands: everything the client said before is forgotten. */
void pop3_server_secured(struct pop3_server *s);

/* The login failed: another may begin. */
void pop3_server_login_ended(struct pop3_server *s);
