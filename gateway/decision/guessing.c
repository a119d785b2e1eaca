/* The store is looked at first: is it among the `max` that may be? Then it is added, or the ban is
 * made and the counter begins anew. Two at the same moment may both pass; the next doesn't. */
#include "decision/guessing.h"

#include "base/arena.h"
#include "base/clock.h"
#include "policy/limit/siphash.h"

#include <stdio.h>
#include <string.h>

/* One that the store is asked about; in the arena of its decision. */
struct asked {
    const struct guessing *guessing;
    struct decision *decision;
    struct ban ban; /* that it would lead to; its times are missing */
};

static uint64_t hash_of(const struct guessing *g, struct span first, struct span second)
{
    uint64_t key[2], hash[2];
    siphash(g->key, first, key); /* what was hashed is a key that nobody knows */
    siphash(key, second, hash);
    return hash[0] == 0 ? 1 : hash[0];
}

uint64_t guessing_account(const struct guessing *g, const char *account)
{
    return hash_of(g, span_of("account"), span_of(account));
}

static bool is_of_pair(const struct guessing *g, const struct guess *guess)
{
    return guess->is_shared || g->config->guessing.key == GUESSING_IP_ACCOUNT;
}

/* The counter goes by what the ban would hit. */
static struct limit_rule rule_of(const struct guessing *g, bool is_of_pair)
{
    struct limit_rule r = {.name = GUESSING_RULE,
                           .slot = g->config->guessing.slot,
                           .keys = {LIMIT_KEY_IP, LIMIT_KEY_ACCOUNT},
                           .key_count = is_of_pair ? 2 : 1};
    if (!is_of_pair && g->config->guessing.key == GUESSING_NETWORK)
        r.keys[0] = LIMIT_KEY_NETWORK;
    return r;
}

static void make_ban(const struct guessing *g, const struct guess *guess, struct ban *out)
{
    bool is_wide = g->config->guessing.key == GUESSING_NETWORK && !is_of_pair(g, guess);
    *out = (struct ban){
        .network = network_of(guess->client, is_wide ? 24 : 32, is_wide ? 48 : BAN_V6_BITS),
        .rule = GUESSING_RULE};
    if (!is_of_pair(g, guess))
        return;
    out->account = guessing_account(g, guess->account);
    (void)span_copy(span_of(guess->account), out->name, sizeof out->name); /* may be cut */
}

/* ---- the answer ---- */

static void settle(const struct asked *a, enum counter_settle_kind kind)
{
    const struct counter_take *take = &a->decision->call.takes[0];
    const struct counter_settle s = {
        .kind = kind,
        .of = COUNTER_DISTINCT,
        .slot = take->slot,
        .key = take->key,
        .distinct = {.element = take->distinct.element, .window_us = take->distinct.window_us}};
    decision_settle(a->decision, &s, 1);
}

static void ban(const struct asked *a, uint64_t tries)
{
    const struct guessing *g = a->guessing;
    int64_t now = clock_wall_ns();
    struct ban made = a->ban;
    char network[NETWORK_TEXT_SIZE], until[CLOCK_ISO_SIZE];
    struct error why;
    made.since_ns = now;
    made.until_ns = now + g->config->guessing.ban_ms * CLOCK_MS;
    made.tries = (uint32_t)tries;
    network_format(&made.network, network);
    clock_format_iso(made.until_ns, until);
    if (bans_put(g->bans, g->process, &made, now, &why) < 0)
        log_event(g->log, EVENT_ban_failed, field_text(KEY_network, network),
                  field_text(KEY_account, made.name), field_text(KEY_rule, made.rule),
                  field_text(KEY_reason, why.text));
    else
        log_event(g->log, EVENT_banned, field_text(KEY_network, network),
                  field_text(KEY_account, made.name), field_text(KEY_rule, made.rule),
                  field_number(KEY_tries, made.tries), field_text(KEY_until, until));
}

static void on_answer(void *owner, enum decision_outcome outcome)
{
    const struct asked *a = owner;
    struct decision *x = a->decision; /* `a` goes with it */
    const struct counter_answer *answer = &x->call.answers[0];
    if (outcome == DECISION_ANSWERED && answer->is_refusing) {
        ban(a, answer->used + 1);
        settle(a, SETTLE_FORGET);
    } else if (outcome == DECISION_ANSWERED) {
        settle(a, SETTLE_ADD);
    }
    decision_destroy(&x);
}

/* ---- the question ---- */

/* Returns 0, or -1 without memory. */
static int ask(const struct guessing *g, const struct guess *guess, struct decision *x)
{
    const struct policy_facts facts = {.account = guess->account, .client = guess->client};
    const struct limit_rule rule = rule_of(g, is_of_pair(g, guess));
    char text[STORE_KEY_MAX];
    struct asked *a = arena_alloc(x->arena, sizeof *a);
    const char *key = arena_copy(x->arena, span_make(text, limit_key_text(&rule, &facts, text)));
    if (a == NULL || key == NULL)
        return -1;
    const struct counter_take take = {
        .kind = COUNTER_DISTINCT,
        .needs = STORE_NO_GROUP,
        .slot = rule.slot,
        .key = span_of(key),
        .distinct = {.max = (uint32_t)g->config->guessing.max,
                     .element = hash_of(g, span_of(guess->account), guess->password),
                     .window_us = g->config->guessing.window_ms * 1000}};
    if (decision_ask(x, &take) < 0)
        return -1;
    *a = (struct asked){.guessing = g, .decision = x};
    make_ban(g, guess, &a->ban);
    enum decision_outcome outcome = decision_run(x, on_answer, a);
    if (outcome != DECISION_PENDING)
        on_answer(a, outcome);
    return 0;
}

void guessing_count(const struct guessing *g, const struct guess *guess)
{
    if (g->config->guessing.max == 0 || bans_exempt(g->bans, guess->client, clock_wall_ns()))
        return;
    struct decision *x = decision_create(g->decider);
    if (x != NULL && ask(g, guess, x) < 0)
        decision_destroy(&x);
}
