/* AUTH (RFC 4954): what SMTP says to a login that begins, goes on and ends. */
#include "session/guard.h"
#include "session/policy.h"
#include "session/smtp.h"

/* The exchange is over: the reply, and back to commands. */
static void end_with(struct smtp_session *s, enum smtp_reply_name reply, const char *argument)
{
    login_end(&s->login);
    smtp_server_auth_ended(&s->server, reply == SMTP_REPLY_auth_ok);
    smtp_say(s, reply, argument);
}

static void end_exchange(struct smtp_session *s, enum smtp_reply_name reply)
{
    end_with(s, reply, "");
}

static void unavailable(struct smtp_session *s, struct span reason)
{
    session_login_unavailable(&s->base, login_mechanism(&s->login), reason);
    end_exchange(s, SMTP_REPLY_auth_unavailable);
}

static void wrong(struct smtp_session *s)
{
    smtp_wait(s, SESSION_AUTH_DELAY,
              session_login_failed(&s->base, &s->login, smtp_reply_code(SMTP_REPLY_auth_invalid)));
}

/* Not 535: nothing was found wrong with the password, and clients would ask for another. */
static void refused(struct smtp_session *s)
{
    char refusal[BAN_TEXT_SIZE];
    (void)login_is_refused(&s->login, refusal); /* it is */
    smtp_wait(s, SESSION_AUTH_DELAY,
              session_login_refused(&s->base, login_mechanism(&s->login), refusal));
}

void smtp_auth_delayed(struct smtp_session *s)
{
    char refusal[BAN_TEXT_SIZE];
    bool is_refused = login_is_refused(&s->login, refusal);
    end_with(s, is_refused ? SMTP_REPLY_auth_banned : SMTP_REPLY_auth_invalid, refusal);
    if (session_is_guessing(&s->base)) {
        smtp_say(s, SMTP_REPLY_auth_guessing, NULL);
        s->is_quitting = true;
    }
    smtp_continue(s);
}

/* His logins, or sessions, are too many: nobody is in. */
static void limited(struct smtp_session *s, const struct verdict *v)
{
    char text[VERDICT_TEXT_SIZE];
    bool is_for_good = v->kind == VERDICT_REJECT;
    smtp_own_end(s);
    session_logout(&s->base);
    end_with(s, is_for_good ? SMTP_REPLY_limit_reject : SMTP_REPLY_limit_login,
             verdict_text(v, text));
}

/* The password is right, and the account is suspended from all. */
static bool is_suspended(struct smtp_session *s)
{
    char text[SUSPENSION_TEXT_SIZE];
    if (!guard_login(&s->base, &s->login, text))
        return false;
    (void)session_login_refused(&s->base, login_mechanism(&s->login),
                                "suspended"); /* there is nothing to guess */
    smtp_own_end(s);
    session_logout(&s->base);
    end_with(s, SMTP_REPLY_auth_suspended, text);
    return true;
}

static void judged(struct session *base, const struct verdict *v)
{
    struct smtp_session *s = (struct smtp_session *)base; /* it lies at the front */
    bool is_late = base->policy.is_late;
    if (v != NULL) {
        limited(s, v);
    } else if (!is_suspended(s)) { /* nor was he just now */
        session_policy_keep(base);
        session_logged_in(base, login_mechanism(&s->login));
        s->is_login_fresh = true;
        end_exchange(s, SMTP_REPLY_auth_ok);
    }
    if (is_late)
        smtp_continue(s);
}

/* Returns whether the session goes on at once. */
static bool good(struct smtp_session *s, struct span account)
{
    if (smtp_own_credentials(s) == NULL) /* else it is the one that he has just logged in on */
        pool_give_back(s->base.context->pool, &s->link); /* it may have been told of another */
    if (session_name(&s->base, account) == 0)
        return is_suspended(s) || session_ask_policy(&s->base, STAGE_LOGIN, judged);
    smtp_give_up(s);
    return true;
}

/* The server behind has been asked (identity password): it has the last word. Returns whether the
 * session goes on at once. */
static bool take_own(struct smtp_session *s, const struct login_answer *a)
{
    if (a->result == LOGIN_CHECK) {
        smtp_wait(s, SESSION_MAILBOX_LOGIN, LOGIN_TIMEOUT_MS);
        return false;
    }
    if (a->result == LOGIN_GOOD)
        return good(s, a->text);
    session_event(&s->base, EVENT_mailbox_refused,
                  field_text(KEY_upstream, s->base.listener->upstream),
                  field_span(KEY_reason, a->text));
    if (a->result == LOGIN_WRONG)
        wrong(s);
    else
        unavailable(s, a->text);
    smtp_own_end(s);
    return a->result != LOGIN_WRONG;
}

static bool proven(struct smtp_session *s, struct span account)
{
    struct login_answer a = {.result = LOGIN_GOOD, .text = account};
    if (s->base.listener->upstream_config->identity == IDENTITY_PASSWORD)
        smtp_own_begin(s, account, &a);
    return take_own(s, &a);
}

/* Returns whether the session goes on at once. */
static bool take(struct smtp_session *s, const struct login_answer *a)
{
    switch (a->result) {
    case LOGIN_CHALLENGE: smtp_say(s, SMTP_REPLY_auth_challenge, a->challenge); break;
    case LOGIN_CHECK: smtp_wait(s, SESSION_AUTH_CHECK, LOGIN_TIMEOUT_MS); return false;
    case LOGIN_GOOD: return proven(s, a->text);
    case LOGIN_WRONG: wrong(s); return false;
    case LOGIN_REFUSED: refused(s); return false;
    case LOGIN_UNAVAILABLE: unavailable(s, a->text); break;
    case LOGIN_NOT_OFFERED: end_exchange(s, SMTP_REPLY_auth_mechanism); break;
    case LOGIN_NOT_BASE64: end_exchange(s, SMTP_REPLY_auth_base64); break;
    }
    return true;
}

void smtp_auth_answered(void *owner, const struct login_answer *a)
{
    struct smtp_session *s = owner;
    if (take(s, a))
        smtp_continue(s);
}

void smtp_auth_own_answered(struct smtp_session *s, const struct login_answer *a)
{
    if (take_own(s, a))
        smtp_continue(s);
}

void smtp_auth_begin(struct smtp_session *s, const struct smtp_event *event)
{
    struct login_answer a;
    login_begin(&s->login, event->text, event->has_response ? &event->response : NULL, &a);
    (void)take(s, &a); /* take_batch sees whether it waits */
}

void smtp_auth_response(struct smtp_session *s, const struct smtp_event *event)
{
    struct login_answer a;
    login_respond(&s->login, event->response, &a);
    (void)take(s, &a); /* as above */
}

void smtp_auth_cancel(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    end_exchange(s, SMTP_REPLY_auth_cancelled);
}

void smtp_auth_timed_out(struct smtp_session *s)
{
    unavailable(s, span_of(s->own == NULL ? "the auth process does not answer"
                                          : "the server behind does not answer"));
    smtp_own_end(s);
    smtp_continue(s);
}
