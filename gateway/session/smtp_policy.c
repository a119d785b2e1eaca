/* What policy says of a message: limits are taken for MAIL and RCPT as they are accepted, for the
 * whole of it before DATA and before the final dot, and given back where it comes to nothing. Where
 * the headers name the account, what goes by it is asked at the end, for all that was accepted.
 *
 * The answer may take as long as Redis does, and a reply may be held back after it; the client is
 * not listened to meanwhile. */
#include "session/access.h"
#include "session/policy.h"

#include "decision/senders.h"
#include "policy/figures.h"
#include "policy/limit/siphash.h"
#include "session/guard.h"
#include "session/smtp_filter.h"

static void ask(struct smtp_session *s);

bool smtp_policy_asks(const struct smtp_session *s, enum policy_stage stage)
{
    const struct policy *p = s->base.listener->policy_rules;
    return p != NULL && (p->stages >> stage & 1) != 0;
}

static const char *header(const void *owner, const char *name)
{
    return owner == NULL ? NULL : header_values_find(owner, name);
}

struct policy_facts smtp_policy_facts(const struct smtp_session *s)
{
    struct policy_facts f = session_facts(&s->base);
    const struct transaction *t = s->transaction;
    if (t->account_header != NULL)
        f.account_state = t->is_named ? ACCOUNT_HAS_COME : ACCOUNT_TO_COME;
    f.sender = t->sender;
    f.delayed_us = t->delayed_us;
    f.recipients = t->accepted;
    f.bytes = t->body.size;
    f.header = header;
    f.header_owner = t->header_values;
    return f;
}

/* ---- questions ---- */

/* As many of those that are new as one call has room for. Returns POLICY_FAILED for the first. */
static int ask_recipients(struct smtp_session *s, uint16_t needs)
{
    struct transaction *t = s->transaction;
    struct policy_call *call = &t->decision->call;
    const struct policy *p = s->base.listener->policy_rules;
    struct policy_facts f = smtp_policy_facts(s);
    while (t->first_unjudged != NULL) {
        struct recipient *r = t->first_unjudged;
        if (!policy_has_room(call, p))
            return r == t->asked ? POLICY_FAILED : 0;
        bool is_asked = !t->is_at_end || r->state == RECIPIENT_ACCEPTED;
        f.recipient = r->address;
        r->first_take = (uint16_t)call->count;
        r->group = is_asked ? policy_ask(call, p, STAGE_RCPT, &f, needs) : POLICY_NOTHING;
        r->end_take = (uint16_t)call->count;
        t->first_unjudged = r->next;
        if (r->group == POLICY_FAILED)
            return POLICY_FAILED;
    }
    return 0;
}

bool smtp_policy_asks_mail(const struct transaction *t)
{
    return t->is_mail_due && !t->is_mail_judged;
}

static int ask_batch(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    const struct policy_facts f = smtp_policy_facts(s);
    t->group = POLICY_NOTHING;
    if (smtp_policy_asks_mail(t))
        t->group = policy_ask(&t->decision->call, s->base.listener->policy_rules, STAGE_MAIL, &f,
                              STORE_NO_GROUP);
    t->end_take = t->decision->call.count;
    if (t->group == POLICY_FAILED)
        return POLICY_FAILED;
    return ask_recipients(s, t->group < 0 ? STORE_NO_GROUP : (uint16_t)t->group);
}

static int ask_message(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    const struct policy_facts f = smtp_policy_facts(s);
    t->group = policy_ask(&t->decision->call, s->base.listener->policy_rules, t->stage, &f,
                          STORE_NO_GROUP);
    t->end_take = t->decision->call.count;
    return t->group == POLICY_FAILED ? POLICY_FAILED : 0;
}

/* ---- verdicts ---- */

static void log_verdict(struct smtp_session *s, const struct verdict *v, const char *recipient)
{
    session_verdict(&s->base, v, s->transaction->id, s->transaction->sender, recipient);
}

static void log_monitored(void *owner, const struct verdict *v)
{
    log_verdict(owner, v, "");
}

static void log_near(void *owner, const struct verdict *v)
{
    const struct smtp_session *s = owner;
    session_near(&s->base, v, s->transaction->id, s->transaction->sender);
}

