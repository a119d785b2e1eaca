/* The mailbox is opened: a connection to its server, and the login there. */
#include "auth/account.h"
#include "base/clock.h"
#include "session/policy.h"
#include "session/pop3.h"

#include <stdio.h>

enum { LOGIN_NAME_MAX = 1024 };
#define RETRY_MAX_NS (10 * CLOCK_SECOND)

static void open_mailbox(void *owner, bool is_late);

/* There is no mailbox: what was taken for it is given back. */
static void give_back(struct pop3_session *s, const char *reason)
{
    struct server *permit = s->permit;
    session_event(&s->base, EVENT_mailbox_refused,
                  field_text(KEY_upstream,
                             permit == NULL ? s->base.listener->upstream : permit->config->name),
                  field_text(KEY_reason, reason));
    waiter_stop(&s->waiter);
    pop3_link_close(&s->link);
    s->permit = NULL;
    if (permit != NULL)
        server_return(s->base.context->servers, permit);
}

static void give_up_mailbox(struct pop3_session *s, enum pop3_reply_name name, const char *reason)
{
    give_back(s, reason);
    pop3_refuse_login(s, name, reason);
    pop3_continue(s);
}

/* The admin's to mend: it doesn't do for the gateway what the configuration says. */
static void refuse_gateway(struct pop3_session *s, const char *reason)
{
    session_event(&s->base, EVENT_upstream_refuses,
                  field_text(KEY_upstream, s->permit->config->name),
                  field_text(KEY_reason, reason));
    give_up_mailbox(s, POP3_REPLY_upstream_refuses, reason);
}

static void login_refused(struct pop3_session *s, const struct pop3_reply *reply)
{
    bool is_known = pop3_code_is_known(reply->code);
    bool is_wrong = !is_known || span_equals_nocase(reply->code, "AUTH"); /* older than RFC 3206 */
    char text[400];
    (void)span_copy(reply->text, text, sizeof text);
    if (is_wrong && login_is_unproven(&s->login)) {
        give_back(s, text);
        pop3_login_wrong(s);
    } else if (is_wrong && !upstream_needs_password(s->base.listener->upstream_config)) {
        refuse_gateway(s, text); /* the user's password was right; the master user's isn't */
    } else {
        give_up_mailbox(s, is_known ? POP3_REPLY_mailbox_refused : POP3_REPLY_mailbox_refused_login,
                        text);
    }
}

/* He is in. */
static void begin_tunnel(struct pop3_session *s)
{
    session_policy_keep(&s->base);
    login_end(&s->login);
    s->upstream = pop3_link_take_connection(s->link);
    pop3_link_close(&s->link);
    session_add(&s->base, COUNTER_mailboxes, 1);
    session_event(&s->base, EVENT_mailbox_opened,
                  field_text(KEY_upstream, s->permit->config->name));
    pop3_say(s, POP3_REPLY_logged_in, NULL);
    pop3_flush(s);
    s->is_waiting = false;
    pop3_tunnel_begin(s);
}

/* The server behind has proven it. */
static void judged(struct session *base, const struct verdict *refused)
{
    struct pop3_session *s = (struct pop3_session *)base; /* it lies at the front */
    if (refused == NULL && !pop3_is_suspended(s)) {       /* nor was he just now */
        session_logged_in(base, login_mechanism(&s->login));
        begin_tunnel(s);
        return;
    }
    give_back(s, "policy");
    if (refused != NULL)
        pop3_limit_login(s, refused);
    pop3_continue(s);
}

static void proven(struct pop3_session *s)
{
    if (!pop3_is_suspended(s)) {
        (void)session_ask_policy(&s->base, STAGE_LOGIN, judged); /* goes on by itself */
        return;
    }
    give_back(s, "suspended");
    pop3_continue(s);
}

static void mailbox_answered(struct pop3_session *s, const struct pop3_reply *reply)
{
    if (!reply->is_ok)
        login_refused(s, reply);
    else if (login_is_unproven(&s->login))
        proven(s);
    else
        begin_tunnel(s);
}

/* A connection lost before the login was answered is replaced once, as long as the client is still
 * sure to wait: a definite answer is never asked for again. */
static bool may_try_again(const struct pop3_session *s, enum smtp_link_loss loss)
{
    return loss == LOSS_NETWORK && !s->is_second_try &&
           loop_now(s->base.context->loop) - s->asked_ns < RETRY_MAX_NS;
}

static void try_again(struct pop3_session *s, const struct pop3_link_event *event)
{
    struct servers *servers = s->base.context->servers;
    struct server *failed = s->permit;
    pop3_link_close(&s->link);
    s->permit = NULL;
    s->is_second_try = true;
    s->tried |= server_bit(failed);
    bool has_other = servers_choose(servers, s->base.listener->upstream_config, s->tried) != NULL;
    if (has_other && !event->is_in_login)
        server_failed(servers, failed, event->reason);
    else if (!has_other)
        s->tried = 0; /* the same once more: it may have been that connection alone */
    server_return(servers, failed);
    open_mailbox(s, false);
}

