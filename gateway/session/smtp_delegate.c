/* What policy servers say of a message, its sender and its recipients: asked about what the limits
 * have let pass, all of a batch together. */
#include "base/arena.h"
#include "decision/outside.h"
#include "message/header_line.h"
#include "protocol/delegation/request.h"
#include "session/policy.h"
#include "session/smtp.h"

#include <stdio.h>

enum {
    PREPENDED_MAX = 8 * 1024, /* of a message */
    SAID_MAX = 300,           /* what is told of a server's words, with the id behind them */
};

/* ---- what is asked ---- */

/* Of a message with one recipient, who he is; else "". */
static const char *only_recipient(const struct transaction *t)
{
    const struct recipient *r = t->first;
    while (r != NULL && r->state != RECIPIENT_ACCEPTED)
        r = r->next;
    return t->accepted == 1 && r != NULL ? r->address : "";
}

static int write_request(void *owner, void *subject, struct buffer *out)
{
    const struct smtp_session *s = owner;
    const struct transaction *t = s->transaction;
    const struct recipient *r = subject; /* NULL: MAIL, or all of the message */
    const struct address local = smtp_identity_destination(s), *client = &s->base.client_address;
    enum policy_stage stage = r == NULL ? t->stage : STAGE_RCPT;
    bool is_whole = stage >= STAGE_DATA;
    const char *name = s->told_name == NULL ? "unknown" : s->told_name;
    char from[ADDRESS_TEXT_SIZE], to[ADDRESS_TEXT_SIZE];
    struct client_certificate_texts certificate;
    address_format_host(client, from);
    address_format_host(&local, to);
    connection_certificate(s->base.client, &certificate);
    const struct delegation_request request = {
        .protocol_state = delegate_state(stage),
        .protocol_name = s->server.offered != 0 ? "ESMTP" : "SMTP",
        .client_address = from,
        .client_name = name,
        .client_port = address_port(client),
        .reverse_client_name = name,
        .server_address = to,
        .server_port = address_port(&local),
        .helo_name = smtp_client_name(s),
        .sender = t->sender,
        .recipient = r != NULL  ? r->address
                     : is_whole ? only_recipient(t)
                                : "",
        .recipient_count = is_whole ? t->accepted : 0,
        .queue_id = t->id,
        .instance = t->id,
        .size = stage == STAGE_END ? t->body.size : t->declared_size,
        .sasl_method = s->base.mechanism,
        .sasl_username = session_account(&s->base),
        .sasl_sender = t->auth, /* as it was said, in xtext */
        .ccert_subject = certificate.subject,
        .ccert_issuer = certificate.issuer,
        .ccert_fingerprint = certificate.fingerprint,
        .ccert_pubkey_fingerprint = certificate.key_fingerprint,
        .encryption_protocol = connection_tls_version(s->base.client),
        .encryption_cipher = connection_tls_cipher(s->base.client),
        .encryption_keysize = connection_tls_key_bits(s->base.client),
        .tls_sni = connection_tls_server_name(s->base.client),
        .mail_version = PORTEIRO_VERSION,
    };
    return delegation_request_write(&request, out);
}

static void ask_about(struct smtp_session *s, struct recipient *r)
{
    const struct policy *p = s->base.listener->policy_rules;
    struct policy_facts f = smtp_policy_facts(s);
    f.recipient = r == NULL ? NULL : r->address;
    for (size_t i = 0; i < p->delegate_count; i++)
        if (delegate_is_asked(&p->delegates[i], r == NULL ? s->transaction->stage : STAGE_RCPT, &f))
            outside_add(s->transaction->outside, &p->delegates[i], r);
}

/* Is there something to ask about him? At the end it is what was accepted. */
static bool is_open(const struct transaction *t, const struct recipient *r)
{
    return t->is_at_end ? r->state == RECIPIENT_ACCEPTED : r->state == RECIPIENT_NEW;
}

/* ---- what is answered ---- */

static const char *verdict_name(const struct smtp_session *s, const struct delegate_told *told,
                                const struct delegate_verdict *v)
{
    bool is_monitored = delegate_is_monitored(s->base.listener->policy_rules, told->rule);
    if (told == v->by)
        return v->code >= 500 ? "reject" : "defer";
    return is_monitored && delegate_refusal(told) > 0 ? "monitor" : NULL;
}

/* What isn't simply to pass. */
static void log_told(const struct smtp_session *s, const struct recipient *r,
                     const struct delegate_told *told, const struct delegate_verdict *v)
{
    const struct delegate_answer *a = &told->answer;
    const char *verdict = verdict_name(s, told, v);
    bool has_line =
        a->says == DELEGATE_FAILED && a->action.size == 0; /* that there was no answer */
    bool is_plain = a->says == DELEGATE_DUNNO || a->says == DELEGATE_OK || has_line;
    if (verdict == NULL && is_plain)
        return;
    session_event(&s->base, verdict == NULL ? EVENT_policy_server_says : EVENT_decision,
                  field_text(KEY_message, s->transaction->id),
                  field_text(KEY_sender, s->transaction->sender),
                  field_text(KEY_recipient, r == NULL ? "" : r->address),
                  field_text(KEY_rule, told->rule->name),
                  field_text(KEY_verdict, verdict == NULL ? "" : verdict),
                  field_span(KEY_action, a->action), field_span(KEY_reason, a->text));
}

