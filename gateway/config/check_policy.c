/* Policies: do the keys of a rule go together, and whom are they for? */
#include "config/check.h"

#include "base/arena.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define HOST_ZONE "/etc/localtime"

static bool has_header(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->headers.count; i++)
        if (strcasecmp(p->headers.items[i], name) == 0)
            return true;
    return false;
}

/* The fields that have to be looked for in a message. */
static void add_headers(struct config *c, struct policy *p, const struct limit_rule *r,
                        struct errors *errors)
{
    for (size_t i = 0; i < r->key_count; i++) {
        const char *name = limit_header(r, i);
        if (name[0] == '\0' || has_header(p, name))
            continue;
        if (p->headers.count == POLICY_HEADERS_MAX) {
            errors_add_at(errors, &r->place,
                          "policies.%s.limits.%s.key: a policy goes by up to %d headers", p->name,
                          r->name, POLICY_HEADERS_MAX);
            return;
        }
        size_t size = (p->headers.count + 1) * sizeof *p->headers.items;
        const char **items = arena_alloc(c->arena, size);
        if (items == NULL)
            abort(); /* out of memory at the start */
        if (p->headers.count > 0)
            memcpy(items, p->headers.items, size - sizeof *items);
        items[p->headers.count++] = name;
        p->headers.items = items;
    }
}

/* Those that aren't dropped say at which stages they ask. */
static void check_limits(struct config *c, struct policy *p, struct errors *errors)
{
    for (size_t i = 0; i < p->limit_count; i++) {
        struct limit_rule *r = &p->limits[i];
        const char *path = arena_printf(c->arena, "policies.%s.limits.%s", p->name, r->name);
        if (path == NULL)
            abort(); /* out of memory at the start */
        (void)limit_parse_rate(p->max_suspensions_text, &p->max_suspensions,
                               NULL); /* else it was told when it was read */
        r->overrides = p->overrides.path[0] == '\0' ? NULL : &p->overrides;
        if (!r->enabled || limit_rule_check(r, path, errors) < 0)
            continue;
        p->stages |= 1u << r->stage;
        p->counts |= 1u << r->count;
        c->policy_counts |= p->counts;
        add_headers(c, p, r, errors);
        if (limit_needs_country(r) && c->geoip[0] == '\0')
            errors_warn_at(errors, &r->place,
                           "%s: never applies: without geoip no client's country is known", path);
    }
}

/* The place of the server at that address, which several rules may name; a new one is added. */
static size_t policy_server_at(struct config *c, const char *address)
{
    size_t count = c->policy_server_count, size = (count + 1) * sizeof *c->policy_servers;
    for (size_t i = 0; i < count; i++)
        if (strcmp(c->policy_servers[i].text, address) == 0)
            return i;
    struct policy_server *servers = arena_alloc(c->arena, size);
    if (servers == NULL)
        abort(); /* out of memory at the start */
    if (count > 0)
        memcpy(servers, c->policy_servers, size - sizeof *servers);
    servers[count].text = address;
    (void)endpoint_parse(address, &servers[count].at, NULL); /* one that won't do was told */
    c->policy_servers = servers;
    return c->policy_server_count++;
}

static void check_delegates(struct config *c, struct policy *p)
{
    for (size_t i = 0; i < p->delegate_count; i++) {
        struct delegate_rule *r = &p->delegates[i];
        delegate_rule_prepare(r);
        if (!r->enabled)
            continue;
        r->server = policy_server_at(c, r->address);
        p->stages |= r->stages;
    }
}

static void watch_overrides(struct config *c, struct policy *p, struct errors *errors)
{
    const char *key = arena_printf(c->arena, "policies.%s.overrides", p->name);
    if (key == NULL)
        abort(); /* out of memory at the start */
    const struct watched_config file = {WATCHED_OVERRIDES, key, p->overrides.path, p->place,
                                        &p->overrides.list};
    config_watch(c, &file, errors);
}

