/* MAIL and RCPT, DATA and BDAT, as the client gives them: what a message begins with. */
#include "base/arena.h"
#include "decision/outside.h"
#include "session/access.h"
#include "session/guard.h"
#include "session/policy.h"
#include "session/smtp_filter.h"
#include "session/smtp_held.h"

#include "base/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    ARENA_BASE = 64 * 1024,
    ARENA_RECIPIENT = 1400, /* the longest address with the longest parameters */
    ARENA_DENIAL = SMTP_REPLY_LINE_MAX + 3,
    ARENA_RECEIPT = sizeof(struct receipt) + STORE_KEY_MAX, /* of a limit, for each recipient */
    OVERSHOOT = 1000, /* a client may not know the limit; past it, it doesn't listen */
};

static const char *keep(struct transaction *t, struct span text)
{
    return arena_copy(t->arena, text);
}

/* A transaction with what MAIL has said, or NULL without memory. */
static struct transaction *begin(struct smtp_session *s, const struct smtp_event *event)
{
    const struct smtp_parameters *p = &event->parameters;
    const struct policy *policy = s->base.listener->policy_rules;
    size_t limits = policy == NULL ? 0 : policy->limit_count;
    struct arena *arena =
        arena_create(ARENA_BASE + (size_t)s->base.listener->max_recipients *
                                      (ARENA_RECIPIENT + ARENA_DENIAL + limits * ARENA_RECEIPT));
    struct transaction *t = arena == NULL ? NULL : arena_alloc(arena, sizeof *t);
    if (t == NULL) {
        arena_destroy(&arena);
        return NULL;
    }
    t->arena = arena;
    t->last = &t->first;
    t->started_ns = loop_now(s->base.context->loop);
    t->sender = keep(t, event->path.address);
    t->body_type = keep(t, p->body);
    t->ret = keep(t, p->ret);
    t->envid = keep(t, p->envid);
    t->auth = keep(t, p->auth);
    t->is_smtputf8 = p->is_smtputf8;
    t->declared_size = p->size;
    t->trouble = SMTP_REPLY_upstream_lost;
    session_new_id(&s->base, t->id);
    return t; /* the first block has room for all of it */
}

/* The answer to MAIL: no message begins. */
static void refuse_mail(struct smtp_session *s, enum smtp_reply_name name, const char *argument,
                        const char *reason)
{
    smtp_say(s, name, argument);
    session_event(&s->base, EVENT_message_refused, field_number(KEY_code, smtp_reply_code(name)),
                  field_text(KEY_reason, reason));
    session_add(&s->base, COUNTER_messages_refused, 1);
}

static void refuse_size(struct smtp_session *s)
{
    char max[24];
    (void)snprintf(max, sizeof max, "%" PRId64, s->base.listener->max_message_size); /* fits */
    refuse_mail(s, SMTP_REPLY_too_big, max, "SIZE is more than max_message_size");
}

static bool is_suspended(struct smtp_session *s)
{
    char text[SUSPENSION_TEXT_SIZE];
    if (!guard_sending(&s->base, text))
        return false;
    refuse_mail(s, SMTP_REPLY_sending_suspended, text, "suspended");
    return true;
}

static bool is_from_another(struct smtp_session *s, const struct smtp_event *event)
{
    char text[SENDER_TEXT_SIZE];
    if (smtp_sender_mail(s, event, text))
        return false;
    refuse_mail(s, SMTP_REPLY_sender_not_own, text, "policy"); /* as the decision's line says */
    return true;
}

/* Where, or when, his messages aren't taken. */
static bool is_let_in(struct smtp_session *s, const struct smtp_event *event)
{
    char sender[320], text[VERDICT_TEXT_SIZE];
    struct access_refusal refusal;
    (void)span_copy(event->path.address, sender, sizeof sender); /* fits */
    if (session_is_let_in(&s->base,
                          smtp_trusted_header(s) == NULL ? ACCOUNT_KNOWN : ACCOUNT_TO_COME, "",
                          sender, &refusal))
        return true;
    smtp_say(s, SMTP_REPLY_limit_reject, access_text(&refusal, text, sizeof text));
    return false;
}

