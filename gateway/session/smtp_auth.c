/* AUTH (RFC 4954): base64 is decoded and bounded here, the exchange itself runs in an auth process.
 */
#include "base/base64.h"
#include "session/smtp.h"

enum {
    RESPONSE_MAX = 9216, /* decoded, of lines of 12,288 octets */
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
    smtp_server_auth_ended(&s->server, reply == SMTP_REPLY_auth_ok);
    smtp_say(s, reply, NULL);
}

static void unavailable(struct smtp_session *s, const char *reason)
{
    session_add(&s->base, COUNTER_logins_unavailable, 1);
    session_event(&s->base, EVENT_login_unavailable, field_text(KEY_reason, reason));
    end_exchange(s, SMTP_REPLY_auth_unavailable);
}

/* Decodes a response into `out`. "=" stands for an empty one where it comes with AUTH. Returns 0,
 * or -1: no base64. */
static int decode(struct span response, bool is_initial, char out[RESPONSE_MAX],
                  struct span *decoded)
{
    *decoded = span_make(out, 0);
    if (is_initial && span_equals(response, "="))
        return 0;
    ssize_t size = base64_decode(response, out, RESPONSE_MAX);
    if (size < 0)
        return -1;
    decoded->size = (size_t)size;
    return 0;
}

void smtp_auth_begin(struct smtp_session *s, const struct smtp_event *event)
{
    char bytes[RESPONSE_MAX];
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
    s->exchange = auth_begin(s->base.context->auth, AUTH_SMTP, mechanism,
                             event->has_response ? &response : NULL, on_answer, s);
    if (event->has_response)
        explicit_bzero(bytes, response.size);
    if (s->exchange == NULL)
        unavailable(s, "no auth process takes it");
    else
        smtp_wait(s, SESSION_AUTH_CHECK, AUTH_TIMEOUT_MS);
}

void smtp_auth_response(struct smtp_session *s, const struct smtp_event *event)
{
    char bytes[RESPONSE_MAX];
    struct span response;
    if (decode(event->response, false, bytes, &response) < 0) {
        end_exchange(s, SMTP_REPLY_auth_base64);
        return;
    }
    int failed = s->exchange == NULL || auth_step(s->exchange, response) < 0;
    explicit_bzero(bytes, response.size);
    if (failed)
        unavailable(s, "the auth process is gone");
    else
        smtp_wait(s, SESSION_AUTH_CHECK, AUTH_TIMEOUT_MS);
}

void smtp_auth_cancel(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    end_exchange(s, SMTP_REPLY_auth_cancelled);
}

void smtp_auth_timed_out(struct smtp_session *s)
{
    unavailable(s, "the auth process does not answer");
    smtp_continue(s);
}

static void challenge(struct smtp_session *s, struct span text)
{
    char encoded[BASE64_ENCODED_SIZE(CHALLENGE_MAX)];
    if (text.size > CHALLENGE_MAX) {
        unavailable(s, "the challenge is too long");
        return;
    }
    (void)base64_encode(text, encoded);
    smtp_say(s, SMTP_REPLY_auth_challenge, encoded);
}

static void done(struct smtp_session *s, const struct auth_answer *answer)
{
    s->exchange = NULL; /* freed with its answer */
    switch (answer->outcome) {
    case AUTH_GOOD:
        if (session_login(&s->base, answer->text) < 0)
            smtp_give_up(s);
        else
            end_exchange(s, SMTP_REPLY_auth_ok);
        return;
    case AUTH_WRONG:
    case AUTH_MALFORMED:
        session_add(&s->base, COUNTER_login_failures, 1);
        session_event(&s->base, EVENT_login_failed, field_number(KEY_code, 535));
        end_exchange(s, SMTP_REPLY_auth_invalid);
        return;
    case AUTH_UNAVAILABLE: unavailable(s, "the password store or its process is away"); return;
    }
}

static void on_answer(void *owner, const struct auth_answer *answer)
{
    struct smtp_session *s = owner;
    if (answer->is_done)
        done(s, answer);
    else
        challenge(s, answer->text);
    smtp_continue(s);
}