/* The answer of a verdict that refuses, in the transaction's arena. */
static const char *refusal(struct smtp_session *s, const struct verdict *v, int *code)
{
    char text[VERDICT_TEXT_SIZE];
    enum smtp_reply_name name =
        v->kind == VERDICT_REJECT ? SMTP_REPLY_limit_reject : SMTP_REPLY_limit_defer;
    return smtp_own_text(s, name, verdict_text(v, text), code);
}

/* A group passes, and what it has taken is kept: returns NULL. Or it is refused: the answer and its
 * code. */
static const char *judge(struct smtp_session *s, int group, size_t first, size_t end,
                         struct receipt **receipts, const char *recipient, int *code)
{
    struct transaction *t = s->transaction;
    struct verdict v;
    policy_judge(&t->decision->call, group, &v);
    if (v.kind != VERDICT_PASS || v.wait_us > 0)
        log_verdict(s, &v, recipient);
    if (v.kind != VERDICT_PASS)
        return refusal(s, &v, code);
    if (v.wait_us > t->wait_us)
        t->wait_us = v.wait_us;
    (void)decision_keep(t->decision, first, end, t->arena, receipts); /* else it stays taken */
    if (t->stopped != NULL)
        *code = t->stopped_code;
    return t->stopped;
}

/* A rule has suspended whose message it is, or would have: then he is to wait. */
static void suspend(void *owner, const struct verdict *v)
{
    struct smtp_session *s = owner;
    struct transaction *t = s->transaction;
    char why[SUSPENSION_TEXT_SIZE];
    log_verdict(s, v, "");
    t->stopped = guard_sending(&s->base, why)
                     ? smtp_own_text(s, SMTP_REPLY_sending_suspended, why, &t->stopped_code)
                     : refusal(s, v, &t->stopped_code);
}

/* Everything else of the batch stands behind it. At the end it was given. */
void smtp_policy_answer_mail(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    int code;
    t->is_mail_due = false;
    if (t->is_at_end)
        return;
    const char *text =
        t->is_denied ? t->denial : smtp_own_text(s, SMTP_REPLY_sender_ok, NULL, &code);
    if (text == NULL || smtp_replies_answer(&s->replies, span_of(text)) < 0)
        s->is_quitting = true;
}

/* He is refused; at the end, and with him, all of the message. */
void smtp_policy_deny(struct transaction *t, struct recipient *r, const char *text, int code)
{
    if (t->is_at_end) {
        t->denial = text;
        t->denial_code = code;
        return;
    }
    r->state = RECIPIENT_DENIED;
    r->denial = text;
    r->denial_code = code;
}

static void judge_batch(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    if (smtp_policy_asks_mail(t)) {
        t->denial = judge(s, t->group, 0, t->end_take, &t->receipts, "", &t->denial_code);
        t->is_denied = t->denial != NULL;
    }
    for (struct recipient *r = t->asked; r != t->first_unjudged; r = r->next) {
        int code = t->denial_code;
        const char *denial = t->denial;
        if (denial == NULL)
            denial =
                judge(s, r->group, r->first_take, r->end_take, &r->receipts, r->address, &code);
        if (denial != NULL)
            smtp_policy_deny(t, r, denial, code);
    }
}

static void judge_message(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    t->denial = judge(s, t->group, 0, t->end_take, &t->receipts, "", &t->denial_code);
}

void smtp_policy_fail(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    t->denial = smtp_own_text(s, SMTP_REPLY_policy_away, NULL, &t->denial_code);
    session_event(&s->base, EVENT_decision_failed, field_text(KEY_message, t->id));
    t->is_denied = t->is_denied || (smtp_policy_asks_mail(t) && !t->is_at_end);
    for (struct recipient *r = t->asked; r != NULL; r = r->next)
        smtp_policy_deny(t, r, t->denial, t->denial_code);
    t->first_unjudged = NULL;
}

/* ---- one stage ---- */

/* The next stage at which something is left to be asked at the end; STAGE_COUNT: none is. */
static enum policy_stage stage_behind(const struct smtp_session *s, enum policy_stage stage)
{
    const struct transaction *t = s->transaction;
    bool is_mail = stage < STAGE_MAIL && smtp_policy_asks(s, STAGE_RCPT); /* each recipient */
    if (t->is_named && is_mail)
        return STAGE_MAIL;
    stage++;
    if (!t->is_named && stage < STAGE_END)
        stage = STAGE_END;
    for (; stage < STAGE_COUNT; stage++)
        if (smtp_policy_asks(s, stage))
            break;
    return stage;
}

