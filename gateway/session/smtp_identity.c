/* Whom the server behind is told about: by XCLIENT or a PROXY header, once a connection, or by
 * XFORWARD, before each MAIL. */
#include "base/arena.h"
#include "net/client_certificate.h"
#include "protocol/proxy/header.h"
#include "session/smtp.h"

static const char *told_address(struct transaction *t, const struct address *a)
{
    char host[ADDRESS_TEXT_SIZE];
    address_format_host(a, host);
    return arena_printf(t->arena, address_is_v6(a) ? "IPV6:%s" : "%s", host);
}

struct address smtp_identity_destination(const struct smtp_session *s)
{
    struct address local = s->told_destination;
    if (local.size == 0)
        connection_local(s->base.client, &local);
    return local;
}

void smtp_identity_fill_in(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    const struct address *client = &s->base.client_address, local = smtp_identity_destination(s);
    t->values = (struct xclient_values){
        .value = {[XCLIENT_NAME] = s->told_name == NULL ? "[UNAVAILABLE]" : s->told_name,
                  [XCLIENT_PROTO] = "ESMTP",
                  [XCLIENT_HELO] = smtp_client_name(s),
                  [XCLIENT_LOGIN] = session_account(&s->base),
                  [XCLIENT_ADDR] = told_address(t, client),
                  [XCLIENT_PORT] = arena_printf(t->arena, "%u", address_port(client)),
                  [XCLIENT_DESTADDR] = told_address(t, &local),
                  [XCLIENT_DESTPORT] = arena_printf(t->arena, "%u", address_port(&local))}};
}

int smtp_identity_forward(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    const struct smtp_capabilities *c = smtp_link_capabilities(s->link);
    const struct address *client = &s->base.client_address;
    const struct xforward_values values = {
        .value = {[XFORWARD_NAME] = s->told_name,
                  [XFORWARD_ADDR] = told_address(t, client),
                  [XFORWARD_PORT] = arena_printf(t->arena, "%u", address_port(client)),
                  [XFORWARD_PROTO] = "ESMTP",
                  [XFORWARD_HELO] = smtp_client_name(s),
                  [XFORWARD_IDENT] = t->id,
                  [XFORWARD_SOURCE] = "REMOTE"}};
    unsigned next = 0;
    char line[513];
    int failed = 0;
    while (!failed && xforward_command(&values, c->xforward, &next, line) > 0)
        failed = smtp_link_command(s->link, SMTP_COMMAND_XFORWARD, span_of(line));
    return failed;
}

struct span smtp_identity_header(struct smtp_session *s)
{
    const struct address local = smtp_identity_destination(s);
    char certificate[CERTIFICATE_NAME_SIZE];
    const struct proxy_client client = {
        .from = &s->base.client_address,
        .to = &local,
        .id = s->base.id,
        .tls_version = connection_tls_version(s->base.client),
        .cipher = connection_tls_cipher(s->base.client),
        .certificate = connection_certificate_name(s->base.client, certificate)};
    char *header = arena_alloc(s->transaction->arena, PROXY_HEADER_MAX);
    return header == NULL ? span_make("", 0)
                          : span_make(header, proxy_header_write(&client, header));
}
