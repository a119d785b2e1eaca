/* POP3 up to the login: TLS, and who the user is. */
#include "session/arrival.h"
#include "session/ending.h"
#include "session/guard.h"
#include "session/kinds.h"
#include "session/policy.h"
#include "session/pop3.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    REPLIES_MAX = 16 * 1024,
    PASSWORD_MAX = 1024, /* of what the server behind can be told */
    COMMANDS_MAX = 100,  /* without a login */
    ERRORS_MAX = 10,
};

static void on_client(void *owner, enum connection_event event, struct span *in);
static void on_answer(void *owner, const struct login_answer *a);
static void take_commands(struct pop3_session *s, struct span *in);
static void wait_in(struct session *base, enum session_state state, int64_t ms);
static void greet(struct session *base);
static void turn_away(struct session *base, const char *why);
static void ask_to_end(struct session *base);
static void end_now(struct session *base);

static const struct session_kind pop3_kind = {wait_in, greet, turn_away, ask_to_end, end_now};

static struct pop3_session *of(struct session *base)
{
    return (struct pop3_session *)base; /* it lies at the front */
}

/* ---- replies and waiting ---- */

void pop3_say(struct pop3_session *s, enum pop3_reply_name name, const char *argument)
{
    char reference[SESSION_REFERENCE_SIZE];
    s->errors += pop3_reply_is_error(name);
    if (pop3_reply_append(name, argument, session_reference(&s->base, reference), &s->replies) < 0)
        s->is_quitting = true; /* nothing can be said any more */
}

void pop3_flush(struct pop3_session *s)
{
    struct span bytes = buffer_bytes(&s->replies);
    if (bytes.size == 0)
        return;
    connection_write(s->base.client, &bytes, 1);
    buffer_consume(&s->replies, bytes.size);
}

/* All that was waited for has come. Returns false when the session has ended. */
static bool settle(struct pop3_session *s)
{
    s->is_waiting = false;
    if (session_is_to_end(&s->base) && !s->is_quitting) {
        pop3_say(s, ending_pop3_reply(&s->base), s->base.last_word);
        s->is_quitting = true;
    }
    if (!s->is_quitting && (s->errors >= ERRORS_MAX || s->commands >= COMMANDS_MAX)) {
        pop3_say(s, POP3_REPLY_too_many_errors, NULL);
        s->is_quitting = true;
    }
    if (s->is_quitting) {
        pop3_end(s, true);
        return false;
    }
    pop3_flush(s);
    session_state(&s->base, SESSION_LOGIN);
    session_deadline(&s->base, s->base.listener->idle_timeout_ms);
    connection_resume(s->base.client);
    return true;
}

void pop3_continue(struct pop3_session *s)
{
    (void)settle(s); /* nothing is done with it afterwards */
}

static void wait_for(struct pop3_session *s, enum session_state state, int64_t ms)
{
    s->is_waiting = true;
    session_state(&s->base, state);
    connection_pause(s->base.client);
    session_deadline(&s->base, ms);
}

static void wait_in(struct session *base, enum session_state state, int64_t ms)
{
    wait_for(of(base), state, ms);
}

/* ---- beginning and end ---- */

static void greet(struct session *base)
{
    struct pop3_session *s = of(base);
    pop3_say(s, POP3_REPLY_greeting, s->base.context->config->hostname);
    session_show(&s->base);
    pop3_continue(s);
}

int pop3_session_create(struct registry *r, const struct listener_config *listener, int row, int fd,
                        const struct address *peer)
{
    struct pop3_session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)close(fd); /* nothing was written */
        return -1;
    }
    s->server.state = POP3_CLEAR;
    s->replies.limit = REPLIES_MAX;
    login_init(&s->login, &s->base, AUTH_POP3, on_answer, s);
    s->take = take_commands;
    session_begin(&s->base, r, &pop3_kind, listener, row, peer);
    session_arrive(&s->base, fd, peer, on_client);
    return 0;
}

void pop3_end(struct pop3_session *s, bool is_polite)
{
    struct servers *servers = s->base.context->servers;
    struct server *permit = s->permit;
    if (is_polite)
        pop3_flush(s);
    login_end(&s->login);
    loop_not_soon(&s->opening);
    waiter_stop(&s->waiter);
    pop3_link_close(&s->link);
    if (s->upstream != NULL)
        pop3_tunnel_end(s);
    connection_close(&s->upstream); /* without QUIT: nothing is deleted that was not asked for */
    s->permit = NULL;
    buffer_clear(&s->replies);
    free(s->user);
    s->base.is_polite = is_polite;
    session_destroy(&s->base);
    if (permit != NULL)
        server_return(servers, permit);
}

