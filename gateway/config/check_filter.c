/* porteiro-milter: does what it is told go together? What an MTA keeps to itself, as its logins and
 * its clients' certificates, no rule can go by there. */
#include "config/check.h"

/* Of what nobody tells a filter. */
static bool is_untold(const struct limit_rule *r)
{
    return r->stage < STAGE_MAIL;
}

static bool has_listener(const struct config *c, const struct policy *p)
{
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].policy_rules == p)
            return true;
    return false;
}

static void check_limits(const struct policy *p, struct errors *errors)
{
    for (size_t i = 0; i < p->limit_count; i++)
        if (p->limits[i].enabled && is_untold(&p->limits[i]))
            errors_warn_at(errors, &p->limits[i].place,
                           "policies.%s.limits.%s: never applies in porteiro-milter, which hears "
                           "of mail alone, not of connections and logins",
                           p->name, p->limits[i].name);
}

static void check_access(const struct policy *p, struct errors *errors)
{
    for (size_t i = 0; i < p->access_count; i++)
        if (p->access[i].enabled && p->access[i].certificate != ACCESS_CERTIFICATE_NONE)
            errors_add_at(errors, &p->access[i].place,
                          "policies.%s.access.%s.certificate: porteiro-milter is shown none; give "
                          "filter a policy without it",
                          p->name, p->access[i].name);
}

void config_check_filter(struct config *c, struct errors *errors)
{
    struct filter_config *f = &c->filter;
    f->policy_rules = config_find_policy(c, f->policy);
    if (f->policy[0] == '\0' && (f->listen[0] != '\0' || f->policy_service[0] != '\0'))
        errors_add_at(errors, &f->place, "filter.policy: is missing; name one of policies");
    if (f->policy[0] != '\0' && f->policy_rules == NULL)
        errors_add_at(errors, &f->place, "filter.policy: \"%s\" isn't one of policies%s", f->policy,
                      c->policy_count == 0 ? "; there are none" : "");
    if (f->listen[0] != '\0' && strcmp(f->listen, f->policy_service) == 0)
        errors_add_at(errors, &f->place,
                      "filter.policy_service: \"%s\" is taken by listen; each speaks a protocol of "
                      "its own",
                      f->listen);
    if (f->policy_rules == NULL)
        return;
    check_access(f->policy_rules, errors);
    if (!has_listener(c, f->policy_rules))
        check_limits(f->policy_rules, errors);
}
