#include "session/guard.h"

#include "base/clock.h"
#include "decision/guessing.h"
#include "decision/offence.h"
#include "session/login.h"
#include "session/registry.h"

static bool is_shared(const struct session_context *c, const struct address *client)
{
    return networks_hold(&c->config->shared, client);
}

bool guard_knows(const struct session_context *c, const char *account, const struct address *client)
{
    const struct guessing *g = c->guessing;
    return g != NULL && known_has(g->known, g->key, account, client,
                                  c->config->auth.remember_networks_ms * CLOCK_MS, clock_wall_ns());
}

bool guard_at_door(const struct session_context *c, const struct address *client,
                   struct ban_verdict *out)
{
    return !is_shared(c, client) && bans_hold(c->bans, client, 0, clock_wall_ns(), out) &&
           !(out->spares_known && guard_knows(c, NULL, client));
}

bool guard_at_login(const struct session_context *c, const struct address *client,
                    const char *account, struct ban_verdict *out)
{
    int64_t now = clock_wall_ns();
    bool is_banned = !is_shared(c, client) && bans_hold(c->bans, client, 0, now, out);
    if (!is_banned && c->guessing != NULL)
        is_banned =
            bans_hold(c->bans, client, guessing_account(c->guessing->key, account), now, out);
    return is_banned && !(out->spares_known && guard_knows(c, account, client));
}

/* Who has logged in is known where he is; a trusted client may be banned for whom it speaks for. */
static bool is_unwelcome(const struct session *s, const struct address *client)
{
    struct ban_verdict verdict;
    return guard_at_door(s->context, client, &verdict) &&
           !(s->account != NULL && verdict.spares_known &&
             guard_knows(s->context, s->account, client));
}

/* The account of the session there, whoever else is served. */
static bool is_banned_there(const struct session *s)
{
    const struct session_context *c = s->context;
    struct ban_verdict verdict;
    return s->account != NULL && c->guessing != NULL &&
           bans_hold(c->bans, &s->client_address, guessing_account(c->guessing->key, s->account),
                     clock_wall_ns(), &verdict) &&
           !(verdict.spares_known && guard_knows(c, s->account, &s->client_address));
}

/* ---- suspensions ---- */

static enum suspension suspension_of(const struct session_context *c, const char *account,
                                     struct ban *out)
{
    return account == NULL || c->guessing == NULL || !bans_have_suspensions(c->bans)
               ? SUSPENSION_LIFTED
               : bans_suspension(c->bans, guessing_account(c->guessing->key, account),
                                 clock_wall_ns(), out);
}

static bool is_suspended(const struct session *s, const char *account, enum suspension least,
                         char out[SUSPENSION_TEXT_SIZE])
{
    struct ban b;
    if (suspension_of(s->context, account, &b) < least)
        return false;
    suspension_format(&b, out);
    return true;
}

bool guard_sending(const struct session *s, char out[SUSPENSION_TEXT_SIZE])
{
    return is_suspended(s, s->sends_for, SUSPENSION_SENDING, out) ||
           is_suspended(s, s->account, SUSPENSION_SENDING, out);
}

bool guard_login(struct session *s, const struct login *l, char out[SUSPENSION_TEXT_SIZE])
{
    const struct guessing *g = s->context->guessing;
    if (g != NULL) {
        s->credential = guessing_credential(g->key, s->account, login_password(l));
        offence_logged_in(g, s->account, s->credential);
    }
    return is_suspended(s, s->account, SUSPENSION_ALL, out);
}

void guard_before_login(const struct session_context *c, const char *account)
{
    if (suspension_of(c, account, NULL) != SUSPENSION_LIFTED)
        auth_forget(c->auth, account);
}

enum ending guard_session(const struct session *s)
{
    if (is_banned_there(s) || is_unwelcome(s, &s->client_address) ||
        (s->client != NULL && is_unwelcome(s, connection_peer(s->client))))
        return ENDING_banned;
    return suspension_of(s->context, s->account, NULL) == SUSPENSION_ALL ? ENDING_suspended
                                                                         : ENDING_none;
}

void guard_logged_in(const struct session *s)
{
    const struct guessing *g = s->context->guessing;
    if (g == NULL || s->account == NULL || s->context->config->auth.remember_networks_ms == 0)
        return;
    known_note(g->known, g->key, s->account, &s->client_address, clock_wall_ns());
    known_note_credential(g->known, g->key, s->account, s->credential, clock_wall_ns());
}

void guard_failed(const struct session *s, const struct login *l)
{
    char account[ACCOUNT_SIZE];
    const struct guess guess = {.client = &s->client_address,
                                .account = login_account(l, account) < 0 ? NULL : account,
                                .password = login_password(l),
                                .is_shared = is_shared(s->context, &s->client_address),
                                .policy = s->listener->policy_rules,
                                .listener = s->listener->name,
                                .session = s->id,
                                .country = s->country};
    if (s->context->guessing != NULL)
        guessing_count(s->context->guessing, &guess);
}

/* Counting begins anew. */
static void forget(const struct session *s, const struct verdict *v)
{
    const struct counter_settle settle = {
        .kind = SETTLE_FORGET, .of = v->rule->kind, .slot = v->rule->slot, .key = v->key};
    decider_settle(s->context->decider, &settle, 1);
}

static struct policy_facts facts_of(const struct session *s)
{
    return (struct policy_facts){.account = session_account(s),
                                 .client = &s->client_address,
                                 .credentials = s->sends_for != NULL ? KNOWN_UNSAID : s->credential,
                                 .is_shared = is_shared(s->context, &s->client_address)};
}

void guard_ban(const struct session *s, const struct verdict *v)
{
    const struct policy_facts facts = facts_of(s);
    if (s->context->guessing != NULL && offence_ban(s->context->guessing, v, &facts))
        forget(s, v);
}

bool guard_suspend(const struct session *s, const struct verdict *v)
{
    const struct policy_facts facts = facts_of(s);
    if (s->context->guessing == NULL || facts.account == NULL ||
        !offence_suspend(s->context->guessing, v, &facts,
                         &s->listener->policy_rules->max_suspensions))
        return false;
    forget(s, v);
    return true;
}