static void ask_stage(struct smtp_session *s, enum policy_stage stage)
{
    s->transaction->stage = stage;
    s->transaction->wait_us = 0;
    ask(s);
}

/* Of what is asked at the end the next part; or all is decided. */
static void go_on(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    enum policy_stage next = STAGE_COUNT;
    if (t->is_at_end && t->denial == NULL)
        next = stage_behind(s, t->stage);
    if (next == STAGE_COUNT) {
        t->judged(s);
        return;
    }
    t->is_mail_due = next == STAGE_MAIL;
    t->is_mail_judged = false;
    t->first_unjudged = next == STAGE_MAIL ? t->first : NULL;
    ask_stage(s, next);
}

/* Goes on, now or when the replies have been held back long enough. */
static void finish(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    int64_t wait_ms = (t->wait_us + 999) / 1000;
    t->delayed_us += t->wait_us;
    if (wait_ms == 0) {
        go_on(s);
        return;
    }
    if (t->stage == STAGE_MAIL)
        smtp_relay_lend(s);
    smtp_wait(s, SESSION_DELAY, wait_ms);
}

/* Of what the stage has let pass. */
static void note_tightest(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    struct verdict v;
    double share_used = figures_tightest(&t->decision->call, &v);
    if (share_used < 0)
        return;
    if (event_is_logged(s->base.context->log, EVENT_decision_passed))
        log_verdict(s, &v, "");
    if (t->tightest.rule != NULL && share_used < t->tightest.share_used)
        return;
    t->tightest.rule = v.rule;
    t->tightest.left = v.left;
    t->tightest.share_used = share_used;
}

/* All who are asked have had a say. */
static void decided(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    t->is_mail_judged = t->is_mail_due;
    if (t->is_mail_due && (t->is_denied || !smtp_filter_asks(s)))
        smtp_policy_answer_mail(s); /* else milters have a word in it */
    if (t->first_unjudged != NULL)
        ask(s); /* more recipients than one call has room for */
    else
        finish(s);
}

static void answered(void *owner, enum decision_outcome outcome)
{
    struct smtp_session *s = owner;
    struct transaction *t = s->transaction;
    if (outcome == DECISION_ANSWERED)
        policy_suspending(&t->decision->call, s->base.listener->policy_rules, suspend, s);
    if (outcome == DECISION_FAILED)
        smtp_policy_fail(s);
    else if (t->stage == STAGE_MAIL)
        judge_batch(s);
    else
        judge_message(s);
    if (outcome == DECISION_ANSWERED) {
        policy_monitored(&t->decision->call, s->base.listener->policy_rules, log_monitored, s);
        note_tightest(s);
        policy_near(&t->decision->call, log_near, s);
    }
    decision_destroy(&t->decision);
    smtp_delegate_ask(s, decided);
}

static void ask(struct smtp_session *s)
{
    struct transaction *t = s->transaction;
    enum decision_outcome outcome = DECISION_FAILED;
    t->asked = t->first_unjudged;
    t->decision = decision_create(s->base.context->decider);
    if (t->decision != NULL && (t->stage == STAGE_MAIL ? ask_batch(s) : ask_message(s)) == 0)
        outcome = decision_run(t->decision, answered, s);
    if (outcome == DECISION_PENDING)
        smtp_wait(s, SESSION_POLICY, 0);
    else
        answered(s, outcome);
}

void smtp_policy_ask(struct smtp_session *s, enum policy_stage stage, smtp_judged_fn *judged)
{
    s->transaction->judged = judged;
    s->transaction->denial = s->transaction->stopped = NULL;
    ask_stage(s, stage);
}

/* What goes by the account is asked when that is known. */
static bool is_let_in(struct smtp_session *s)
{
    char text[VERDICT_TEXT_SIZE];
    struct access_refusal refusal;
    struct transaction *t = s->transaction;
    if (session_is_let_in(&s->base, ACCOUNT_HAS_COME, t->id, t->sender, &refusal))
        return true;
    t->denial = smtp_own_text(s, SMTP_REPLY_limit_reject, access_text(&refusal, text, sizeof text),
                              &t->denial_code);
    return false;
}

void smtp_policy_ask_end(struct smtp_session *s, smtp_judged_fn *judged)
{
    struct transaction *t = s->transaction;
    t->judged = judged;
    t->denial = NULL;
    t->is_at_end = true;
    if (t->is_named && !is_let_in(s)) {
        judged(s);
        return;
    }
    t->stage = STAGE_LOGIN; /* the last one that isn't about a message */
    go_on(s);
}

