#include "upstream/smtp_link.h"

#include "base/clock.h"
#include "protocol/proxy/header.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { ERRORS_MAX = 5, MESSAGES_MAX = 100, LOGIN_LINE_MAX = 12288 };
#define AGE_MAX_NS (600 * CLOCK_SECOND)

enum phase {
    CONNECTING,
    GREETING,
    HELLO,    /* EHLO is sent */
    STARTTLS, /* STARTTLS is sent */
    HANDSHAKE,
    LOGIN,   /* a line of AUTH is sent */
    TELLING, /* XCLIENT is sent */
    SERVING,
};

struct smtp_link {
    struct smtp_link_options options;
    smtp_link_fn *fn;
    void *owner;
    struct connection *connection;
    struct smtp_client client;
    struct smtp_capabilities capabilities;
    enum phase phase;
    bool has_tls;
    bool is_without_tls; /* opportunistic, and the handshake has failed once */
    bool is_helo;        /* it doesn't know EHLO */
    bool is_told, is_logged_in;
    bool is_owned; /* it has begun with the header of a client's */
    struct smtp_login login;
    bool is_in_transaction, is_in_text;
    bool is_resting;  /* the idle time-out runs once nothing is due */
    bool is_data_due; /* DATA has gone, its reply has not come */
    bool is_lost;
    bool is_leaving;  /* it has said 421 */
    bool has_surplus; /* it sent what nobody asked for, behind the last reply */
    unsigned errors, messages;
    int64_t opened_ns;
    const struct xclient_values *values;
    unsigned next_value; /* of XCLIENT, to be told next */
    bool is_closed;      /* freed at the end of this turn */
    struct deferred deferred;
    struct error why;
};

static void on_event(void *owner, enum connection_event event, struct span *in);

static int64_t now(const struct smtp_link *l)
{
    return loop_now(l->options.loop);
}

static void set_deadline(struct smtp_link *l, int64_t ms)
{
    connection_set_deadline(l->connection, now(l) + ms * CLOCK_MS);
}

static void tell(struct smtp_link *l, enum smtp_link_event_kind kind)
{
    const struct smtp_link_event event = {.kind = kind};
    l->fn(l->owner, l, &event);
}

static void log_no_tls(const struct smtp_link *l, const char *reason)
{
    if (l->options.log != NULL)
        log_event(l->options.log, EVENT_upstream_tls_failed,
                  field_text(KEY_upstream, l->options.server->name),
                  field_text(KEY_reason, reason));
}

static void lose_with(struct smtp_link *l, enum smtp_link_loss loss, int code, const char *reason)
{
    const struct smtp_link_event event = {.kind = LINK_LOST,
                                          .loss = loss,
                                          .code = code,
                                          .reason = reason,
                                          .is_in_login = l->phase == LOGIN};
    if (loss == LOSS_TLS)
        log_no_tls(l, reason);
    connection_close(&l->connection);
    l->is_lost = true;
    l->fn(l->owner, l, &event);
}

static void lose(struct smtp_link *l, enum smtp_link_loss loss, const char *reason)
{
    lose_with(l, loss, 0, reason);
}

static int connect_now(struct smtp_link *l, struct error *why)
{
    l->connection = connection_connect(l->options.loop, &l->options.server->to, on_event, l, why);
    if (l->connection == NULL)
        return -1;
    l->phase = CONNECTING;
    l->has_tls = false;
    smtp_client_clear(&l->client);
    smtp_client_init(&l->client);
    set_deadline(l, l->options.upstream->connect_timeout_ms);
    return 0;
}

struct smtp_link *smtp_link_open(const struct smtp_link_options *options, smtp_link_fn *fn,
                                 void *owner, struct error *why)
{
    struct smtp_link *l = calloc(1, sizeof *l);
    if (l == NULL) {
        (void)error_set(why, "out of memory");
        return NULL;
    }
    l->options = *options;
    l->is_owned = options->header.size > 0;
    l->fn = fn;
    l->owner = owner;
    l->opened_ns = now(l);
    smtp_client_init(&l->client);
    if (connect_now(l, why) < 0)
        smtp_link_close(&l);
    return l;
}

void smtp_link_close(struct smtp_link **link)
{
    struct smtp_link *l = *link;
    if (l == NULL)
        return;
    l->is_closed = true;
    connection_close(&l->connection);
    smtp_client_clear(&l->client);
    loop_defer(l->options.loop, &l->deferred, free, l);
    *link = NULL;
}

