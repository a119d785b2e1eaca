/* A batch is told in one go: MAIL, and behind it the recipients that policy has let pass. Whatever
 * milters say of it is known before anything of it goes up. Once they have let the message go to
 * nobody, they hear no more of it; it is taken from the client to its end all the same. */
#include "session/smtp_filter.h"

#include "base/arena.h"
#include "session/guard.h"
#include "session/policy.h"
#include "session/smtp_held.h"

#include <stdio.h>

enum {
    PATIENCE_MS = 10000, /* while recipients are asked about: others may have the connection then */
};

/* What there is of one message; lies in the transaction's arena. */
struct smtp_filtering {
    bool is_told; /* MAIL was told, and nothing has ended it since */
    unsigned due; /* answers to what was asked */
    smtp_judged_fn *judged, *data_judged;
    bool is_data_told;       /* behind recipients of its batch, or alone */
    const char *data_denial; /* what was said of it; NULL: nothing against it */
    int data_code;
    bool uses[];
};

static void answered(void *owner, const struct milter_event *event);

/* ---- for whom ---- */

/* Whose message it is may be known when the headers are over: then it is anybody's until then. */
static bool is_for(const struct smtp_session *s, const struct milter_config *m,
                   const struct policy_facts *f)
{
    bool is_by_account = m->when.accounts.count > 0 || m->except.accounts.count > 0;
    if (is_by_account && smtp_trusted_header(s) != NULL)
        return true;
    return match_holds(&m->when, f) && (match_is_empty(&m->except) || !match_holds(&m->except, f));
}

/* Out of those that the listener has; returns whether there is any. */
static bool choose(struct smtp_session *s, bool *uses)
{
    const struct listener_config *l = s->base.listener;
    struct policy_facts f = session_facts(&s->base);
    bool is_any = false;
    f.sender = s->transaction->sender;
    for (size_t i = 0; i < l->milter_count; i++) {
        uses[i] = is_for(s, l->milters[i], &f);
        is_any = is_any || uses[i];
    }
    return is_any;
}

int smtp_filter_begin(struct smtp_session *s)
{
    const struct listener_config *l = s->base.listener;
    struct transaction *t = s->transaction;
    if (l->milter_count == 0)
        return 0;
    struct smtp_filtering *f = arena_alloc(t->arena, sizeof *f + l->milter_count * sizeof *f->uses);
    if (f == NULL)
        return -1;
    if (!choose(s, f->uses))
        return 0;
    const struct milter_options options = {.milters = s->base.context->milters,
                                           .listener = l,
                                           .fn = answered,
                                           .macro = smtp_filter_macro,
                                           .owner = s};
    if (s->milters == NULL)
        s->milters = milter_chain_create(&options);
    if (s->milters == NULL)
        return -1;
    t->filtering = f;
    return 0;
}

bool smtp_filter_asks(const struct smtp_session *s)
{
    return s->transaction->filtering != NULL && !s->transaction->is_discarded;
}

/* Nothing of the message is told any more. */
static void stop(struct smtp_session *s)
{
    struct smtp_filtering *f = s->transaction->filtering;
    if (f->is_told)
        milter_chain_abort(s->milters);
    f->is_told = false;
    f->due = 0;
}

void smtp_filter_message_ended(struct smtp_session *s)
{
    if (s->transaction->filtering != NULL)
        stop(s);
}

void smtp_filter_end(struct smtp_session *s)
{
    milter_chain_destroy(&s->milters);
}

/* ---- what they are told ---- */

/* A parameter as the client wrote it, where it has. */
static void add(struct transaction *t, const char **list, size_t *count, const char *name,
                const char *value)
{
    const char *text = value[0] == '\0' ? NULL : arena_printf(t->arena, "%s=%s", name, value);
    if (text != NULL)
        list[(*count)++] = text;
}

static void tell_mail(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    char address[ADDRESS_TEXT_SIZE], name[ADDRESS_TEXT_SIZE + 8], size[24] = "";
    const char *parameters[MILTER_PARAMETERS_MAX];
    size_t count = 0;
    address_format_host(&s->base.client_address, address);
    (void)snprintf(name, sizeof name, "[%s]", address); /* fits */
    const struct milter_client client = {.name = s->told_name == NULL ? name : s->told_name,
                                         .address = s->base.client_address,
                                         .port = address_port(&s->base.client_address)};
    if (t->declared_size > 0)
        (void)snprintf(size, sizeof size, "%llu", (unsigned long long)t->declared_size); /* fits */
    add(t, parameters, &count, "SIZE", size);
    add(t, parameters, &count, "BODY", t->body_type);
    add(t, parameters, &count, "RET", t->ret);
    add(t, parameters, &count, "ENVID", t->envid);
    if (t->is_smtputf8)
        parameters[count++] = "SMTPUTF8";
    t->filtering->is_told = true;
    t->filtering->due++;
    milter_chain_mail(s->milters, &client, smtp_client_name(s), t->sender, parameters, count,
                      t->filtering->uses);
}

