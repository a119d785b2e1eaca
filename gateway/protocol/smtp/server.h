/* The server's side of SMTP: commands from bytes as they come, each checked for where it may come
 * and what it says (RFC 5321 section 4, RFC 4954, RFC 3207, RFC 3030). Pure: it decides nothing;
 * whoever asks it answers the client and tells it how that went. */
#pragma once

#include "protocol/lines.h"
#include "protocol/smtp/parameters.h"
#include "protocol/smtp/path.h"
#include "protocol/smtp/reply.h"
#include "protocol/smtp/xclient.h"

enum smtp_state {
    SMTP_CONNECTED = 1 << 0,   /* no EHLO yet */
    SMTP_CLEAR = 1 << 1,       /* EHLO, but STARTTLS must come first */
    SMTP_GREETED = 1 << 2,     /* EHLO, but AUTH must come first */
    SMTP_READY = 1 << 3,       /* a message may begin */
    SMTP_IN_ENVELOPE = 1 << 4, /* MAIL was taken */
    SMTP_IN_AUTH = 1 << 5,     /* lines are responses to challenges */
    SMTP_IN_CHUNKS = 1 << 6,   /* BDAT was taken, the last one not yet answered */
    SMTP_STRANGER = 1 << 7,    /* EHLO, but nobody logs in here, and it isn't trusted */
};

/* { .needs_tls, .needs_auth, .is_plain, .offered } with state SMTP_CONNECTED is one at its
 * beginning. */
struct smtp_server {
    enum smtp_state state;
    bool needs_tls;   /* until STARTTLS is done */
    bool needs_auth;  /* until AUTH is done */
    bool is_plain;    /* neither is there: who isn't trusted can't send */
    bool is_trusted;  /* may send without either */
    bool may_tell;    /* for whom it speaks, by XCLIENT */
    bool may_vouch;   /* who that is, too: LOGIN */
    unsigned offered; /* enum smtp_extension: what EHLO told, so which parameters may come */
    struct line_reader lines;
    bool is_auth_line; /* the one that is being read: AUTH, or of an exchange */
};

enum smtp_event_kind {
    SMTP_EVENT_HELLO, /* text: the name; is_extended: EHLO */
    SMTP_EVENT_STARTTLS,
    SMTP_EVENT_AUTH,          /* text: the mechanism; response, if has_response, still in base64 */
    SMTP_EVENT_AUTH_RESPONSE, /* response, in base64 */
    SMTP_EVENT_AUTH_CANCEL,
    SMTP_EVENT_MAIL, /* path, parameters */
    SMTP_EVENT_RCPT, /* path, parameters */
    SMTP_EVENT_DATA,
    SMTP_EVENT_BDAT, /* chunk_size, is_last */
    SMTP_EVENT_RSET,
    SMTP_EVENT_NOOP,
    SMTP_EVENT_VERIFY, /* VRFY */
    SMTP_EVENT_HELP,
    SMTP_EVENT_QUIT,
    SMTP_EVENT_XCLIENT, /* told */
    SMTP_EVENT_REFUSED, /* refusal; text: its argument */
};

/* Spans point into the input of the call that returned it. */
struct smtp_event {
    enum smtp_event_kind kind;
    bool ends_group; /* what follows may not be looked at before this is answered (RFC 2920) */
    bool is_extended, has_response, is_last;
    uint64_t chunk_size; /* octets behind the line that are no commands, even if it is refused */
    const char *verb;    /* of a command that we know; NULL: what it was may have been a secret */
    struct span text, response;
    struct smtp_path path;
    struct smtp_parameters parameters;
    struct smtp_told told;
    enum smtp_reply_name refusal;
};

/* Takes one command off the front of `in`. Returns 1 with `*event`; or 0: none is whole, what is
 * left in `in` must be there again with more behind it. AUTH, MAIL, BDAT and RSET change the state
 * by themselves; the rest changes by the calls below. */
int smtp_server_next(struct smtp_server *s, struct span *in, struct smtp_event *event);

/* EHLO or HELO was answered with 250. */
void smtp_server_greeted(struct smtp_server *s);

/* TLS stands: everything the client said before is forgotten. */
void smtp_server_secured(struct smtp_server *s);

/* The AUTH exchange is over; `is_authenticated`: with 235. */
void smtp_server_auth_ended(struct smtp_server *s, bool is_authenticated);

/* XCLIENT is answered with 220: all begins anew, but for TLS and a login. Before STARTTLS that, or
 * EHLO, is all that may come. `has_hello`: it told HELO, which counts as said. */
void smtp_server_told(struct smtp_server *s, bool has_hello, bool is_authenticated);

/* The message was answered, or MAIL was refused: another may begin. */
void smtp_server_envelope_ended(struct smtp_server *s);
