#include "session/policy.h"

#include "base/arena.h"
#include "base/clock.h"
#include "decision/decision.h"
#include "decision/leases.h"
#include "decision/set_limits.h"
#include "decision/verdict_log.h"
#include "policy/figures.h"
#include "session/access.h"
#include "session/guard.h"

enum { ARENA_MAX = 64 * 1024, AFTER_MAX = 64 };

/* NULL: nothing was ever set. */
static const struct override_store *set_limits_of(const struct session_context *c)
{
    return set_limits_version(c->set_limits.owner) == 0 ? NULL : &c->set_limits;
}

struct policy_facts session_facts(const struct session *s)
{
    return (struct policy_facts){.account = session_account(s),
                                 .login = s->account,
                                 .listener = s->listener->name,
                                 .client = &s->client_address,
                                 .country = s->country[0] == '\0' ? NULL : s->country,
                                 .now_s = clock_wall_ns() / CLOCK_SECOND,
                                 .set_limits = set_limits_of(s->context),
                                 .lease = id_number(s->id)};
}

/* ---- verdicts ---- */

void session_verdict(const struct session *s, const struct verdict *v, const char *message,
                     const char *sender, const char *recipient)
{
    bool is_monitored = policy_is_monitored(s->listener->policy_rules, v->rule);
    bool is_ban = verdict_bans(v);
    bool is_suspended = verdict_suspends(v) && !is_monitored && guard_suspend(s, v);
    struct verdict_line line = {.message = message,
                                .sender = sender,
                                .recipient = recipient,
                                .country = s->country,
                                .word = verdict_word(v, is_monitored, is_suspended)};
    session_event_fields(s, verdict_event(v), verdict_fields(v, &line));
    if (!is_monitored && !verdict_is_silent(v))
        session_add(s, v->kind == VERDICT_PASS ? COUNTER_limits_delayed : COUNTER_limits_refused,
                    1);
    if (is_ban && !is_monitored)
        guard_ban(s, v);
}

void session_near(const struct session *s, const struct verdict *v, const char *message,
                  const char *sender)
{
    struct verdict_line line = {.message = message, .sender = sender};
    session_event_fields(s, EVENT_near, verdict_near_fields(v, &line));
}

/* ---- receipts ---- */

/* Rates stay taken: a connection has been, whatever becomes of it. */
static void drop_rates(struct receipt **list)
{
    while (*list != NULL)
        if ((*list)->kind == COUNTER_AT_ONCE)
            list = &(*list)->next;
        else
            *list = (*list)->next;
}

/* In the row stands what is given back should this process die. */
static void show_leases(const struct session *s)
{
    const struct receipt *const lists[] = {s->policy.at_connect, s->policy.at_login};
    struct lease_text held;
    leases_write(lists, 2, &held);
    session_set_held(&s->context->table, s->row, span_make(held.octets, held.size));
}

/* Before anything is given back, so that nothing is given back twice. */
static void hide_leases(const struct session *s)
{
    session_set_held(&s->context->table, s->row, span_make("", 0));
}

/* What is missing without memory ends by itself. */
static void keep(struct session *s)
{
    struct session_policy *p = &s->policy;
    bool is_login = p->stage == STAGE_LOGIN;
    if (p->arena == NULL && (p->arena = arena_create(ARENA_MAX)) == NULL)
        return;
    struct receipt **list = is_login ? &p->at_login : &p->at_connect;
    (void)decision_keep(p->decision, 0, p->decision->call.count, p->arena, list);
    if (!is_login)
        drop_rates(list);
    show_leases(s);
}

void session_after(const struct session *s, enum policy_after what, const struct policy_facts *f,
                   bool is_bad)
{
    struct counter_settle settles[AFTER_MAX];
    struct decision *x = decision_create(s->context->decider); /* its memory is what is needed */
    if (x == NULL)
        return;
    size_t count =
        policy_after(s->listener->policy_rules, what, f, is_bad, x->arena, settles, AFTER_MAX);
    if (count > 0)
        decider_settle(s->context->decider, settles, count);
    decision_destroy(&x);
}

void session_policy_keep(struct session *s)
{
    const struct policy *p = s->listener->policy_rules;
    const struct policy_facts f = session_facts(s);
    char text[SUSPENSION_TEXT_SIZE];
    drop_rates(&s->policy.at_login);
    if (p != NULL && !guard_sending(s, text) && /* what led to it is forgotten, and stays so */
        (p->counts & (1u << LIMIT_DISTINCT_NETWORKS | 1u << LIMIT_DISTINCT_COUNTRIES)) != 0)
        session_after(s, AFTER_LOGIN, &f, false);
}

void session_policy_give_back(struct session *s)
{
    if (s->policy.at_login == NULL)
        return;
    hide_leases(s);
    decider_give_back(s->context->decider, &s->policy.at_login);
    show_leases(s);
}