/* Nobody has memory to ask. */
static void deny_unasked(struct smtp_session *s, struct recipient *r)
{
    int code;
    const char *text = smtp_own_text(s, SMTP_REPLY_filter_away, NULL, &code);
    smtp_policy_deny(s->transaction, r, text, code);
}

static void tell_recipient(struct smtp_session *s, struct recipient *r)
{
    const char *parameters[MILTER_PARAMETERS_MAX];
    size_t count = 0;
    r->is_shown = true;
    if (r->state == RECIPIENT_DENIED) {
        milter_chain_rcpt_refused(s->milters, r->address, r->denial);
        return;
    }
    add(s->transaction, parameters, &count, "NOTIFY", r->notify);
    add(s->transaction, parameters, &count, "ORCPT", r->orcpt);
    if (milter_chain_rcpt(s->milters, r, r->address, parameters, count) == 0)
        s->transaction->filtering->due++;
    else
        deny_unasked(s, r);
}

/* ---- what they say ---- */

static void log_answer(const struct smtp_session *s, const struct milter_answer *a,
                       const char *recipient, const char *reply)
{
    static const char *const verdicts[] = {[MILTER_PASSES] = "pass",
                                           [MILTER_REFUSES] = "reject",
                                           [MILTER_DISCARDS] = "discard",
                                           [MILTER_CLOSES] = "close"};
    bool is_deferred = a->verdict == MILTER_REFUSES && a->code < 500;
    session_event(&s->base, EVENT_filtered, field_text(KEY_message, s->transaction->id),
                  field_text(KEY_sender, s->transaction->sender),
                  field_text(KEY_recipient, recipient), field_text(KEY_milter, a->milter),
                  field_text(KEY_verdict, is_deferred ? "defer" : verdicts[a->verdict]),
                  field_number(KEY_code, a->verdict == MILTER_DISCARDS ? 250 : a->code),
                  field_span(KEY_reply, smtp_without_end(reply)),
                  field_text(KEY_reason, a->reason == NULL ? "" : a->reason));
}

/* The client's answer, in the transaction's arena; one of our own without memory. */
static const char *text_of(struct smtp_session *s, const struct milter_answer *a, int *code)
{
    enum smtp_reply_name name = SMTP_REPLY_filter_closes;
    const char *own = a->text == NULL ? NULL : arena_copy(s->transaction->arena, span_of(a->text));
    *code = a->code;
    if (own != NULL)
        return own;
    if (a->verdict == MILTER_REFUSES && a->is_failure)
        name = a->code < 500 ? SMTP_REPLY_filter_away : SMTP_REPLY_filter_missed;
    else if (a->verdict == MILTER_REFUSES)
        name = a->code < 500 ? SMTP_REPLY_filter_defers : SMTP_REPLY_filter_rejects;
    return smtp_own_text(s, name, NULL, code);
}

/* Nobody is to get it: the client goes on, and hears nothing of that. */
static void discard(struct smtp_session *s)
{
    stop(s);
    s->transaction->is_discarded = true;
}

/* `denial` and its code are set by what refuses; returns whether it was that. */
static bool is_refused(struct smtp_session *s, const struct milter_answer *a, const char *recipient,
                       const char **denial, int *code)
{
    if (a->verdict == MILTER_PASSES)
        return false;
    if (a->verdict == MILTER_DISCARDS) {
        log_answer(s, a, recipient, "");
        discard(s);
        return false;
    }
    *denial = text_of(s, a, code);
    log_answer(s, a, recipient, *denial);
    return true;
}

/* Goes on when nothing is awaited any more. */
static void go_on(struct smtp_session *s)
{
    if (s->transaction->filtering->due == 0)
        s->transaction->filtering->judged(s);
}

/* 421 is the last that the session says. */
static void note_close(struct smtp_session *s, const struct milter_answer *a)
{
    s->is_quitting = s->is_quitting || a->verdict == MILTER_CLOSES;
}

static void mail_answered(struct smtp_session *s, const struct milter_answer *a)
{
    struct transaction *t = s->transaction;
    t->is_denied = is_refused(s, a, "", &t->denial, &t->denial_code);
    smtp_policy_answer_mail(s);
    if (!t->is_denied)
        return;
    stop(s);
    note_close(s, a);
    for (struct recipient *r = t->first_unanswered; r != NULL; r = r->next)
        if (r->state == RECIPIENT_NEW)
            smtp_policy_deny(t, r, t->denial, t->denial_code);
}

