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

/* Returns 0, or -1: it can't be one. */
static int find_account(const struct smtp_session *s, struct span name, char account[ACCOUNT_SIZE])
{
    return aliases_account(s->base.context->aliases, name, s->base.context->config->auth.realm,
                           account);
}

/* The account that AUTH= names (RFC 4954 section 5). Returns 0, or -1: none that can be one. */
static int named_account(const struct smtp_session *s, struct span parameter,
                         char account[ACCOUNT_SIZE])
{
    char text[ACCOUNT_SIZE];
    ssize_t size = span_equals(parameter, "<>") ? 0 : xtext_decode(parameter, text, sizeof text);
    return size <= 0 ? -1 : find_account(s, span_make(text, (size_t)size), account);
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
    return t == NULL || t->header != NULL || send_for_other(s, t, event);
}

/* ---- by a header, known when all of them are ---- */

static const struct trusted_config *trusted(const struct smtp_session *s)
{
    bool is_login = s->base.listener->trusted_count > 0 && !s->server.needs_auth;
    return is_login ? trusted_login(s->base.listener, s->base.account) : NULL;
}

const char *smtp_trusted_header(const struct smtp_session *s)
{
    const struct trusted_config *t = trusted(s);
    return t == NULL ? NULL : t->header;
}

/* One that comes twice is a customer's, beside the one that his web server has added. */
bool smtp_trusted_name(struct smtp_session *s, unsigned count, const char *value,
                       enum smtp_reply_name *refusal)
{
    char account[ACCOUNT_SIZE];
    bool is_named = value != NULL && value[0] != '\0';
    const char *name = is_named ? account : trusted(s)->fallback;
    *refusal = SMTP_REPLY_upstream_busy; /* out of memory */
    if (count > 1)
        *refusal = SMTP_REPLY_account_header_repeated;
    else if (is_named && (strlen(value) >= HEADER_VALUE_SIZE - 1 || /* it may have been cut */
                          find_account(s, span_of(value), account) < 0))
        *refusal = SMTP_REPLY_account_header_wrong;
    else if (name[0] == '\0')
        *refusal = SMTP_REPLY_account_header_missing;
    else
        s->base.sends_for = strdup(name);
    return s->base.sends_for != NULL;
}

void smtp_trusted_mail_ended(struct smtp_session *s)
{
    if (s->base.sends_for == NULL)
        return;
    free(s->base.sends_for);
    s->base.sends_for = NULL;
    if (smtp_trusted_header(s) == NULL)
        pool_give_back(s->base.context->pool, &s->link); /* it may have been told of that one */
}
