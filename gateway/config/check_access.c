/* Access: the time zones that rules name, the files that they watch, and the certificates that they
 * ask for. */
#include "config/check.h"

#include "base/arena.h"

#include <stdlib.h>

static char *own_path(struct config *c, const struct policy *p, const struct access_rule *r,
                      const char *key)
{
    char *path = arena_printf(c->arena, "policies.%s.access.%s%s", p->name, r->name, key);
    if (path == NULL)
        abort(); /* out of memory at the start */
    return path;
}

/* The zone of that name, watched from the first rule on that names it. */
static const struct time_zone *zone_of(struct config *c, const struct policy *p,
                                       const struct access_rule *r, struct errors *errors)
{
    for (size_t i = 0; i < c->zone_count; i++)
        if (strcmp(c->zones[i]->name, r->zone_name) == 0)
            return c->zones[i];
    struct time_zone **all = arena_alloc(c->arena, (c->zone_count + 1) * sizeof *all);
    struct time_zone *zone = arena_alloc(c->arena, sizeof *zone);
    char *path = arena_printf(c->arena, "/usr/share/zoneinfo/%s", r->zone_name);
    if (all == NULL || zone == NULL || path == NULL)
        abort(); /* out of memory at the start */
    *zone = (struct time_zone){.name = r->zone_name};
    if (c->zone_count > 0)
        memcpy(all, c->zones, c->zone_count * sizeof *all);
    all[c->zone_count++] = zone;
    c->zones = all;
    const struct watched_config file = {WATCHED_ZONE, own_path(c, p, r, ".timezone"), path,
                                        r->place, &zone->file};
    config_watch(c, &file, errors);
    return zone;
}

void config_check_access(struct config *c, const struct policy *p, struct errors *errors)
{
    for (size_t i = 0; i < p->access_count; i++) {
        struct access_rule *r = &p->access[i];
        if (!r->enabled || access_rule_check(r, own_path(c, p, r, ""), errors) < 0)
            continue;
        const struct watched_config closed = {WATCHED_CLOSED, own_path(c, p, r, ".closed"),
                                              r->closed, r->place, &r->closed_days};
        config_watch(c, &closed, errors);
        if (r->zone_name[0] != '\0')
            r->inside.zone = r->when.zone = r->except.zone = zone_of(c, p, r, errors);
        else
            r->inside.zone = &c->zone;
    }
}

static bool is_for_listener(const struct access_rule *r, const struct listener_config *l)
{
    const struct text_list *only = &r->when.listeners;
    for (size_t i = 0; i < only->count; i++)
        if (strcmp(only->items[i], l->name) == 0)
            return true;
    return only->count == 0;
}

void config_check_certificates(const struct listener_config *l, struct errors *errors)
{
    const struct policy *p = l->policy_rules;
    for (size_t i = 0; p != NULL && i < p->access_count; i++) {
        const struct access_rule *r = &p->access[i];
        if (r->enabled && r->certificate != ACCESS_CERTIFICATE_NONE && is_for_listener(r, l) &&
            l->client_certificate == CLIENT_CERTIFICATE_NONE)
            errors_add_at(errors, &r->place,
                          "policies.%s.access.%s.certificate: listeners.%s asks for none; write "
                          "client_certificate = \"optional\" there, and client_ca",
                          p->name, r->name, l->name);
    }
}
