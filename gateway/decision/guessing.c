/* The store is looked at first: is it among the `max` that may be? Then it is added, or the ban is
 * made and the counter begins anew. Two at the same moment may both pass; the next doesn't. */
#include "decision/guessing.h"

#include "base/arena.h"
#include "base/clock.h"
#include "decision/offence.h"
#include "policy/country.h"
#include "policy/limit/siphash.h"

/* What the store is asked about; in the arena of its decision. */
struct asked {
    const struct guessing *guessing;
    struct decision *decision;
    struct guessing_policy own;
    size_t own_end; /* takes from here on are of: */
    const struct policy *policy;
    const char *session;
    struct policy_facts facts;
    struct address client; /* of the facts */
    char country[COUNTRY_SIZE];
};

static uint64_t hash_of(const uint64_t secret[GUESSING_KEY_SIZE], struct span first,
                        struct span second)
{
    uint64_t key[2], hash[2];
    siphash(secret, first, key); /* what was hashed is a key that nobody knows */
    siphash(key, second, hash);
    return hash[0] == 0 ? 1 : hash[0];
}

uint64_t guessing_account(const uint64_t key[GUESSING_KEY_SIZE], const char *account)
{
    return hash_of(key, span_of("account"), span_of(account));
}

uint32_t guessing_credential(const uint64_t key[GUESSING_KEY_SIZE], const char *account,
                             struct span password)
{
    return password.size == 0 ? KNOWN_UNSAID
                              : known_credential(hash_of(key, span_of(account), password));
}

void guessing_policy_make(const struct guessing_config *c, struct guessing_policy *out)
{
    out->rule = (struct limit_rule){
        .name = GUESSING_RULE,
        .keys = {c->key == GUESSING_NETWORK ? LIMIT_KEY_NETWORK : LIMIT_KEY_IP, LIMIT_KEY_ACCOUNT},
        .key_count = c->key == GUESSING_IP_ACCOUNT ? 2 : 1,
        .count = LIMIT_DISTINCT_CREDENTIALS,
        .kind = COUNTER_DISTINCT,
        .max = c->max,
        .window_ms = c->window_ms,
        .action = LIMIT_BAN,
        .duration_ms = c->ban_ms,
        .stage = STAGE_FAILURE,
        .slot = c->slot,
        .enabled = true};
    out->policy = (struct policy){
        .name = "", .limits = &out->rule, .limit_count = c->max > 0, .stages = 1u << STAGE_FAILURE};
}

/* ---- the answer ---- */

static void settle(const struct asked *a, size_t i, enum counter_settle_kind kind)
{
    const struct counter_take *take = &a->decision->call.takes[i];
    struct counter_settle s = {
        .kind = kind, .of = take->kind, .slot = take->slot, .key = take->key};
    if (kind == SETTLE_ADD) {
        s.distinct.element = take->distinct.element;
        s.distinct.window_us = take->distinct.window_us;
    }
    decision_settle(a->decision, &s, 1);
}

static void tell(const struct asked *a, enum event event, const struct verdict *v)
{
    char client[ADDRESS_TEXT_SIZE], limit[160];
    address_format(&a->client, client);
    log_event(a->guessing->log, event, field_text(KEY_session, a->session),
              field_text(KEY_listener, a->facts.listener), field_text(KEY_client, client),
              field_text(KEY_account, a->facts.account == NULL ? "" : a->facts.account),
              field_text(KEY_rule, v->rule->name),
              field_text(KEY_verdict, v->kind == VERDICT_PASS ? "" : "monitor"),
              field_span(KEY_key, v->key),
              field_text(KEY_limit, limit_rule_text(v->rule, v->override, limit, sizeof limit)),
              v->used < 0 ? field_text(KEY_used, "") : field_number(KEY_used, v->used),
              v->tries == 0 ? field_text(KEY_tries, "")
                            : field_number(KEY_tries, (int64_t)v->tries));
}

static void judge(const struct asked *a, size_t i)
{
    const struct policy *p = i < a->own_end ? &a->own.policy : a->policy;
    struct verdict v;
    policy_judge_one(&a->decision->call, i, &v);
    if (v.kind == VERDICT_PASS) {
        if (a->decision->call.takes[i].kind == COUNTER_DISTINCT)
            settle(a, i, SETTLE_ADD);
    } else if (policy_is_monitored(p, v.rule)) {
        tell(a, EVENT_decision, &v);
    } else {
        (void)offence_ban(a->guessing, &v, &a->facts); /* what fails is logged */
        settle(a, i, SETTLE_FORGET);
    }
}

static void tell_near(void *owner, const struct verdict *v)
{
    tell(owner, EVENT_near, v);
}

static void on_answer(void *owner, enum decision_outcome outcome)
{
    struct asked *a = owner;
    struct decision *x = a->decision; /* `a` goes with it */
    if (outcome == DECISION_ANSWERED)
        policy_near(&x->call, tell_near, a);
    for (size_t i = 0; outcome == DECISION_ANSWERED && i < x->call.count; i++)
        judge(a, i);
    decision_destroy(&x);
}

/* ---- the question ---- */

/* What is still needed when the answer comes. Returns 0, or -1 without memory. */
static int keep(const struct guessing *g, const struct guess *guess, struct asked *a,
                struct arena *arena)
{
    const char *account =
        guess->account == NULL ? NULL : arena_copy(arena, span_of(guess->account));
    a->session = arena_copy(arena, span_of(guess->session));
    a->policy = guess->policy;
    a->client = *guess->client;
    (void)span_copy(span_of(guess->country == NULL ? "" : guess->country), a->country,
                    sizeof a->country); /* fits */
    a->facts = (struct policy_facts){
        .account = account,
        .listener = guess->listener,
        .client = &a->client,
        .country = a->country[0] == '\0' ? NULL : a->country,
        .now_s = clock_wall_ns() / CLOCK_SECOND,
        .credentials =
            account == NULL ? 0 : hash_of(g->key, span_of(guess->account), guess->password),
        .is_shared = guess->is_shared,
        .is_exempt = bans_exempt(g->bans, guess->client, clock_wall_ns())};
    return a->session == NULL || (guess->account != NULL && account == NULL) ? -1 : 0;
}

/* Returns 0, or -1 without memory. */
static int ask(const struct guessing *g, const struct guess *guess, struct decision *x)
{
    struct asked *a = arena_alloc(x->arena, sizeof *a);
    if (a == NULL)
        return -1;
    *a = (struct asked){.guessing = g, .decision = x};
    guessing_policy_make(&g->config->guessing, &a->own);
    if (keep(g, guess, a, x->arena) < 0 || policy_ask(&x->call, &a->own.policy, STAGE_FAILURE,
                                                      &a->facts, STORE_NO_GROUP) == POLICY_FAILED)
        return -1;
    a->own_end = x->call.count;
    if (policy_ask(&x->call, a->policy, STAGE_FAILURE, &a->facts, STORE_NO_GROUP) == POLICY_FAILED)
        return -1;
    enum decision_outcome outcome = decision_run(x, on_answer, a);
    if (outcome != DECISION_PENDING)
        on_answer(a, outcome);
    return 0;
}

void guessing_count(const struct guessing *g, const struct guess *guess)
{
    struct decision *x = decision_create(g->decider);
    if (x != NULL && ask(g, guess, x) < 0)
        decision_destroy(&x);
}
