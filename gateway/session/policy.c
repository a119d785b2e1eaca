#include "session/policy.h"

#include "base/clock.h"

#include <stdio.h>

struct policy_facts session_facts(const struct session *s)
{
    return (struct policy_facts){.account = session_account(s),
                                 .login = s->account,
                                 .listener = s->listener->name,
                                 .client = &s->client_address,
                                 .lease = id_number(s->id)};
}

const char *verdict_text(const struct verdict *v, char out[VERDICT_TEXT_SIZE])
{
    char limit[160], wait[40], then[64] = "";
    (void)limit_rule_text(v->rule, limit, sizeof limit);
    if (v->is_too_large)
        (void)snprintf(then, sizeof then, "; this is more than it ever lets through"); /* fits */
    else if (v->kind == VERDICT_DEFER && v->wait_us >= 0)
        (void)snprintf(then, sizeof then, "; try again in %s",
                       limit_wait_text(v->wait_us, wait, sizeof wait));             /* fits */
    (void)snprintf(out, VERDICT_TEXT_SIZE, "%s: %s%s", v->rule->name, limit, then); /* fits */
    return out;
}

void session_verdict(const struct session *s, const struct verdict *v, const char *message,
                     const char *sender, const char *recipient)
{
    bool is_monitored = policy_is_monitored(s->listener->policy_rules, v->rule);
    const char *what = is_monitored                ? "monitor"
                       : v->kind == VERDICT_DEFER  ? "defer"
                       : v->kind == VERDICT_REJECT ? "reject"
                                                   : "delay";
    session_event(
        s, EVENT_decision, field_text(KEY_message, message), field_text(KEY_sender, sender),
        field_text(KEY_recipient, recipient), field_text(KEY_rule, v->rule->name),
        field_text(KEY_verdict, what), field_span(KEY_key, v->key),
        v->wait_us < 0 ? field_text(KEY_wait, "") : field_seconds(KEY_wait, v->wait_us * 1000));
    if (!is_monitored)
        session_add(s, v->kind == VERDICT_PASS ? COUNTER_limits_delayed : COUNTER_limits_refused,
                    1);
}
