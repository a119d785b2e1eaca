#include "upstream/pop3_link.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/mask.h"

#include <stdlib.h>

enum { CAPA_LINES_MAX = 100, CAPA_LINE_MAX = 2048, COMMAND_MAX = 2048 };

enum phase { CONNECTING, GREETING, STARTTLS, HANDSHAKE, IDLE, CAPA, TELLING, UTF8, USER, PASS };

struct pop3_link {
    struct smtp_link_options options;
    pop3_link_fn *fn;
    void *owner;
    struct connection *connection;
    struct line_reader lines;
    enum phase phase;
    unsigned capa_lines;
    struct pop3_capabilities capabilities;
    bool takes_xclient, uses_utf8;
    bool is_closed;         /* freed at the end of this turn */
    struct buffer user;     /* "USER ...", until it is sent */
    struct buffer password; /* "PASS ...", until it is answered */
    struct deferred deferred;
    struct error why;
};

static void on_event(void *owner, enum connection_event event, struct span *in);

static void set_deadline(struct pop3_link *l, int64_t ms)
{
    connection_set_deadline(l->connection, loop_now(l->options.loop) + ms * CLOCK_MS);
}

static void tell(struct pop3_link *l, enum pop3_link_event_kind kind,
                 const struct pop3_reply *reply)
{
    const struct pop3_link_event event = {.kind = kind, .reply = reply};
    l->fn(l->owner, l, &event);
}

static void lose(struct pop3_link *l, enum smtp_link_loss loss, const char *reason)
{
    const struct pop3_link_event event = {.kind = POP3_LINK_LOST,
                                          .loss = loss,
                                          .reason = reason,
                                          .is_in_login = l->phase == USER || l->phase == PASS};
    connection_close(&l->connection);
    l->fn(l->owner, l, &event);
}

struct pop3_link *pop3_link_open(const struct smtp_link_options *options, pop3_link_fn *fn,
                                 void *owner, struct error *why)
{
    struct pop3_link *l = calloc(1, sizeof *l);
    if (l == NULL) {
        (void)error_set(why, "out of memory");
        return NULL;
    }
    *l = (struct pop3_link){.options = *options,
                            .fn = fn,
                            .owner = owner,
                            .user = {.limit = COMMAND_MAX},
                            .password = {.limit = COMMAND_MAX}};
    l->connection = connection_connect(options->loop, &options->server->to, on_event, l, why);
    if (l->connection == NULL)
        pop3_link_close(&l);
    else
        set_deadline(l, options->upstream->connect_timeout_ms);
    return l;
}

static void destroy(void *owner)
{
    free(owner);
}

void pop3_link_close(struct pop3_link **link)
{
    struct pop3_link *l = *link;
    if (l == NULL)
        return;
    l->is_closed = true;
    connection_close(&l->connection);
    buffer_clear(&l->user);
    buffer_clear(&l->password);
    loop_defer(l->options.loop, &l->deferred, destroy, l);
    *link = NULL;
}

static void send_line(struct pop3_link *l, struct span line, enum phase phase)
{
    l->phase = phase;
    connection_write(l->connection, &line, 1);
    set_deadline(l, l->options.upstream->command_timeout_ms);
}

void pop3_link_quit(struct pop3_link **link)
{
    struct pop3_link *l = *link;
    if (l != NULL && l->connection != NULL && l->phase == IDLE) {
        connection_write_last(l->connection, span_of("QUIT\r\n"));
        connection_finish(&l->connection);
    }
    pop3_link_close(link);
}

void pop3_link_capa(struct pop3_link *l)
{
    l->capa_lines = 0;
    l->capabilities = (struct pop3_capabilities){0};
    send_line(l, span_of("CAPA\r\n"), CAPA);
}

bool pop3_link_takes_xclient(const struct pop3_link *l)
{
    return l->takes_xclient;
}

void pop3_link_tell(struct pop3_link *l, const struct pop3_xclient *who)
{
    struct buffer line = {.limit = COMMAND_MAX};
    /* Without memory an empty command goes, which no server takes. */
    int failed = pop3_xclient_append(who, &line);
    send_line(l, failed ? span_of("XCLIENT\r\n") : buffer_bytes(&line), TELLING);
    buffer_clear(&line);
}