void session_policy_end(struct session *s)
{
    struct session_policy *p = &s->policy;
    decision_destroy(&p->decision);
    if (p->arena == NULL)
        return;
    hide_leases(s);
    decider_give_back(s->context->decider, &p->at_login);
    decider_give_back(s->context->decider, &p->at_connect);
    arena_destroy(&p->arena);
}

void session_policy_renew(const struct session *s)
{
    decider_renew(s->context->decider, s->policy.at_login);
    decider_renew(s->context->decider, s->policy.at_connect);
}

/* ---- asking ---- */

static void tell(struct session *s, const struct verdict *refused)
{
    session_judged_fn *judged = s->policy.judged;
    s->policy.judged = NULL;
    judged(s, refused);
}

static void log_monitored(void *owner, const struct verdict *v)
{
    session_verdict(owner, v, "", "", "");
}

static void log_passed(const struct session *s)
{
    struct verdict v;
    if (event_is_logged(s->context->log, EVENT_decision_passed) &&
        figures_tightest(&s->policy.decision->call, &v) >= 0)
        session_verdict(s, &v, "", "", "");
}

static void log_near(void *owner, const struct verdict *v)
{
    session_near(owner, v, "", "");
}

/* What passes but for a rule that would suspend, and can't. */
struct stop {
    struct session *session;
    struct verdict verdict; /* VERDICT_PASS: it can */
};

static void suspend(void *owner, const struct verdict *v)
{
    struct stop *stop = owner;
    char text[SUSPENSION_TEXT_SIZE];
    session_verdict(stop->session, v, "", "", "");
    if (!guard_sending(stop->session, text))
        stop->verdict = *v;
}

/* What was taken is given back with the login. */
static void stop_flood(struct session *s, struct verdict *v)
{
    struct stop stop = {.session = s, .verdict = {.kind = VERDICT_PASS}};
    policy_suspending(&s->policy.decision->call, s->listener->policy_rules, suspend, &stop);
    if (v->kind != VERDICT_PASS || stop.verdict.kind == VERDICT_PASS)
        return;
    keep(s);
    *v = stop.verdict;
}

/* Passes, and what it has taken is kept; it may have to wait. */
static bool pass(struct session *s, int64_t wait_us)
{
    keep(s);
    log_passed(s);
    decision_destroy(&s->policy.decision);
    if (wait_us > 0) {
        s->policy.is_late = true;
        s->kind->wait(s, SESSION_DELAY, (wait_us + 999) / 1000);
        return false;
    }
    tell(s, NULL);
    return true;
}

/* Returns whether it was told: then the session may be gone. */
static bool judge(struct session *s, enum decision_outcome outcome)
{
    struct session_policy *p = &s->policy;
    struct verdict v = {.kind = VERDICT_DEFER};
    if (outcome == DECISION_FAILED) {
        session_event(s, EVENT_decision_failed, field_text(KEY_message, ""));
    } else {
        policy_judge(&p->decision->call, p->group, &v);
        if (v.kind != VERDICT_PASS || v.wait_us > 0)
            session_verdict(s, &v, "", "", "");
        policy_monitored(&p->decision->call, s->listener->policy_rules, log_monitored, s);
        policy_near(&p->decision->call, log_near, s);
        stop_flood(s, &v);
    }
    if (v.kind == VERDICT_PASS)
        return pass(s, v.wait_us);
    struct decision *x = p->decision; /* the verdict points into it */
    p->decision = NULL;
    tell(s, &v);
    decision_destroy(&x);
    return true;
}

static void answered(void *owner, enum decision_outcome outcome)
{
    (void)judge(owner, outcome); /* nobody asks it here */
}

bool session_ask_policy(struct session *s, enum policy_stage stage, session_judged_fn *judged)
{
    struct session_policy *p = &s->policy;
    const struct policy *rules = s->listener->policy_rules;
    const struct policy_facts facts = session_facts(s);
    enum decision_outcome outcome = DECISION_FAILED;
    struct verdict outside = {.kind = VERDICT_REJECT};
    p->stage = stage;
    p->judged = judged;
    p->is_late = false;
    if (stage == STAGE_LOGIN && s->listener->role == ROLE_POP3 &&
        !session_is_let_in(s, ACCOUNT_KNOWN, "", "", &outside.access)) {
        tell(s, &outside);
        return true;
    }
    if (rules == NULL || (rules->stages >> stage & 1) == 0) {
        tell(s, NULL);
        return true;
    }
    p->decision = decision_create(s->context->decider);
    p->group = p->decision == NULL
                   ? POLICY_FAILED
                   : policy_ask(&p->decision->call, rules, stage, &facts, STORE_NO_GROUP);
    if (p->group != POLICY_FAILED)
        outcome = decision_run(p->decision, answered, s);
    if (outcome != DECISION_PENDING)
        return judge(s, outcome);
    p->is_late = true;
    s->kind->wait(s, SESSION_POLICY, 0);
    return false;
}

bool session_policy_delayed(struct session *s)
{
    if (s->policy.judged == NULL)
        return false;
    tell(s, NULL);
    return true;
}
