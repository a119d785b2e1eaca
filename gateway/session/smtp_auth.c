/* AUTH (RFC 4954): what SMTP says to a login that begins, goes on and ends. */
#include "session/smtp.h"

/* The exchange is over: the reply, and back to commands. */
static void end_exchange(struct smtp_session *s, enum smtp_reply_name reply)
{
    login_end(&s->login);
    smtp_server_auth_ended(&s->server, reply == SMTP_REPLY_auth_ok);
    smtp_say(s, reply, NULL);
}

static void unavailable(struct smtp_session *s, struct span reason)
{
    session_login_unavailable(&s->base, login_mechanism(&s->login), reason);
    end_exchange(s, SMTP_REPLY_auth_unavailable);
}

static void wrong(struct smtp_session *s)
{
    smtp_wait(s, SESSION_AUTH_DELAY,
              session_login_failed(&s->base, login_mechanism(&s->login),
                                   smtp_reply_code(SMTP_REPLY_auth_invalid)));
}

void smtp_auth_delayed(struct smtp_session *s)
{
    end_exchange(s, SMTP_REPLY_auth_invalid);
    if (session_is_guessing(&s->base)) {
        smtp_say(s, SMTP_REPLY_auth_guessing, NULL);
        s->is_quitting = true;
    }
    smtp_continue(s);
}

static void good(struct smtp_session *s, struct span account)
{
    if (session_login(&s->base, account, login_mechanism(&s->login)) < 0)
        smtp_give_up(s);
    else
        end_exchange(s, SMTP_REPLY_auth_ok);
}

static void take(struct smtp_session *s, const struct login_answer *a)
{
    switch (a->result) {
    case LOGIN_CHALLENGE: smtp_say(s, SMTP_REPLY_auth_challenge, a->challenge); return;
    case LOGIN_CHECK: smtp_wait(s, SESSION_AUTH_CHECK, LOGIN_TIMEOUT_MS); return;
    case LOGIN_GOOD: good(s, a->text); return;
    case LOGIN_WRONG: wrong(s); return;
    case LOGIN_UNAVAILABLE: unavailable(s, a->text); return;
    case LOGIN_NOT_OFFERED: end_exchange(s, SMTP_REPLY_auth_mechanism); return;
    case LOGIN_NOT_BASE64: end_exchange(s, SMTP_REPLY_auth_base64); return;
    }
}

void smtp_auth_answered(void *owner, const struct login_answer *a)
{
    struct smtp_session *s = owner;
    take(s, a);
    if (a->result != LOGIN_WRONG)
        smtp_continue(s);
}

void smtp_auth_begin(struct smtp_session *s, const struct smtp_event *event)
{
    struct login_answer a;
    login_begin(&s->login, event->text, event->has_response ? &event->response : NULL, &a);
    take(s, &a);
}

void smtp_auth_response(struct smtp_session *s, const struct smtp_event *event)
{
    struct login_answer a;
    login_respond(&s->login, event->response, &a);
    take(s, &a);
}

void smtp_auth_cancel(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    end_exchange(s, SMTP_REPLY_auth_cancelled);
}

void smtp_auth_timed_out(struct smtp_session *s)
{
    unavailable(s, span_of("the auth process does not answer"));
    smtp_continue(s);
}
