/* One connection to a POP3 server behind, up to the login: greeting, TLS, then the user's own name
 * and password. After it the connection is the session's. */
#pragma once

#include "config/config.h"
#include "net/connection.h"
#include "net/tls.h"
#include "protocol/pop3/capabilities.h"
#include "protocol/pop3/reply.h"
#include "protocol/pop3/xclient.h"
#include "upstream/smtp_link.h"

struct pop3_link;

enum pop3_link_event_kind {
    POP3_LINK_READY, /* greeted, over TLS where that is configured; or told */
    POP3_LINK_CAPA,  /* CAPA is answered */
    POP3_LINK_LOGIN, /* the login is answered: `reply` */
    POP3_LINK_LOST,  /* it is dead, `reason` says why; to be closed */
};

struct pop3_link_event {
    enum pop3_link_event_kind kind;
    const struct pop3_reply *reply;
    enum smtp_link_loss loss;
    const char *reason;
    bool is_in_login; /* lost while it was being told name and password */
};

/* Called by the loop, never from within a function below. It may close the link. */
typedef void pop3_link_fn(void *owner, struct pop3_link *l, const struct pop3_link_event *event);

/* Begins to connect. NULL and why when it can't. */
struct pop3_link *pop3_link_open(const struct smtp_link_options *options, pop3_link_fn *fn,
                                 void *owner, struct error *why);
void pop3_link_close(struct pop3_link **l);

/* Says QUIT first, where nothing is under way: nothing was deleted. */
void pop3_link_quit(struct pop3_link **l);

void pop3_link_capa(struct pop3_link *l);

/* What it has answered to it. */
const struct pop3_capabilities *pop3_link_capabilities(const struct pop3_link *l);

/* Has its greeting offered XCLIENT to us? */
bool pop3_link_takes_xclient(const struct pop3_link *l);

/* Tells whose connection it is, where that is offered; POP3_LINK_READY or POP3_LINK_LOST follows.
 */
void pop3_link_tell(struct pop3_link *l, const struct pop3_xclient *who);

/* The next login begins with UTF8; a server that refuses it is lost (LOSS_IDENTITY). */
void pop3_link_use_utf8(struct pop3_link *l);

/* Sends USER, then PASS. Neither may hold control characters; they are overwritten when answered,
 * and the answer's text doesn't repeat the password. */
void pop3_link_login(struct pop3_link *l, struct span user, struct span password);

/* After a login that was let in: the connection, to be given another owner at once. What the
 * server has sent behind its reply comes to that one. */
struct connection *pop3_link_take_connection(struct pop3_link *l);

/* What is known of the connection; NULL when it is lost. */
const struct connection *pop3_link_connection(const struct pop3_link *l);