/* A file that several policies name is one. */
static struct address_file *find_addresses(const struct config *c, const char *path)
{
    for (size_t i = 0; i < c->policy_count; i++)
        if (c->policies[i].sender.file != NULL &&
            strcmp(c->policies[i].sender.file->path, path) == 0)
            return c->policies[i].sender.file;
    return NULL;
}

static void watch_addresses(struct config *c, struct policy *p, struct errors *errors)
{
    struct sender_rule *r = &p->sender;
    const char *key = arena_printf(c->arena, "policies.%s.sender.addresses", p->name);
    struct address_file *file = find_addresses(c, r->addresses);
    bool is_new = file == NULL && r->addresses[0] != '\0';
    if (is_new)
        file = arena_alloc(c->arena, sizeof *file);
    if (key == NULL || (is_new && file == NULL))
        abort(); /* out of memory at the start */
    r->file = file;
    if (!is_new)
        return;
    *file = (struct address_file){.path = r->addresses};
    const struct watched_config w = {WATCHED_ADDRESSES, key, file->path, r->place, &file->list};
    config_watch(c, &w, errors);
}

static void check_sender(struct config *c, struct policy *p, struct errors *errors)
{
    const struct sender_rule *r = &p->sender;
    watch_addresses(c, p, errors);
    if (r->envelope == SENDER_OWN && r->header == SENDER_ANY)
        errors_warn_at(errors, &r->place,
                       "policies.%s.sender.header: the envelope is checked, which readers don't "
                       "see, and From isn't; write header = \"own\"",
                       p->name);
    if (r->addresses[0] != '\0' && r->envelope == SENDER_ANY && r->header == SENDER_ANY)
        errors_warn_at(errors, &r->place,
                       "policies.%s.sender.addresses: nothing is checked; write header = \"own\" "
                       "and envelope = \"own\"",
                       p->name);
}

static void find_policy(struct config *c, struct listener_config *l, struct errors *errors)
{
    l->policy_rules = config_find_policy(c, l->policy);
    if (l->policy[0] != '\0' && l->policy_rules == NULL)
        errors_add_at(errors, &l->place, "listeners.%s.policy: \"%s\" isn't one of policies%s",
                      l->name, l->policy, c->policy_count == 0 ? "; there are none" : "");
}

/* Of a limit that lets all of a message through or nothing. */
bool config_warn_burst(const struct listener_config *l, const struct limit_rule *r, int64_t burst,
                       const struct place *at, const char *path, struct errors *errors)
{
    bool is_bytes = r->count == LIMIT_BYTES;
    int64_t most = is_bytes ? l->max_message_size : l->max_recipients;
    bool is_whole = is_bytes || (r->count == LIMIT_RECIPIENTS && r->stage != STAGE_RCPT);
    if (!r->enabled || r->kind != COUNTER_RATE || !is_whole || burst >= most)
        return false;
    errors_warn_at(errors, at,
                   "%s: a message of more than %" PRId64
                   " %s never passes, and listeners.%s.%s is %" PRId64,
                   path, burst, is_bytes ? "bytes" : "recipients", l->name,
                   is_bytes ? "max_message_size" : "max_recipients", most);
    return true;
}

static void check_bursts(struct config *c, const struct listener_config *l, struct errors *errors)
{
    const struct policy *p = l->policy_rules;
    for (size_t i = 0; p != NULL && i < p->limit_count; i++) {
        const struct limit_rule *r = &p->limits[i];
        const char *path =
            arena_printf(c->arena, "policies.%s.limits.%s.burst", l->policy, r->name);
        if (path == NULL)
            abort(); /* out of memory at the start */
        (void)config_warn_burst(l, r, r->rate.burst, &r->place, path, errors); /* told */
    }
}

