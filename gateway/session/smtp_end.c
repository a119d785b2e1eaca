/* The answer to the final dot: 250 only after the upstream's. */
#include "session/smtp.h"

static void count_message(struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    session_add(&s->base, COUNTER_messages, 1);
    session_add(&s->base, COUNTER_recipients, t->accepted);
    session_add(&s->base, COUNTER_message_bytes, (int64_t)t->body.size);
    counter_add(s->base.context->counters, COUNTER_upstream_messages, pool_server_slot(s->link), 1);
    session_count_messages(&s->base, s->base.messages + 1, 0);
}

static const char *only_recipient(const struct transaction *t)
{
    const struct recipient *r = t->first;
    while (r != NULL && r->state != RECIPIENT_ACCEPTED)
        r = r->next;
    return t->accepted == 1 && r != NULL ? r->address : "";
}

/* The first header that a rule goes by, and the message has. */
static const char *script_of(const struct transaction *t)
{
    const struct header_values *h = t->header_values;
    for (size_t i = 0; h != NULL && i < h->count; i++)
        if (h->values[i].is_there && h->values[i].size > 0)
            return header_values_find(h, h->names[i]);
    return "";
}

static void log_message(const struct smtp_session *s, enum event event, int code, struct span reply,
                        const char *reason)
{
    const struct transaction *t = s->transaction;
    const struct limit_rule *tightest = event == EVENT_message_accepted ? t->tightest.rule : NULL;
    session_event(
        &s->base, event, field_text(KEY_message, t->id),
        field_text(KEY_sender, t->sender[0] == '\0' ? "<>" : t->sender),
        field_text(KEY_author, smtp_sender_author(t)), field_text(KEY_recipient, only_recipient(t)),
        field_number(KEY_recipients, t->accepted), field_number(KEY_code, code),
        field_text(KEY_upstream,
                   s->link == NULL ? s->base.listener->upstream : pool_server_name(s->link)),
        field_number(KEY_bytes, (int64_t)t->body.size), field_text(KEY_script, script_of(t)),
        field_text(KEY_rule, tightest == NULL ? "" : tightest->name),
        tightest == NULL ? field_text(KEY_left, "") : field_number(KEY_left, t->tightest.left),
        field_seconds(KEY_duration, loop_now(s->base.context->loop) - t->started_ns),
        field_span(KEY_reply, reply), field_text(KEY_reason, reason));
}

static void log_dropped_parameters(const struct smtp_session *s)
{
    if (s->transaction->is_parameter_dropped)
        session_event(&s->base, EVENT_parameter_dropped,
                      field_text(KEY_message, s->transaction->id),
                      field_text(KEY_upstream, pool_server_name(s->link)));
}

/* All recipients were refused, and the upstream took DATA: a lone dot was sent, which it has now
 * answered. Whatever it says, nobody gets the message. */
static bool was_lone_dot(const struct transaction *t)
{
    return t->data == DATA_WANTED;
}

void smtp_final_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
    struct transaction *t = s->transaction;
    if (was_lone_dot(t)) {
        t->refusal = smtp_own_text(s, SMTP_REPLY_no_recipients, NULL, &t->refusal_code);
        smtp_body_refused(s, "no recipient is left");
        return;
    }
    if (reply->code < 200 || reply->code > 299) {
        t->refusal = smtp_upstream_text(s, SMTP_COMMAND_DOT, reply, &t->refusal_code);
        smtp_final_refused(s, "");
        return;
    }
    t->is_taken = true;
    smtp_policy_taken(s);
    count_message(s);
    log_dropped_parameters(s);
    log_message(s, EVENT_message_accepted, 250, reply->text, "");
    smtp_say(s, SMTP_REPLY_queued, t->id);
    smtp_transaction_end(s);
    s->errors = s->junk = 0;
    smtp_continue(s);
}

void smtp_final_refused(struct smtp_session *s, const char *reason)
{
    struct transaction *t = s->transaction;
    struct span text = span_of(t->refusal == NULL ? "" : t->refusal);
    bool is_to_data = smtp_replies_are_due(&s->replies);
    s->errors += t->refusal_code >= 500;
    session_add(&s->base, COUNTER_messages_refused, 1);
    if (t->denial != NULL && t->refusal == t->denial)
        reason = "policy"; /* whose decision has its own line */
    log_message(s, EVENT_message_refused, t->refusal_code, smtp_without_end(t->refusal), reason);
    int failed = text.size == 0 || (is_to_data ? smtp_replies_answer(&s->replies, text)
                                               : buffer_append(&s->replies.ready, text)) < 0;
    /* A client that goes on sending text would have it taken for commands. */
    if (failed || s->take != smtp_take_commands || t->refusal_code == 421)
        s->is_quitting = true;
    s->take = smtp_take_commands;
    smtp_transaction_end(s);
    smtp_continue(s);
}

void smtp_final_discarded(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    t->is_taken = true; /* by who wanted it so */
    session_add(&s->base, COUNTER_messages_discarded, 1);
    session_event(&s->base, EVENT_message_discarded, field_text(KEY_message, t->id),
                  field_text(KEY_sender, t->sender[0] == '\0' ? "<>" : t->sender),
                  field_text(KEY_recipient, only_recipient(t)),
                  field_number(KEY_recipients, t->accepted), field_number(KEY_code, 250),
                  field_number(KEY_bytes, (int64_t)t->body.size));
    smtp_say(s, SMTP_REPLY_discarded, t->id);
    s->take = smtp_take_commands;
    smtp_transaction_end(s);
    smtp_continue(s);
}
