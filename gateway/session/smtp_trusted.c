/* Who may send without AUTH, because of where he comes from, and who sends for others, whom he
 * names by message: a hosting server's MTA logs in once for all of its customers. */
#include "auth/aliases.h"
#include "auth/trusted.h"
#include "session/smtp.h"

#include "protocol/smtp/xtext.h"

#include <stdlib.h>

void smtp_trusted_begin(struct smtp_session *s)
{
    s->server.is_trusted = trusted_network(s->base.listener, &s->base.client_address) != NULL;
}

/* The account that AUTH= names (RFC 4954 section 5). Returns 0, or -1: none that can be one. */
static int named_account(const struct smtp_session *s, struct span parameter,
                         char account[ACCOUNT_SIZE])
{
    char text[ACCOUNT_SIZE];
    ssize_t size = span_equals(parameter, "<>") ? 0 : xtext_decode(parameter, text, sizeof text);
    return size <= 0 ? -1
                     : aliases_account(s->base.context->aliases, span_make(text, (size_t)size),
                                       s->base.context->config->auth.realm, account);
}

/* The message is another's: of him whom it names, or of the fallback. */
static bool send_for_other(struct smtp_session *s, const struct trusted_config *t,
                           const struct smtp_event *event)
{
    char account[ACCOUNT_SIZE];
    bool is_named = named_account(s, event->parameters.auth, account) == 0;
    if (!is_named && t->fallback[0] == '\0') {
        smtp_say(s, SMTP_REPLY_no_account, NULL);
        return false;
    }
    if ((s->base.sends_for = strdup(is_named ? account : t->fallback)) != NULL)
        return true;
    smtp_give_up(s);
    return false;
}

/* Nobody has logged in: the network sends as its account, and for nobody else. */
static bool send_as_network(struct smtp_session *s)
{
    const struct trusted_config *t = trusted_network(s->base.listener, &s->base.client_address);
    if (t != NULL &&
        (s->base.account != NULL || session_login(&s->base, span_of(t->account), NULL) == 0))
        return true;
    smtp_give_up(s);
    return false;
}

bool smtp_trusted_mail(struct smtp_session *s, const struct smtp_event *event)
{
    if (s->base.listener->trusted_count == 0)
        return true;
    if (s->server.needs_auth)
        return send_as_network(s);
    const struct trusted_config *t = trusted_login(s->base.listener, s->base.account);
    return t == NULL || send_for_other(s, t, event);
}

void smtp_trusted_mail_ended(struct smtp_session *s)
{
    if (s->base.sends_for == NULL)
        return;
    free(s->base.sends_for);
    s->base.sends_for = NULL;
    pool_give_back(s->base.context->pool, &s->link); /* it may have been told of that one */
}
