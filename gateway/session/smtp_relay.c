/* The envelope as it goes upstream.
 *
 * The recipients of a batch are asked upstream together; each reply there is the client's answer.
 * Where the connection is lost or given away in between, the envelope is repeated on another one,
 * unseen by the client. */
#include "message/received.h"
#include "session/smtp_filter.h"
#include "session/smtp_held.h"
#include "session/smtp_recipients.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    LINE_MAX_SIZE = 2200,
    RCPT_AT_ONCE = 200, /* below what a link keeps in order */
};

static void on_link(void *owner, struct smtp_link *l, const struct smtp_link_event *event);
static void taken(void *owner, struct smtp_link *link, enum pool_failure failure);
static void send_envelope(struct smtp_session *s);
static void answered(struct smtp_session *s);

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

void smtp_relay_adopt(struct smtp_session *s, struct smtp_link *link)
{
    s->link = link;
    smtp_link_set_owner(link, on_link, s);
    smtp_link_rest(link);
}

void smtp_relay_lend(struct smtp_session *s)
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
    return t->data == DATA_WANTED && t->accepted > 0 && !t->is_discarded;
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

void smtp_relay_repeat(struct smtp_session *s)
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

/* What the batch brings may go up, as far as policy and milters let it. */
static void batch_judged(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    bool has_link = s->link != NULL;
    t->is_batch_held = false;
    smtp_recipients_answer_denied(s);
    if (t->is_discarded)
        smtp_recipients_answer_discarded(s);
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

void smtp_relay_run(struct smtp_session *s)
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
        smtp_recipients_answer_rest(s, names[failure]);
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
    smtp_recipients_answer_rest(s, is_anywhere ? SMTP_REPLY_upstream_down : SMTP_REPLY_no_smtputf8);
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
    smtp_recipients_answer_rest(s, SMTP_REPLY_upstream_lost);
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
    smtp_recipient_answer(s, r, text, code);
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
    bool is_held = t->held != NULL && t->data != DATA_RESENT && t->data != DATA_SENDING &&
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
    smtp_recipients_answer_rest(s, SMTP_REPLY_upstream_lost);
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
