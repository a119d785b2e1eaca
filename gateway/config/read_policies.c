/* Policies: their rules, and what one takes from another. */
#include "config/grammar.h"
#include "config/reader.h"

#include "base/arena.h"

#include <stdlib.h>

enum { BASES_MAX = 8 };

static void read_match(struct reader *r, const config_setting_t *rule, const char *path,
                       const struct section *s, struct match *m)
{
    const config_setting_t *at = reader_group(r, rule, path, s->name);
    if (at == NULL)
        return;
    const char *own = arena_printf(r->config->arena, "%s.%s", path, s->name);
    (void)reader_apply(r, s, at, own, NULL, m);
    for (size_t i = 0; i < reader_members(at); i++) {
        const config_setting_t *key = config_setting_get_elem(at, (unsigned)i);
        if (config_setting_is_aggregate(key) && config_setting_length(key) == 0)
            reader_complain(r, key, own, "must not be empty; leave it out, and it holds for all");
    }
    if (m->countries.count > 0 && r->config->geoip[0] == '\0')
        reader_complain(r, config_setting_get_member(at, "countries"), own,
                        "needs a file of countries; write "
                        "geoip = \"/var/lib/GeoIP/GeoLite2-Country.mmdb\"");
    struct error why;
    m->zone = &r->config->zone;
    if (match_prepare(m, &r->config->groups, r->config->arena, &why) < 0)
        reader_complain(r, config_setting_get_member(at, "accounts"), own, why.text);
}

static struct limit_rule *limit_of(struct reader *r, struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->limit_count; i++)
        if (strcmp(p->limits[i].name, name) == 0)
            return &p->limits[i];
    struct limit_rule *rule = &p->limits[p->limit_count++];
    *rule = (struct limit_rule){.name = name};
    reader_presets(r, &section_limit, rule);
    reader_presets(r, &section_when, &rule->when);
    reader_presets(r, &section_except, &rule->except);
    return rule;
}

/* Puts the rules of a policy's group over those that are there. */
static void read_limits(struct reader *r, const config_setting_t *policy, const char *path,
                        struct policy *p)
{
    static const char *const groups[] = {"when", "except", NULL};
    const config_setting_t *group = reader_group(r, policy, path, "limits"), *at;
    const char *name, *limits = arena_printf(r->config->arena, "%s.limits", path);
    struct limit_rule *rules =
        reader_take(r, (p->limit_count + reader_members(group) + 1) * sizeof *rules);
    if (p->limit_count > 0)
        memcpy(rules, p->limits, p->limit_count * sizeof *rules);
    p->limits = rules;
    for (size_t i = 0; i < reader_members(group); i++) {
        if ((at = reader_named_group(r, group, i, limits, &name)) == NULL)
            continue;
        struct limit_rule *rule = limit_of(r, p, name);
        const char *own = arena_printf(r->config->arena, "%s.%s", limits, name);
        (void)reader_apply(r, &section_limit, at, own, groups, rule);
        if (rule->key.count == 0 && config_setting_get_member(at, "key") == NULL)
            reader_complain_missing(r, at, own, section_find(&section_limit, span_of("key")));
        read_match(r, at, own, &section_when, &rule->when);
        read_match(r, at, own, &section_except, &rule->except);
        rule->place = reader_place(r, at);
    }
}

/* `base` first, key by key, then what stands in the group itself. */
static void read_policy(struct reader *r, const config_setting_t *all, const config_setting_t *at,
                        struct policy *p, int depth)
{
    static const char *const groups[] = {"limits", NULL};
    const char *path = arena_printf(r->config->arena, "policies.%s", config_setting_name(at));
    const char *base = NULL;
    const config_setting_t *base_at = config_setting_get_member(at, "base");
    if (base_at != NULL && (base = config_setting_get_string(base_at)) != NULL && base[0] != '\0') {
        const config_setting_t *other = config_setting_get_member(all, base);
        if (other == NULL || !config_setting_is_group(other))
            reader_complain(r, base_at, path, "names a policy that isn't there");
        else if (depth == BASES_MAX)
            reader_complain(r, base_at, path, "leads back to where it came from");
        else
            read_policy(r, all, other, p, depth + 1);
    }
    (void)reader_apply(r, &section_policy, at, path, groups, p);
    read_limits(r, at, path, p);
}

static void read_groups(struct reader *r, const config_setting_t *root)
{
    const config_setting_t *group = reader_group(r, root, "", section_group.name), *at;
    struct account_groups *groups = &r->config->groups;
    groups->items = reader_take(r, (reader_members(group) + 1) * sizeof *groups->items);
    for (size_t i = 0; i < reader_members(group); i++) {
        struct account_group *g = &groups->items[groups->count];
        if ((at = reader_named_group(r, group, i, section_group.name, &g->name)) == NULL)
            continue;
        reader_presets(r, &section_group, g);
        (void)reader_apply(r, &section_group, at,
                           arena_printf(r->config->arena, "groups.%s", g->name), NULL, g);
        g->place = reader_place(r, at);
        groups->count++;
    }
}

void reader_policies(struct reader *r, const config_setting_t *root)
{
    read_groups(r, root);
    const config_setting_t *group = reader_group(r, root, "", "policies"), *at;
    r->config->policies = reader_take(r, (reader_members(group) + 1) * sizeof *r->config->policies);
    for (size_t i = 0; i < reader_members(group); i++) {
        struct policy *p = &r->config->policies[r->config->policy_count];
        if ((at = reader_named_group(r, group, i, "policies", &p->name)) == NULL)
            continue;
        reader_presets(r, &section_policy, p);
        read_policy(r, group, at, p, 0);
        p->place = reader_place(r, at);
        r->config->policy_count++;
    }
}
