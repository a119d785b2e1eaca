#include "policy/replay.h"

#include "base/arena.h"
#include "policy/replay_acts.h"

#include <stdlib.h>

enum { SCRATCH_MAX = 4 * 1024 * 1024, SETTLES_MAX = 64, RECIPIENTS_MAX = 10000 };

struct replay *replay_create(const struct replay_options *options)
{
    struct replay *r = arena_alloc(options->arena, sizeof *r);
    if (r == NULL)
        return NULL;
    r->options = *options;
    r->visits.arena = r->mails.arena = r->rows.arena = options->arena;
    r->figures.arena = r->suspended.arena = options->arena;
    r->set_limits = (struct override_store){replay_figure, &r->itself};
    r->itself = r;
    r->scratch = arena_create(SCRATCH_MAX);
    return r->scratch == NULL ? NULL : r;
}

void replay_destroy(struct replay **r)
{
    if (*r != NULL)
        arena_destroy(&(*r)->scratch);
    *r = NULL;
}

bool replay_knows(const struct limit_rule *r)
{
    bool is_by_recipient = limit_has_key(r, LIMIT_KEY_RECIPIENT) ||
                           limit_has_key(r, LIMIT_KEY_RECIPIENT_DOMAIN) ||
                           r->count == LIMIT_DISTINCT_RECIPIENTS;
    return !is_by_recipient && r->stage != STAGE_FAILURE;
}

/* ---- asking ---- */

void replay_count(struct replay *r, const char *rule, const char *account, enum replay_what what)
{
    struct replay_row *row = replay_row_of(r, span_of(rule), account == NULL ? "" : account);
    if (row != NULL)
        row->is[what]++;
}

static void count(struct replay *r, const struct limit_rule *rule, const char *account,
                  enum replay_what what)
{
    replay_count(r, rule->name, account, what);
}

static struct policy_facts facts_of_visit(const struct replay *r, const struct visit *v)
{
    return (struct policy_facts){.account = v->account,
                                 .login = v->login,
                                 .listener = v->listener.name,
                                 .client = v->has_client ? &v->client : NULL,
                                 .country = v->country,
                                 .now_s = r->now_us / REPLAY_SECOND,
                                 .has_certificate = v->certificate != NULL,
                                 .certificate = v->certified,
                                 .set_limits = r->figures.count == 0 ? NULL : &r->set_limits,
                                 .lease = v->number};
}

static const char *header(const void *owner, const char *name)
{
    (void)name; /* the log names one of them */
    return owner;
}

static struct policy_facts facts_of_mail(const struct replay *r, const struct mail *m)
{
    struct policy_facts f = facts_of_visit(r, m->visit);
    f.account = m->account;
    f.login = m->login == NULL ? m->account : m->login;
    f.sender = m->sender == NULL || strcmp(m->sender, "<>") == 0 ? "" : m->sender;
    f.recipients = m->accepted;
    f.bytes = m->bytes;
    f.delayed_us = m->delayed_us;
    f.header = header;
    f.header_owner = m->script;
    return f;
}

/* What `take` got. */
static void keep(struct replay *r, const struct policy_call *call, size_t i, struct taken **list)
{
    const struct counter_take *take = &call->takes[i];
    struct taken *t = arena_alloc(r->options.arena, sizeof *t);
    const char *key = arena_copy(r->options.arena, take->key);
    r->is_full = r->is_full || t == NULL || key == NULL;
    if (r->is_full)
        return;
    t->next = *list;
    t->back = (struct counter_settle){
        .of = take->kind, .slot = take->slot, .key = span_make(key, take->key.size)};
    if (take->kind == COUNTER_RATE) {
        t->back.kind = SETTLE_GIVE_BACK;
        t->back.rate.increment_us = take->rate.increment_us;
        t->back.rate.tat_us = call->answers[i].tat_us;
    } else {
        t->back.kind = SETTLE_RELEASE;
        t->back.at_once.lease = take->at_once.lease;
    }
    *list = t;
}

static void keep_all(struct replay *r, const struct policy_call *call, bool has_rates,
                     struct taken **list)
{
    for (size_t i = 0; list != NULL && i < call->count; i++)
        if (call->answers[i].is_taken && (call->takes[i].kind == COUNTER_AT_ONCE ||
                                          (has_rates && call->takes[i].kind == COUNTER_RATE)))
            keep(r, call, i, list);
}

struct counting {
    struct replay *replay;
    const char *account;
};

static void count_monitored(void *owner, const struct verdict *v)
{
    struct counting *c = owner;
    count(c->replay, v->rule, c->account, REPLAY_MONITORED);
}

void replay_forget(struct replay *r, const struct limit_rule *rule, struct span key)
{
    struct table_name name;
    const struct counter_settle s = {
        .kind = SETTLE_FORGET, .of = rule->kind, .slot = rule->slot, .key = key};
    (void)table_settle_names(&r->options.table, &s, 1, &name); /* as below */
    table_settle(&r->options.table, &s, &name, 1, r->now_us);
}

