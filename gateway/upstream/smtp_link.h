/* One connection to an SMTP server behind: greeted, over TLS where that is configured, told whose
 * it is where the identity says so; then whatever its owner sends. */
#pragma once

#include "config/config.h"
#include "net/connection.h"
#include "net/tls.h"
#include "protocol/smtp/capabilities.h"
#include "protocol/smtp/client.h"
#include "protocol/smtp/login.h"
#include "telemetry/event.h"

struct smtp_link;
struct server;

enum smtp_link_event_kind {
    LINK_READY,   /* greeted, or told: commands may go */
    LINK_REPLY,   /* the reply to `command` */
    LINK_DRAINED, /* it takes text again */
    LINK_LOST,    /* it is dead, `reason` says why; to be closed */
};

enum smtp_link_loss {
    LOSS_NETWORK,  /* no connection, broken off, time-out, nonsense */
    LOSS_TLS,      /* TLS is required, and there is none */
    LOSS_BUSY,     /* it has greeted with 421 */
    LOSS_REFUSED,  /* it has greeted or answered EHLO with another refusal */
    LOSS_IDENTITY, /* it doesn't take the identity: XCLIENT isn't offered, or refused */
    LOSS_LOGIN,    /* it doesn't take the login, the gateway's own or that of smtp_link_log_in */
};

struct smtp_link_event {
    enum smtp_link_event_kind kind;
    enum smtp_command command;
    const struct smtp_reply *reply;
    enum smtp_link_loss loss;
    int code; /* of the reply for which it was lost, or 0 */
    const char *reason;
    bool is_in_login; /* lost while it was being told name and password */
};

/* Called by the loop, never from within a function below. It may close the link. */
typedef void smtp_link_fn(void *owner, struct smtp_link *l, const struct smtp_link_event *event);

struct smtp_link_options {
    struct loop *loop;
    const struct upstream_config *upstream;
    const struct server_config *server;
    const struct tls_contexts *tls;
    const char *hostname; /* for EHLO */
    const char *hello;    /* for EHLO in its place, as far as it does no harm; or NULL */
    struct span header;   /* identity proxy: whose it is, before all else; empty: nobody's */
    const struct smtp_credentials *login; /* before it is ready; NULL: none */
    struct server *pool_server;           /* given back by smtp_link_server */
    const struct event_log *log;          /* for TLS that fails; NULL: nobody is told */
};

/* Begins to connect. NULL and why when it can't. */
struct smtp_link *smtp_link_open(const struct smtp_link_options *options, smtp_link_fn *fn,
                                 void *owner, struct error *why);

/* Closes at once: a text that has begun is thereby abandoned. */
void smtp_link_close(struct smtp_link **l);

/* Says QUIT first where nothing is under way. */
void smtp_link_quit(struct smtp_link **l);

void smtp_link_set_owner(struct smtp_link *l, smtp_link_fn *fn, void *owner);

/* Tells whose it is by XCLIENT, and by the EHLO behind it, which says the client's name; LINK_READY
 * or LINK_LOST follows. The values must stay until then.
 */
void smtp_link_tell(struct smtp_link *l, const struct xclient_values *values);

/* Logs in as a client: LINK_READY or LINK_LOST follows, until when the credentials must stay. One
 * of their mechanisms is among those of its capabilities. The link is that client's from now on. */
void smtp_link_log_in(struct smtp_link *l, const struct smtp_credentials *credentials);

/* Queues a command; they go together with smtp_link_flush. Returns 0, or -1: too many. */
int smtp_link_command(struct smtp_link *l, enum smtp_command command, struct span line);
void smtp_link_flush(struct smtp_link *l);

/* What comes behind a piece of text. */
enum text_end {
    TEXT_GOES_ON,
    TEXT_WHOLE, /* nothing; but it can't be taken yet, and may go up with the dot */
    TEXT_DOT,   /* the final dot */
};

/* Hot: text after a 354, dots doubled, up to and with the final dot where that comes; one system
 * call. When it is blocked afterwards, LINK_DRAINED follows. */
void smtp_link_text(struct smtp_link *l, const struct span *parts, size_t count, enum text_end end);
bool smtp_link_is_blocked(const struct smtp_link *l);

/* While no command is due: the link is lost (LOSS_NETWORK) after the upstream's idle_timeout. */
void smtp_link_rest(struct smtp_link *l);

/* Ends what is open with RSET, whose reply the owner may pass over, and rests. */
void smtp_link_reset(struct smtp_link *l);

/* Was it told whose it is, by XCLIENT or the header, so that it may serve nobody else? */
bool smtp_link_is_told(const struct smtp_link *l);

/* May it serve another client: nothing due, nothing unread, no text begun, not too many errors
 * since its last message, not too old? */
bool smtp_link_is_reusable(const struct smtp_link *l);

/* Would it be, once RSET is answered? */
bool smtp_link_may_reset(const struct smtp_link *l);

/* Has text been sent whose final reply has not come? */
bool smtp_link_is_in_text(const struct smtp_link *l);

struct server *smtp_link_server(const struct smtp_link *l);
const struct smtp_capabilities *smtp_link_capabilities(const struct smtp_link *l);

/* What is known of the connection; NULL when it is lost. */
const struct connection *smtp_link_connection(const struct smtp_link *l);