void pop3_link_use_utf8(struct pop3_link *l)
{
    l->uses_utf8 = true;
}

static void send_user(struct pop3_link *l)
{
    send_line(l, buffer_bytes(&l->user), USER);
    buffer_clear(&l->user);
}

void pop3_link_login(struct pop3_link *l, struct span user, struct span password)
{
    int failed = buffer_append(&l->user, span_of("USER "));
    failed |= buffer_append(&l->user, user);
    failed |= buffer_append(&l->user, span_of("\r\n"));
    failed |= buffer_append(&l->password, span_of("PASS "));
    failed |= buffer_append(&l->password, password);
    failed |= buffer_append(&l->password, span_of("\r\n"));
    /* Too long to be sent is sent empty, and so refused: RFC 2449 has 255 octets a line. */
    if (failed) {
        send_line(l, span_of("USER \r\n"), USER);
        buffer_clear(&l->user);
    } else if (l->uses_utf8) {
        send_line(l, span_of("UTF8\r\n"), UTF8);
    } else {
        send_user(l);
    }
}

const struct pop3_capabilities *pop3_link_capabilities(const struct pop3_link *l)
{
    return &l->capabilities;
}

const struct connection *pop3_link_connection(const struct pop3_link *l)
{
    return l->connection;
}

struct connection *pop3_link_take_connection(struct pop3_link *l)
{
    struct connection *c = l->connection;
    l->connection = NULL;
    connection_set_deadline(c, 0);
    return c;
}

/* ---- replies ---- */

static void start_tls(struct pop3_link *l)
{
    l->phase = HANDSHAKE;
    set_deadline(l, l->options.upstream->connect_timeout_ms);
    if (connection_start_tls(l->connection, tls_client_context(l->options.tls, l->options.server)) <
        0)
        lose(l, LOSS_NETWORK, "out of memory");
}

static void be_ready(struct pop3_link *l)
{
    l->phase = IDLE;
    connection_set_deadline(l->connection, 0);
    tell(l, POP3_LINK_READY, NULL);
}

static void lose_reply(struct pop3_link *l, enum smtp_link_loss loss, const char *what,
                       const struct pop3_reply *reply)
{
    int size = (int)(reply->text.size < 200 ? reply->text.size : 200);
    (void)error_set(&l->why, "%s: -ERR %.*s", what, size, reply->text.data);
    lose(l, loss, l->why.text);
}

/* What it says goes into the log and to the client: without the password. */
static struct span mask_password(const struct pop3_link *l, struct span text, char out[MASK_SIZE])
{
    char encoded[BASE64_ENCODED_SIZE(COMMAND_MAX)];
    struct span line = buffer_bytes(&l->password);
    (void)span_split(&line, ' ');
    const struct span password = span_split(&line, '\r');
    const struct span secrets[] = {password, span_make(encoded, base64_encode(password, encoded))};
    text = mask_secrets(text, secrets, 2, out);
    explicit_bzero(encoded, sizeof encoded);
    return text;
}

static void login_answered(struct pop3_link *l, const struct pop3_reply *reply)
{
    char text[MASK_SIZE];
    struct pop3_reply told = *reply;
    told.text = mask_password(l, reply->text, text);
    buffer_clear(&l->password);
    l->phase = IDLE;
    connection_set_deadline(l->connection, 0);
    tell(l, POP3_LINK_LOGIN, &told);
}

static void user_answered(struct pop3_link *l, const struct pop3_reply *reply)
{
    if (reply->is_ok)
        send_line(l, buffer_bytes(&l->password), PASS);
    else
        login_answered(l, reply);
}

static void greeted(struct pop3_link *l, const struct pop3_reply *reply)
{
    int tls = l->options.upstream->tls;
    l->takes_xclient = pop3_xclient_is_offered(reply->text);
    if (!reply->is_ok)
        lose_reply(l, LOSS_REFUSED, "greeting", reply);
    else if (tls == UPSTREAM_TLS_REQUIRE || tls == UPSTREAM_TLS_VERIFY)
        send_line(l, span_of("STLS\r\n"), STARTTLS);
    else
        be_ready(l);
}

