#include "policy/rules/access.h"

#include "base/lookup.h"
#include "policy/closed.h"
#include "policy/country.h"
#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

#define AT(member) .offset = offsetof(struct access_rule, member)

const struct setting access_settings[] = {
    {"networks", SETTING_TEXT_LIST, AT(inside.networks), .preset = "", .min = 1, .max = 10000,
     .check = network_check, .help = "from where: clients of these networks alone are let in",
     .example = "[\"192.0.2.0/24\", \"2001:db8::/32\"]"},
    {"countries", SETTING_TEXT_LIST, AT(inside.countries), .preset = "", .min = 1, .max = 300,
     .check = country_check,
     .help = "from where, by geoip: two letters of ISO 3166; with networks, both must be so"},
    {"hours", SETTING_TEXT_LIST, AT(inside.hours), .preset = "", .min = 1, .max = 64,
     .check = hours_check,
     .help = "when, in timezone, as Mon-Fri 08:00-18:00; 22:00-06:00 goes past midnight",
     .example = "[\"Mon-Fri 08:00-18:00\"]"},
    {"timezone", SETTING_TEXT, AT(zone_name), .preset = "", .check = zone_check_name,
     .help = "of hours and closed, as America/Sao_Paulo; \"\": that of the gateway"},
    {"closed", SETTING_TEXT, AT(closed), .preset = "", .check = setting_check_path,
     .help = "file, watched: days, one a line as 2026-12-25 or 12-25, that count as outside hours"},
    {"certificate", SETTING_CHOICE, AT(certificate), .preset = "none",
     .choices = (const char *const[]){"none", "any", "own", NULL},
     .help = "none, any (one of client_ca) or own (its rfc822Name, else CN, is the account)"},
    {"deny", SETTING_BOOLEAN, AT(deny), .preset = "false",
     .help = "true: nobody whom when matches is let in"},
    {"end_sessions", SETTING_BOOLEAN, AT(end_sessions), .preset = "true",
     .help = "a session that is still open when the hours end is closed, between commands"},
    {"mode", SETTING_CHOICE, AT(mode), .preset = "enforce",
     .choices = (const char *const[]){"enforce", "monitor", NULL},
     .help = "enforce, or monitor (decides and logs, changes nothing)"},
    {"enabled", SETTING_BOOLEAN, AT(enabled), .preset = "true",
     .help = "false drops a rule that base has"},
    {.name = NULL}};

/* ---- what goes together ---- */

bool access_has_hours(const struct access_rule *r)
{
    return r->inside.hours.count > 0 || r->closed[0] != '\0' || r->when.hours.count > 0 ||
           r->except.hours.count > 0;
}

int access_rule_check(const struct access_rule *r, const char *path, struct errors *errors)
{
    bool asks = !match_is_empty(&r->inside) || r->closed[0] != '\0' ||
                r->certificate != ACCESS_CERTIFICATE_NONE;
    size_t before = errors_count(errors);
    if (!asks && !r->deny)
        errors_add_at(
            errors, &r->place,
            "%s: asks for nothing; write networks, countries, hours, closed, certificate, "
            "or deny = true",
            path);
    if (asks && r->deny)
        errors_add_at(
            errors, &r->place,
            "%s.deny: lets nobody in, whatever else the rule asks for; write whom in when", path);
    if (r->deny && match_is_empty(&r->when))
        errors_warn_at(errors, &r->place, "%s.deny: without when it lets nobody in at all", path);
    return errors_count(errors) == before ? 0 : -1;
}

/* ---- one rule ---- */

static bool is_closed(const struct access_rule *r, int64_t now_s)
{
    if (r->closed_days == NULL)
        return false;
    const struct wall_time now = zone_wall_time(r->inside.zone, now_s);
    const struct lookup days = {r->closed_days->bytes.data, r->closed_days->bytes.size};
    return closed_hold(days, &now);
}

static bool is_own(const struct policy_facts *f)
{
    return f->certificate != NULL && f->account != NULL && strcmp(f->certificate, f->account) == 0;
}

/* Returns false, and what is wrong. */
static bool is_satisfied(const struct access_rule *r, const struct policy_facts *f,
                         enum access_lack *lack)
{
    const struct match *m = &r->inside;
    if (r->deny)
        *lack = ACCESS_DENIED;
    else if (!match_has_network(m, f))
        *lack = ACCESS_NETWORK;
    else if (!match_has_country(m, f))
        *lack = ACCESS_COUNTRY;
    else if (r->certificate != ACCESS_CERTIFICATE_NONE && !f->has_certificate)
        *lack = ACCESS_NO_CERTIFICATE;
    else if (r->certificate == ACCESS_CERTIFICATE_OWN && !is_own(f))
        *lack = ACCESS_OTHERS_CERTIFICATE;
    else if (is_closed(r, f->now_s))
        *lack = ACCESS_CLOSED;
    else if (!match_has_time(m, f))
        *lack = ACCESS_HOURS;
    else
        return true;
    return false;
}

