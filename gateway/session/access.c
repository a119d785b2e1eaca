#include "session/access.h"

#include "auth/aliases.h"
#include "base/clock.h"
#include "session/policy.h"

/* What a certificate says, and where. */
struct shown {
    char name[CERTIFICATE_NAME_SIZE], account[ACCOUNT_SIZE];
};

static struct policy_facts facts_of(const struct session *s, struct shown *shown)
{
    struct policy_facts f = session_facts(s);
    f.has_certificate = s->client != NULL && connection_has_certificate(s->client);
    if (f.has_certificate &&
        aliases_account(s->context->aliases,
                        span_of(connection_certificate_name(s->client, shown->name)),
                        s->context->config->auth.realm, shown->account) == 0)
        f.certificate = shown->account;
    return f;
}

static bool has_rules(const struct session *s)
{
    return s->listener->policy_rules != NULL && s->listener->policy_rules->access_count > 0;
}

/* What is logged of a rule that doesn't let in. */
struct telling {
    const struct session *session;
    const char *message, *sender;
};

static void log_refusal(const struct telling *t, const struct access_refusal *r,
                        const char *verdict)
{
    char text[VERDICT_TEXT_SIZE];
    session_event(t->session, EVENT_decision, field_text(KEY_message, t->message),
                  field_text(KEY_sender, t->sender), field_text(KEY_rule, r->rule->name),
                  field_text(KEY_verdict, verdict), field_text(KEY_country, t->session->country),
                  field_text(KEY_reason, access_text(r, text, sizeof text)));
}

static void log_monitored(void *owner, const struct access_refusal *r)
{
    log_refusal(owner, r, "monitor");
}

bool session_is_let_in(struct session *s, enum policy_account state, const char *message,
                       const char *sender, struct access_refusal *out)
{
    struct shown shown;
    struct telling t = {s, message, sender};
    if (!has_rules(s))
        return true;
    struct policy_facts f = facts_of(s, &shown);
    f.account_state = state;
    if (access_allows(s->listener->policy_rules, &f, log_monitored, &t, out)) {
        s->is_let_in = true;
        return true;
    }
    log_refusal(&t, out, "reject");
    session_add(s, COUNTER_access_refused, 1);
    return false;
}

void session_note_access(struct session *s)
{
    struct shown shown;
    struct access_refusal refusal;
    if (!has_rules(s))
        return;
    const struct policy_facts f = facts_of(s, &shown);
    s->is_let_in = access_allows(s->listener->policy_rules, &f, NULL, NULL, &refusal);
}

static void end_if_over(void *owner, struct session *s)
{
    const int64_t *now_s = owner;
    struct shown shown;
    struct access_refusal refusal;
    char text[VERDICT_TEXT_SIZE];
    if (!s->is_let_in)
        return;
    struct policy_facts f = facts_of(s, &shown);
    f.now_s = *now_s;
    if (!access_lasts(s->listener->policy_rules, &f, &refusal))
        session_ask_to_end(s, ENDING_over, access_text(&refusal, text, sizeof text));
}

void registry_look_for_hours(struct registry *r, int64_t now_s)
{
    const struct config *c = registry_context(r)->config;
    uint64_t moment = 0;
    for (size_t i = 0; i < c->policy_count; i++)
        moment = moment * 31 + access_moment(&c->policies[i], now_s);
    if (registry_is_other_moment(r, moment))
        registry_each(r, end_if_over, &now_s);
}
