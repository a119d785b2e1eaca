/* AUTH (RFC 4954): base64 is decoded and bounded here, the exchange itself runs in an auth process.
 * LOGIN is PLAIN in two answers: it is put together here. */
#include "base/base64.h"
#include "session/smtp.h"

enum {
    CHALLENGE_MAX = 512, /* PLAIN and LOGIN ask for little */
    AUTH_TIMEOUT_MS = 30000,
};

static void on_answer(void *owner, const struct auth_answer *answer);

/* The mechanism as we name it, or NULL when it isn't offered. */
static const char *find_mechanism(struct span name)
{
    static const char *const offered[] = {"PLAIN", "LOGIN"};
    for (size_t i = 0; i < sizeof offered / sizeof *offered; i++)
        if (span_equals_nocase(name, offered[i]))
            return offered[i];
    return NULL;
}

/* The exchange is over: the reply, and back to commands. */
static void end_exchange(struct smtp_session *s, enum smtp_reply_name reply)
{
    auth_cancel(&s->exchange);
    buffer_clear(&s->login);
    smtp_server_auth_ended(&s->server, reply == SMTP_REPLY_auth_ok);
    smtp_say(s, reply, NULL);
}

static void unavailable(struct smtp_session *s, struct span reason)
{
    session_add(&s->base, COUNTER_logins_unavailable, 1);
    session_event(&s->base, EVENT_login_unavailable, field_span(KEY_reason, reason));
    end_exchange(s, SMTP_REPLY_auth_unavailable);
}

/* Decodes a response into `out`. "=" stands for an empty one where it comes with AUTH. Returns 0,
 * or -1: no base64. */
static int decode(struct span response, bool is_initial, char out[SMTP_AUTH_RESPONSE_MAX],
                  struct span *decoded)
{
    *decoded = span_make(out, 0);
    if (is_initial && span_equals(response, "="))
        return 0;
    ssize_t size = base64_decode(response, out, SMTP_AUTH_RESPONSE_MAX);
    if (size < 0)
        return -1;
    decoded->size = (size_t)size;
    return 0;
}

static void wrong(struct smtp_session *s)
{
    session_event(&s->base, EVENT_login_failed, field_number(KEY_code, 535));
    smtp_wait(s, SESSION_AUTH_DELAY, session_login_failed(&s->base));
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

static void challenge_bytes(struct smtp_session *s, struct span text)
{
    char encoded[BASE64_ENCODED_SIZE(CHALLENGE_MAX)];
    if (text.size > CHALLENGE_MAX) {
        unavailable(s, span_of("the challenge is too long"));
        return;
    }
    (void)base64_encode(text, encoded);
    smtp_say(s, SMTP_REPLY_auth_challenge, encoded);
}

static void challenge(struct smtp_session *s, const char *text)
{
    challenge_bytes(s, span_of(text));
}

/* Asks for PLAIN; `response` is NULL when the client waits for the challenge. */
static void ask(struct smtp_session *s, const struct span *response)
{
    s->exchange = auth_begin(s->base.context->auth, AUTH_SMTP, "PLAIN", response, on_answer, s);
    if (s->exchange == NULL)
        unavailable(s, span_of("no auth process takes it"));
    else
        smtp_wait(s, SESSION_AUTH_CHECK, AUTH_TIMEOUT_MS);
}

/* Adds a NUL and an answer to what PLAIN would say. Returns 0, or -1: no name or password is like
 * that. */
static int add_answer(struct smtp_session *s, struct span answer)
{
    return memchr(answer.data, '\0', answer.size) != NULL ||
                   buffer_append(&s->login, span_make("", 1)) < 0 ||
                   buffer_append(&s->login, answer) < 0
               ? -1
               : 0;
}

static void take_name(struct smtp_session *s, struct span name)
{
    if (add_answer(s, name) < 0)
        wrong(s);
    else
        challenge(s, "Password:");
}

static void take_password(struct smtp_session *s, struct span password)
{
    if (add_answer(s, password) < 0) {
        wrong(s);
        return;
    }
    const struct span response = buffer_bytes(&s->login);
    ask(s, &response);
    buffer_clear(&s->login);
}

void smtp_auth_begin(struct smtp_session *s, const struct smtp_event *event)
{
    char bytes[SMTP_AUTH_RESPONSE_MAX];
    struct span response;
    const char *mechanism = find_mechanism(event->text);
    if (mechanism == NULL) {
        end_exchange(s, SMTP_REPLY_auth_mechanism);
        return;
    }
    if (event->has_response && decode(event->response, true, bytes, &response) < 0) {
        end_exchange(s, SMTP_REPLY_auth_base64);
        return;
    }
    if (strcmp(mechanism, "PLAIN") == 0)
        ask(s, event->has_response ? &response : NULL);
    else if (!event->has_response)
        challenge(s, "Username:");
    else
        take_name(s, response);
    if (event->has_response)
        explicit_bzero(bytes, response.size);
}

void smtp_auth_response(struct smtp_session *s, const struct smtp_event *event)
{
    char bytes[SMTP_AUTH_RESPONSE_MAX];
    struct span response;
    if (decode(event->response, false, bytes, &response) < 0) {
        end_exchange(s, SMTP_REPLY_auth_base64);
        return;
    }
    if (s->exchange == NULL && s->login.size == 0)
        take_name(s, response);
    else if (s->exchange == NULL)
        take_password(s, response);
    else if (auth_step(s->exchange, response) < 0)
        unavailable(s, span_of("the auth process is gone"));
    else
        smtp_wait(s, SESSION_AUTH_CHECK, AUTH_TIMEOUT_MS);
    explicit_bzero(bytes, response.size);
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

/* Returns whether the session goes on at once. */
static bool done(struct smtp_session *s, const struct auth_answer *answer)
{
    s->exchange = NULL; /* freed with its answer */
    switch (answer->outcome) {
    case AUTH_GOOD:
        if (session_login(&s->base, answer->text) < 0)
            smtp_give_up(s);
        else
            end_exchange(s, SMTP_REPLY_auth_ok);
        return true;
    case AUTH_WRONG:
    case AUTH_MALFORMED: wrong(s); return false;
    case AUTH_UNAVAILABLE: unavailable(s, answer->text); break;
    }
    return true;
}

static void on_answer(void *owner, const struct auth_answer *answer)
{
    struct smtp_session *s = owner;
    if (!answer->is_done)
        challenge_bytes(s, answer->text);
    else if (!done(s, answer))
        return;
    smtp_continue(s);
}
