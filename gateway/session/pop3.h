/* A POP3 session, for the files that make it up: pop3_login → pop3_mailbox → pop3_tunnel. */
#pragma once

#include "protocol/pop3/server.h"
#include "protocol/pop3/tunnel.h"
#include "session/login.h"
#include "session/registry.h"
#include "upstream/pop3_link.h"

struct pop3_session {
    struct session base;
    struct pop3_server server;
    struct buffer replies;
    void (*take)(struct pop3_session *s, struct span *in); /* who has the client's bytes now */
    bool is_waiting;  /* for somebody else than the client, who is paused */
    bool is_quitting; /* ends when the replies have gone */
    unsigned commands, errors;
    bool is_utf8;       /* UTF8 was said, and goes to the server before the login */
    char *user;         /* of USER */
    struct login login; /* its password is kept until the upstream has been told */

    struct entry opening; /* of the mailbox: about to begin */
    struct waiter waiter;
    struct server *permit; /* for a connection to this server */
    uint64_t tried;        /* servers that have failed in this login */
    bool is_second_try, is_told;
    int64_t asked_ns; /* when the first began */
    struct pop3_link *link;

    struct connection *upstream; /* the mailbox */
    struct pop3_tunnel tunnel;
    bool is_ending;     /* asked to end, or the client sends no more: at the next quiet moment */
    bool has_last_word; /* which is `last_word` */
    enum pop3_reply_name last_word;
    bool is_throttled; /* too many commands wait for their response */
};

/* The client is known, and paused: opens the mailbox, and begins the tunnel, or refuses the login.
 */
void pop3_mailbox_open(struct pop3_session *s);

/* The server has let the user in: what follows goes through. */
void pop3_tunnel_begin(struct pop3_session *s);

/* The session ends: what was marked is deleted, or not. */
void pop3_tunnel_end(struct pop3_session *s);

/* Ends between commands, or when the client takes nothing. May free the session. */
void pop3_tunnel_ask_to_end(struct pop3_session *s);
void pop3_tunnel_timed_out(struct pop3_session *s);
void pop3_tunnel_drained(struct pop3_session *s);
void pop3_tunnel_client_gone(struct pop3_session *s, bool is_dead);

/* Adds a reply of our own; written by pop3_flush, pop3_continue or pop3_end. */
void pop3_say(struct pop3_session *s, enum pop3_reply_name name, const char *argument);
void pop3_flush(struct pop3_session *s);

/* The login has failed: says so, and forgets it. */
void pop3_refuse_login(struct pop3_session *s, enum pop3_reply_name name, const char *argument);

/* It is right, and the account is suspended from all: likewise. Returns whether it is. */
bool pop3_is_suspended(struct pop3_session *s);

/* Policy refuses it: likewise. */
void pop3_limit_login(struct pop3_session *s, const struct verdict *v);

/* The server behind, who checks passwords, has refused this one: said later, as of any other. */
void pop3_login_wrong(struct pop3_session *s);

/* All that was waited for has come: the client's next command. May free the session. */
void pop3_continue(struct pop3_session *s);

/* Frees the session and all that it has. `is_polite`: what was written is to arrive. */
void pop3_end(struct pop3_session *s, bool is_polite);