void smtp_link_quit(struct smtp_link **link)
{
    struct smtp_link *l = *link;
    if (l != NULL && l->phase == SERVING && l->connection != NULL && !l->is_in_text &&
        smtp_client_due(&l->client) == 0) {
        connection_write_last(l->connection, span_of("QUIT\r\n"));
        connection_finish(&l->connection);
    }
    smtp_link_close(link);
}

void smtp_link_set_owner(struct smtp_link *l, smtp_link_fn *fn, void *owner)
{
    l->fn = fn;
    l->owner = owner;
}

/* ---- commands ---- */

int smtp_link_command(struct smtp_link *l, enum smtp_command command, struct span line)
{
    l->is_resting = false;
    l->is_data_due = l->is_data_due || command == SMTP_COMMAND_DATA;
    return smtp_client_queue(&l->client, command, line);
}

void smtp_link_flush(struct smtp_link *l)
{
    struct span bytes = smtp_client_output(&l->client);
    if (bytes.size == 0 || l->is_lost)
        return;
    connection_write(l->connection, &bytes, 1);
    smtp_client_written(&l->client, bytes.size);
    set_deadline(l, l->options.upstream->command_timeout_ms);
}

/* A command of the link's own, alone. */
static void send_alone(struct smtp_link *l, enum smtp_command command, struct span line,
                       enum phase phase)
{
    l->phase = phase;
    if (smtp_client_queue(&l->client, command, line) < 0) {
        lose(l, LOSS_NETWORK, "out of memory");
        return;
    }
    smtp_link_flush(l);
}

/* A host's name or an address literal, as far as it can do no harm in a line of ours. */
static bool is_plain_name(const char *name)
{
    return name != NULL && name[0] != '\0' && strlen(name) <= 255 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]") ==
               strlen(name);
}

/* Behind XCLIENT the client's own name: what EHLO says replaces what HELO= said. */
static const char *hello_name(const struct smtp_link *l)
{
    const char *helo = l->is_told ? l->values->value[XCLIENT_HELO] : l->options.hello;
    return is_plain_name(helo) ? helo : l->options.hostname;
}

static void send_hello(struct smtp_link *l, const char *verb)
{
    char line[300];
    l->is_helo = verb[0] == 'H';
    (void)snprintf(line, sizeof line, "%s %.255s\r\n", verb, hello_name(l)); /* fits */
    send_alone(l, SMTP_COMMAND_EHLO, span_of(line), HELLO);
}

void smtp_link_text(struct smtp_link *l, const struct span *parts, size_t count, enum text_end end)
{
    if (l->is_lost)
        return;
    if (end == TEXT_WHOLE)
        connection_write_more(l->connection, parts, count);
    else
        connection_write(l->connection, parts, count);
    l->is_in_text = true;
    if (end == TEXT_DOT && smtp_client_expect(&l->client, SMTP_COMMAND_DOT) == 0)
        set_deadline(l, l->options.upstream->final_timeout_ms);
    else if (connection_is_blocked(l->connection))
        set_deadline(l, l->options.upstream->command_timeout_ms);
    else
        connection_set_deadline(l->connection, 0); /* it is the client's turn */
}

bool smtp_link_is_blocked(const struct smtp_link *l)
{
    return !l->is_lost && connection_is_blocked(l->connection);
}

void smtp_link_rest(struct smtp_link *l)
{
    l->is_resting = true;
    if (!l->is_lost && smtp_client_due(&l->client) == 0)
        set_deadline(l, l->options.upstream->idle_timeout_ms);
}

void smtp_link_reset(struct smtp_link *l)
{
    bool is_open = l->is_in_transaction || smtp_client_due(&l->client) > 0;
    if (is_open && smtp_link_command(l, SMTP_COMMAND_RSET, span_of("RSET\r\n")) == 0)
        smtp_link_flush(l);
    smtp_link_rest(l);
}

/* ---- from connect to ready ---- */

static void lose_reply(struct smtp_link *l, enum smtp_link_loss loss, const char *what,
                       const struct smtp_reply *reply)
{
    int size = (int)(reply->text.size < 200 ? reply->text.size : 200);
    (void)error_set(&l->why, "%s: %d %.*s", what, reply->code, size, reply->text.data);
    lose_with(l, loss, reply->code, l->why.text);
}