static void end_now(struct session *base)
{
    pop3_end(of(base), true);
}

static void turn_away(struct session *base, const char *why)
{
    struct pop3_session *s = of(base);
    pop3_say(s, POP3_REPLY_limit_connection, why);
    s->is_quitting = true;
    pop3_continue(s);
}

static void end_with(struct pop3_session *s, enum pop3_reply_name name)
{
    pop3_say(s, name, NULL);
    pop3_end(s, true);
}

static void ask_to_end(struct session *base)
{
    struct pop3_session *s = of(base);
    if (s->upstream != NULL)
        pop3_tunnel_ask_to_end(s);
    else if (s->base.state == SESSION_TLS)
        pop3_end(s, true);
    else if (!s->is_waiting)
        pop3_continue(s); /* and says why */
}

/* ---- the login ---- */

void pop3_refuse_login(struct pop3_session *s, enum pop3_reply_name name, const char *argument)
{
    login_end(&s->login);
    session_logout(&s->base);
    pop3_server_login_ended(&s->server);
    pop3_say(s, name, argument);
}

bool pop3_is_suspended(struct pop3_session *s)
{
    char text[SUSPENSION_TEXT_SIZE];
    if (!guard_login(&s->base, &s->login, text))
        return false;
    (void)session_login_refused(&s->base, login_mechanism(&s->login),
                                "suspended"); /* there is nothing to guess */
    pop3_refuse_login(s, POP3_REPLY_auth_suspended, text);
    return true;
}

/* His logins, or sessions, are too many. */
void pop3_limit_login(struct pop3_session *s, const struct verdict *v)
{
    char text[VERDICT_TEXT_SIZE];
    enum pop3_reply_name name = v->kind == VERDICT_REJECT        ? POP3_REPLY_limit_reject
                                : v->rule == NULL                ? POP3_REPLY_limit_connection
                                : v->rule->count == LIMIT_LOGINS ? POP3_REPLY_limit_logins
                                                                 : POP3_REPLY_limit_sessions;
    pop3_refuse_login(s, name, verdict_text(v, text));
}

static void open_mailbox(struct pop3_session *s)
{
    wait_for(s, SESSION_UPSTREAM, 0);
    pop3_mailbox_open(s);
}

static void judged(struct session *base, const struct verdict *refused)
{
    struct pop3_session *s = of(base);
    if (refused == NULL && !pop3_is_suspended(s)) { /* nor was he just now */
        session_logged_in(base, login_mechanism(&s->login));
        open_mailbox(s);
        return;
    }
    s->is_waiting = false;
    if (refused != NULL)
        pop3_limit_login(s, refused);
    if (base->policy.is_late)
        pop3_continue(s);
}

/* What isn't proven yet is counted when it is: strangers could use up an owner's logins. */
static void logged_in(struct pop3_session *s, struct span account)
{
    if (session_name(&s->base, account) < 0) {
        pop3_say(s, POP3_REPLY_out_of_memory, NULL);
        s->is_quitting = true;
    } else if (login_is_unproven(&s->login)) {
        open_mailbox(s);
    } else if (!pop3_is_suspended(s)) {
        (void)session_ask_policy(&s->base, STAGE_LOGIN, judged); /* it waits, or was told */
    }
}

static void unavailable(struct pop3_session *s, struct span reason)
{
    session_login_unavailable(&s->base, login_mechanism(&s->login), reason);
    pop3_refuse_login(s, POP3_REPLY_auth_unavailable, NULL);
}

static void wrong(struct pop3_session *s)
{
    wait_for(s, SESSION_AUTH_DELAY, session_login_failed(&s->base, &s->login, 0));
}

/* Not [AUTH]: nothing was found wrong with the password, and clients would ask for another. */
static void refused(struct pop3_session *s)
{
    char refusal[BAN_TEXT_SIZE];
    (void)login_is_refused(&s->login, refusal); /* it is */
    wait_for(s, SESSION_AUTH_DELAY,
             session_login_refused(&s->base, login_mechanism(&s->login), refusal));
}

void pop3_login_wrong(struct pop3_session *s)
{
    session_logout(&s->base);
    wrong(s);
}

static void delayed(struct pop3_session *s)
{
    char refusal[BAN_TEXT_SIZE];
    bool is_refused = login_is_refused(&s->login, refusal);
    pop3_refuse_login(s, is_refused ? POP3_REPLY_auth_banned : POP3_REPLY_auth_invalid, refusal);
    s->is_quitting = s->is_quitting || session_is_guessing(&s->base);
    pop3_continue(s);
}

