#include "upstream/live.h"

#include "base/clock.h"
#include "base/id.h"
#include "upstream/pop3_link.h"
#include "upstream/smtp_link.h"

#include <stdlib.h>

enum { REPLY_TIMEOUT_MS = 10000, TEXT_MAX = 4096 };

/* One server. */
struct look {
    struct live *live;
    const struct upstream_config *configured;
    struct upstream_config upstream; /* a copy, with time-outs of our own */
    const struct server_config *server;
    struct smtp_link *smtp;
    struct pop3_link *pop3;
    struct buffer text; /* what was seen */
    bool is_wrong;
};

struct live {
    struct loop *loop;
    const struct config *config;
    struct look *all;
    size_t count, left;
};

/* ---- what is told ---- */

/* A row: "  label       value". What doesn't fit is cut. */
static void tell(struct look *k, const char *label, const char *value)
{
    (void)buffer_printf(&k->text, "  %-12s %s\n", label, value);
}

static void tell_wrong(struct look *k, const char *value)
{
    k->is_wrong = true;
    tell(k, "ERROR", value);
}

static void drop_colons(char *text)
{
    char *out = text;
    for (; *text != '\0'; text++)
        if (*text != ':')
            *out++ = *text;
    *out = '\0';
}

static void tell_tls(struct look *k, const struct connection *c, bool is_offered)
{
    char fingerprint[TLS_FINGERPRINT_SIZE];
    struct error text;
    if (connection_tls_version(c)[0] == '\0') {
        tell(k, "TLS",
             is_offered ? "not used; the server offers STARTTLS"
                        : "not used; everything is in clear");
        return;
    }
    (void)error_set(&text, "%s, %s", connection_tls_version(c), connection_tls_cipher(c));
    tell(k, "TLS", text.text);
    connection_tls_fingerprint(c, fingerprint);
    drop_colons(fingerprint); /* the configuration takes it so, and a terminal's line holds it */
    tell(k, "fingerprint", fingerprint);
    if (!upstream_is_checked(&k->upstream))
        tell(k, "", "not checked: say fingerprint, ca, or tls = \"verify\"");
}

static void done(struct look *k)
{
    smtp_link_quit(&k->smtp);
    pop3_link_quit(&k->pop3);
    if (--k->live->left == 0)
        loop_stop(k->live->loop);
}

static void lost(struct look *k, const char *reason)
{
    tell_wrong(k, reason);
    done(k);
}

/* ---- SMTP ---- */