static void start_tls(struct smtp_link *l)
{
    l->phase = HANDSHAKE;
    set_deadline(l, l->options.upstream->connect_timeout_ms);
    if (connection_start_tls(l->connection, tls_client_context(l->options.tls, l->options.server)) <
        0)
        lose(l, LOSS_NETWORK, "out of memory");
}

/* With opportunistic a server that can't do TLS is spoken to in clear, on a connection anew. */
static void tls_failed(struct smtp_link *l, const char *reason)
{
    struct error why;
    (void)error_set(&l->why, "%s", reason);
    connection_close(&l->connection);
    if (l->options.upstream->tls != UPSTREAM_TLS_OPPORTUNISTIC) {
        lose(l, LOSS_TLS, l->why.text);
        return;
    }
    log_no_tls(l, l->why.text);
    l->is_without_tls = true;
    if (connect_now(l, &why) < 0) {
        l->why = why;
        lose(l, LOSS_NETWORK, l->why.text);
    }
}

static void greeted(struct smtp_link *l, const struct smtp_reply *reply)
{
    if (reply->code == 220)
        send_hello(l, "EHLO");
    else
        lose_reply(l, reply->code == 421 ? LOSS_BUSY : LOSS_REFUSED, "greeting", reply);
}

static void be_ready(struct smtp_link *l)
{
    l->client.is_pipelining = (l->capabilities.extensions & SMTP_PIPELINING) != 0;
    l->phase = SERVING;
    connection_set_deadline(l->connection, 0);
    tell(l, LINK_READY);
}

/* The next line of a login. */
static void log_in(struct smtp_link *l)
{
    struct buffer line = {.limit = LOGIN_LINE_MAX};
    if (smtp_login_line(&l->login, l->options.login, &line) < 0)
        lose(l, LOSS_LOGIN, "AUTH: it asks for more than there is to say");
    else
        send_alone(l, SMTP_COMMAND_AUTH, buffer_bytes(&line), LOGIN);
    buffer_clear(&line);
}

static void begin_login(struct smtp_link *l)
{
    unsigned ours = l->options.login->mechanisms, offered = l->capabilities.mechanisms;
    l->login = (struct smtp_login){.mechanism = smtp_mechanism_choose(ours, offered)};
    if (l->login.mechanism == 0)
        lose(l, LOSS_LOGIN, "AUTH: it offers no mechanism that the configuration lets us use");
    else
        log_in(l);
}

/* Whatever it says of our login is logged. */
static void lose_login(struct smtp_link *l, enum smtp_link_loss loss,
                       const struct smtp_reply *reply)
{
    char text[MASK_SIZE];
    struct smtp_reply told = *reply;
    told.text = smtp_login_mask(l->login.mechanism, l->options.login, reply->text, text);
    lose_reply(l, loss, "AUTH", &told);
}

static void login_answered(struct smtp_link *l, const struct smtp_reply *reply)
{
    if (reply->code == 334) {
        log_in(l);
    } else if (reply->code == 235) {
        l->is_logged_in = true;
        be_ready(l);
    } else {
        /* What it can't do now for a client says nothing of others. */
        bool is_refusal = reply->code >= 500 || l->is_told;
        lose_login(l,
                   reply->code == 421 ? LOSS_BUSY
                   : is_refusal       ? LOSS_LOGIN
                                      : LOSS_REFUSED,
                   reply);
    }
}

static void hello_answered(struct smtp_link *l, const struct smtp_reply *reply)
{
    if (reply->code >= 500 && reply->code <= 504 && !l->is_helo) {
        send_hello(l, "HELO");
        return;
    }
    if (reply->code != 250) {
        lose_reply(l, reply->code == 421 ? LOSS_BUSY : LOSS_REFUSED, "EHLO", reply);
        return;
    }
    l->capabilities = smtp_capabilities_parse(reply->text);
    int tls = l->options.upstream->tls;
    bool is_wanted = tls != UPSTREAM_TLS_NONE && tls != UPSTREAM_TLS_IMPLICIT && !l->has_tls &&
                     !l->is_without_tls && !l->is_told;
    bool is_offered = (l->capabilities.extensions & SMTP_STARTTLS) != 0;
    if (is_wanted && is_offered) {
        send_alone(l, SMTP_COMMAND_STARTTLS, span_of("STARTTLS\r\n"), STARTTLS);
    } else if (is_wanted && tls != UPSTREAM_TLS_OPPORTUNISTIC) {
        lose(l, LOSS_TLS, "it does not offer STARTTLS");
    } else if (l->options.login != NULL && !l->is_logged_in) {
        begin_login(l);
    } else {
        be_ready(l);
    }
}

