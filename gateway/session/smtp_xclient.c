/* XCLIENT: a client from xclient_from says for whom it speaks, so that limits, logs and the server
 * behind see who that is, not the webmail; one from xclient_login_from says who has logged in
 * there. What was told survives STARTTLS: who sent it was trusted for its address. */
#include "auth/aliases.h"
#include "session/guard.h"
#include "session/smtp.h"

#include <stdlib.h>

void smtp_xclient_begin(struct smtp_session *s)
{
    const struct listener_config *l = s->base.listener;
    s->server.may_vouch = networks_hold(&l->xclient_login_networks, &s->base.client_address);
    s->server.may_tell =
        s->server.may_vouch || networks_hold(&l->xclient_networks, &s->base.client_address);
}

void smtp_xclient_end(struct smtp_session *s)
{
    free(s->told_name);
    free(s->told_helo);
    s->told_name = s->told_helo = NULL;
}

const char *smtp_client_name(const struct smtp_session *s)
{
    return s->told_helo == NULL ? s->helo : s->told_helo;
}

/* Takes over a name that was told. Returns 0, or -1 without memory. */
static int keep(char **kept, const struct smtp_told *told, enum xclient_attribute which)
{
    char text[SMTP_TOLD_SIZE];
    if (told->value[which].size == 0)
        return 0;
    free(*kept);
    *kept = smtp_told_text(told, which, text) ? strdup(text) : NULL;
    return *kept == NULL && smtp_told_text(told, which, text) ? -1 : 0;
}

/* Whoever has logged in, here or there, was another: his account, and his password, are not the
 * next one's. But until a message has begun the login is of whom this tells: some clients log in
 * first, and some tell in several commands. */
static void forget_login(struct smtp_session *s, const struct smtp_told *told)
{
    if (s->is_login_fresh && told->value[XCLIENT_LOGIN].size == 0)
        return;
    s->is_login_fresh = false;
    s->server.needs_auth = true;
    smtp_own_end(s);
    session_logout(&s->base);
}

/* An address that isn't known there leaves the client's own. */
static const struct address *address_told(const struct smtp_session *s,
                                          const struct smtp_told *told, struct address *address)
{
    if (smtp_told_address(told, address))
        return address;
    return told->value[XCLIENT_ADDR].size > 0 ? connection_peer(s->base.client) : NULL;
}

/* Whoever logs in at the client is refused there as he would be here. The connection goes with him:
 * the client makes another for the next. Returns whether it was so. */
static bool is_refused(struct smtp_session *s, const char *account)
{
    char text[BAN_TEXT_SIZE];
    struct ban_verdict verdict;
    if (!guard_at_login(s->base.context, &s->base.client_address, account, &verdict))
        return false;
    ban_format(&s->base.client_address, verdict.until_ns, text);
    (void)session_login_refused(&s->base, NULL, text); /* there is nobody to wait */
    smtp_say(s, SMTP_REPLY_greeting_banned, text);
    s->is_quitting = true;
    return true;
}

void smtp_xclient(struct smtp_session *s, const struct smtp_event *event)
{
    const struct smtp_told *told = &event->told;
    const struct session_context *c = s->base.context;
    char login[SMTP_TOLD_SIZE], account[ACCOUNT_SIZE];
    struct address address;
    bool has_login = smtp_told_text(told, XCLIENT_LOGIN, login);
    if (has_login &&
        aliases_account(c->aliases, span_of(login), c->config->auth.realm, account) < 0) {
        smtp_say(s, SMTP_REPLY_bad_argument, "LOGIN is no name of an account");
        return;
    }
    session_speaks_for(&s->base, address_told(s, told, &address));
    s->server.is_trusted = false;      /* it was its own address that was */
    pool_give_back(c->pool, &s->link); /* it was told of another */
    forget_login(s, told);
    s->is_login_fresh = s->is_login_fresh || has_login;
    if ((has_login || s->base.account != NULL) &&
        is_refused(s, has_login ? account : s->base.account))
        return;
    if (keep(&s->told_name, told, XCLIENT_NAME) < 0 ||
        keep(&s->told_helo, told, XCLIENT_HELO) < 0 ||
        (has_login && session_login(&s->base, span_of(account), NULL) < 0)) {
        smtp_give_up(s);
        return;
    }
    if (smtp_told_destination(told, &address))
        s->told_destination = address;
    smtp_server_told(&s->server, s->told_helo != NULL, has_login);
    smtp_say(s, SMTP_REPLY_greeting, c->config->hostname);
}