/* In the words of the server, with the id by which the decision is found. */
static const char *its_words(struct smtp_session *s, const struct delegate_answer *a, int code)
{
    char text[SAID_MAX + SESSION_REFERENCE_SIZE + 4], reference[SESSION_REFERENCE_SIZE];
    struct span said = a->text.size == 0 ? span_of("Access denied") : a->text;
    int size = (int)(said.size < SAID_MAX ? said.size : SAID_MAX);
    (void)snprintf(text, sizeof text, "%.*s (%s)", size, said.data,
                   session_reference(&s->base, reference)); /* fits */
    struct smtp_reply reply = {.code = code, .text = span_of(text)};
    (void)span_copy(span_of(a->enhanced), reply.enhanced, sizeof reply.enhanced); /* fits */
    return smtp_worded_text(s, &reply);
}

static const char *refusal(struct smtp_session *s, const struct delegate_verdict *v, int *code)
{
    const struct delegate_told *by = v->by;
    if (by->answer.says == DELEGATE_FAILED)
        return smtp_own_text(
            s, v->code >= 500 ? SMTP_REPLY_delegate_reject : SMTP_REPLY_delegate_defer,
            by->rule->name, code);
    *code = v->code;
    if (v->code == 421 || v->code == 521)
        s->is_quitting = true; /* access(5): it is the last reply */
    return its_words(s, &by->answer, v->code);
}

/* Until its text begins. */
static void prepend(struct smtp_session *s, const struct delegate_told *told)
{
    struct transaction *t = s->transaction;
    t->prepended.limit = PREPENDED_MAX;
    if (t->data > DATA_WANTED ||
        header_line_append(told->answer.text, t->is_smtputf8, &t->prepended) < 0)
        session_event(&s->base, EVENT_prepend_failed, field_text(KEY_message, t->id),
                      field_text(KEY_rule, told->rule->name),
                      field_span(KEY_reason, told->answer.text));
}

/* Returns whether it is refused, and the answer: there is one without memory too, else it would
 * pass. */
static bool is_refused(struct smtp_session *s, const struct recipient *r,
                       const struct delegate_told *told, size_t count, const char **text, int *code)
{
    const struct policy *p = s->base.listener->policy_rules;
    struct delegate_verdict v;
    delegate_judge(told, count, p->mode == RULE_MONITOR, &v);
    for (size_t i = 0; i < v.heard; i++) {
        log_told(s, r, &told[i], &v);
        if (told[i].answer.says == DELEGATE_PREPENDS && !delegate_is_monitored(p, told[i].rule) &&
            v.code == 0)
            prepend(s, &told[i]);
    }
    s->transaction->is_discarded = s->transaction->is_discarded || (v.is_discarded && v.code == 0);
    if (v.code == 0)
        return false;
    session_add(&s->base, COUNTER_delegates_refused, 1);
    *text = refusal(s, &v, code);
    if (*text == NULL)
        *text = "451 4.3.0 Out of memory; try again in a minute\r\n";
    return true;
}

/* MAIL is refused, or all of the message; with MAIL all that stands behind it. */
static void deny_message(struct transaction *t, const char *text, int code)
{
    t->denial = text;
    t->denial_code = code;
    if (t->stage != STAGE_MAIL || t->is_at_end)
        return;
    t->is_denied = true;
    for (struct recipient *r = t->asked; r != t->first_unjudged; r = r->next)
        smtp_policy_deny(t, r, text, code);
}

static void answered(void *owner)
{
    struct smtp_session *s = owner;
    struct transaction *t = s->transaction;
    struct outside *x = t->outside;
    void *subject;
    const char *text;
    int code;
    size_t count;
    t->outside = NULL;
    for (size_t i = 0; i < outside_count(x); i += count) {
        const struct delegate_told *told = outside_told(x, i, &count, &subject);
        struct recipient *r = subject;
        if (t->denial != NULL || (r != NULL && !is_open(t, r)) ||
            !is_refused(s, r, told, count, &text, &code))
            continue;
        if (r == NULL)
            deny_message(t, text, code);
        else
            smtp_policy_deny(t, r, text, code);
    }
    outside_destroy(&x);
    t->told(s);
}

/* ---- asking ---- */

static size_t room_for(const struct smtp_session *s)
{
    const struct transaction *t = s->transaction;
    size_t subjects = 1;
    if (t->stage == STAGE_MAIL)
        for (const struct recipient *r = t->asked; r != t->first_unjudged; r = r->next)
            subjects++;
    return subjects * s->base.listener->policy_rules->delegate_count;
}

static void ask_all(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    if (t->stage != STAGE_MAIL || smtp_policy_asks_mail(t))
        ask_about(s, NULL);
    if (t->stage != STAGE_MAIL)
        return;
    for (struct recipient *r = t->asked; r != t->first_unjudged; r = r->next)
        if (is_open(t, r))
            ask_about(s, r);
}

void smtp_delegate_ask(struct smtp_session *s, smtp_judged_fn *told)
{
    struct transaction *t = s->transaction;
    const struct outside_options options = {.delegates = s->base.context->delegates,
                                            .write = write_request,
                                            .fn = answered,
                                            .owner = s};
    if (t->denial != NULL || s->base.listener->policy_rules->delegate_count == 0) {
        told(s);
        return;
    }
    t->told = told;
    t->outside = outside_create(&options, room_for(s));
    if (t->outside == NULL) {
        smtp_policy_fail(s);
        told(s);
        return;
    }
    ask_all(s);
    if (outside_count(t->outside) == 0) {
        outside_destroy(&t->outside);
        told(s);
        return;
    }
    outside_run(t->outside);
    smtp_wait(s, SESSION_DELEGATE, 0);
}