bool access_goes_by_account(const struct access_rule *r)
{
    return r->when.accounts.count > 0 || r->except.accounts.count > 0 ||
           r->certificate == ACCESS_CERTIFICATE_OWN;
}

static bool is_its_turn(const struct access_rule *r, const struct policy_facts *f)
{
    return r->enabled && (f->account_state == ACCOUNT_KNOWN ||
                          access_goes_by_account(r) == (f->account_state == ACCOUNT_HAS_COME));
}

static bool is_for(const struct access_rule *r, const struct policy_facts *f)
{
    return match_holds(&r->when, f) && (match_is_empty(&r->except) || !match_holds(&r->except, f));
}

/* ---- all of them ---- */

bool access_allows(const struct policy *p, const struct policy_facts *f, access_told_fn *fn,
                   void *owner, struct access_refusal *out)
{
    bool allows = true;
    for (size_t i = 0; p != NULL && i < p->access_count; i++) {
        struct access_refusal refusal = {.rule = &p->access[i]};
        if (!is_its_turn(refusal.rule, f) || !is_for(refusal.rule, f) ||
            is_satisfied(refusal.rule, f, &refusal.lack))
            continue;
        if (!access_is_monitored(p, refusal.rule)) {
            if (allows)
                *out = refusal;
            allows = false;
        } else if (fn != NULL) {
            fn(owner, &refusal);
        }
    }
    return allows;
}

int access_judge(const struct access_rule *r, const struct policy_facts *f, enum access_lack *lack)
{
    return !is_its_turn(r, f) || !is_for(r, f) ? -1 : is_satisfied(r, f, lack);
}

bool access_lasts(const struct policy *p, const struct policy_facts *f, struct access_refusal *out)
{
    for (size_t i = 0; p != NULL && i < p->access_count; i++) {
        out->rule = &p->access[i];
        if (out->rule->enabled && out->rule->end_sessions && !access_is_monitored(p, out->rule) &&
            is_for(out->rule, f) && !is_satisfied(out->rule, f, &out->lack))
            return false;
    }
    return true;
}

static bool is_time(const struct match *m, int64_t now_s)
{
    const struct policy_facts f = {.now_s = now_s};
    return match_has_time(m, &f);
}

uint64_t access_moment(const struct policy *p, int64_t now_s)
{
    uint64_t moment = 0;
    for (size_t i = 0; i < p->access_count; i++) {
        const struct access_rule *r = &p->access[i];
        if (r->end_sessions)
            moment = moment * 17 +
                     (uint64_t)(is_closed(r, now_s) << 3 | is_time(&r->inside, now_s) << 2 |
                                is_time(&r->when, now_s) << 1 | is_time(&r->except, now_s));
    }
    return moment;
}

/* ---- for people ---- */

/* "Mon-Fri 08:00-18:00, Sat 09:00-12:00 (America/Sao_Paulo)" */
static void hours_text(const struct access_rule *r, char *out, size_t room)
{
    const struct text_list *hours = &r->inside.hours;
    const struct time_zone *zone = r->inside.zone;
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < hours->count && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%s", i == 0 ? "" : ", ",
                                 hours->items[i]); /* cut to fit */
    if (zone != NULL && zone->name[0] != '\0' && used < room)
        (void)snprintf(out + used, room - used, " (%s)", zone->name); /* likewise */
}

const char *access_text(const struct access_refusal *r, char *out, size_t room)
{
    static const char *const texts[] = {
        [ACCESS_DENIED] = "no access",
        [ACCESS_NETWORK] = "no access from this network",
        [ACCESS_COUNTRY] = "no access from this country",
        [ACCESS_NO_CERTIFICATE] = "no access without a client certificate",
        [ACCESS_OTHERS_CERTIFICATE] = "no access with another's client certificate",
        [ACCESS_CLOSED] = "closed today",
    };
    char hours[160];
    if (r->lack == ACCESS_HOURS) {
        hours_text(r->rule, hours, sizeof hours);
        (void)snprintf(out, room, "%s: closed now; open %s", r->rule->name, hours); /* cut to fit */
    } else {
        (void)snprintf(out, room, "%s: %s", r->rule->name, texts[r->lack]); /* likewise */
    }
    return out;
}
