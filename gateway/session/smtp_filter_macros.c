/* The macros by which milters are told of what is no command: as Sendmail has named them, with the
 * values that Postfix gives. */
#include "session/smtp_filter.h"

#include <stdio.h>

enum { VALUE_SIZE = MILTER_MACRO_SIZE };

typedef const char *value_fn(const struct smtp_session *s, char out[VALUE_SIZE]);

/* ---- the gateway ---- */

static const char *our_name(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return s->base.context->config->hostname;
}

static const char *our_version(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)s, (void)out;
    return "Porteiro " PORTEIRO_VERSION;
}

static const char *listener_name(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return s->base.listener->name;
}

static const char *listener_address(const struct smtp_session *s, char out[VALUE_SIZE])
{
    struct address local;
    connection_local(s->base.client, &local);
    address_format_host(&local, out);
    return out;
}

static const char *listener_port(const struct smtp_session *s, char out[VALUE_SIZE])
{
    struct address local;
    connection_local(s->base.client, &local);
    (void)snprintf(out, VALUE_SIZE, "%u", address_port(&local)); /* fits */
    return out;
}

/* ---- the client ---- */

static const char *client_address(const struct smtp_session *s, char out[VALUE_SIZE])
{
    address_format_host(&s->base.client_address, out);
    return out;
}

static const char *client_port(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)snprintf(out, VALUE_SIZE, "%u", address_port(&s->base.client_address)); /* fits */
    return out;
}

static const char *client_name(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return s->told_name == NULL ? "unknown" : s->told_name;
}

/* "mail.example.com [192.0.2.1]" */
static const char *client_all(const struct smtp_session *s, char out[VALUE_SIZE])
{
    char address[VALUE_SIZE], name[VALUE_SIZE / 2];
    (void)span_copy(span_of(client_name(s, NULL)), name, sizeof name); /* cut to fit */
    (void)snprintf(out, VALUE_SIZE, "%s [%s]", name, client_address(s, address));
    return out;
}

static const char *client_hello(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return smtp_client_name(s);
}

static const char *protocol(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return s->server.offered != 0 ? "ESMTP" : "SMTP";
}

static const char *tls_version(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return connection_tls_version(s->base.client);
}

static const char *cipher(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return connection_tls_cipher(s->base.client);
}

static const char *certificate(const struct smtp_session *s, char out[VALUE_SIZE])
{
    char name[CERTIFICATE_NAME_SIZE];
    (void)span_copy(span_of(connection_certificate_name(s->base.client, name)), out, VALUE_SIZE);
    return out;
}

/* ---- who he is ---- */

static const char *of_login(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return s->base.account;
}

static const char *whose(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return session_account(&s->base);
}

static const char *mechanism(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return s->base.account == NULL ? NULL : login_mechanism(&s->login);
}

/* ---- the message ---- */

static const char *message_id(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return s->transaction == NULL ? NULL : s->transaction->id;
}

static const char *sender(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)out;
    return s->transaction == NULL ? NULL : s->transaction->sender;
}

static const char *sender_host(const struct smtp_session *s, char out[VALUE_SIZE])
{
    const char *all = sender(s, out), *at = all == NULL ? NULL : strrchr(all, '@');
    return at == NULL ? NULL : at + 1;
}

static const char *mailer(const struct smtp_session *s, char out[VALUE_SIZE])
{
    (void)s, (void)out;
    return "smtp";
}

static const struct {
    const char *name;
    value_fn *value;
} macros[] = {
    {"i", message_id},
    {"j", our_name},
    {"_", client_all},
    {"v", our_version},
    {"r", protocol},
    {"s", client_hello},
    {"{auth_authen}", of_login},
    {"{auth_author}", whose},
    {"{auth_type}", mechanism},
    {"{cert_subject}", certificate},
    {"{cipher}", cipher},
    {"{client_addr}", client_address},
    {"{client_name}", client_name},
    {"{client_port}", client_port},
    {"{client_ptr}", client_name},
    {"{daemon_addr}", listener_address},
    {"{daemon_name}", listener_name},
    {"{daemon_port}", listener_port},
    {"{if_addr}", listener_address},
    {"{if_name}", our_name},
    {"{mail_addr}", sender},
    {"{mail_host}", sender_host},
    {"{mail_mailer}", mailer},
    {"{tls_version}", tls_version},
};

const char *smtp_filter_macro(void *owner, const char *name, char out[VALUE_SIZE])
{
    for (size_t i = 0; i < sizeof macros / sizeof *macros; i++)
        if (strcmp(macros[i].name, name) == 0)
            return macros[i].value(owner, out);
    return NULL;
}
