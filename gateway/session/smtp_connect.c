/* From the first byte to QUIT: the client's events, its commands in batches, and those that need
 * nobody else. */
#include "base/clock.h"
#include "session/arrival.h"
#include "session/ending.h"
#include "session/kinds.h"
#include "session/policy.h"
#include "session/smtp_filter.h"
#include "session/smtp_held.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ERRORS_MAX = 20, /* then a client is sent away, as is one that goes on for ever without mail */
    JUNK_MAX = 100,
};

static void on_client(void *owner, enum connection_event event, struct span *in);
static void wait_for(struct session *base, enum session_state state, int64_t ms);
static void greet(struct session *base);
static void turn_away(struct session *base, const char *why);
static void ask_to_end(struct session *base);
static void end_now(struct session *base);

static const struct session_kind smtp_kind = {wait_for, greet, turn_away, ask_to_end, end_now};

static struct smtp_session *of(struct session *base)
{
    return (struct smtp_session *)base; /* it lies at the front */
}

/* What of the upstreams' extensions the client is offered, beside our own. */
static unsigned offered(const struct smtp_session *s, uint64_t *max_size)
{
    uint64_t upstream_max;
    unsigned common =
        servers_offer(s->base.context->servers, s->base.listener->upstream_config, &upstream_max);
    *max_size = (uint64_t)s->base.listener->max_message_size;
    if (upstream_max > 0 && upstream_max < *max_size)
        *max_size = upstream_max;
    return (common & (SMTP_8BITMIME | SMTP_SMTPUTF8 | SMTP_DSN)) | SMTP_SIZE | SMTP_AUTH;
}

static void greet(struct session *base)
{
    struct smtp_session *s = of(base);
    smtp_say(s, SMTP_REPLY_greeting, s->base.context->config->hostname);
    session_state(&s->base, SESSION_COMMAND);
    session_show(&s->base);
    smtp_continue(s);
}

int smtp_session_create(struct registry *r, const struct listener_config *listener, int row, int fd,
                        const struct address *peer)
{
    struct smtp_session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)close(fd); /* nothing was written */
        return -1;
    }
    smtp_replies_init(&s->replies);
    bool is_plain = listener->tls == LISTENER_TLS_NONE;
    s->server = (struct smtp_server){
        .state = SMTP_CONNECTED, .needs_tls = !is_plain, .needs_auth = true, .is_plain = is_plain};
    login_init(&s->login, &s->base, AUTH_SMTP, smtp_auth_answered, s);
    s->take = smtp_take_commands;
    session_begin(&s->base, r, &smtp_kind, listener, row, peer);
    smtp_xclient_begin(s);
    smtp_trusted_begin(s);
    session_arrive(&s->base, fd, peer, on_client);
    return 0;
}

/* ---- the end ---- */

void smtp_end(struct smtp_session *s, bool is_polite)
{
    login_end(&s->login);
    smtp_transaction_end(s);
    smtp_filter_end(s);
    smtp_own_end(s);
    pool_give_back(s->base.context->pool, &s->link);
    smtp_replies_clear(&s->replies);
    free(s->helo);
    smtp_xclient_end(s);
    s->base.is_polite = is_polite;
    session_destroy(&s->base);
}

static void end_now(struct session *base)
{
    smtp_end(of(base), true);
}

static void log_abandoned(const struct smtp_session *s, const char *reason)
{
    const struct transaction *t = s->transaction;
    if (t != NULL && t->data != DATA_NONE)
        session_event(&s->base, EVENT_message_abandoned, field_text(KEY_message, t->id),
                      field_number(KEY_bytes, (int64_t)t->body.size),
                      field_text(KEY_reason, reason));
}

static void turn_away(struct session *base, const char *why)
{
    struct smtp_session *s = of(base);
    smtp_say(s, SMTP_REPLY_limit_connection, why);
    s->is_quitting = true;
    smtp_continue(s);
}

/* Says a last word, if that can still be heard, and ends. */
static void end_with(struct smtp_session *s, enum smtp_reply_name name)
{
    smtp_say(s, name, NULL);
    s->is_quitting = true;
    smtp_continue(s);
}

static bool is_at_rest(const struct smtp_session *s)
{
    return !s->is_waiting && s->take == smtp_take_commands &&
           (s->transaction == NULL || ending_is_at_once(&s->base));
}