struct suspending {
    struct replay *replay;
    const struct policy *policy;
    const struct policy_facts *facts;
    bool stops; /* the account may send no more, or would have been suspended */
};

static void suspend(void *owner, const struct verdict *v)
{
    struct suspending *s = owner;
    const char *account = s->facts->account;
    count(s->replay, v->rule, account, REPLAY_REFUSED);
    if (account != NULL && replay_suspend(s->replay, v->rule, account, &s->policy->max_suspensions))
        replay_forget(s->replay, v->rule, v->key);
    s->stops = true;
}

/* Does it pass? What it takes is kept in `list`, unless that is NULL. */
static bool ask(struct replay *r, const struct policy *p, enum policy_stage stage,
                const struct policy_facts *f, struct taken **list, int64_t *wait_us)
{
    struct table_name names[STORE_TAKES_MAX];
    struct policy_call call;
    struct counting counting = {r, f->account};
    struct suspending suspending = {r, p, f, false};
    struct verdict v;
    if (p == NULL)
        return true;
    arena_reset(r->scratch);
    policy_call_begin(&call, r->scratch);
    int group = policy_ask(&call, p, stage, f, STORE_NO_GROUP);
    r->is_full = r->is_full || group == POLICY_FAILED;
    if (r->is_full)
        return true;
    (void)table_names(&r->options.table, call.takes, call.count, names); /* nobody else is there */
    if (call.count > 0 &&
        table_take(&r->options.table, call.takes, names, call.count, r->now_us, call.answers) < 0)
        return true; /* it mends itself */
    policy_judge(&call, group, &v);
    policy_monitored(&call, p, count_monitored, &counting);
    policy_suspending(&call, p, suspend, &suspending);
    if (v.kind != VERDICT_PASS) {
        count(r, v.rule, f->account, REPLAY_REFUSED);
        if (v.rule->action == LIMIT_BAN && !v.lacks_header)
            replay_forget(r, v.rule, v.key);
        return false;
    }
    if (v.wait_us > 0)
        count(r, v.rule, f->account, REPLAY_DELAYED);
    if (wait_us != NULL)
        *wait_us += v.wait_us;
    keep_all(r, &call, stage >= STAGE_MAIL, list);
    /* Where it is suspended at its login it is in, but for one that may do nothing. */
    return !suspending.stops ||
           (stage == STAGE_LOGIN && replay_is_suspended(r, f->account, false) &&
            !replay_is_suspended(r, f->account, true));
}

static void settle(struct replay *r, const struct counter_settle *settles, size_t count)
{
    struct table_name names[SETTLES_MAX];
    (void)table_settle_names(&r->options.table, settles, count, names); /* as above */
    table_settle(&r->options.table, settles, names, count, r->now_us);
}

static void give_back(struct replay *r, struct taken **list)
{
    for (; *list != NULL; *list = (*list)->next)
        settle(r, &(*list)->back, 1);
}

static void after(struct replay *r, const struct policy *p, enum policy_after what,
                  const struct policy_facts *f, bool is_bad)
{
    struct counter_settle settles[SETTLES_MAX];
    if (p == NULL)
        return;
    arena_reset(r->scratch);
    size_t count = policy_after(p, what, f, is_bad, r->scratch, settles, SETTLES_MAX);
    settle(r, settles, count);
}

/* ---- what happens ---- */

static void connect_visit(struct replay *r, const struct act *a)
{
    struct policy_facts f = facts_of_visit(r, a->visit);
    f.account = f.login = NULL;
    a->visit->is_away =
        !ask(r, a->visit->listener.policy, STAGE_CONNECT, &f, &a->visit->held, NULL);
}

static void log_in(struct replay *r, const struct act *a)
{
    struct visit *v = a->visit;
    v->account = v->login = a->text;
    const struct policy_facts f = facts_of_visit(r, v);
    if (replay_is_suspended(r, v->account, true) ||
        (v->listener.is_pop3 && !replay_lets_in(r, v, &f)))
        return;
    if (ask(r, v->listener.policy, STAGE_LOGIN, &f, &v->held, NULL))
        after(r, v->listener.policy, AFTER_LOGIN, &f, false);
}

/* A recipient whom the gateway takes, or not: then what it took is given back, if the server behind
 * refused it. */
static bool take_recipient(struct replay *r, struct mail *m, const char *recipient, bool is_refused)
{
    struct policy_facts f = facts_of_mail(r, m);
    struct taken *own = NULL;
    f.recipient = recipient == NULL ? "" : recipient; /* no rule goes by it */
    r->now_us += m->delayed_us;
    bool passes = !m->is_denied && ask(r, m->visit->listener.policy, STAGE_RCPT, &f,
                                       is_refused ? &own : &m->taken, &m->delayed_us);
    if (is_refused)
        give_back(r, &own);
    m->accepted += passes && !is_refused;
    return passes;
}

