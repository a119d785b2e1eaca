/* Policies: their rules, and what one takes from another. */
#include "config/grammar.h"
#include "config/reader.h"

#include "base/arena.h"

#include <stdlib.h>

enum { BASES_MAX = 8 };

/* What stands in the group `at`, and what is meant by it. */
static void prepare_match(struct reader *r, const config_setting_t *at, const char *path,
                          struct match *m)
{
    struct error why;
    if (m->countries.count > 0 && r->config->geoip[0] == '\0')
        reader_complain(r, config_setting_get_member(at, "countries"), path,
                        "needs a file of countries; write "
                        "geoip = \"/var/lib/GeoIP/GeoLite2-Country.mmdb\"");
    m->zone = &r->config->zone;
    if (match_prepare(m, &r->config->groups, r->config->arena, &why) < 0)
        reader_complain(r, config_setting_get_member(at, "accounts"), path, why.text);
}

void reader_match(struct reader *r, const config_setting_t *rule, const char *path,
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
    prepare_match(r, at, own, m);
}

/* What all rules begin with. */
struct rule_head {
    const char *name;
    struct place place;
};

_Static_assert(offsetof(struct limit_rule, place) == offsetof(struct rule_head, place) &&
                   offsetof(struct access_rule, place) == offsetof(struct rule_head, place) &&
                   offsetof(struct delegate_rule, place) == offsetof(struct rule_head, place),
               "rules have the same head");

/* A kind of rules: a group of the policy. */
struct kind {
    const struct section *section;
    size_t size, when, except; /* of a rule's struct, and of members */
    /* Looks at what stands in the group of one. */
    void (*read)(struct reader *r, const config_setting_t *at, const char *path, void *rule);
};

/* Rules of a kind, of a policy. */
struct rules {
    const struct kind *kind;
    char *items;
    size_t count;
};

static void *rule_of(struct reader *r, struct rules *all, const char *name)
{
    const struct kind *k = all->kind;
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(((struct rule_head *)(void *)(all->items + i * k->size))->name, name) == 0)
            return all->items + i * k->size;
    char *rule = all->items + all->count++ * k->size;
    reader_presets(r, k->section, rule);
    reader_presets(r, &section_when, rule + k->when);
    reader_presets(r, &section_except, rule + k->except);
    ((struct rule_head *)(void *)rule)->name = name;
    return rule;
}

static void read_rule(struct reader *r, struct rules *all, const config_setting_t *at,
                      const char *path, const char *name)
{
    static const char *const groups[] = {"when", "except", NULL};
    const struct kind *k = all->kind;
    char *rule = rule_of(r, all, name);
    const char *own = arena_printf(r->config->arena, "%s.%s", path, name);
    (void)reader_apply(r, k->section, at, own, groups, rule);
    k->read(r, at, own, rule);
    reader_match(r, at, own, &section_when, (struct match *)(void *)(rule + k->when));
    reader_match(r, at, own, &section_except, (struct match *)(void *)(rule + k->except));
    ((struct rule_head *)(void *)rule)->place = reader_place(r, at);
}

/* Puts the rules of a policy's group over those that are there. */
static void read_rules(struct reader *r, const config_setting_t *policy, const char *path,
                       struct rules *all)
{
    const struct kind *k = all->kind;
    const config_setting_t *group = reader_group(r, policy, path, k->section->name), *at;
    const char *name, *own = arena_printf(r->config->arena, "%s.%s", path, k->section->name);
    char *items = reader_take(r, (all->count + reader_members(group) + 1) * k->size);
    if (all->count > 0)
        memcpy(items, all->items, all->count * k->size);
    all->items = items;
    for (size_t i = 0; i < reader_members(group); i++)
        if ((at = reader_named_group(r, group, i, own, &name)) != NULL)
            read_rule(r, all, at, own, name);
}

static void read_limit(struct reader *r, const config_setting_t *at, const char *path, void *rule)
{
    const struct limit_rule *limit = rule;
    if (limit->key.count == 0 && config_setting_get_member(at, "key") == NULL)
        reader_complain_missing(r, at, path, section_find(&section_limit, span_of("key")));
}

static void read_access(struct reader *r, const config_setting_t *at, const char *path, void *rule)
{
    struct access_rule *access = rule;
    prepare_match(r, at, path, &access->inside);
}

static void read_delegate(struct reader *r, const config_setting_t *at, const char *path,
                          void *rule)
{
    const struct delegate_rule *delegate = rule;
    if (delegate->address[0] == '\0' && config_setting_get_member(at, "address") == NULL)
        reader_complain_missing(r, at, path, section_find(&section_delegate, span_of("address")));
}

static void read_kinds(struct reader *r, const config_setting_t *at, const char *path,
                       struct policy *p)
{
    static const struct kind limit = {&section_limit, sizeof(struct limit_rule),
                                      offsetof(struct limit_rule, when),
                                      offsetof(struct limit_rule, except), read_limit};
    static const struct kind access = {&section_access, sizeof(struct access_rule),
                                       offsetof(struct access_rule, when),
                                       offsetof(struct access_rule, except), read_access};
    static const struct kind delegate = {&section_delegate, sizeof(struct delegate_rule),
                                         offsetof(struct delegate_rule, when),
                                         offsetof(struct delegate_rule, except), read_delegate};
    struct rules limits = {&limit, (char *)p->limits, p->limit_count};
    struct rules accesses = {&access, (char *)p->access, p->access_count};
    struct rules delegates = {&delegate, (char *)p->delegates, p->delegate_count};
    read_rules(r, at, path, &limits);
    read_rules(r, at, path, &accesses);
    read_rules(r, at, path, &delegates);
    p->limits = (void *)limits.items;
    p->limit_count = limits.count;
    p->access = (void *)accesses.items;
    p->access_count = accesses.count;
    p->delegates = (void *)delegates.items;
    p->delegate_count = delegates.count;
}

static void read_sender(struct reader *r, const config_setting_t *policy, const char *path,
                        struct sender_rule *rule)
{
    static const char *const groups[] = {"when", "except", NULL};
    const config_setting_t *at = reader_group(r, policy, path, section_sender.name);
    const char *own = arena_printf(r->config->arena, "%s.%s", path, section_sender.name);
    if (at == NULL)
        return;
    (void)reader_apply(r, &section_sender, at, own, groups, rule);
    reader_match(r, at, own, &section_when, &rule->when);
    reader_match(r, at, own, &section_except, &rule->except);
    rule->place = reader_place(r, at);
}

/* `base` first, key by key, then what stands in the group itself. */
static void read_policy(struct reader *r, const config_setting_t *all, const config_setting_t *at,
                        struct policy *p, int depth)
{
    static const char *const groups[] = {"sender", "limits", "access", "delegate", NULL};
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
    read_sender(r, at, path, &p->sender);
    read_kinds(r, at, path, p);
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
        reader_presets(r, &section_sender, &p->sender);
        reader_presets(r, &section_when, &p->sender.when);
        reader_presets(r, &section_except, &p->sender.except);
        read_policy(r, group, at, p, 0);
        p->place = reader_place(r, at);
        r->config->policy_count++;
    }
}