static bool is_used(const struct config *c, const struct policy *p)
{
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].policy_rules == p)
            return true;
    if (strcmp(c->filter.policy, p->name) == 0)
        return true;
    for (size_t i = 0; i < c->policy_count; i++)
        if (strcmp(c->policies[i].base_name, p->name) == 0)
            return true;
    return false;
}

static void check_group(struct config *c, struct account_group *g, struct errors *errors)
{
    const char *key = arena_printf(c->arena, "groups.%s.file", g->name);
    if (key == NULL)
        abort(); /* out of memory at the start */
    const struct watched_config file = {WATCHED_GROUP, key, g->file, g->place, &g->list};
    if (g->accounts.count == 0 && g->file[0] == '\0')
        errors_add_at(errors, &g->place,
                      "groups.%s: is empty; write accounts = [\"ana@example.com\"] or file = "
                      "\"/etc/porteiro/%s\"",
                      g->name, g->name);
    config_watch(c, &file, errors);
}

static bool has_hours(const struct config *c)
{
    bool has = false;
    for (size_t i = 0; i < c->policy_count; i++) {
        const struct policy *p = &c->policies[i];
        has = has || p->sender.when.hours.count > 0 || p->sender.except.hours.count > 0;
        for (size_t n = 0; n < p->limit_count; n++)
            has = has || p->limits[n].when.hours.count > 0 || p->limits[n].except.hours.count > 0;
        for (size_t n = 0; n < p->access_count; n++)
            has = has || access_has_hours(&p->access[n]);
        for (size_t n = 0; n < p->delegate_count; n++)
            has = has || p->delegates[n].when.hours.count > 0 ||
                  p->delegates[n].except.hours.count > 0;
    }
    for (size_t i = 0; i < c->milter_count; i++)
        has = has || c->milters[i].when.hours.count > 0 || c->milters[i].except.hours.count > 0;
    return has;
}

/* A host without a zone of its own has UTC. */
static void check_zone(struct config *c, struct errors *errors)
{
    const struct place at = config_place(c, "timezone");
    struct watched_config file = {WATCHED_ZONE, "timezone", "", at, &c->zone.file};
    if (c->zone.name[0] != '\0')
        file.path = arena_printf(c->arena, "/usr/share/zoneinfo/%s", c->zone.name);
    else if (has_hours(c) && access(HOST_ZONE, F_OK) == 0)
        file.path = HOST_ZONE;
    if (file.path == NULL)
        abort(); /* out of memory at the start */
    config_watch(c, &file, errors);
}

static void check_countries(struct config *c, struct errors *errors)
{
    const struct watched_config file = {WATCHED_COUNTRIES, "geoip", c->geoip,
                                        config_place(c, "geoip"), NULL};
    config_watch(c, &file, errors);
}

/* When the whole file is known. */
void config_check_policies(struct config *c, struct errors *errors)
{
    check_zone(c, errors);
    check_countries(c, errors);
    for (size_t i = 0; i < c->groups.count; i++)
        check_group(c, &c->groups.items[i], errors);
    for (size_t i = 0; i < c->policy_count; i++) {
        check_limits(c, &c->policies[i], errors);
        config_check_access(c, &c->policies[i], errors);
        check_delegates(c, &c->policies[i]);
        watch_overrides(c, &c->policies[i], errors);
        check_sender(c, &c->policies[i], errors);
    }
    for (size_t i = 0; i < c->listener_count; i++) {
        find_policy(c, &c->listeners[i], errors);
        check_bursts(c, &c->listeners[i], errors);
        config_check_certificates(&c->listeners[i], errors);
    }
    for (size_t i = 0; i < c->policy_count; i++)
        if (!is_used(c, &c->policies[i]))
            errors_warn_at(errors, &c->policies[i].place,
                           "policies.%s: no listener uses it; write policy = \"%s\" there",
                           c->policies[i].name, c->policies[i].name);
}

struct policy *config_find_policy(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->policy_count; i++)
        if (strcmp(c->policies[i].name, name) == 0)
            return &c->policies[i];
    return NULL;
}