static void recipient_answered(struct smtp_session *s, struct recipient *r,
                               const struct milter_answer *a)
{
    const char *denial;
    int code;
    if (!is_refused(s, a, r->address, &denial, &code))
        return;
    smtp_policy_deny(s->transaction, r, denial, code);
    note_close(s, a);
}

/* The text is refused before it is all there, or while policy looks at the whole of it. */
static void text_refused(struct smtp_session *s, const struct milter_answer *a)
{
    struct transaction *t = s->transaction;
    if (!is_refused(s, a, "", &t->refusal, &t->refusal_code))
        return;
    stop(s);
    smtp_body_filtered(s);
}

static void message_answered(struct smtp_session *s, const struct milter_answer *a)
{
    struct transaction *t = s->transaction;
    s->take = smtp_take_commands;
    if (is_refused(s, a, "", &t->refusal, &t->refusal_code))
        smtp_final_refused(s, "milter");
    else if (t->is_discarded)
        smtp_final_discarded(s);
    else
        smtp_filter_passed(s);
}

static void data_answered(struct smtp_session *s, const struct milter_answer *a)
{
    struct smtp_filtering *f = s->transaction->filtering;
    (void)is_refused(s, a, "", &f->data_denial, &f->data_code);
}

static void answered(void *owner, const struct milter_event *event)
{
    struct smtp_session *s = owner;
    struct smtp_filtering *f = s->transaction->filtering;
    if (event->kind == MILTER_TEXT && s->transaction->data != DATA_FILTERED) {
        text_refused(s, event->answer);
        return;
    }
    f->due--;
    switch (event->kind) {
    case MILTER_MAIL: mail_answered(s, event->answer); break;
    case MILTER_RCPT: recipient_answered(s, event->recipient, event->answer); break;
    case MILTER_DATA: data_answered(s, event->answer); break;
    case MILTER_TEXT:
    case MILTER_END: message_answered(s, event->answer); return;
    }
    go_on(s);
}

/* ---- when they are asked ---- */

static void wait_for_answers(struct smtp_session *s, smtp_judged_fn *judged)
{
    struct smtp_filtering *f = s->transaction->filtering;
    f->judged = judged;
    if (f->due == 0) {
        judged(s);
        return;
    }
    smtp_wait(s, SESSION_MILTER, PATIENCE_MS);
}

static void tell_data(struct smtp_session *s)
{
    s->transaction->filtering->is_data_told = true;
    s->transaction->filtering->due++;
    milter_chain_data(s->milters);
}

/* Where DATA stands behind the recipients it goes with them: where none of them is taken in the
 * end, milters hear that it was given up. */
void smtp_filter_batch(struct smtp_session *s, smtp_judged_fn *judged)
{
    struct transaction *t = s->transaction;
    if (t->is_mail_due)
        tell_mail(s);
    for (struct recipient *r = t->first_unanswered; r != NULL; r = r->next)
        if (!r->is_shown && (r->state == RECIPIENT_NEW || r->state == RECIPIENT_DENIED))
            tell_recipient(s, r);
    if (t->data == DATA_WANTED)
        tell_data(s);
    wait_for_answers(s, judged);
}

static void data_known(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    t->denial = t->filtering->data_denial;
    t->denial_code = t->filtering->data_code;
    t->filtering->data_judged(s);
}

void smtp_filter_data(struct smtp_session *s, smtp_judged_fn *judged)
{
    struct smtp_filtering *f = s->transaction->filtering;
    if (!f->is_data_told)
        tell_data(s);
    f->data_judged = judged;
    wait_for_answers(s, data_known);
}

void smtp_filter_text(struct smtp_session *s)
{
    const struct held *h = s->transaction->held;
    if (smtp_filter_asks(s))
        milter_chain_text(s->milters, h->fields, h->body);
}

void smtp_filter_more(struct smtp_session *s)
{
    if (smtp_filter_asks(s) && s->transaction->held->fields != NULL)
        milter_chain_more(s->milters);
}

void smtp_filter_end_text(struct smtp_session *s)
{
    if (!smtp_filter_asks(s)) {
        smtp_final_discarded(s);
        return;
    }
    s->transaction->data = DATA_FILTERED;
    s->transaction->filtering->due++;
    milter_chain_end(s->milters);
    smtp_wait(s, SESSION_MILTER, smtp_held_patience(s));
}