void smtp_mail(struct smtp_session *s, const struct smtp_event *event)
{
    if (event->parameters.size > (uint64_t)s->base.listener->max_message_size) {
        smtp_server_envelope_ended(&s->server);
        refuse_size(s);
        return;
    }
    s->is_login_fresh = false;
    if (!smtp_trusted_mail(s, event) || is_suspended(s) || !is_let_in(s, event) ||
        is_from_another(s, event)) {
        smtp_trusted_mail_ended(s);
        smtp_server_envelope_ended(&s->server);
        return;
    }
    assert(s->transaction == NULL);
    s->transaction = begin(s, event);
    if (s->transaction == NULL || smtp_filter_begin(s) < 0) {
        smtp_give_up(s);
        return;
    }
    bool is_due = smtp_policy_asks(s, STAGE_MAIL) || smtp_filter_asks(s);
    if (is_due && smtp_replies_expect(&s->replies) < 0) {
        smtp_give_up(s);
        return;
    }
    s->transaction->account_header = smtp_trusted_header(s);
    s->transaction->is_mail_due = is_due;
    if (!is_due)
        smtp_say(s, SMTP_REPLY_sender_ok, NULL);
}

void smtp_rcpt(struct smtp_session *s, const struct smtp_event *event)
{
    struct transaction *t = s->transaction;
    struct recipient *r = NULL;
    char max[24];
    bool is_utf8 = event->path.is_utf8 || utf8_has_non_ascii(event->parameters.orcpt);
    if (is_utf8 && !t->is_smtputf8) {
        smtp_say(s, SMTP_REPLY_needs_smtputf8, NULL);
        return;
    }
    if (t->count < (unsigned)s->base.listener->max_recipients)
        r = arena_alloc(t->arena, sizeof *r);
    if (r != NULL) {
        r->address = keep(t, event->path.address);
        r->notify = keep(t, event->parameters.notify);
        r->orcpt = keep(t, event->parameters.orcpt);
    }
    if (r == NULL || r->address == NULL || r->notify == NULL || r->orcpt == NULL ||
        smtp_replies_expect(&s->replies) < 0) {
        (void)snprintf(max, sizeof max, "%" PRId64, s->base.listener->max_recipients); /* fits */
        smtp_say(s, SMTP_REPLY_too_many_recipients, max);
        s->errors += ++t->overshot > OVERSHOOT;
        return;
    }
    *t->last = r;
    t->last = &r->next;
    t->count++;
    if (t->first_unanswered == NULL)
        t->first_unanswered = r;
    if (t->first_unjudged == NULL &&
        (t->is_mail_due || smtp_policy_asks(s, STAGE_RCPT) || smtp_filter_asks(s)))
        t->first_unjudged = r;
}

void smtp_data(struct smtp_session *s, const struct smtp_event *event)
{
    (void)event;
    if (smtp_replies_expect(&s->replies) < 0)
        smtp_give_up(s);
    else
        s->transaction->data = DATA_WANTED;
}

void smtp_bdat(struct smtp_session *s, const struct smtp_event *event)
{
    struct transaction *t = s->transaction;
    s->chunk_size = s->chunk_left = event->chunk_size;
    t->is_last_chunk = event->is_last;
    s->junk += event->chunk_size == 0 && !event->is_last;
    if (t->is_chunked) {
        smtp_body_chunk(s);
        return;
    }
    t->is_chunked = true;
    smtp_data(s, event);
}

void smtp_reset(struct smtp_session *s)
{
    if (s->transaction == NULL)
        return;
    if (smtp_replies_are_due(&s->replies))
        s->transaction->ends_after_batch = true;
    else
        smtp_transaction_end(s);
}

void smtp_transaction_end(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    struct pool *pool = s->base.context->pool;
    if (t == NULL)
        return;
    decision_destroy(&t->decision);
    outside_destroy(&t->outside);
    if (!t->is_taken)
        smtp_policy_give_back(s, true);
    smtp_filter_message_ended(s);
    s->transaction = NULL;
    s->errors += t->refused; /* of a message that was taken they are forgiven */
    if (t->is_taking)
        pool_cancel(pool, &t->request);
    if (s->link != NULL && (smtp_link_is_in_text(s->link) || t->is_data_sent))
        pool_discard(pool, &s->link); /* a text that has begun is abandoned by closing alone */
    else if (s->link != NULL && smtp_link_is_told(s->link))
        smtp_link_reset(s->link);
    else
        pool_give_back(pool, &s->link);
    smtp_trusted_mail_ended(s);
    smtp_server_envelope_ended(&s->server);
    smtp_held_end(t);
    buffer_clear(&t->header_text);
    buffer_clear(&t->prepended);
    struct arena *arena = t->arena;
    arena_destroy(&arena);
}
