/* MAIL and RCPT: the envelope as the client gives it, and as it goes upstream.
 *
 * The recipients of a batch are asked upstream together; each reply there is the client's answer.
 * Where the connection is lost or given away in between, the envelope is repeated on another one,
 * unseen by the client. */
#include "base/arena.h"
#include "decision/outside.h"
#include "session/access.h"
#include "session/guard.h"
#include "session/policy.h"
#include "session/smtp_filter.h"
#include "session/smtp_held.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "message/received.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_BASE = 64 * 1024,
    ARENA_RECIPIENT = 1400, /* the longest address with the longest parameters */
    ARENA_DENIAL = SMTP_REPLY_LINE_MAX + 3,
    ARENA_RECEIPT = sizeof(struct receipt) + STORE_KEY_MAX, /* of a limit, for each recipient */
    LINE_MAX_SIZE = 2200,
    TEXT_MAX_SIZE = 1024, /* of a reply */
    RCPT_AT_ONCE = 200,   /* below what a link keeps in order */
    OVERSHOOT = 1000,     /* a client may not know the limit; past it, it doesn't listen */
};

static void on_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event);
static void taken(void *owner, struct smtp_link *link, enum pool_failure failure);
static void send_envelope(struct smtp_session *s);
static void leave_link(struct smtp_session *s);
static void answered(struct smtp_session *s);

/* ---- what the client says ---- */

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
    buffer_clear(&t->held);
    buffer_clear(&t->prepended);
    struct arena *arena = t->arena;
    arena_destroy(&arena);
}

/* ---- texts for the client ---- */

const char *smtp_own_text(struct smtp_session *s, enum smtp_reply_name name, const char *argument,
                          int *code)
{
    char memory[TEXT_MAX_SIZE];
    struct buffer text = buffer_on(memory, sizeof memory);
    char reference[SESSION_REFERENCE_SIZE];
    *code = smtp_reply_code(name);
    int failed = smtp_reply_append(name, argument, session_reference(&s->base, reference), &text);
    const char *kept = failed ? NULL : keep(s->transaction, buffer_bytes(&text));
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
    return smtp_reply_pass(reply, &text) < 0 ? NULL : keep(s->transaction, buffer_bytes(&text));
}

/* ---- answers to recipients ---- */

/* The client hears it: answers leave in the recipients' order. `text` NULL: out of memory. */
static void told(struct smtp_session *s, const struct recipient *r, const char *text)
{
    assert(s->transaction->first_unanswered == r);
    s->transaction->first_unanswered = r->next;
    if (text == NULL || smtp_replies_answer(&s->replies, span_of(text)) < 0)
        s->is_quitting = true;
}

/* Those whose turn it is, and who needed nobody to be refused. */
static void answer_denied(struct smtp_session *s)
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
static void answer(struct smtp_session *s, struct recipient *r, const char *text, int code)
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
        answer_denied(s);
    }
    r->is_repeated = false;
}

/* All recipients that still wait for an answer get the same one, those of before stay. */
static void answer_rest(struct smtp_session *s, enum smtp_reply_name name)
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
            answer(s, r, text, code);
        }
    }
    t->due = 0;
    t->trouble = name;
}

/* ---- taking a connection ---- */

static void take(struct smtp_session *s, bool wants_new)
{
    struct transaction *t = s->transaction;
    const struct upstream_config *u = s->base.listener->upstream_config;
    bool is_told = u->identity == IDENTITY_XCLIENT;
    const struct smtp_credentials *login = smtp_own_credentials(s);
    if (u->identity == IDENTITY_PASSWORD && login == NULL) {
        taken(s, NULL, POOL_REFUSED); /* who is in without a password has none to repeat */
        return;
    }
    if (is_told)
        smtp_identity_fill_in(s);
    t->request = (struct pool_request){.upstream = u,
                                       .values = is_told ? &t->values : NULL,
                                       .login = login,
                                       .wants_new = wants_new,
                                       .done = taken,
                                       .owner = s};
    if (u->identity == IDENTITY_PROXY) {
        t->request.header = smtp_identity_header(s);
        t->request.hello = smtp_client_name(s);
        if (t->request.header.size == 0) { /* never as somebody else */
            taken(s, NULL, POOL_BUSY);
            return;
        }
    }
    t->is_taking = true;
    pool_take(s->base.context->pool, &t->request);
}

