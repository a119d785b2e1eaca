/* Of a replay what isn't a counter: access, who may send as whom, and what stands by an order. */
#include "policy/replay_acts.h"

#include "base/arena.h"
#include "policy/key.h"

enum { NAME_SIZE = 320 };

/* ---- access ---- */

struct telling {
    struct replay *replay;
    const char *account;
};

static void count_monitored(void *owner, const struct access_refusal *refusal)
{
    const struct telling *t = owner;
    replay_count(t->replay, refusal->rule->name, t->account, REPLAY_MONITORED);
}

bool replay_lets_in(struct replay *r, const struct visit *v, const struct policy_facts *f)
{
    struct telling t = {r, f->account};
    struct access_refusal refusal;
    if (access_allows(v->listener.policy, f, count_monitored, &t, &refusal))
        return true;
    replay_count(r, refusal.rule->name, f->account, REPLAY_REFUSED);
    return false;
}

/* ---- who may send as whom ---- */

static bool is_own(const struct replay *r, const struct sender_rule *rule, const char *account,
                   const char *given)
{
    char address[NAME_SIZE];
    return r->options.address_of(r->options.owner, span_of(given), address, sizeof address) &&
           sender_is_own(rule, span_of(account), span_of(address));
}

static bool judge(struct replay *r, const struct policy *p, const struct policy_facts *f,
                  const char *address)
{
    if (is_own(r, &p->sender, f->account, address))
        return true;
    bool is_monitored = policy_sender_is_monitored(p);
    replay_count(r, "sender", f->account, is_monitored ? REPLAY_MONITORED : REPLAY_REFUSED);
    return is_monitored;
}

bool replay_owns_sender(struct replay *r, const struct mail *m, const struct policy_facts *f)
{
    const struct policy *p = m->visit->listener.policy;
    return p == NULL || p->sender.envelope == SENDER_ANY || f->account == NULL ||
           f->sender[0] == '\0' || !sender_is_for(&p->sender, f) || judge(r, p, f, f->sender);
}

bool replay_owns_author(struct replay *r, const struct mail *m, const struct policy_facts *f)
{
    const struct policy *p = m->visit->listener.policy;
    if (p == NULL || p->sender.header == SENDER_ANY || f->account == NULL ||
        !sender_is_for(&p->sender, f))
        return true;
    r->unknown.authors += m->author == NULL && !m->is_try;
    return m->author == NULL || judge(r, p, f, m->author);
}

/* ---- orders ---- */

static struct figure_set *figure_of(struct replay *r, const char *limit, const char *name)
{
    char key[2 * NAME_SIZE];
    size_t size = span_copy(span_of(limit), key, NAME_SIZE); /* cut, as the name: it is none then */
    key[size++] = '\n';
    size += span_copy(span_of(name), key + size, NAME_SIZE);
    return named_get(&r->figures, span_make(key, size), sizeof(struct figure_set));
}

bool replay_figure(const void *owner, const char *limit, const char *name, int64_t now_s,
                   struct rate *out)
{
    struct replay *r = *(struct replay *const *)owner;
    const struct figure_set *f = figure_of(r, limit, name);
    if (f == NULL || f->until_us <= now_s * REPLAY_SECOND)
        return false;
    *out = f->figure;
    return true;
}

static struct suspended *suspended_of(struct replay *r, const char *account)
{
    struct suspended *s = named_get(&r->suspended, span_of(account), sizeof *s);
    r->is_full = r->is_full || s == NULL;
    return s;
}

/* As control does it, when somebody is let go. */
static void forget_all(struct replay *r, const char *account)
{
    const struct policy_facts f = {.account = account, .login = account};
    char text[STORE_KEY_MAX];
    for (size_t i = 0; i < r->policy_count; i++)
        for (size_t n = 0; n < r->policies[i]->limit_count; n++) {
            const struct limit_rule *rule = &r->policies[i]->limits[n];
            bool is_meant = rule->enabled && rule->action == LIMIT_SUSPEND;
            size_t size = is_meant ? limit_key_text(rule, &f, text) : 0;
            if (size > 0)
                replay_forget(r, rule, span_make(text, size));
        }
}

void replay_obey(struct replay *r, const struct order *o)
{
    if (o->limit != NULL) {
        struct figure_set *f = figure_of(r, o->limit, o->account);
        r->is_full = r->is_full || f == NULL;
        if (f == NULL)
            return;
        f->figure = o->figure;
        f->until_us = o->until_us;
        return;
    }
    struct suspended *s = suspended_of(r, o->account);
    if (s != NULL && o->until_us == 0)
        forget_all(r, o->account);
    if (s != NULL) {
        s->rule = o->until_us == 0 ? s->rule : NULL;
        s->since_us = o->until_us == 0 ? s->since_us : r->now_us;
        s->until_us = o->until_us;
    }
}

/* ---- suspensions ---- */

bool replay_is_suspended(struct replay *r, const char *account, bool from_all)
{
    const struct suspended *s =
        account == NULL || r->suspended.count == 0 ? NULL : suspended_of(r, account);
    return s != NULL && s->until_us > r->now_us && (s->is_of_all || !from_all);
}

bool replay_suspend(struct replay *r, const struct limit_rule *rule, const char *account,
                    const struct rate *most)
{
    int64_t count = 0;
    for (size_t i = 0; i < r->suspended.room; i++) {
        const struct suspended *s = r->suspended.table[i];
        count += s != NULL && s->rule != NULL && strcmp(s->rule, rule->name) == 0 &&
                 s->until_us > 0 && s->since_us > r->now_us - most->period_us;
    }
    struct suspended *s = count < most->count ? suspended_of(r, account) : NULL;
    if (s == NULL)
        return false;
    s->rule = rule->name;
    s->since_us = r->now_us;
    s->until_us = r->now_us + rule->duration_ms * 1000;
    s->is_of_all = rule->scope == LIMIT_ALL;
    return true;
}