static void told(struct pop3_link *l, const struct pop3_reply *reply)
{
    if (reply->is_ok)
        be_ready(l);
    else
        lose_reply(l, LOSS_IDENTITY, "XCLIENT", reply);
}

static void utf8_answered(struct pop3_link *l, const struct pop3_reply *reply)
{
    l->uses_utf8 = false; /* it is said once */
    if (reply->is_ok)
        send_user(l);
    else
        lose_reply(l, LOSS_IDENTITY, "UTF8", reply);
}

static void take_reply(struct pop3_link *l, const struct pop3_reply *reply)
{
    switch (l->phase) {
    case GREETING: greeted(l, reply); return;
    case STARTTLS:
        if (reply->is_ok)
            start_tls(l);
        else
            lose_reply(l, LOSS_TLS, "STLS", reply);
        return;
    case TELLING: told(l, reply); return;
    case UTF8: utf8_answered(l, reply); return;
    case USER: user_answered(l, reply); return;
    case PASS: login_answered(l, reply); return;
    case CONNECTING:
    case HANDSHAKE:
    case IDLE:
    case CAPA: lose(l, LOSS_NETWORK, "it sends what nobody has asked for"); return;
    }
}

/* The lines of CAPA. */
static int take_capa(struct pop3_link *l, struct span *in)
{
    struct span line;
    enum line_result got = line_take(&l->lines, CAPA_LINE_MAX, in, &line);
    if (got == LINE_MORE)
        return 0;
    bool is_refused = l->capa_lines == 0 && span_starts_nocase(line, "-ERR");
    if (got == LINE_TOO_LONG || ++l->capa_lines > CAPA_LINES_MAX) {
        lose(l, LOSS_NETWORK, "its reply to CAPA does not end");
        return 0;
    }
    if (!is_refused && !span_equals(line, ".")) {
        pop3_capabilities_take(&l->capabilities, line);
        return 1;
    }
    if (is_refused)
        l->capabilities.offered = POP3_CAPABILITIES_OLD;
    l->phase = IDLE;
    connection_set_deadline(l->connection, 0);
    tell(l, POP3_LINK_CAPA, NULL);
    return 0;
}

static void take_input(struct pop3_link *l, struct span *in)
{
    while (in->size > 0 && !l->is_closed && l->connection != NULL && l->phase != HANDSHAKE) {
        struct pop3_reply reply;
        struct error why;
        if (l->phase == CAPA) {
            if (take_capa(l, in) == 0)
                return;
            continue;
        }
        int got = pop3_reply_parse(&l->lines, in, &reply, &why);
        if (got == 0)
            return;
        if (got < 0) {
            l->why = why;
            lose(l, LOSS_NETWORK, l->why.text);
            return;
        }
        take_reply(l, &reply);
    }
}

static void ready(struct pop3_link *l)
{
    bool is_implicit = l->options.upstream->tls == UPSTREAM_TLS_IMPLICIT;
    if (l->phase == CONNECTING && is_implicit) {
        start_tls(l);
        return;
    }
    if (l->phase == HANDSHAKE && !is_implicit) {
        l->lines = (struct line_reader){false}; /* RFC 2595 section 4: nothing from before counts */
        be_ready(l);
        return;
    }
    l->phase = GREETING;
    set_deadline(l, l->options.upstream->command_timeout_ms);
}

static void on_event(void *owner, enum connection_event event, struct span *in)
{
    struct pop3_link *l = owner;
    switch (event) {
    case CONNECTION_READY: ready(l); return;
    case CONNECTION_DATA: take_input(l, in); return;
    case CONNECTION_DRAINED: return;
    case CONNECTION_EOF: lose(l, LOSS_NETWORK, "it has closed the connection"); return;
    case CONNECTION_TIMEOUT:
        lose(l, l->phase == HANDSHAKE ? LOSS_TLS : LOSS_NETWORK,
             l->phase == CONNECTING ? "connecting took too long" : "no reply in time");
        return;
    case CONNECTION_FAILED:
        (void)error_set(&l->why, "%s", connection_error(l->connection));
        lose(l, l->phase == HANDSHAKE ? LOSS_TLS : LOSS_NETWORK, l->why.text);
        return;
    }
}
