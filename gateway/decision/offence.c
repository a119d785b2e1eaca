#include "decision/offence.h"

#include "base/clock.h"
#include "decision/guessing.h"
#include "policy/key.h"

#include <assert.h>

static void make_ban(const struct guessing *g, const struct verdict *v,
                     const struct policy_facts *f, int64_t now_ns, struct ban *out)
{
    bool is_of_account = limit_is_of_account(v->rule, f);
    bool is_wide = limit_has_key(v->rule, LIMIT_KEY_NETWORK) && !(f->is_shared && is_of_account);
    *out = (struct ban){
        .network = network_of(f->client, is_wide ? 24 : 32, is_wide ? 48 : BAN_V6_BITS),
        .since_ns = now_ns,
        .until_ns = now_ns + v->rule->duration_ms * CLOCK_MS,
        .tries = v->tries > UINT32_MAX ? UINT32_MAX : (uint32_t)v->tries,
        .spares_nobody = v->rule->stage > STAGE_FAILURE || v->rule->stage == STAGE_LOGIN};
    (void)span_copy(span_of(v->rule->name), out->rule, sizeof out->rule); /* cut to fit */
    if (!is_of_account)
        return;
    out->account = guessing_account(g->key, f->account);
    (void)span_copy(span_of(f->account), out->name, sizeof out->name); /* may be cut */
}

/* Several recipients of a batch may have been refused by one rule. */
static bool is_made(const struct guessing *g, const struct ban *made)
{
    struct ban is;
    return bans_find(g->bans, made, made->since_ns, &is) >= 0 &&
           is.until_ns >= made->until_ns - CLOCK_SECOND;
}

static bool put(const struct guessing *g, const struct ban *made)
{
    char network[NETWORK_TEXT_SIZE], until[CLOCK_ISO_SIZE];
    struct error why;
    network_format(&made->network, network);
    clock_format_iso(made->until_ns, until);
    if (bans_put(g->bans, g->process, made, made->since_ns, &why) < 0) {
        log_event(g->log, EVENT_ban_failed, field_text(KEY_network, network),
                  field_text(KEY_account, made->name), field_text(KEY_rule, made->rule),
                  field_text(KEY_reason, why.text));
        return false;
    }
    log_event(g->log, EVENT_banned, field_text(KEY_network, network),
              field_text(KEY_account, made->name), field_text(KEY_rule, made->rule),
              field_number(KEY_tries, made->tries), field_text(KEY_until, until));
    return true;
}

bool offence_ban(const struct guessing *g, const struct verdict *v, const struct policy_facts *f)
{
    int64_t now = clock_wall_ns();
    struct ban made;
    if (f->client == NULL || (f->is_shared && !limit_is_of_account(v->rule, f)) ||
        bans_exempt(g->bans, f->client, now))
        return false;
    make_ban(g, v, f, now, &made);
    return is_made(g, &made) || put(g, &made);
}

/* ---- suspensions ---- */

/* There is room for all that is remembered; what it has logged in with now is one of them, unless
 * the table has lost it. */
static void carry(const struct guessing *g, const struct policy_facts *f, struct ban *out)
{
    uint32_t known[KNOWN_WAYS];
    size_t count =
        known_credentials(g->known, g->key, f->account, g->config->remember_networks_ms * CLOCK_MS,
                          out->since_ns, known);
    static_assert((int)KNOWN_WAYS < (int)BAN_CREDENTIALS_MAX, "all fit, and one more");
    for (size_t i = 0; i < count; i++)
        out->credentials[i] = known[i];
    out->credentials[count] = f->credentials;
}

static struct ban suspension(const struct guessing *g, const struct verdict *v,
                             const struct policy_facts *f, int64_t now_ns)
{
    struct ban out = {.network = {.is_v6 = true},
                      .account = guessing_account(g->key, f->account),
                      .kind = BAN_SUSPENSION,
                      .scope = v->rule->scope == LIMIT_ALL ? SUSPENSION_ALL : SUSPENSION_SENDING,
                      .since_ns = now_ns,
                      .until_ns = now_ns + v->rule->duration_ms * CLOCK_MS,
                      .tries = v->tries > UINT32_MAX ? UINT32_MAX : (uint32_t)v->tries};
    (void)span_copy(span_of(v->rule->name), out.rule, sizeof out.rule); /* cut to fit */
    (void)span_copy(span_of(f->account), out.name, sizeof out.name);    /* may be cut */
    (void)limit_rule_text(v->rule, v->override, out.reason, sizeof out.reason);
    carry(g, f, &out);
    return out;
}