/* Name and password go to the server behind in a line each. */
static bool can_be_told(const struct login *l)
{
    struct span password = login_password(l);
    return password.size <= PASSWORD_MAX && !line_has_control(password) &&
           !line_has_control(login_user(l));
}

static void take(struct pop3_session *s, const struct login_answer *a)
{
    switch (a->result) {
    case LOGIN_CHALLENGE: pop3_say(s, POP3_REPLY_auth_continue, a->challenge); return;
    case LOGIN_CHECK: wait_for(s, SESSION_AUTH_CHECK, LOGIN_TIMEOUT_MS); return;
    case LOGIN_GOOD: logged_in(s, a->text); return;
    case LOGIN_WRONG: wrong(s); return;
    case LOGIN_REFUSED: refused(s); return;
    case LOGIN_UNAVAILABLE: unavailable(s, a->text); return;
    case LOGIN_NOT_OFFERED: pop3_refuse_login(s, POP3_REPLY_auth_mechanism, NULL); return;
    case LOGIN_NOT_BASE64: pop3_refuse_login(s, POP3_REPLY_auth_base64, NULL); return;
    }
}

static void on_answer(void *owner, const struct login_answer *a)
{
    struct pop3_session *s = owner;
    bool is_useless = a->result == LOGIN_GOOD && !can_be_told(&s->login);
    if (is_useless || a->result == LOGIN_WRONG) {
        wrong(s);
        return;
    }
    s->is_waiting = false;
    take(s, a);
    if (!s->is_waiting)
        pop3_continue(s);
}

/* ---- commands ---- */

static void on_capa(struct pop3_session *s, const struct pop3_event *event)
{
    bool is_secure = s->server.state != POP3_CLEAR;
    char mechanisms[LOGIN_LIST_MAX];
    const struct pop3_capabilities behind =
        servers_pop3_offer(s->base.context->servers, s->base.listener->upstream_config);
    (void)event;
    int failed = buffer_append(&s->replies, span_of("+OK Capability list follows\r\n"));
    failed |= pop3_capabilities_append(&behind, &s->replies);
    failed |= buffer_append(&s->replies, span_of("RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
                                                 "IMPLEMENTATION Porteiro\r\n"));
    if (!is_secure)
        failed |= buffer_append(&s->replies, span_of("STLS\r\n"));
    if (is_secure && login_takes_passwords(&s->login))
        failed |= buffer_append(&s->replies, span_of("USER\r\n"));
    if (is_secure && login_list(&s->login, mechanisms)[0] != '\0')
        failed |= buffer_printf(&s->replies, "SASL%s\r\n", mechanisms);
    failed |= buffer_append(&s->replies, span_of(".\r\n"));
    s->is_quitting = s->is_quitting || failed;
}

/* The mode is the server's: it is told so before the login there. */
static void on_utf8(struct pop3_session *s, const struct pop3_event *event)
{
    const struct pop3_capabilities behind =
        servers_pop3_offer(s->base.context->servers, s->base.listener->upstream_config);
    (void)event;
    s->is_utf8 = (behind.offered & POP3_UTF8) != 0;
    pop3_say(s, s->is_utf8 ? POP3_REPLY_utf8 : POP3_REPLY_unknown_command, NULL);
}

/* What was pipelined behind it is thrown away by connection_start_tls. */
static void on_stls(struct pop3_session *s, const struct pop3_event *event)
{
    (void)event;
    pop3_say(s, POP3_REPLY_starttls, NULL);
    pop3_flush(s);
    if (session_start_tls(&s->base) < 0)
        s->is_quitting = true;
}

static void on_user(struct pop3_session *s, const struct pop3_event *event)
{
    if (!login_takes_passwords(&s->login)) {
        pop3_refuse_login(s, POP3_REPLY_auth_mechanism, NULL);
        return;
    }
    char *user = malloc(event->text.size + 1);
    if (user == NULL) {
        s->is_quitting = true;
        return;
    }
    (void)span_copy(event->text, user, event->text.size + 1); /* fits */
    free(s->user);
    s->user = user;
    pop3_say(s, POP3_REPLY_user_ok, NULL);
}

static void on_pass(struct pop3_session *s, const struct pop3_event *event)
{
    struct login_answer a;
    login_with_password(&s->login, span_of(s->user), event->text, &a);
    take(s, &a);
}

/* AUTH by itself asks which there are, a line each. */
static void list_mechanisms(struct pop3_session *s)
{
    char mechanisms[LOGIN_LIST_MAX];
    struct span rest = span_of(login_list(&s->login, mechanisms));
    int failed = buffer_append(&s->replies, span_of("+OK Mechanisms follow\r\n"));
    (void)span_split(&rest, ' '); /* before the first space is nothing */
    while (rest.size > 0) {
        failed |= buffer_append(&s->replies, span_split(&rest, ' '));
        failed |= buffer_append(&s->replies, span_of("\r\n"));
    }
    failed |= buffer_append(&s->replies, span_of(".\r\n"));
    s->is_quitting = s->is_quitting || failed;
}