static void tell(struct pop3_session *s, struct pop3_link *l)
{
    char address[ADDRESS_TEXT_SIZE], destination[ADDRESS_TEXT_SIZE], forward[600];
    struct address local;
    const struct address *peer = &s->base.client_address;
    connection_local(s->base.client, &local);
    address_format_host(peer, address);
    address_format_host(&local, destination);
    (void)snprintf(forward, sizeof forward, "account=%s\tlistener=%s", s->base.account,
                   s->base.listener->name); /* fits */
    const struct pop3_xclient who = {.address = address,
                                     .port = address_port(peer),
                                     .destination = destination,
                                     .destination_port = address_port(&local),
                                     .session = s->base.id,
                                     .forward = forward};
    s->is_told = true;
    pop3_link_tell(l, &who);
}

/* With the user's own password, or as the master user; the name is what the backend was told. */
static void log_in(struct pop3_session *s, struct pop3_link *l)
{
    const struct upstream_config *u = s->base.listener->upstream_config;
    const struct account *master =
        account_of(servers_context(s->base.context->servers)->accounts, u);
    char name[ACCOUNT_SIZE], both[LOGIN_NAME_MAX];
    if (login_name(&s->login, s->base.account, name) < 0) {
        refuse_gateway(s, "the account is of another domain than auth.realm");
        return;
    }
    if (s->is_utf8)
        pop3_link_use_utf8(l);
    if (master == NULL) {
        pop3_link_login(l, span_of(name), login_password(&s->login));
        return;
    }
    int size =
        snprintf(both, sizeof both, "%s%s%s", name, u->master_separator, master->credentials.user);
    /* Cut, or with another separator in it, it would be somebody else. */
    if (size < 0 || (size_t)size >= sizeof both || strstr(name, u->master_separator) != NULL)
        refuse_gateway(s, "the account's name can't stand before master_separator");
    else
        pop3_link_login(l, span_of(both), span_of(master->credentials.secret));
}

static void greeted(struct pop3_session *s, struct pop3_link *l)
{
    bool is_told = s->is_told || s->base.listener->upstream_config->identity != IDENTITY_XCLIENT;
    if (is_told)
        log_in(s, l);
    else if (pop3_link_takes_xclient(l))
        tell(s, l);
    else
        refuse_gateway(s, "XCLIENT is not offered; in Dovecot: login_trusted_networks");
}

static void on_link(void *owner, struct pop3_link *l, const struct pop3_link_event *event)
{
    struct pop3_session *s = owner;
    struct servers *servers = s->base.context->servers;
    switch (event->kind) {
    case POP3_LINK_READY: greeted(s, l); return;
    case POP3_LINK_LOGIN: mailbox_answered(s, event->reply); return;
    case POP3_LINK_CAPA: return;
    case POP3_LINK_LOST: break;
    }
    if (event->loss == LOSS_IDENTITY) {
        refuse_gateway(s, event->reason);
        return;
    }
    if (may_try_again(s, event->loss)) {
        try_again(s, event);
        return;
    }
    if (!event->is_in_login) /* else it may be this login alone, which a stranger may try */
        server_failed(servers, s->permit, event->reason);
    give_up_mailbox(s, POP3_REPLY_upstream_down, event->reason);
}

static void connect_to(struct pop3_session *s)
{
    const struct upstream_context *c = servers_context(s->base.context->servers);
    const struct smtp_link_options options = {.loop = c->loop,
                                              .upstream = s->base.listener->upstream_config,
                                              .server = s->permit->config,
                                              .tls = c->tls,
                                              .hostname = c->config->hostname};
    struct error why;
    counter_add(c->counters, COUNTER_upstream_connections, s->permit->slot, 1);
    s->is_told = false;
    s->link = pop3_link_open(&options, on_link, s, &why);
    if (s->link != NULL) {
        session_state(&s->base, SESSION_MAILBOX_LOGIN);
        return;
    }
    give_up_mailbox(s, POP3_REPLY_upstream_busy, why.text); /* a trouble of our own */
}

/* A mailbox has one server; a connection to it may have to be waited for. */
static void open_mailbox(void *owner, bool is_late)
{
    struct pop3_session *s = owner;
    struct servers *servers = s->base.context->servers;
    const struct upstream_config *u = s->base.listener->upstream_config;
    struct server *server = servers_choose(servers, u, s->tried);
    if (is_late) {
        give_up_mailbox(s, POP3_REPLY_upstream_busy, "no connection became free in time");
    } else if (server == NULL) {
        give_up_mailbox(s, POP3_REPLY_upstream_down, "the server is out");
    } else if (server_permit(servers, server, (uint32_t)u->max_connections) == 0) {
        waiter_stop(&s->waiter);
        s->permit = server;
        connect_to(s);
    } else if (waiter_wait(servers, &s->waiter) < 0) {
        give_up_mailbox(s, POP3_REPLY_upstream_busy, "out of memory");
    }
}

static void begin(void *owner)
{
    open_mailbox(owner, false);
}

/* Not from here: it may fail at once, and end the session under who has called. */
void pop3_mailbox_open(struct pop3_session *s)
{
    s->waiter = (struct waiter){
        .wake = open_mailbox, .owner = s, .upstream = s->base.listener->upstream_config};
    s->tried = 0;
    s->is_second_try = false;
    s->asked_ns = loop_now(s->base.context->loop);
    loop_soon(s->base.context->loop, &s->opening, begin, s);
}