void smtp_policy_delayed(struct smtp_session *s)
{
    go_on(s);
}

/* ---- afterwards ---- */

/* RFC 3463: there is no such mailbox, or none any more. Not what the server has against the
 * message, the sender or the hour; without an enhanced code that is known only of a server that
 * takes recipients of others meanwhile. */
static bool is_nobody(const struct smtp_reply *reply, bool takes_from_others)
{
    return (reply->code == 550 || reply->code == 551 || reply->code == 553) &&
           (strncmp(reply->enhanced, "5.1.", 4) == 0 || strcmp(reply->enhanced, "5.2.1") == 0 ||
            (reply->enhanced[0] == '\0' && takes_from_others));
}

/* By what servers behind know whose recipients they have taken; a stranger is his address. */
static uint64_t taker(const struct smtp_session *s)
{
    static const uint64_t key[2] = {1, 2}; /* nobody gains by being taken for another */
    const char *account = session_account(&s->base);
    uint64_t hash[2];
    siphash(key, span_of(account == NULL ? s->base.address : account), hash);
    return hash[0];
}

static void count_attempt(const struct smtp_session *s, const struct recipient *r)
{
    struct policy_facts f = smtp_policy_facts(s);
    f.recipient = r->address;
    session_after(&s->base, AFTER_ATTEMPT, &f, r->is_nobody);
}

void smtp_policy_attempted(const struct smtp_session *s, struct recipient *r,
                           const struct smtp_reply *reply)
{
    const struct policy *p = s->base.listener->policy_rules;
    struct health *health = servers_context(s->base.context->servers)->health;
    size_t server = pool_server_slot(s->link);
    int64_t now = loop_now(s->base.context->loop);
    if ((s->base.context->config->policy_counts >> LIMIT_REJECTED_RECIPIENTS & 1) == 0)
        return;
    if (reply->code / 100 == 2)
        health_recipient_taken(health, server, taker(s), now);
    if (p == NULL || (p->counts >> LIMIT_REJECTED_RECIPIENTS & 1) == 0)
        return;
    r->is_tried = true;
    r->is_nobody = is_nobody(reply, health_takes_from_others(health, server, taker(s), now));
    count_attempt(s, r);
}

void smtp_policy_named(const struct smtp_session *s)
{
    for (const struct recipient *r = s->transaction->first; r != NULL; r = r->next)
        if (r->is_tried)
            count_attempt(s, r);
}

/* That its recipients were nobody's may be heard later. */
static void note_sender(const struct smtp_session *s)
{
    struct senders *senders = s->base.context->senders;
    const char *account = session_account(&s->base);
    if (senders != NULL && account != NULL)
        senders_note(senders, id_number(s->transaction->id), account);
}

void smtp_policy_taken(const struct smtp_session *s)
{
    const struct policy *p = s->base.listener->policy_rules;
    if (p != NULL && (p->counts >> LIMIT_REJECTED_RECIPIENTS & 1) != 0)
        note_sender(s);
    if (p == NULL || (p->counts >> LIMIT_DISTINCT_RECIPIENTS & 1) == 0)
        return;
    struct policy_facts f = smtp_policy_facts(s);
    for (const struct recipient *r = s->transaction->first; r != NULL; r = r->next) {
        f.recipient = r->address;
        if (r->state == RECIPIENT_ACCEPTED)
            session_after(&s->base, AFTER_MESSAGE, &f, false);
    }
}

/* ---- giving back ---- */

static void splice(struct receipt **all, struct receipt **list)
{
    while (*list != NULL) {
        struct receipt *r = *list;
        *list = r->next;
        r->next = *all;
        *all = r;
    }
}

void smtp_policy_give_back(struct smtp_session *s, bool is_all)
{
    struct transaction *t = s->transaction;
    struct receipt *all = NULL;
    if (s->base.listener->policy_rules == NULL)
        return;
    for (struct recipient *r = t->first; r != NULL; r = r->next)
        if (is_all || r->state == RECIPIENT_REFUSED || r->state == RECIPIENT_DENIED)
            splice(&all, &r->receipts);
    if (is_all)
        splice(&all, &t->receipts);
    decider_give_back(s->base.context->decider, &all);
}