/* Neither is it shorter than it was, by whatever rule, nor before what lifted it. */
static void follow(struct ban *made, const struct ban *was)
{
    if (was->until_ns == 0)
        return;
    if (was->since_ns >= made->since_ns)
        made->since_ns = was->since_ns + 1;
    if (was->scope != SUSPENSION_LIFTED && was->until_ns > made->until_ns)
        made->until_ns = was->until_ns;
}

bool offence_is_flood(const struct bans *b, const char *rule, const struct rate *most,
                      int64_t now_ns)
{
    return bans_suspended_by(b, rule, now_ns - most->period_us * 1000, now_ns) >=
           (uint64_t)most->count;
}

static bool is_flood(const struct guessing *g, const struct ban *made, const struct rate *most)
{
    int64_t now = made->since_ns;
    if (!offence_is_flood(g->bans, made->rule, most, now))
        return false;
    if (bans_tell_flood(g->bans, most->period_us * 1000, now))
        log_event(g->log, EVENT_suspensions_stopped, field_text(KEY_rule, made->rule),
                  field_text(KEY_account, made->name), field_number(KEY_count, most->count));
    return true;
}

static bool suspend(const struct guessing *g, const struct ban *made)
{
    char until[CLOCK_ISO_SIZE];
    struct error why;
    clock_format_iso(made->until_ns, until);
    if (bans_put(g->bans, g->process, made, clock_wall_ns(), &why) < 0) {
        log_event(g->log, EVENT_ban_failed, field_text(KEY_account, made->name),
                  field_text(KEY_rule, made->rule), field_text(KEY_reason, why.text));
        return false;
    }
    log_event(g->log, EVENT_suspended, field_text(KEY_account, made->name),
              field_text(KEY_scope, made->scope == SUSPENSION_ALL ? "all" : "sending"),
              field_text(KEY_rule, made->rule), field_number(KEY_tries, made->tries),
              field_text(KEY_until, until), field_text(KEY_reason, made->reason));
    return true;
}

bool offence_suspend(const struct guessing *g, const struct verdict *v,
                     const struct policy_facts *f, const struct rate *most)
{
    int64_t now = clock_wall_ns();
    struct ban made = suspension(g, v, f, now), was;
    enum suspension is = bans_suspension(g->bans, made.account, now, &was);
    bool is_ordered = is != SUSPENSION_LIFTED && was.rule[0] == '\0';
    if (is >= made.scope || is_ordered)
        return true;
    follow(&made, &was);
    return !is_flood(g, &made, most) && suspend(g, &made);
}

/* ---- and what lifts them ---- */

static bool is_known(const struct guessing *g, const char *account, uint32_t credential)
{
    uint32_t known[KNOWN_WAYS];
    size_t count =
        known_credentials(g->known, g->key, account, g->config->remember_networks_ms * CLOCK_MS,
                          clock_wall_ns(), known);
    for (size_t i = 0; i < count; i++)
        if (known[i] == credential)
            return true;
    return false;
}

static bool is_another(const struct ban *b, uint32_t credential)
{
    bool has_any = false;
    for (size_t i = 0; i < BAN_CREDENTIALS_MAX; i++) {
        if (b->credentials[i] == KNOWN_UNSAID || b->credentials[i] == credential)
            return false;
        has_any = has_any || b->credentials[i] != 0;
    }
    return has_any && credential != KNOWN_UNSAID;
}

void offence_logged_in(const struct guessing *g, const char *account, uint32_t credential)
{
    int64_t now = clock_wall_ns();
    struct ban b;
    if (!g->config->lift_on_new_password ||
        bans_suspension(g->bans, guessing_account(g->key, account), now, &b) == SUSPENSION_LIFTED ||
        b.rule[0] == '\0' || !is_another(&b, credential) || is_known(g, account, credential))
        return;
    b.since_ns = b.since_ns >= now ? b.since_ns + 1 : now;
    b.scope = SUSPENSION_LIFTED;
    b.origin = BAN_OF_GATEWAY;
    if (bans_put(g->bans, g->process, &b, now, NULL) == 0) /* else it is tried at the next login */
        log_event(g->log, EVENT_resumed, field_text(KEY_account, account),
                  field_text(KEY_rule, b.rule), field_text(KEY_reason, "new password"));
}