static void ask_to_end(struct session *base)
{
    struct smtp_session *s = of(base);
    if (s->base.state == SESSION_TLS)
        smtp_end(s, true);
    else if (is_at_rest(s) && !s->is_quitting)
        smtp_continue(s); /* and says why */
}

void smtp_give_up(struct smtp_session *s)
{
    smtp_replies_clear(&s->replies);
    s->is_quitting = true;
    if (s->transaction != NULL)
        smtp_transaction_end(s);
    smtp_say(s, SMTP_REPLY_out_of_memory, NULL);
}

/* ---- replies and waiting ---- */

void smtp_say(struct smtp_session *s, enum smtp_reply_name name, const char *argument)
{
    char reference[SESSION_REFERENCE_SIZE];
    s->errors += smtp_reply_code(name) >= 500;
    if (smtp_replies_add(&s->replies, name, argument, session_reference(&s->base, reference)) < 0)
        s->is_quitting = true; /* nothing can be said any more */
}

static bool is_tiresome(const struct smtp_session *s)
{
    bool is_in_text = s->server.state == SMTP_IN_CHUNKS; /* within DATA nobody asks */
    return s->junk >= JUNK_MAX || (s->errors >= ERRORS_MAX && !is_in_text);
}

/* A client that only errs or only chats is told so and leaves; in a message it may go on. */
static void send_away(struct smtp_session *s)
{
    enum smtp_reply_name name =
        s->errors >= ERRORS_MAX ? SMTP_REPLY_too_many_errors : SMTP_REPLY_too_many_commands;
    session_event(&s->base, EVENT_command_refused, field_number(KEY_code, 421),
                  field_text(KEY_reply, smtp_reply_text(name)));
    smtp_say(s, name, NULL);
    s->is_quitting = true;
}

void smtp_wait(struct smtp_session *s, enum session_state state, int64_t ms)
{
    s->is_waiting = true;
    session_state(&s->base, state);
    connection_pause(s->base.client);
    session_deadline(&s->base, ms);
}

static void wait_for(struct session *base, enum session_state state, int64_t ms)
{
    smtp_wait(of(base), state, ms);
}

/* Writes what may go. */
static void flush(struct smtp_session *s)
{
    struct span bytes = buffer_bytes(&s->replies.ready);
    if (bytes.size == 0)
        return;
    if (s->is_quitting)
        connection_write_last(s->base.client, bytes);
    else
        connection_write(s->base.client, &bytes, 1);
    buffer_consume(&s->replies.ready, bytes.size);
}

bool smtp_settle(struct smtp_session *s)
{
    if (s->is_client_gone) {
        smtp_end(s, false);
        return false;
    }
    bool was_waiting = s->is_waiting;
    s->is_waiting = false;
    if (is_at_rest(s) && session_is_to_end(&s->base) && !s->is_quitting) {
        log_abandoned(s, ending_text(&s->base));
        smtp_say(s, ending_smtp_reply(&s->base), s->base.last_word);
        s->is_quitting = true;
    }
    if (s->take == smtp_take_commands && is_tiresome(s) && !s->is_quitting)
        send_away(s);
    flush(s);
    if (s->is_quitting) {
        smtp_end(s, true);
        return false;
    }
    if (s->take == smtp_take_commands)
        session_state(&s->base,
                      s->server.state == SMTP_IN_AUTH ? SESSION_AUTH_CLIENT : SESSION_COMMAND);
    if (smtp_body_is_due(s))
        smtp_body_listen(s, was_waiting);
    else
        session_deadline(&s->base, s->base.listener->idle_timeout_ms);
    connection_resume(s->base.client);
    return true;
}

void smtp_continue(struct smtp_session *s)
{
    (void)smtp_settle(s); /* nothing is done with it afterwards */
}

/* ---- the client ---- */

static void tls_stands(struct smtp_session *s)
{
    bool is_first = s->base.listener->tls == LISTENER_TLS_IMPLICIT;
    smtp_server_secured(&s->server);
    free(s->helo); /* said in clear: forgotten (RFC 3207 section 4.2) */
    s->helo = NULL;
    if (is_first) {
        greet(&s->base);
        return;
    }
    session_show(&s->base);
    smtp_continue(s);
}