void smtp_envelope_adopt(struct smtp_session *s, struct smtp_link *link)
{
    s->link = link;
    smtp_link_set_owner(link, on_link, s);
    smtp_link_rest(link);
}

void smtp_envelope_lend(struct smtp_session *s)
{
    if (s->link == NULL || !s->transaction->is_mail_sent || smtp_link_is_in_text(s->link))
        return;
    s->transaction->is_mail_sent = false;
    if (smtp_link_is_told(s->link))
        smtp_link_reset(s->link);
    else
        pool_give_back(s->base.context->pool, &s->link);
}

/* Is there something of the envelope that the server behind has to hear now? */
static bool has_more(const struct transaction *t)
{
    for (const struct recipient *r = t->first_unanswered; r != NULL; r = r->next)
        if (r->state == RECIPIENT_NEW)
            return true;
    return t->data == DATA_WANTED && t->accepted > 0;
}

/* The connection is another, or was reset: it has heard nothing of the envelope yet. */
static void repeat_envelope(struct transaction *t)
{
    t->is_mail_sent = t->is_answered = t->is_data_sent = false;
    t->due = 0;
    t->mail_refusal = NULL;
    for (struct recipient *r = t->first; r != NULL; r = r->next) {
        if (r->state == RECIPIENT_ACCEPTED) {
            r->is_repeated = true;
            t->accepted--;
        }
        if (r->state == RECIPIENT_ASKED || r->state == RECIPIENT_ACCEPTED)
            r->state = RECIPIENT_NEW;
    }
}

void smtp_envelope_repeat(struct smtp_session *s)
{
    bool has_link = s->link != NULL;
    smtp_wait(s, has_link ? SESSION_ENVELOPE : SESSION_UPSTREAM, 0);
    if (!has_link) {
        take(s, false);
        return;
    }
    s->transaction->is_link_reused = true;
    repeat_envelope(s->transaction);
    send_envelope(s);
}

/* Nobody is to get the message: its recipients are everybody whom the client names. */
static void answer_discarded(struct smtp_session *s)
{
    struct recipient *r;
    int code;
    const char *text = smtp_own_text(s, SMTP_REPLY_recipient_ok, NULL, &code);
    while ((r = s->transaction->first_unanswered) != NULL) {
        if (r->state == RECIPIENT_NEW)
            answer(s, r, text, code);
        else
            s->transaction->first_unanswered = r->next;
    }
}

/* What the batch brings may go up, as far as policy and milters let it. */
static void batch_judged(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    bool has_link = s->link != NULL;
    t->is_batch_held = false;
    answer_denied(s);
    if (t->is_discarded)
        answer_discarded(s);
    if (!has_more(t)) {
        answered(s);
        return;
    }
    smtp_wait(s, has_link ? SESSION_ENVELOPE : SESSION_UPSTREAM, 0);
    if (!has_link) {
        take(s, false);
        return;
    }
    t->is_link_reused = !t->is_answered;
    if (!t->is_mail_sent)
        repeat_envelope(t);
    send_envelope(s);
}

/* By policy; milters are shown what it has left. */
static void batch_passed(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    bool is_shown = t->is_batch_held && !t->is_denied && smtp_filter_asks(s);
    t->first_unjudged = NULL;
    if (is_shown)
        smtp_filter_batch(s, batch_judged);
    else
        batch_judged(s);
}

static bool is_judged_by_policy(const struct smtp_session *s)
{
    return (s->transaction->is_mail_due && smtp_policy_asks(s, STAGE_MAIL)) ||
           smtp_policy_asks(s, STAGE_RCPT);
}

void smtp_envelope_run(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    t->is_batch_held = t->is_mail_due || t->first_unjudged != NULL;
    if (t->is_batch_held && is_judged_by_policy(s))
        smtp_policy_ask(s, STAGE_MAIL, batch_passed);
    else
        batch_passed(s);
}