static void starttls_answered(struct smtp_link *l, const struct smtp_reply *reply)
{
    if (reply->code == 220)
        start_tls(l);
    else if (l->options.upstream->tls != UPSTREAM_TLS_OPPORTUNISTIC)
        lose_reply(l, LOSS_TLS, "STARTTLS", reply);
    else
        tls_failed(l, "STARTTLS was refused");
}

/* The next attributes, or EHLO again after the last. */
static void tell_next(struct smtp_link *l)
{
    char line[513];
    l->client.is_pipelining = false; /* never behind XCLIENT */
    if (xclient_command(l->values, l->capabilities.xclient, &l->next_value, line) > 0)
        send_alone(l, SMTP_COMMAND_XCLIENT, span_of(line), TELLING);
    else
        send_hello(l, "EHLO");
}

void smtp_link_tell(struct smtp_link *l, const struct xclient_values *values)
{
    l->values = values;
    l->next_value = 0;
    l->is_told = true;
    tell_next(l);
}

void smtp_link_log_in(struct smtp_link *l, const struct smtp_credentials *credentials)
{
    l->options.login = credentials;
    l->is_told = true;
    begin_login(l);
}

static void told(struct smtp_link *l, const struct smtp_reply *reply)
{
    if (reply->code == 220)
        tell_next(l);
    else
        lose_reply(l, LOSS_IDENTITY, "XCLIENT", reply);
}

/* ---- serving ---- */

/* Keeps count of what decides whether the link may go on to others. */
static void count_reply(struct smtp_link *l, enum smtp_command command, int code)
{
    if (code >= 400)
        l->errors++;
    l->is_leaving = l->is_leaving || code == 421;
    if (command == SMTP_COMMAND_MAIL)
        l->is_in_transaction = true; /* refused or not: RSET before others get the link */
    if ((command == SMTP_COMMAND_RSET || command == SMTP_COMMAND_DOT) && code < 300)
        l->is_in_transaction = false;
    if (command == SMTP_COMMAND_DATA) {
        l->is_data_due = false;
        l->is_in_text = code == 354;
    }
    if (command != SMTP_COMMAND_DOT)
        return;
    l->is_in_text = false;
    l->is_in_transaction = code >= 300; /* as above */
    if (code < 300) {
        l->messages++;
        l->errors = 0;
    }
}

static void serve_reply(struct smtp_link *l, enum smtp_command command,
                        const struct smtp_reply *reply)
{
    const struct smtp_link_event event = {.kind = LINK_REPLY, .command = command, .reply = reply};
    count_reply(l, command, reply->code);
    if (smtp_client_due(&l->client) > 0)
        set_deadline(l, l->options.upstream->command_timeout_ms);
    else if (l->is_resting)
        smtp_link_rest(l);
    else
        connection_set_deadline(l->connection, 0);
    l->fn(l->owner, l, &event);
}

static void take_reply(struct smtp_link *l, enum smtp_command command,
                       const struct smtp_reply *reply)
{
    switch (l->phase) {
    case GREETING: greeted(l, reply); return;
    case HELLO: hello_answered(l, reply); return;
    case STARTTLS: starttls_answered(l, reply); return;
    case LOGIN: login_answered(l, reply); return;
    case TELLING: told(l, reply); return;
    case SERVING: serve_reply(l, command, reply); return;
    case CONNECTING:
    case HANDSHAKE: return;
    }
}

/* Every whole reply in `in`. The link may be closed, lost or given away by any of them. What stands
 * behind the last reply that is due nobody has asked for: it must not answer the next command. */
static void take_replies(struct smtp_link *l, struct span *in)
{
    while (in->size > 0) {
        enum smtp_command command;
        const struct smtp_reply *reply;
        struct error why;
        int got = smtp_client_input(&l->client, in, &command, &reply, &why);
        if (got == 0)
            return;
        if (got < 0) {
            l->why = why;
            lose(l, LOSS_NETWORK, l->why.text);
            return;
        }
        bool is_surplus = in->size > 0 && l->client.sent == 0;
        l->has_surplus = is_surplus;
        take_reply(l, command, reply);
        if (l->is_closed || l->is_lost || l->phase == HANDSHAKE || l->phase == CONNECTING)
            return;
        if (is_surplus) {
            lose(l, LOSS_NETWORK, "it sends what nobody has asked for");
            return;
        }
        smtp_link_flush(l);
    }
}

