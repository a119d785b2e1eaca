#include "control/tally.h"

#include "base/arena.h"
#include "base/clock.h"
#include "policy/key.h"
#include "policy/policy.h"

static bool is_counted(const struct tally *t, const struct counter_settle *s)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->settles[i].slot == s->slot && t->settles[i].key.size == s->key.size &&
            memcmp(t->settles[i].key.data, s->key.data, s->key.size) == 0)
            return true;
    return false;
}

static void add(struct tally *t, const struct counter_settle *s)
{
    if (t->count < TALLY_MAX && !is_counted(t, s))
        t->settles[t->count++] = *s;
}

/* As which it is known at a listener; NULL: at none. */
static struct policy_facts facts_of(const char *account, const struct listener_config *l)
{
    return (struct policy_facts){.account = account,
                                 .login = account,
                                 .listener = l == NULL ? NULL : l->name,
                                 .now_s = clock_wall_ns() / CLOCK_SECOND};
}

void tally_rejected(const struct config *c, const char *account, uint32_t count, struct arena *a,
                    struct tally *t)
{
    struct counter_settle found[TALLY_MAX];
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct policy_facts f = facts_of(account, &c->listeners[i]);
        const struct policy *p = c->listeners[i].policy_rules;
        size_t all = p == NULL ? 0 : policy_after(p, AFTER_ATTEMPT, &f, true, a, found, TALLY_MAX);
        for (size_t n = 0; n < all; n++) {
            found[n].ratio.tried = 0; /* they were tried before */
            found[n].ratio.bad = count;
            add(t, &found[n]);
        }
    }
}

static void add_suspending(const struct policy *p, const struct policy_facts *f, struct arena *a,
                           struct tally *t)
{
    char text[STORE_KEY_MAX];
    for (size_t i = 0; i < p->limit_count; i++) {
        const struct limit_rule *r = &p->limits[i];
        bool is_meant = r->enabled && r->action == LIMIT_SUSPEND;
        size_t size = is_meant ? limit_key_text(r, f, text) : 0;
        const char *key = size == 0 ? NULL : arena_copy(a, span_make(text, size));
        if (key != NULL)
            add(t, &(struct counter_settle){
                       .kind = SETTLE_FORGET, .of = r->kind, .slot = r->slot, .key = {key, size}});
    }
}

void tally_suspending(const struct config *c, const char *account, struct arena *a, struct tally *t)
{
    const struct policy_facts nowhere = facts_of(account, NULL);
    for (size_t i = 0; i < c->policy_count; i++)
        add_suspending(&c->policies[i], &nowhere, a, t);
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct policy_facts f = facts_of(account, &c->listeners[i]);
        if (c->listeners[i].policy_rules != NULL)
            add_suspending(c->listeners[i].policy_rules, &f, a, t);
    }
}