static void client_is_gone(struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    if (s->base.state == SESSION_TLS)
        session_tls_failed(&s->base, connection_error(s->base.client));
    if (t != NULL && t->data == DATA_ENDED) {
        s->is_client_gone = true; /* the answer is awaited, and logged */
        return;
    }
    log_abandoned(s, connection_error(s->base.client));
    smtp_end(s, true);
}

static void too_late(struct smtp_session *s)
{
    enum smtp_reply_name name = smtp_body_is_slow(s) ? SMTP_REPLY_too_slow : SMTP_REPLY_idle;
    log_abandoned(s, smtp_reply_text(name));
    end_with(s, name);
}

/* The handshake took too long. */
static void tls_timed_out(struct smtp_session *s)
{
    session_tls_failed(&s->base, NULL);
    smtp_end(s, true);
}

static void timed_out(struct smtp_session *s)
{
    if (session_policy_delayed(&s->base) || smtp_held_lend(s))
        return;
    if (s->base.state == SESSION_AUTH_CHECK || s->base.state == SESSION_MAILBOX_LOGIN)
        smtp_auth_timed_out(s);
    else if (s->base.state == SESSION_AUTH_DELAY)
        smtp_auth_delayed(s);
    else if (s->base.state == SESSION_DELAY)
        smtp_policy_delayed(s);
    else if (s->base.state == SESSION_TLS)
        tls_timed_out(s);
    else
        too_late(s);
}

static void on_client(void *owner, enum connection_event event, struct span *in)
{
    struct smtp_session *s = owner;
    switch (event) {
    case CONNECTION_READY: tls_stands(s); return;
    case CONNECTION_DATA:
        while (s->take(s, in))
            continue;
        return;
    case CONNECTION_DRAINED: return;
    case CONNECTION_EOF:
    case CONNECTION_FAILED: client_is_gone(s); return;
    case CONNECTION_TIMEOUT: timed_out(s); return;
    }
}

/* ---- commands ---- */

static void on_hello(struct smtp_session *s, const struct smtp_event *event)
{
    char text[640], mechanisms[LOGIN_LIST_MAX];
    uint64_t max_size;
    unsigned extensions = offered(s, &max_size);
    bool has_auth = !s->server.needs_tls && s->server.needs_auth &&
                    login_list(&s->login, mechanisms)[0] != '\0';
    smtp_reset(s);
    char *helo = malloc(event->text.size + 1);
    if (helo == NULL) {
        smtp_give_up(s);
        return;
    }
    (void)span_copy(event->text, helo, event->text.size + 1); /* fits */
    free(s->helo);
    s->helo = helo;
    smtp_server_greeted(&s->server);
    s->server.offered = event->is_extended ? extensions : 0;
    if (!event->is_extended) {
        smtp_say(s, SMTP_REPLY_hello, s->base.context->config->hostname);
        return;
    }
    (void)snprintf(text, sizeof text,
                   "%s\nPIPELINING\nSIZE %llu\nLIMITS "
                   "RCPTMAX=%lld\nCHUNKING\nENHANCEDSTATUSCODES%s%s%s%s%s%s%s%s",
                   s->base.context->config->hostname, (unsigned long long)max_size,
                   (long long)s->base.listener->max_recipients,
                   s->server.needs_tls ? "\nSTARTTLS" : "", has_auth ? "\nAUTH" : "",
                   has_auth ? mechanisms : "",
                   (extensions & SMTP_8BITMIME) != 0 ? "\n8BITMIME" : "",
                   (extensions & SMTP_SMTPUTF8) != 0 ? "\nSMTPUTF8" : "",
                   (extensions & SMTP_DSN) != 0 ? "\nDSN" : "",
                   s->server.may_tell ? "\nXCLIENT NAME ADDR PORT HELO DESTADDR DESTPORT" : "",
                   s->server.may_vouch ? " LOGIN" : ""); /* fits */
    smtp_say(s, SMTP_REPLY_hello, text);
}

/* What was pipelined behind it is thrown away by connection_start_tls. */
static void on_starttls(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    smtp_say(s, SMTP_REPLY_starttls, NULL);
    flush(s);
    if (session_start_tls(&s->base) < 0)
        smtp_give_up(s);
}

static void on_rset(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    smtp_reset(s);
    smtp_say(s, SMTP_REPLY_ok, NULL);
}

static void on_noop(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    smtp_say(s, SMTP_REPLY_ok, NULL);
}