static void on_auth(struct pop3_session *s, const struct pop3_event *event)
{
    struct login_answer a;
    if (event->text.size == 0) {
        list_mechanisms(s);
        return;
    }
    login_begin(&s->login, event->text, event->has_response ? &event->response : NULL, &a);
    take(s, &a);
}

static void on_auth_response(struct pop3_session *s, const struct pop3_event *event)
{
    struct login_answer a;
    login_respond(&s->login, event->response, &a);
    take(s, &a);
}

static void on_auth_cancel(struct pop3_session *s, const struct pop3_event *event)
{
    (void)event;
    pop3_refuse_login(s, POP3_REPLY_auth_cancelled, NULL);
}

static void on_quit(struct pop3_session *s, const struct pop3_event *event)
{
    (void)event;
    pop3_say(s, POP3_REPLY_bye, NULL);
    s->is_quitting = true;
}

static void on_refused(struct pop3_session *s, const struct pop3_event *event)
{
    char argument[64];
    (void)span_copy(event->text, argument, sizeof argument);
    if (s->server.state == POP3_IN_AUTH) {
        login_end(&s->login); /* a line that can't be a response ends the exchange */
        pop3_server_login_ended(&s->server);
    }
    pop3_say(s, event->refusal, argument);
    s->is_quitting = s->is_quitting || event->refusal == POP3_REPLY_no_mail_client;
}

typedef void command_fn(struct pop3_session *s, const struct pop3_event *event);

static command_fn *const commands[] = {
    [POP3_EVENT_CAPA] = on_capa,
    [POP3_EVENT_STLS] = on_stls,
    [POP3_EVENT_UTF8] = on_utf8,
    [POP3_EVENT_USER] = on_user,
    [POP3_EVENT_PASS] = on_pass,
    [POP3_EVENT_AUTH] = on_auth,
    [POP3_EVENT_AUTH_RESPONSE] = on_auth_response,
    [POP3_EVENT_AUTH_CANCEL] = on_auth_cancel,
    [POP3_EVENT_QUIT] = on_quit,
    [POP3_EVENT_REFUSED] = on_refused,
};

static void take_commands(struct pop3_session *s, struct span *in)
{
    struct pop3_event event;
    while (pop3_server_next(&s->server, in, &event) == 1) {
        s->commands++;
        commands[event.kind](s, &event);
        if (s->base.state == SESSION_TLS)
            return; /* STLS: nothing that came before the handshake counts */
        if (s->is_waiting) {
            pop3_flush(s);
            return;
        }
        if (!settle(s))
            return;
    }
}

/* ---- the client ---- */

static void client_is_gone(struct pop3_session *s, bool is_dead)
{
    if (s->upstream != NULL) {
        pop3_tunnel_client_gone(s, is_dead);
        return;
    }
    if (s->base.state == SESSION_TLS)
        session_tls_failed(&s->base, connection_error(s->base.client));
    pop3_end(s, true);
}

static void timed_out(struct pop3_session *s)
{
    if (session_policy_delayed(&s->base))
        return;
    if (s->upstream != NULL) {
        pop3_tunnel_timed_out(s);
    } else if (s->base.state == SESSION_AUTH_CHECK) {
        unavailable(s, span_of("the auth process does not answer"));
        pop3_continue(s);
    } else if (s->base.state == SESSION_AUTH_DELAY) {
        delayed(s);
    } else if (s->base.state == SESSION_TLS) {
        session_tls_failed(&s->base, NULL);
        pop3_end(s, true);
    } else {
        end_with(s, POP3_REPLY_idle);
    }
}

static void on_client(void *owner, enum connection_event event, struct span *in)
{
    struct pop3_session *s = owner;
    switch (event) {
    case CONNECTION_READY:
        pop3_server_secured(&s->server);
        if (s->base.listener->tls == LISTENER_TLS_IMPLICIT) {
            greet(&s->base);
            return;
        }
        session_show(&s->base);
        pop3_continue(s);
        return;
    case CONNECTION_DATA: s->take(s, in); return;
    case CONNECTION_DRAINED:
        if (s->upstream != NULL)
            pop3_tunnel_drained(s);
        return;
    case CONNECTION_EOF: client_is_gone(s, false); return;
    case CONNECTION_FAILED: client_is_gone(s, true); return;
    case CONNECTION_TIMEOUT: timed_out(s); return;
    }
}
