#include "policy/match.h"

#include "base/lookup.h"
#include "policy/country.h"
#include "policy/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) .offset = offsetof(struct match, member)

static const char group_prefix[] = "group:";

static bool is_group(const char *text)
{
    return strncmp(text, group_prefix, sizeof group_prefix - 1) == 0;
}

static int check_account(const char *text, struct error *why)
{
    const char *at = strchr(text, '@');
    if (at != NULL && at[1] != '\0' && strchr(at + 1, '@') == NULL && strpbrk(text, " \t*") == NULL)
        return 0;
    return error_set(why,
                     "\"%s\" is no account; write ana@example.com, or @example.com for all of "
                     "a domain",
                     text);
}

/* Whether a group is there is known when all of them are. */
static int check_account_or_group(const char *text, struct error *why)
{
    return is_group(text) ? 0 : check_account(text, why);
}

const struct setting match_settings[] = {
    {"accounts", SETTING_TEXT_LIST, AT(accounts), .preset = "", .max = 10000,
     .check = check_account_or_group,
     .help = "whose session it is: ana@example.com, @example.com, or group:NAME of groups",
     .example = "[\"@example.com\", \"group:shop\"]"},
    {"networks", SETTING_TEXT_LIST, AT(networks), .preset = "", .max = 10000,
     .check = network_check, .help = "where the client comes from",
     .example = "[\"192.0.2.0/24\"]"},
    {"countries", SETTING_TEXT_LIST, AT(countries), .preset = "", .max = 300,
     .check = country_check, .help = "where that is, by geoip: two letters of ISO 3166",
     .example = "[\"BR\", \"PT\"]"},
    {"hours", SETTING_TEXT_LIST, AT(hours), .preset = "", .max = 64, .check = hours_check,
     .help = "when it is, in timezone, as Mon-Fri 08:00-18:00; 22:00-06:00 goes past midnight",
     .example = "[\"Mon-Fri 08:00-18:00\"]"},
    {"listeners", SETTING_TEXT_LIST, AT(listeners), .preset = "", .max = 64,
     .help = "where it comes in", .example = "[\"submission\"]"},
    {.name = NULL}};

const struct setting account_group_settings[] = {
    {"accounts", SETTING_TEXT_LIST, .offset = offsetof(struct account_group, accounts),
     .preset = "", .max = 10000, .check = check_account,
     .help = "ana@example.com, or @example.com for all of a domain",
     .example = "[\"ana@example.com\"]"},
    {"file", SETTING_TEXT, .offset = offsetof(struct account_group, file), .preset = "",
     .check = setting_check_path, .help = "watched: more of them, one a line",
     .example = "\"/etc/porteiro/plans/shop\""},
    {.name = NULL}};

/* ---- what is meant ---- */

static void *take(struct arena *a, size_t size)
{
    void *memory = arena_alloc(a, size);
    if (memory == NULL)
        abort(); /* out of memory at the start */
    return memory;
}

static const struct account_group *find_group(const struct account_groups *groups, const char *name)
{
    for (size_t i = 0; i < groups->count; i++)
        if (strcmp(groups->items[i].name, name) == 0)
            return &groups->items[i];
    return NULL;
}

static int explain(const struct account_groups *groups, const char *text, struct error *why)
{
    char names[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < groups->count && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ",
                                 groups->items[i].name); /* cut to fit */
    return groups->count == 0 ? error_set(why, "\"%s\": there are no groups", text)
                              : error_set(why, "\"%s\" is none of groups: %s", text, names);
}

int match_prepare(struct match *m, const struct account_groups *groups, struct arena *a,
                  struct error *why)
{
    struct error ignored; /* their text was checked */
    int outcome = 0;
    m->network_list = (struct network_list){
        .items = take(a, (m->networks.count + 1) * sizeof *m->network_list.items)};
    for (size_t i = 0; i < m->networks.count; i++)
        if (network_parse(m->networks.items[i], &m->network_list.items[m->network_list.count],
                          &ignored) == 0)
            m->network_list.count++;
    m->hours_list =
        (struct hours_list){.items = take(a, (m->hours.count + 1) * sizeof *m->hours_list.items)};
    for (size_t i = 0; i < m->hours.count; i++)
        if (hours_parse(m->hours.items[i], &m->hours_list.items[m->hours_list.count], &ignored) ==
            0)
            m->hours_list.count++;
    m->groups = take(a, (m->accounts.count + 1) * sizeof *m->groups);
    m->group_count = 0;
    for (size_t i = 0; i < m->accounts.count; i++) {
        const char *text = m->accounts.items[i];
        if (!is_group(text))
            continue;
        m->groups[m->group_count] = find_group(groups, text + sizeof group_prefix - 1);
        if (m->groups[m->group_count] != NULL)
            m->group_count++;
        else if (outcome == 0)
            outcome = explain(groups, text, why);
    }
    return outcome;
}

/* ---- whether it holds ---- */

bool match_is_empty(const struct match *m)
{
    return m->accounts.count + m->networks.count + m->hours.count + m->listeners.count +
               m->countries.count ==
           0;
}

static bool is_one_of(const struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

/* As an admin may have written it, with capitals or without. */
static bool is_named(const struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcasecmp(list->items[i], text) == 0)
            return true;
    return false;
}

static bool is_listed(const struct text_list *list, const char *account, const char *domain)
{
    return is_named(list, account) || is_named(list, domain);
}

static bool is_in(const struct account_group *g, const char *account, const char *domain)
{
    struct span none;
    if (is_listed(&g->accounts, account, domain))
        return true;
    if (g->list == NULL)
        return false;
    const struct lookup l = {g->list->bytes.data, g->list->bytes.size};
    return lookup_find(l, span_of(account), &none) || lookup_find(l, span_of(domain), &none);
}

static bool is_meant(const struct match *m, const char *account)
{
    const char *domain = account == NULL ? NULL : strrchr(account, '@');
    if (domain == NULL)
        return false;
    if (is_listed(&m->accounts, account, domain))
        return true;
    for (size_t i = 0; i < m->group_count; i++)
        if (is_in(m->groups[i], account, domain))
            return true;
    return false;
}

bool match_has_time(const struct match *m, const struct policy_facts *f)
{
    if (m->hours.count == 0)
        return true;
    const struct wall_time now = zone_wall_time(m->zone, f->now_s);
    return hours_hold(&m->hours_list, &now);
}

bool match_has_network(const struct match *m, const struct policy_facts *f)
{
    return m->networks.count == 0 ||
           (f->client != NULL && networks_hold(&m->network_list, f->client));
}

bool match_has_country(const struct match *m, const struct policy_facts *f)
{
    return m->countries.count == 0 || (f->country != NULL && is_named(&m->countries, f->country));
}

bool match_holds(const struct match *m, const struct policy_facts *f)
{
    return (m->accounts.count == 0 || is_meant(m, f->account)) && match_has_network(m, f) &&
           match_has_country(m, f) &&
           (m->listeners.count == 0 ||
            (f->listener != NULL && is_one_of(&m->listeners, f->listener))) &&
           match_has_time(m, f);
}