static void tell_extensions(struct look *k, const struct smtp_capabilities *c)
{
    static const struct {
        enum smtp_extension extension;
        const char *name;
    } rows[] = {{SMTP_PIPELINING, "PIPELINING"}, {SMTP_8BITMIME, "8BITMIME"},
                {SMTP_SMTPUTF8, "SMTPUTF8"},     {SMTP_DSN, "DSN"},
                {SMTP_CHUNKING, "CHUNKING"},     {SMTP_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES"}};
    struct buffer line = {.limit = 200};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if ((c->extensions & rows[i].extension) != 0)
            (void)buffer_printf(&line, "%s%s", line.size > 0 ? " " : "", rows[i].name); /* fits */
    (void)buffer_append(&line, span_make("", 1));                                       /* fits */
    tell(k, "offers", buffer_bytes(&line).data);
    buffer_clear(&line);
    if (c->size > 0) {
        struct error text;
        (void)error_set(&text, "%llu octets a message", (unsigned long long)c->size);
        tell(k, "SIZE", text.text);
    }
}

static void tell_identity(struct look *k, const struct smtp_capabilities *c)
{
    bool is_xclient = (c->extensions & SMTP_XCLIENT) != 0;
    bool is_xforward = (c->extensions & SMTP_XFORWARD) != 0;
    tell(k, "AUTH", (c->extensions & SMTP_AUTH) != 0 ? "offered" : "not offered");
    tell(k, "XCLIENT", is_xclient ? "offered to us" : "not offered to us");
    tell(k, "XFORWARD", is_xforward ? "offered to us" : "not offered to us");
    if (k->upstream.identity == IDENTITY_XFORWARD && !is_xforward)
        tell_wrong(k, "identity = \"xforward\" goes without; in Postfix: "
                      "smtpd_authorized_xforward_hosts");
    if (k->upstream.identity == IDENTITY_XCLIENT && !is_xclient)
        tell_wrong(k,
                   "identity = \"xclient\" needs it; in Postfix: smtpd_authorized_xclient_hosts");
    if ((k->upstream.identity == IDENTITY_PASSWORD || k->upstream.is_asked) &&
        (c->mechanisms & (SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN)) == 0)
        tell_wrong(k, "users' passwords are told to it, and it offers neither PLAIN nor LOGIN");
    if (k->upstream.identity == IDENTITY_AUTH)
        tell(k, "login",
             k->upstream.token_command[0] == '\0' ? "taken"
                                                  : "not tried: the helper alone gets tokens");
}

static int ask(struct look *k, enum smtp_command command, struct span line)
{
    return smtp_link_command(k->smtp, command, line);
}

/* Does it refuse whom it doesn't know when it is told, or later by a bounce? */
static void ask_for_nobody(struct look *k)
{
    struct id_source ids = id_source_create();
    struct buffer line = {.limit = 400};
    char id[ID_SIZE];
    id_next(&ids, clock_wall_ns(), id);
    if (buffer_printf(&line, "RCPT TO:<no-such-user-%s@%.253s>\r\n", id,
                      k->live->config->auth.realm) < 0 ||
        ask(k, SMTP_COMMAND_MAIL, span_of("MAIL FROM:<>\r\n")) < 0 ||
        ask(k, SMTP_COMMAND_RCPT, buffer_bytes(&line)) < 0 ||
        ask(k, SMTP_COMMAND_RSET, span_of("RSET\r\n")) < 0)
        lost(k, "out of memory");
    else
        smtp_link_flush(k->smtp);
    buffer_clear(&line);
}

static void tell_recipient(struct look *k, const struct smtp_reply *reply)
{
    struct error text;
    int size = (int)(reply->text.size < 200 ? reply->text.size : 200);
    (void)error_set(&text, "%s: %d %.*s",
                    reply->code < 300   ? "TAKES one of the realm that can't exist"
                    : reply->code < 500 ? "one that can't exist is put off"
                                        : "refuses one that can't exist",
                    reply->code, size, reply->text.data);
    tell(k, "recipients", text.text);
}

static void on_smtp(void *owner, struct smtp_link *l, const struct smtp_link_event *event)
{
    struct look *k = owner;
    switch (event->kind) {
    case LINK_READY: {
        const struct smtp_capabilities *c = smtp_link_capabilities(l);
        tell_tls(k, smtp_link_connection(l), (c->extensions & SMTP_STARTTLS) != 0);
        tell_extensions(k, c);
        tell_identity(k, c);
        ask_for_nobody(k);
        return;
    }
    case LINK_REPLY:
        if (event->command == SMTP_COMMAND_RCPT)
            tell_recipient(k, event->reply);
        if (event->command == SMTP_COMMAND_RSET)
            done(k);
        return;
    case LINK_DRAINED: return;
    case LINK_LOST: lost(k, event->reason); return;
    }
}

/* ---- POP3 ---- */

static void on_pop3(void *owner, struct pop3_link *l, const struct pop3_link_event *event)
{
    struct look *k = owner;
    bool is_told = k->upstream.identity == IDENTITY_XCLIENT;
    switch (event->kind) {
    case POP3_LINK_READY:
        tell_tls(k, pop3_link_connection(l), false);
        pop3_link_capa(l);
        return;
    case POP3_LINK_CAPA:
        tell(k, "PIPELINING",
             (pop3_link_capabilities(l)->offered & POP3_PIPELINING) != 0 ? "yes" : "no");
        tell(k, "XCLIENT", pop3_link_takes_xclient(l) ? "offered to us" : "not offered to us");
        if (is_told && !pop3_link_takes_xclient(l))
            tell_wrong(k, "identity = \"xclient\" needs it; in Dovecot: login_trusted_networks");
        done(k);
        return;
    case POP3_LINK_LOGIN: return;
    case POP3_LINK_LOST: lost(k, event->reason); return;
    }
}

/* ---- all of them ---- */

static void look_at(struct look *k, const struct tls_contexts *tls, const struct accounts *accounts)
{
    const struct account *a = account_of(accounts, k->configured);
    bool can_log_in = a != NULL && a->credentials.secret[0] != '\0';
    const struct smtp_link_options options = {.loop = k->live->loop,
                                              .upstream = &k->upstream,
                                              .server = k->server,
                                              .tls = tls,
                                              .login = can_log_in ? &a->credentials : NULL,
                                              .hostname = k->live->config->hostname};
    char at[ADDRESS_TEXT_SIZE];
    struct error why;
    address_format(&k->server->to, at);
    (void)buffer_printf(&k->text, "%s, %s\n", k->server->name, at);
    if (k->upstream.protocol == UPSTREAM_SMTP)
        k->smtp = smtp_link_open(&options, on_smtp, k, &why);
    else
        k->pop3 = pop3_link_open(&options, on_pop3, k, &why);
    if (k->smtp == NULL && k->pop3 == NULL)
        lost(k, why.text);
}

static void add(struct live *live, const struct upstream_config *u, const struct server_config *s)
{
    struct look *k = &live->all[live->count++];
    *k = (struct look){
        .live = live, .configured = u, .upstream = *u, .server = s, .text = {.limit = TEXT_MAX}};
    if (k->upstream.command_timeout_ms > REPLY_TIMEOUT_MS)
        k->upstream.command_timeout_ms = REPLY_TIMEOUT_MS;
}

/* Each server, in the configuration's order. Returns 0, or -1 without memory. */
static int add_all(struct live *live)
{
    size_t total = 0;
    for (size_t i = 0; i < live->config->upstream_count; i++)
        total += live->config->upstreams[i].server_count;
    live->all = calloc(total + 1, sizeof *live->all);
    if (live->all == NULL)
        return -1;
    for (size_t i = 0; i < live->config->upstream_count; i++)
        for (size_t n = 0; n < live->config->upstreams[i].server_count; n++)
            add(live, &live->config->upstreams[i], &live->config->upstreams[i].servers[n]);
    live->left = live->count;
    return 0;
}

/* Puts the paragraphs together. Returns whether one of them is of a server that can't serve. */
static bool gather(struct live *live, struct buffer *out)
{
    bool is_wrong = false;
    for (size_t i = 0; i < live->count; i++) {
        struct look *k = &live->all[i];
        is_wrong = is_wrong || k->is_wrong;
        (void)buffer_append(out, buffer_bytes(&k->text)); /* past its limit nobody would read it */
        buffer_clear(&k->text);
    }
    return is_wrong;
}

int live_check(const struct config *config, const struct tls_contexts *tls,
               const struct accounts *accounts, struct buffer *out, struct error *why)
{
    struct live live = {.config = config, .loop = loop_create(why)};
    if (live.loop == NULL)
        return -1;
    int outcome = add_all(&live) < 0 ? error_set(why, "out of memory") : 0;
    for (size_t i = 0; i < live.count; i++)
        look_at(&live.all[i], tls, accounts);
    if (live.left > 0 && loop_run(live.loop) < 0)
        outcome = error_set(why, "the event loop fails");
    for (size_t i = 0; i < live.count; i++) {
        smtp_link_close(&live.all[i].smtp);
        pop3_link_close(&live.all[i].pop3);
    }
    bool is_wrong = gather(&live, out);
    free(live.all);
    loop_destroy(&live.loop);
    return outcome < 0 ? -1 : is_wrong;
}