/* A server that awaits a header says nothing before it, so that probes say one, too. */
static void send_header(struct smtp_link *l)
{
    char local[PROXY_HEADER_MAX];
    struct span header = l->options.header;
    if (l->options.upstream->identity != IDENTITY_PROXY)
        return;
    if (header.size == 0)
        header = span_make(local, proxy_header_write_local(local));
    connection_write(l->connection, &header, 1);
}

static void ready(struct smtp_link *l)
{
    int tls = l->options.upstream->tls;
    if (l->phase == CONNECTING)
        send_header(l);
    if (l->phase == CONNECTING && tls == UPSTREAM_TLS_IMPLICIT) {
        start_tls(l);
        return;
    }
    bool is_starttls = l->phase == HANDSHAKE && tls != UPSTREAM_TLS_IMPLICIT;
    l->has_tls = l->phase == HANDSHAKE;
    set_deadline(l, l->options.upstream->command_timeout_ms);
    if (is_starttls) {
        smtp_client_clear(&l->client); /* RFC 3207 section 4.2: nothing from before counts */
        smtp_client_init(&l->client);
        send_hello(l, "EHLO");
        return;
    }
    l->phase = GREETING;
    int failed = smtp_client_expect(&l->client, SMTP_COMMAND_GREETING);
    assert(!failed);
}

static void failed(struct smtp_link *l)
{
    struct error why;
    (void)error_set(&why, "%s", connection_error(l->connection)); /* it goes with the connection */
    if (l->phase == HANDSHAKE)
        tls_failed(l, why.text);
    else
        lose(l, LOSS_NETWORK, why.text);
}

static void timed_out(struct smtp_link *l)
{
    static const char *const what[] = {
        "connecting took too long",        "no greeting in time",
        "no reply to EHLO in time",        "no reply to STARTTLS in time",
        "the TLS handshake took too long", "no reply to AUTH in time",
        "no reply to XCLIENT in time",     "no reply in time"};
    if (l->phase == HANDSHAKE)
        tls_failed(l, what[l->phase]);
    else if (l->phase == SERVING && smtp_client_due(&l->client) == 0 && !l->is_in_text)
        lose(l, LOSS_NETWORK, "idle");
    else
        lose(l, LOSS_NETWORK, what[l->phase]);
}

static void drained(struct smtp_link *l)
{
    if (l->phase != SERVING)
        return;
    if (smtp_client_due(&l->client) == 0)
        connection_set_deadline(l->connection, 0);
    tell(l, LINK_DRAINED);
}

static void on_event(void *owner, enum connection_event event, struct span *in)
{
    struct smtp_link *l = owner;
    switch (event) {
    case CONNECTION_READY: ready(l); return;
    case CONNECTION_DATA: take_replies(l, in); return;
    case CONNECTION_DRAINED: drained(l); return;
    case CONNECTION_EOF: lose(l, LOSS_NETWORK, "it has closed the connection"); return;
    case CONNECTION_TIMEOUT: timed_out(l); return;
    case CONNECTION_FAILED: failed(l); return;
    }
}

/* ---- what is known of it ---- */

/* Whatever is under way, it can be ended in good order, and another client be served then. */
static bool is_sound(const struct smtp_link *l)
{
    return l->phase == SERVING && !l->is_lost && !smtp_link_is_told(l) && !l->is_in_text &&
           !l->is_data_due && !l->is_leaving && !l->has_surplus && l->errors <= ERRORS_MAX &&
           l->messages < MESSAGES_MAX && now(l) - l->opened_ns < AGE_MAX_NS &&
           !connection_is_blocked(l->connection);
}

bool smtp_link_is_told(const struct smtp_link *l)
{
    return l->is_told || l->is_owned;
}

bool smtp_link_is_reusable(const struct smtp_link *l)
{
    return is_sound(l) && !l->is_in_transaction && smtp_client_due(&l->client) == 0;
}

bool smtp_link_may_reset(const struct smtp_link *l)
{
    return is_sound(l);
}

bool smtp_link_is_in_text(const struct smtp_link *l)
{
    return l->is_in_text;
}

struct server *smtp_link_server(const struct smtp_link *l)
{
    return l->options.pool_server;
}

const struct smtp_capabilities *smtp_link_capabilities(const struct smtp_link *l)
{
    return &l->capabilities;
}

const struct connection *smtp_link_connection(const struct smtp_link *l)
{
    return l->connection;
}
