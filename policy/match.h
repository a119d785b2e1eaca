/* when { } and except { }: whom a rule is for. Pure. */
#pragma once

#include "base/address.h"
#include "base/network.h"
#include "base/sealed.h"
#include "base/setting.h"
#include "policy/hours.h"
#include "policy/zone.h"

struct policy_facts;

/* Accounts under a name, which stands as "group:NAME" wherever accounts are listed. */
struct account_group {
    const char *name;
    struct place place;
    struct text_list accounts; /* "ana@example.com" or "@example.com" */
    const char *file;          /* of more of them; "": none */
    const struct sealed *list; /* what is in force of it: a base/lookup of the same; NULL: none */
};

struct account_groups {
    struct account_group *items;
    size_t count;
};

struct match {
    struct text_list accounts; /* "ana@example.com", "@example.com" or "group:NAME" */
    struct text_list networks, hours, listeners, countries;
    const struct time_zone *zone; /* of `hours`; NULL: UTC */
    /* What they mean: filled in by match_prepare. */
    struct network_list network_list;
    struct hours_list hours_list;
    const struct account_group **groups;
    size_t group_count;
};

/* The keys of the file, for base/setting: each ends with a NULL name. */
extern const struct setting match_settings[], account_group_settings[];

/* Finds the networks, hours and groups that are meant; out of memory, at the start, ends the
 * program. Returns 0, or -1 and why: of the groups that aren't there the first; it is left out. */
int match_prepare(struct match *m, const struct account_groups *groups, struct arena *a,
                  struct error *why);

/* Is nothing asked for? */
bool match_is_empty(const struct match *m);

/* Does all that is asked for hold? Where something isn't known it doesn't; an empty match holds for
 * everybody. */
bool match_holds(const struct match *m, const struct policy_facts *f);

/* A part of it. */
bool match_has_network(const struct match *m, const struct policy_facts *f);
bool match_has_country(const struct match *m, const struct policy_facts *f);
bool match_has_time(const struct match *m, const struct policy_facts *f);