static void on_verify(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    smtp_say(s, SMTP_REPLY_verify, NULL);
}

static void on_help(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    smtp_say(s, SMTP_REPLY_help, NULL);
}

static void on_quit(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    smtp_say(s, SMTP_REPLY_bye, NULL);
    s->is_quitting = true;
}

/* What a reply says always; what it says of this command is the reason. */
static struct span without_argument(const char *text)
{
    const char *argument = strstr(text, ": %s");
    return argument == NULL ? span_of(text) : span_make(text, (size_t)(argument - text));
}

static void on_refused(struct smtp_session *s, const struct smtp_event *event)
{
    char argument[128];
    (void)span_copy(event->text, argument, sizeof argument);
    session_event(&s->base, EVENT_command_refused, field_text(KEY_command, event->verb),
                  field_number(KEY_code, smtp_reply_code(event->refusal)),
                  field_span(KEY_reply, without_argument(smtp_reply_text(event->refusal))),
                  field_span(KEY_reason, event->text));
    if (s->server.state == SMTP_IN_AUTH) {
        login_end(&s->login); /* a line that can't be a response ends the exchange */
        smtp_server_auth_ended(&s->server, false);
    }
    s->chunk_left = event->chunk_size;
    if (s->chunk_left > 0)
        smtp_body_drop_chunk(s, event->refusal);
    else
        smtp_say(s, event->refusal, argument);
    s->is_quitting = s->is_quitting || smtp_reply_code(event->refusal) == 421;
}

typedef void command_fn(struct smtp_session *s, const struct smtp_event *event);

static command_fn *const commands[] = {
    [SMTP_EVENT_HELLO] = on_hello,
    [SMTP_EVENT_STARTTLS] = on_starttls,
    [SMTP_EVENT_AUTH] = smtp_auth_begin,
    [SMTP_EVENT_AUTH_RESPONSE] = smtp_auth_response,
    [SMTP_EVENT_AUTH_CANCEL] = smtp_auth_cancel,
    [SMTP_EVENT_MAIL] = smtp_mail,
    [SMTP_EVENT_RCPT] = smtp_rcpt,
    [SMTP_EVENT_DATA] = smtp_data,
    [SMTP_EVENT_BDAT] = smtp_bdat,
    [SMTP_EVENT_RSET] = on_rset,
    [SMTP_EVENT_NOOP] = on_noop,
    [SMTP_EVENT_VERIFY] = on_verify,
    [SMTP_EVENT_HELP] = on_help,
    [SMTP_EVENT_QUIT] = on_quit,
    [SMTP_EVENT_XCLIENT] = smtp_xclient,
    [SMTP_EVENT_REFUSED] = on_refused,
};

/* Commands that bring no message nearer. */
enum {
    JUNK = 1 << SMTP_EVENT_HELLO | 1 << SMTP_EVENT_RSET | 1 << SMTP_EVENT_NOOP |
           1 << SMTP_EVENT_VERIFY | 1 << SMTP_EVENT_HELP | 1 << SMTP_EVENT_XCLIENT,
};

/* One batch: the commands of this read, up to one that must end a group. Then whatever of them
 * needs the upstream is asked; else the replies go. */
static bool take_batch(struct smtp_session *s, struct span *in)
{
    struct smtp_event event;
    bool is_any = false;
    while (!s->is_quitting && !is_tiresome(s) && !smtp_replies_are_full(&s->replies)) {
        if (smtp_server_next(&s->server, in, &event) == 0)
            break;
        is_any = true;
        s->junk += JUNK >> event.kind & 1;
        commands[event.kind](s, &event);
        bool is_reset = s->transaction != NULL && s->transaction->ends_after_batch;
        if (event.ends_group || s->is_waiting || is_reset)
            break;
    }
    return is_any;
}

bool smtp_take_commands(struct smtp_session *s, struct span *in)
{
    while (s->take == smtp_take_commands && take_batch(s, in)) {
        if (s->base.state == SESSION_TLS)
            return false; /* STARTTLS: nothing that came before the handshake counts */
        if (s->is_waiting) {
            flush(s);
            return false;
        }
        if (smtp_replies_are_due(&s->replies)) {
            smtp_relay_run(s);
            return false;
        }
        if (!smtp_settle(s))
            return false;
    }
    return s->take != smtp_take_commands; /* a chunk stands behind */
}