static void attempt(struct replay *r, const struct mail *m, const char *recipient, bool is_bad)
{
    struct policy_facts f = facts_of_mail(r, m);
    f.recipient = recipient == NULL ? "" : recipient;
    after(r, m->visit->listener.policy, AFTER_ATTEMPT, &f, is_bad);
}

static void take_good(struct replay *r, struct mail *m, const char *recipient)
{
    if (take_recipient(r, m, recipient, false))
        attempt(r, m, recipient, false);
}

/* In which order they came isn't told: those that were refused behind had room, and didn't stop the
 * others by being counted. */
static void take_recipients(struct replay *r, struct mail *m)
{
    const int64_t at_us = r->now_us;
    for (struct tried *t = m->tried; t != NULL; t = t->next) {
        r->now_us = at_us;
        t->passes = take_recipient(r, m, t->recipient, true);
    }
    for (uint64_t i = 0; i < m->count && i < RECIPIENTS_MAX && !r->is_full; i++) {
        r->now_us = at_us;
        take_good(r, m, m->recipient);
    }
    for (const struct tried *t = m->tried; t != NULL; t = t->next)
        if (t->passes)
            attempt(r, m, t->recipient, t->is_nobody);
}

static bool is_suspended(struct replay *r, const struct policy_facts *f)
{
    return replay_is_suspended(r, f->account, false) || replay_is_suspended(r, f->login, false);
}

static void begin_mail(struct replay *r, const struct act *a)
{
    struct mail *m = a->mail;
    const struct policy_facts f = facts_of_mail(r, m);
    m->is_denied = is_suspended(r, &f) || !replay_lets_in(r, m->visit, &f) ||
                   !replay_owns_sender(r, m, &f) ||
                   !ask(r, m->visit->listener.policy, STAGE_MAIL, &f, &m->taken, &m->delayed_us);
    r->unknown.tries += m->is_try && !m->is_denied;
    take_recipients(r, m);
}

static void end_mail(struct replay *r, const struct act *a)
{
    struct mail *m = a->mail;
    struct policy_facts f = facts_of_mail(r, m);
    const struct policy *p = m->visit->listener.policy;
    bool passes = m->accepted > 0 && ask(r, p, STAGE_DATA, &f, &m->taken, NULL) &&
                  replay_owns_author(r, m, &f) && ask(r, p, STAGE_END, &f, &m->taken, NULL) &&
                  !is_suspended(r, &f);
    f.recipient = m->recipient;
    if (!passes || !m->is_taken)
        give_back(r, &m->taken);
    else if (m->recipient != NULL)
        after(r, p, AFTER_MESSAGE, &f, false);
    m->taken = NULL;
}

static void run_one(struct replay *r, const struct act *a)
{
    r->now_us = a->at_us;
    switch (a->kind) {
    case ACT_ORDER: replay_obey(r, a->given); return;
    case ACT_CONNECT: connect_visit(r, a); return;
    case ACT_LOGIN: log_in(r, a); return;
    case ACT_MAIL: begin_mail(r, a); return;
    case ACT_RCPT: take_good(r, a->mail, a->text); return;
    case ACT_END: end_mail(r, a); return;
    case ACT_GONE: give_back(r, &a->visit->held); return;
    }
}

static int by_time(const void *a, const void *b)
{
    const struct act *x = a, *y = b;
    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* Of which nothing was taken: they end with the last that was refused. */
static void end_others(struct replay *r)
{
    for (size_t i = 0; i < r->mails.room; i++) {
        struct mail *m = r->mails.table == NULL ? NULL : r->mails.table[i];
        if (m == NULL || m->has_begun)
            continue;
        replay_add(r, &(struct act){.at_us = m->first_us, .kind = ACT_MAIL, .mail = m});
        replay_add(r, &(struct act){.at_us = m->first_us, .kind = ACT_END, .mail = m});
    }
}

int replay_run(struct replay *r)
{
    end_others(r);
    if (r->act_count > 0)
        qsort(r->acts, r->act_count, sizeof *r->acts, by_time);
    for (size_t i = 0; i < r->act_count && !r->is_full; i++)
        run_one(r, &r->acts[i]);
    return r->is_full ? -1 : 0;
}

const struct replay_unknown *replay_unknown(const struct replay *r)
{
    return &r->unknown;
}

static int by_name(const void *a, const void *b)
{
    const struct replay_row *x = a, *y = b;
    int rule = strcmp(x->rule, y->rule);
    return rule != 0 ? rule : strcmp(x->account, y->account);
}

size_t replay_rows(struct replay *r, struct replay_row **out)
{
    size_t rows = 0;
    *out = arena_alloc(r->options.arena, (r->rows.count + 1) * sizeof **out);
    if (*out == NULL)
        return SIZE_MAX;
    for (size_t i = 0; i < r->rows.room; i++)
        if (r->rows.table[i] != NULL)
            (*out)[rows++] = ((struct row *)r->rows.table[i])->row;
    qsort(*out, rows, sizeof **out, by_name);
    return rows;
}