static void taken(void *owner, struct smtp_link *link, enum pool_failure failure)
{
    struct smtp_session *s = owner;
    struct transaction *t = s->transaction;
    t->is_taking = false;
    if (link == NULL) {
        static const enum smtp_reply_name names[] = {[POOL_DOWN] = SMTP_REPLY_upstream_down,
                                                     [POOL_BUSY] = SMTP_REPLY_upstream_busy,
                                                     [POOL_REFUSED] = SMTP_REPLY_upstream_refuses,
                                                     [POOL_WRONG] = SMTP_REPLY_upstream_refuses};
        answer_rest(s, names[failure]);
        answered(s);
        return;
    }
    s->link = link;
    t->is_link_reused = pool_was_kept(&t->request);
    smtp_link_set_owner(link, on_link, s);
    repeat_envelope(t);
    send_envelope(s);
}

/* ---- sending it ---- */

static bool has(const struct smtp_session *s, enum smtp_extension extension)
{
    return (smtp_link_capabilities(s->link)->extensions & (unsigned)extension) != 0;
}

/* Appends " NAME=VALUE" where both the client and the server know it. */
static void add_parameter(struct smtp_session *s, struct buffer *line, const char *name,
                          const char *value, enum smtp_extension extension)
{
    if (value[0] == '\0')
        return;
    if (has(s, extension))
        (void)buffer_printf(line, " %s=%s", name, value); /* the limit leaves room for all */
    else
        s->transaction->is_parameter_dropped = true;
}

/* `verb` with the address and the bracket behind it begin the line. */
static int begin_line(struct buffer *line, const char *verb, const char *address)
{
    buffer_empty(line);
    return buffer_append(line, span_of(verb)) | buffer_append(line, span_of(address)) |
           buffer_append(line, span_of(">"));
}

static int send_mail(struct smtp_session *s, struct buffer *line)
{
    struct transaction *t = s->transaction;
    char size[24] = "";
    int failed = 0;
    if (s->base.listener->upstream_config->identity == IDENTITY_XFORWARD)
        failed = smtp_identity_forward(s);
    failed |= begin_line(line, "MAIL FROM:<", t->sender);
    if (t->declared_size > 0 && has(s, SMTP_SIZE))
        (void)snprintf(size, sizeof size, "%" PRIu64,
                       t->declared_size + RECEIVED_MAX + MISSING_MAX); /* fits */
    add_parameter(s, line, "SIZE", size, SMTP_SIZE);
    add_parameter(s, line, "BODY", t->body_type, SMTP_8BITMIME);
    add_parameter(s, line, "RET", t->ret, SMTP_DSN);
    add_parameter(s, line, "ENVID", t->envid, SMTP_DSN);
    if (t->is_smtputf8)
        failed |= buffer_append(line, span_of(" SMTPUTF8"));
    failed |= buffer_append(line, span_of("\r\n"));
    failed |= smtp_link_command(s->link, SMTP_COMMAND_MAIL, buffer_bytes(line));
    t->is_mail_sent = true;
    return failed;
}

static int send_rcpt(struct smtp_session *s, struct buffer *line, struct recipient *r)
{
    int failed = begin_line(line, "RCPT TO:<", r->address);
    add_parameter(s, line, "NOTIFY", r->notify, SMTP_DSN);
    add_parameter(s, line, "ORCPT", r->orcpt, SMTP_DSN);
    failed |= buffer_append(line, span_of("\r\n"));
    failed |= smtp_link_command(s->link, SMTP_COMMAND_RCPT, buffer_bytes(line));
    r->state = RECIPIENT_ASKED;
    s->transaction->due++;
    return failed;
}

/* A message that needs SMTPUTF8 waits for a server that has it, if there is one. */
static bool refuse_utf8(struct smtp_session *s)
{
    if (!s->transaction->is_smtputf8 || has(s, SMTP_SMTPUTF8))
        return false;
    bool is_anywhere =
        servers_have(s->base.context->servers, s->base.listener->upstream_config, SMTP_SMTPUTF8);
    pool_give_back(s->base.context->pool, &s->link);
    answer_rest(s, is_anywhere ? SMTP_REPLY_upstream_down : SMTP_REPLY_no_smtputf8);
    answered(s);
    return true;
}

