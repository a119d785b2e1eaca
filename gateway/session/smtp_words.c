/* Replies to the client about a message, ours and those of the server behind, in its arena. */
#include "base/arena.h"
#include "session/smtp.h"

enum { TEXT_MAX_SIZE = 1024 };

static const char *keep(struct transaction *t, const struct buffer *text)
{
    return arena_copy(t->arena, buffer_bytes(text));
}

const char *smtp_own_text(struct smtp_session *s, enum smtp_reply_name name, const char *argument,
                          int *code)
{
    char memory[TEXT_MAX_SIZE];
    struct buffer text = buffer_on(memory, sizeof memory);
    char reference[SESSION_REFERENCE_SIZE];
    *code = smtp_reply_code(name);
    int failed = smtp_reply_append(name, argument, session_reference(&s->base, reference), &text);
    const char *kept = failed ? NULL : keep(s->transaction, &text);
    if (kept != NULL || *code < 400)
        return kept;
    *code = 451;
    return "451 4.3.0 Out of memory; try again in a minute\r\n"; /* none would let it pass */
}

const char *smtp_upstream_text(struct smtp_session *s, enum smtp_command command,
                               const struct smtp_reply *reply, int *code)
{
    enum smtp_reply_name instead;
    bool is_admins;
    if (!smtp_replies_pass(command, reply->code, &instead, &is_admins)) {
        if (is_admins)
            session_event(&s->base, EVENT_upstream_refuses,
                          field_text(KEY_upstream, pool_server_name(s->link)),
                          field_number(KEY_code, reply->code), field_span(KEY_reply, reply->text));
        return smtp_own_text(s, instead, NULL, code);
    }
    *code = reply->code;
    return smtp_worded_text(s, reply);
}

const char *smtp_worded_text(struct smtp_session *s, const struct smtp_reply *reply)
{
    char memory[TEXT_MAX_SIZE];
    struct buffer text = buffer_on(memory, sizeof memory);
    return smtp_reply_pass(reply, &text) < 0 ? NULL : keep(s->transaction, &text);
}
