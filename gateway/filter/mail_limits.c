/* The limits of one stage of a message: asked, judged, taken. */
#include "filter/mail_state.h"

#include "base/arena.h"
#include "decision/offence.h"
#include "decision/verdict_log.h"
#include "policy/figures.h"
#include "policy/verdict_text.h"

/* Counting begins anew. */
static void forget(const struct mail *m, const struct verdict *v)
{
    const struct counter_settle settle = {
        .kind = SETTLE_FORGET, .of = v->rule->kind, .slot = v->rule->slot, .key = v->key};
    decider_settle(m->filter->decider, &settle, 1);
}

static bool suspend_account(const struct mail *m, const struct verdict *v)
{
    const struct policy_facts facts = mail_facts(m);
    if (facts.account == NULL ||
        !offence_suspend(&m->filter->guessing, v, &facts, &m->policy->max_suspensions))
        return false;
    forget(m, v);
    return true;
}

static void log_verdict(struct mail *m, const struct verdict *v)
{
    const struct policy_facts facts = mail_facts(m);
    bool is_monitored = policy_is_monitored(m->policy, v->rule);
    bool is_suspending = verdict_suspends(v) && !is_monitored && suspend_account(m, v);
    struct verdict_line line = {.message = m->id,
                                .sender = m->sender,
                                .recipient = m->recipient,
                                .country = m->client->country,
                                .word = verdict_word(v, is_monitored, is_suspending)};
    mail_event_fields(m, verdict_event(v), verdict_fields(v, &line));
    if (verdict_bans(v) && !is_monitored && offence_ban(&m->filter->guessing, v, &facts))
        forget(m, v);
}

static void log_monitored(void *owner, const struct verdict *v)
{
    log_verdict(owner, v);
}

static void log_near(void *owner, const struct verdict *v)
{
    const struct mail *m = owner;
    struct verdict_line line = {.message = m->id, .sender = m->sender};
    mail_event_fields(m, EVENT_near, verdict_near_fields(v, &line));
}

static void refuse_verdict(struct mail *m, const struct verdict *v)
{
    char text[VERDICT_TEXT_SIZE];
    mail_say(m, v->kind == VERDICT_REJECT ? SMTP_REPLY_limit_reject : SMTP_REPLY_limit_defer,
             verdict_text(v, text));
}

/* A rule has suspended whose message it is, or would have: then he is to wait. */
static void suspend(void *owner, const struct verdict *v)
{
    struct mail *m = owner;
    char text[SUSPENSION_TEXT_SIZE];
    log_verdict(m, v);
    m->is_stopped = true;
    if (mail_is_suspended(m, text))
        mail_say(m, SMTP_REPLY_sending_suspended, text);
    else
        refuse_verdict(m, v);
}

static void log_passed(struct mail *m)
{
    struct verdict v;
    if (event_is_logged(m->filter->log, EVENT_decision_passed) &&
        figures_tightest(&m->decision->call, &v) >= 0)
        log_verdict(m, &v);
}

/* What it has to wait for, it waits for at its end, when all of it is known: an MTA is patient
 * there, and several that are due at a time wait once. */
static void pass(struct mail *m, const struct verdict *v)
{
    int64_t due = loop_now(m->filter->loop) + v->wait_us * 1000;
    (void)decision_keep(m->decision, 0, m->decision->call.count, m->arena,
                        &m->receipts); /* what is missing stays taken */
    if (v->wait_us > 0 && due > m->due_ns)
        m->due_ns = due;
}

static void judge(struct mail *m)
{
    struct policy_call *call = &m->decision->call;
    struct verdict v;
    policy_suspending(call, m->policy, suspend, m);
    policy_judge(call, m->group, &v);
    if (!verdict_is_silent(&v))
        log_verdict(m, &v);
    if (v.kind == VERDICT_PASS)
        pass(m, &v);
    else
        refuse_verdict(m, &v);
    if (m->is_stopped)
        mail_undo(m);
    policy_monitored(call, m->policy, log_monitored, m);
    policy_near(call, log_near, m);
    log_passed(m);
}

/* Where it matters afterwards who he was; without memory he isn't counted. */
static void remember(struct mail *m)
{
    struct accepted *a = arena_alloc(m->arena, sizeof *a);
    if (a == NULL)
        return;
    *a = (struct accepted){m->first, m->recipient};
    m->first = a;
}

/* He isn't somebody who doesn't exist, or the MTA would have said so. */
static void take_recipient(struct mail *m)
{
    m->recipients++;
    if ((m->policy->counts >> LIMIT_DISTINCT_RECIPIENTS & 1) != 0)
        remember(m);
    if ((m->policy->counts >> LIMIT_REJECTED_RECIPIENTS & 1) != 0)
        mail_count(m, AFTER_ATTEMPT, m->recipient, false);
}

static void answered(void *owner, enum decision_outcome outcome)
{
    struct mail *m = owner;
    int64_t now = loop_now(m->filter->loop);
    m->before_last = m->receipts;
    if (outcome == DECISION_ANSWERED) {
        judge(m);
    } else {
        mail_event(m, EVENT_decision_failed, field_text(KEY_message, m->id));
        mail_say(m, SMTP_REPLY_policy_away, NULL);
    }
    decision_destroy(&m->decision);
    if (m->answer.code == 0 && m->recipient != NULL)
        take_recipient(m);
    if (m->answer.code == 0 && m->due_ns > now)
        m->answer.wait_ns = m->due_ns - now;
    m->fn(m->owner, &m->answer);
}

void mail_begin(struct mail *m, const char *recipient, mail_fn *fn, void *owner)
{
    m->recipient = recipient;
    m->answer = (struct mail_answer){.code = 0};
    m->is_stopped = false;
    m->before_last = m->receipts;
    m->fn = fn;
    m->owner = owner;
}

void mail_ask(struct mail *m, enum policy_stage stage)
{
    enum decision_outcome outcome = DECISION_FAILED;
    const struct policy_facts facts = mail_facts(m);
    m->decision = decision_create(m->filter->decider);
    m->group = m->decision == NULL
                   ? POLICY_FAILED
                   : policy_ask(&m->decision->call, m->policy, stage, &facts, STORE_NO_GROUP);
    if (m->group != POLICY_FAILED)
        outcome = decision_run(m->decision, answered, m);
    if (outcome != DECISION_PENDING)
        answered(m, outcome);
}

void mail_tell(struct mail *m)
{
    m->fn(m->owner, &m->answer);
}