/* DATA may go in one write with its batch, unless the envelope is repeated: then all its replies
 * are looked at first. */
static bool may_send_data(const struct smtp_session *s, bool is_repeated)
{
    const struct transaction *t = s->transaction;
    return t->data == DATA_WANTED && !t->is_data_sent && !is_repeated && t->accepted + t->due > 0 &&
           has(s, SMTP_PIPELINING) && !smtp_policy_asks(s, STAGE_DATA) && !smtp_filter_asks(s) &&
           !t->is_discarded;
}

static void give_up_link(struct smtp_session *s)
{
    pool_discard(s->base.context->pool, &s->link);
    answer_rest(s, SMTP_REPLY_upstream_lost);
    answered(s);
}

/* Everything of the envelope that the connection has not heard yet. */
static void send_envelope(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    struct buffer line = {.limit = LINE_MAX_SIZE};
    bool is_repeated = false;
    int failed = 0;
    if (refuse_utf8(s))
        return;
    session_state(&s->base, SESSION_ENVELOPE);
    t->next_reply = t->due == 0 ? NULL : t->next_reply;
    for (struct recipient *r = t->first; r != NULL && !failed && t->due < RCPT_AT_ONCE;
         r = r->next) {
        if (r->state != RECIPIENT_NEW)
            continue;
        if (!t->is_mail_sent)
            failed = send_mail(s, &line);
        is_repeated = is_repeated || r->is_repeated;
        failed |= send_rcpt(s, &line, r);
    }
    buffer_clear(&line);
    if (!failed && may_send_data(s, is_repeated)) {
        failed = smtp_link_command(s->link, SMTP_COMMAND_DATA, span_of("DATA\r\n"));
        t->is_data_sent = true;
    }
    if (failed)
        give_up_link(s);
    else if (t->due > 0)
        smtp_link_flush(s->link);
    else
        answered(s); /* nothing to ask: the recipients are known, and DATA is wanted */
}

/* ---- its replies ---- */

static void mail_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
    struct transaction *t = s->transaction;
    if (reply->code >= 250 && reply->code <= 252)
        return;
    t->mail_refusal = smtp_upstream_text(s, SMTP_COMMAND_MAIL, reply, &t->mail_refusal_code);
    t->is_mail_sent = false; /* the next recipient tries again */
    if (t->mail_refusal == NULL)
        s->is_quitting = true;
}

/* Replies come in the order in which the recipients were asked, which is that of the list. */
static struct recipient *oldest_asked(struct transaction *t)
{
    struct recipient *r = t->next_reply == NULL ? t->first : t->next_reply;
    while (r != NULL && r->state != RECIPIENT_ASKED)
        r = r->next;
    assert(r != NULL);
    t->next_reply = r->next;
    return r;
}

static void rcpt_answered(struct smtp_session *s, const struct smtp_reply *reply)
{
    struct transaction *t = s->transaction;
    struct recipient *r = oldest_asked(t);
    const char *text = t->mail_refusal;
    int code = t->mail_refusal_code;
    t->due--;
    if (text == NULL) {
        if (!r->is_repeated)
            smtp_policy_attempted(s, r, reply);
        text = smtp_upstream_text(s, SMTP_COMMAND_RCPT, reply, &code);
    }
    answer(s, r, text, code);
    if (t->due > 0)
        return;
    t->mail_refusal = NULL;
    t->next_reply = NULL;
    for (r = t->first; r != NULL; r = r->next)
        if (r->state == RECIPIENT_NEW) {
            send_envelope(s); /* more than fit at once */
            return;
        }
    answered(s);
}

/* The connection is of no use for this envelope: MAIL was refused on it. */
static void leave_link(struct smtp_session *s)
{
    if (s->link != NULL && !smtp_link_is_told(s->link) && !s->transaction->is_mail_sent)
        pool_give_back(s->base.context->pool, &s->link);
}

