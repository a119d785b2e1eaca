/* What the client hears of its recipients: answers leave in their order, whoever gives them. */
#include "session/smtp_recipients.h"

#include <assert.h>

/* The client hears it: answers leave in the recipients' order. `text` NULL: out of memory. */
static void told(struct smtp_session *s, const struct recipient *r, const char *text)
{
    assert(s->transaction->first_unanswered == r);
    s->transaction->first_unanswered = r->next;
    if (text == NULL || smtp_replies_answer(&s->replies, span_of(text)) < 0)
        s->is_quitting = true;
}

/* Those whose turn it is, and who needed nobody to be refused. */
void smtp_recipients_answer_denied(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    struct recipient *r;
    while ((r = t->first_unanswered) != NULL && r->state == RECIPIENT_DENIED) {
        r->state = RECIPIENT_REFUSED;
        t->refused += r->denial_code >= 500;
        session_add(&s->base, COUNTER_recipients_refused, 1);
        told(s, r, r->denial);
    }
}

/* The client is told of a recipient. `text` NULL: out of memory. */
void smtp_recipient_answer(struct smtp_session *s, struct recipient *r, const char *text, int code)
{
    struct transaction *t = s->transaction;
    bool is_accepted = text != NULL && code < 300;
    r->state = is_accepted ? RECIPIENT_ACCEPTED : RECIPIENT_REFUSED;
    if (is_accepted) {
        t->accepted++;
    } else if (r->is_repeated) {
        t->lost++;
        t->lost_for_good += code >= 500;
    } else {
        t->refused += code >= 500;
        session_add(&s->base, COUNTER_recipients_refused, 1);
        session_event(&s->base, EVENT_recipient_refused, field_text(KEY_message, t->id),
                      field_text(KEY_sender, t->sender), field_text(KEY_recipient, r->address),
                      field_number(KEY_code, code),
                      field_text(KEY_upstream, s->link == NULL ? s->base.listener->upstream
                                                               : pool_server_name(s->link)),
                      field_span(KEY_reply, smtp_without_end(text)));
    }
    if (!r->is_repeated) {
        told(s, r, text);
        smtp_recipients_answer_denied(s);
    }
    r->is_repeated = false;
}

/* All recipients that still wait for an answer get the same one, those of before stay. */
void smtp_recipients_answer_rest(struct smtp_session *s, enum smtp_reply_name name)
{
    struct transaction *t = s->transaction;
    int code;
    const char *text = smtp_own_text(s, name, NULL, &code);
    for (struct recipient *r = t->first; r != NULL; r = r->next) {
        if (r->state != RECIPIENT_NEW && r->state != RECIPIENT_ASKED)
            continue;
        if (r->is_repeated) {
            r->state = RECIPIENT_ACCEPTED; /* to be asked once more, if the client goes on */
            r->is_repeated = false;
            t->accepted++;
        } else {
            smtp_recipient_answer(s, r, text, code);
        }
    }
    t->due = 0;
    t->trouble = name;
}

/* Nobody is to get the message: its recipients are everybody whom the client names. */
void smtp_recipients_answer_discarded(struct smtp_session *s)
{
    struct recipient *r;
    int code;
    const char *text = smtp_own_text(s, SMTP_REPLY_recipient_ok, NULL, &code);
    while ((r = s->transaction->first_unanswered) != NULL) {
        if (r->state == RECIPIENT_NEW)
            smtp_recipient_answer(s, r, text, code);
        else
            s->transaction->first_unanswered = r->next;
    }
}