/* Of a batch with DATA: all that can be said before the text was said. */
static void data_judged(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    if (t->denial == NULL) {
        smtp_body_begin(s);
        return;
    }
    t->refusal = t->denial;
    t->refusal_code = t->denial_code;
    smtp_body_refused(s, "policy");
}

/* Policy has seen all recipients, or had nothing to say. */
static void data_passed(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    if (t->denial == NULL && t->accepted > 0 && smtp_filter_asks(s))
        smtp_filter_data(s, data_judged);
    else
        data_judged(s);
}

/* Every recipient of the batch has its answer. */
static void answered(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    smtp_policy_give_back(s, false);
    if (t->data == DATA_WANTED) {
        if (t->is_denied)
            t->denial = smtp_own_text(s, SMTP_REPLY_mail_first, NULL, &t->denial_code);
        if (!t->is_denied && t->accepted > 0 && smtp_policy_asks(s, STAGE_DATA))
            smtp_policy_ask(s, STAGE_DATA, data_passed);
        else
            data_passed(s);
        return;
    }
    if (t->data == DATA_RESENT) {
        smtp_held_envelope_answered(s);
        return;
    }
    leave_link(s);
    if (t->ends_after_batch || t->is_denied)
        smtp_transaction_end(s);
    smtp_continue(s);
}

/* A connection that has lain idle may be dead at its first command, which says nothing. */
static bool may_be_replaced(const struct transaction *t)
{
    return t->is_link_reused && !t->is_answered && !t->is_replaced;
}

static void replace_link(struct smtp_session *s)
{
    pool_discard(s->base.context->pool, &s->link);
    s->transaction->is_replaced = true;
    repeat_envelope(s->transaction);
    take(s, true);
}

/* Is nothing of the message with the server behind that it would have to answer? */
static bool is_idle(const struct transaction *t)
{
    bool is_held = t->whole != NULL && t->data != DATA_RESENT && t->data != DATA_SENDING &&
                   t->data != DATA_ENDED;
    return (t->data == DATA_NONE && t->due == 0) || is_held;
}

static void link_lost(struct smtp_session *s, const char *reason)
{
    struct transaction *t = s->transaction;
    pool_discard(s->base.context->pool, &s->link);
    if (t == NULL || t->is_batch_held || is_idle(t)) {
        if (t != NULL)
            t->is_mail_sent = false; /* the envelope is repeated when the client goes on */
        return;
    }
    if ((t->data > DATA_WANTED && t->data != DATA_RESENT) || t->due == 0) {
        smtp_body_lost(s, reason);
        return;
    }
    if (may_be_replaced(t)) {
        replace_link(s);
        return;
    }
    session_event(&s->base, EVENT_upstream_lost, field_text(KEY_message, t->id),
                  field_text(KEY_reason, reason));
    t->is_data_sent = false;
    answer_rest(s, SMTP_REPLY_upstream_lost);
    answered(s);
}

static void replied(struct smtp_session *s, const struct smtp_link_event *event)
{
    if (s->transaction == NULL || event->command == SMTP_COMMAND_RSET)
        return; /* a RSET of ours */
    if (may_be_replaced(s->transaction) && event->reply->code == 421 &&
        (event->command == SMTP_COMMAND_MAIL || event->command == SMTP_COMMAND_XFORWARD)) {
        replace_link(s); /* it was about to close, and has said so only now */
        return;
    }
    s->transaction->is_answered = true;
    if (event->command == SMTP_COMMAND_MAIL)
        mail_answered(s, event->reply);
    else if (event->command == SMTP_COMMAND_RCPT)
        rcpt_answered(s, event->reply);
    else if (event->command == SMTP_COMMAND_DATA)
        smtp_body_data_answered(s, event->reply);
    else if (event->command == SMTP_COMMAND_DOT)
        smtp_final_answered(s, event->reply);
}

static void on_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event)
{
    struct smtp_session *s = owner;
    (void)l;
    if (event->kind == LINK_REPLY)
        replied(s, event);
    else if (event->kind == LINK_DRAINED)
        smtp_body_drained(s);
    else if (event->kind == LINK_LOST)
        link_lost(s, event->reason);
}
