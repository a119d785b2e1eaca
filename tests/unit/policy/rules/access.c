#include "policy/rules/access.h"

#include "base/arena.h"
#include "base/lookup.h"
#include "policy/policy.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RULES = 3, ROOM = 65536, MINUTE = 60, DAY = 86400 };

/* 2026-03-02, a Monday, 12:00Z */
#define MONDAY_NOON INT64_C(1772452800)

static struct {
    struct arena *arena;
    struct access_rule rules[RULES];
    struct policy policy;
    struct policy_facts facts;
    struct address client;
    struct buffer days;
    struct sealed closed, tzif;
    struct time_zone zone;
    struct access_refusal refusal;
    const char *monitored; /* the rule that was told last */
    char octets[ROOM];
} it;

static void begin(void)
{
    memset(&it, 0, sizeof it);
    it.arena = arena_create(1024 * 1024);
    it.zone.name = "";
    it.days.limit = ROOM;
    it.policy = (struct policy){.name = "company", .access = it.rules};
    ck_assert_int_eq(address_make("192.0.2.7", 4711, &it.client), 0);
    it.facts = (struct policy_facts){.account = "ana@example.com",
                                     .client = &it.client,
                                     .country = "BR",
                                     .listener = "pop3s",
                                     .now_s = MONDAY_NOON};
}

static void end(void)
{
    buffer_clear(&it.days);
    arena_destroy(&it.arena);
}

static struct access_rule *add(const char *name)
{
    struct access_rule *r = &it.rules[it.policy.access_count++];
    *r = (struct access_rule){.name = name,
                              .closed = "",
                              .zone_name = "",
                              .enabled = true,
                              .end_sessions = true,
                              .inside = {.zone = &it.zone},
                              .when = {.zone = &it.zone}};
    return r;
}

static void set(struct match *m, struct text_list *list, const char *a, const char *b)
{
    static const struct account_groups none = {NULL, 0};
    struct error why;
    list->items = arena_alloc(it.arena, 2 * sizeof *list->items);
    list->items[0] = a;
    list->items[1] = b;
    list->count = b == NULL ? 1 : 2;
    ck_assert_int_eq(match_prepare(m, &none, it.arena, &why), 0);
}

/* The file of closed days now has these. */
static void set_closed(struct access_rule *r, const char *a, const char *b)
{
    struct lookup_builder *builder = lookup_builder_create();
    unsigned lines[2];
    buffer_clear(&it.days);
    if (a != NULL)
        ck_assert_int_eq(lookup_add(builder, span_of(a), span_of(""), 1), 0);
    if (b != NULL)
        ck_assert_int_eq(lookup_add(builder, span_of(b), span_of(""), 2), 0);
    ck_assert_int_eq(lookup_build(builder, &it.days, lines), 0);
    lookup_builder_destroy(&builder);
    it.closed.bytes = buffer_bytes(&it.days);
    r->closed_days = &it.closed;
    r->closed = "/etc/holidays";
}

static void set_zone(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name); /* fits */
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s: apt-get install tzdata", path);
    it.tzif.bytes = span_make(it.octets, fread(it.octets, 1, ROOM, file));
    ck_assert_int_eq(fclose(file), 0);
    it.zone = (struct time_zone){name, &it.tzif};
}

static void on_monitored(void *owner, const struct access_refusal *r)
{
    ck_assert_ptr_eq(owner, &it);
    it.monitored = r->rule->name;
}

static bool allows(void)
{
    return access_allows(&it.policy, &it.facts, on_monitored, &it, &it.refusal);
}

static void comes_from(const char *host)
{
    ck_assert_int_eq(address_make(host, 4711, &it.client), 0);
}

static void lacks(enum access_lack lack, const char *text)
{
    char out[200];
    ck_assert(!allows());
    ck_assert_int_eq(it.refusal.lack, lack);
    ck_assert_str_eq(access_text(&it.refusal, out, sizeof out), text);
}

/* ---- what a rule asks for ---- */

START_TEST(without_rules_everybody_is_let_in)
{
    ck_assert(allows());
    ck_assert(access_allows(NULL, &it.facts, NULL, NULL, &it.refusal));
    ck_assert(access_lasts(&it.policy, &it.facts, &it.refusal));
}
END_TEST

START_TEST(clients_of_other_networks_are_not_let_in)
{
    struct access_rule *r = add("office");
    set(&r->inside, &r->inside.networks, "192.0.2.0/24", "2001:db8::/32");
    ck_assert(allows());
    comes_from("2001:db8:1::1");
    ck_assert(allows());
    comes_from("198.51.100.1");
    lacks(ACCESS_NETWORK, "office: no access from this network");
    it.facts.client = NULL;
    lacks(ACCESS_NETWORK, "office: no access from this network");
}
END_TEST

START_TEST(clients_of_other_countries_and_of_none_are_not_let_in)
{
    struct access_rule *r = add("office");
    set(&r->inside, &r->inside.countries, "BR", "PT");
    ck_assert(allows());
    it.facts.country = "DE";
    lacks(ACCESS_COUNTRY, "office: no access from this country");
    it.facts.country = NULL;
    lacks(ACCESS_COUNTRY, "office: no access from this country");
}
END_TEST

START_TEST(with_networks_and_countries_both_must_be_so)
{
    struct access_rule *r = add("office");
    set(&r->inside, &r->inside.countries, "BR", NULL);
    set(&r->inside, &r->inside.networks, "192.0.2.0/24", NULL);
    ck_assert(allows());
    it.facts.country = "DE";
    ck_assert(!allows());
    it.facts.country = "BR";
    comes_from("198.51.100.1");
    ck_assert(!allows());
}
END_TEST

START_TEST(a_certificate_is_anybodys_or_his_own)
{
    struct access_rule *r = add("office");
    r->certificate = ACCESS_CERTIFICATE_ANY;
    lacks(ACCESS_NO_CERTIFICATE, "office: no access without a client certificate");
    it.facts.has_certificate = true;
    ck_assert(allows());
    r->certificate = ACCESS_CERTIFICATE_OWN;
    lacks(ACCESS_OTHERS_CERTIFICATE, "office: no access with another's client certificate");
    it.facts.certificate = "bob@example.com";
    ck_assert(!allows());
    it.facts.certificate = "ana@example.com";
    ck_assert(allows());
    it.facts.account = NULL;
    ck_assert(!allows());
}
END_TEST

START_TEST(who_is_denied_is_not_let_in_whatever_he_has)
{
    struct access_rule *r = add("guests");
    r->deny = true;
    set(&r->when, &r->when.accounts, "@example.com", NULL);
    lacks(ACCESS_DENIED, "guests: no access");
    it.facts.account = "ana@example.net";
    ck_assert(allows());
}
END_TEST

START_TEST(outside_the_hours_it_is_told_when_they_are)
{
    struct access_rule *r = add("office");
    set(&r->inside, &r->inside.hours, "Mon-Fri 08:00-12:00", "Sat 09:00-10:00");
    set_zone("America/Sao_Paulo"); /* where it is 09:00 */
    ck_assert(allows());
    it.facts.now_s += 3 * 3600;
    lacks(ACCESS_HOURS, "office: closed now; open Mon-Fri 08:00-12:00, Sat 09:00-10:00 "
                        "(America/Sao_Paulo)");
    it.facts.now_s--;
    ck_assert(allows());
}
END_TEST

START_TEST(closed_days_begin_and_end_at_midnight_in_the_zone)
{
    struct access_rule *r = add("office");
    set(&r->inside, &r->inside.hours, "Mon-Sun 00:00-24:00", NULL);
    set_zone("America/Sao_Paulo");
    set_closed(r, "2026-03-02", NULL);
    lacks(ACCESS_CLOSED, "office: closed today");
    it.facts.now_s = MONDAY_NOON - 9 * 3600; /* 03:00Z */
    ck_assert(!allows());
    it.facts.now_s--;
    ck_assert(allows());
    it.facts.now_s = MONDAY_NOON + 15 * 3600;
    ck_assert(allows());
    set_closed(r, NULL, NULL);
    it.facts.now_s = MONDAY_NOON;
    ck_assert(allows());
}
END_TEST

/* ---- whom rules are for ---- */

START_TEST(a_rule_is_for_whom_when_matches_and_except_does_not)
{
    struct access_rule *r = add("guests");
    r->deny = true;
    set(&r->when, &r->when.accounts, "@example.com", NULL);
    set(&r->except, &r->except.accounts, "ana@example.com", NULL);
    ck_assert(allows());
    it.facts.account = "bob@example.com";
    ck_assert(!allows());
    r->enabled = false;
    ck_assert(allows());
}
END_TEST

START_TEST(of_several_all_must_be_satisfied_and_the_first_is_told)
{
    struct access_rule *a = add("a"), *b = add("b");
    set(&a->inside, &a->inside.networks, "192.0.2.0/24", NULL);
    set(&b->inside, &b->inside.countries, "BR", NULL);
    ck_assert(allows());
    it.facts.country = "DE";
    lacks(ACCESS_COUNTRY, "b: no access from this country");
    comes_from("198.51.100.1");
    lacks(ACCESS_NETWORK, "a: no access from this network");
}
END_TEST

START_TEST(a_rule_that_monitors_only_says_so)
{
    struct access_rule *a = add("a"), *b = add("b");
    a->deny = b->deny = true;
    a->mode = RULE_MONITOR;
    ck_assert(!allows());
    ck_assert_str_eq(it.monitored, "a");
    ck_assert_str_eq(it.refusal.rule->name, "b");
    it.policy.mode = RULE_MONITOR;
    ck_assert(allows());
    ck_assert_str_eq(it.monitored, "b");
    ck_assert(access_lasts(&it.policy, &it.facts, &it.refusal));
}
END_TEST

START_TEST(what_goes_by_the_account_waits_until_that_is_known)
{
    struct access_rule *place = add("place"), *person = add("person");
    place->deny = person->deny = true;
    set(&person->when, &person->when.accounts, "@example.com", NULL);
    it.facts.account_state = ACCOUNT_TO_COME;
    ck_assert(!allows());
    ck_assert_str_eq(it.refusal.rule->name, "place");
    it.facts.account_state = ACCOUNT_HAS_COME;
    ck_assert(!allows());
    ck_assert_str_eq(it.refusal.rule->name, "person");
}
END_TEST

/* ---- hours over a year ---- */

static const char *const zones[] = {"America/Sao_Paulo", "Europe/Berlin", "Asia/Kolkata",
                                    "Australia/Lord_Howe", "America/St_Johns"};

static bool is_open(const struct tm *at, const char *days)
{
    int minute = at->tm_hour * 60 + at->tm_min, day = (at->tm_wday + 6) % 7;
    int before = (day + 6) % 7;
    if ((at->tm_mon == 11 && at->tm_mday == 25) ||
        (at->tm_year == 126 && at->tm_mon == 9 && at->tm_mday == 25))
        return false;
    if (days[0] == 'F') /* Fri 22:00-06:00 */
        return (day == 4 && minute >= 22 * 60) || (before == 4 && minute < 6 * 60);
    return day < 5 && minute >= 8 * 60 && minute < 18 * 60;
}

/* Also on the days on which clocks are set; the model is the C library's. */
static void follow_a_year(const char *hours)
{
    struct access_rule *r = add("office");
    set(&r->inside, &r->inside.hours, hours, NULL);
    set_closed(r, "12-25", "2026-10-25"); /* of which the second has 25 hours in Berlin */
    unsigned changes = 0;
    bool was_open = false;
    for (it.facts.now_s = INT64_C(1767225600); it.facts.now_s < INT64_C(1767225600) + 366 * DAY;
         it.facts.now_s += 5 * MINUTE) {
        time_t when = (time_t)it.facts.now_s;
        struct tm model;
        bool open = allows();
        ASSERT_OFTEN(localtime_r(&when, &model) != NULL && open == is_open(&model, hours),
                     "%s at %lld", hours, (long long)when);
        ASSERT_OFTEN(open == access_lasts(&it.policy, &it.facts, &it.refusal), "%lld",
                     (long long)when);
        changes += open != was_open;
        was_open = open;
    }
    ck_assert_uint_ge(changes, 2 * 50);
}

START_TEST(over_a_whole_year_working_hours_are_those_of_the_clock_on_the_wall)
{
    ck_assert_int_eq(setenv("TZ", zones[_i], 1), 0);
    tzset();
    set_zone(zones[_i]);
    follow_a_year("Mon-Fri 08:00-18:00");
}
END_TEST

START_TEST(over_a_whole_year_hours_go_past_midnight)
{
    ck_assert_int_eq(setenv("TZ", zones[_i], 1), 0);
    tzset();
    set_zone(zones[_i]);
    follow_a_year("Fri 22:00-06:00");
}
END_TEST

/* ---- the end of the hours ---- */

START_TEST(who_is_in_stays_where_a_rule_does_not_end_sessions)
{
    struct access_rule *r = add("office");
    set(&r->inside, &r->inside.hours, "Tue 08:00-12:00", NULL);
    ck_assert(!access_lasts(&it.policy, &it.facts, &it.refusal));
    ck_assert_int_eq(it.refusal.lack, ACCESS_HOURS);
    r->end_sessions = false;
    ck_assert(access_lasts(&it.policy, &it.facts, &it.refusal));
    r->end_sessions = true;
    r->enabled = false;
    ck_assert(access_lasts(&it.policy, &it.facts, &it.refusal));
}
END_TEST

START_TEST(a_moment_is_another_when_hours_begin_or_end_and_when_days_or_zones_change)
{
    struct access_rule *r = add("office");
    set(&r->inside, &r->inside.hours, "Mon 10:00-14:00", NULL);
    uint64_t open = access_moment(&it.policy, MONDAY_NOON);
    ck_assert_uint_eq(access_moment(&it.policy, MONDAY_NOON + 2 * 3600 - 1), open);
    uint64_t over = access_moment(&it.policy, MONDAY_NOON + 2 * 3600);
    ck_assert_uint_ne(over, open);
    ck_assert_uint_eq(access_moment(&it.policy, MONDAY_NOON + DAY), over);
    ck_assert_uint_eq(access_moment(&it.policy, MONDAY_NOON - 7 * DAY), open); /* set back */
    set_zone("Asia/Kolkata");                                                  /* 17:30 */
    ck_assert_uint_ne(access_moment(&it.policy, MONDAY_NOON), open);
    set_zone("Etc/UTC");
    ck_assert_uint_eq(access_moment(&it.policy, MONDAY_NOON), open);
    set_closed(r, "03-02", NULL);
    ck_assert_uint_ne(access_moment(&it.policy, MONDAY_NOON), open);
    r->end_sessions = false;
    ck_assert_uint_eq(access_moment(&it.policy, MONDAY_NOON),
                      access_moment(&it.policy, MONDAY_NOON + DAY));
}
END_TEST

START_TEST(hours_that_when_names_count_as_well)
{
    struct access_rule *r = add("nights");
    r->deny = true;
    set(&r->when, &r->when.hours, "20:00-06:00", NULL);
    uint64_t day = access_moment(&it.policy, MONDAY_NOON);
    ck_assert(access_lasts(&it.policy, &it.facts, &it.refusal));
    it.facts.now_s = MONDAY_NOON + 8 * 3600;
    ck_assert_uint_ne(access_moment(&it.policy, it.facts.now_s), day);
    ck_assert(!access_lasts(&it.policy, &it.facts, &it.refusal));
}
END_TEST

/* ---- what is told ---- */

START_TEST(what_does_not_fit_is_cut)
{
    struct access_rule *r = add("office");
    char out[24];
    set(&r->inside, &r->inside.hours, "Tue 08:00-12:00", "Wed 08:00-12:00");
    ck_assert(!allows());
    ck_assert_str_eq(access_text(&it.refusal, out, sizeof out), "office: closed now; ope");
}
END_TEST

SUITE(access)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(without_rules_everybody_is_let_in);
    TEST(clients_of_other_networks_are_not_let_in);
    TEST(clients_of_other_countries_and_of_none_are_not_let_in);
    TEST(with_networks_and_countries_both_must_be_so);
    TEST(a_certificate_is_anybodys_or_his_own);
    TEST(who_is_denied_is_not_let_in_whatever_he_has);
    TEST(outside_the_hours_it_is_told_when_they_are);
    TEST(closed_days_begin_and_end_at_midnight_in_the_zone);
    TEST(a_rule_is_for_whom_when_matches_and_except_does_not);
    TEST(of_several_all_must_be_satisfied_and_the_first_is_told);
    TEST(a_rule_that_monitors_only_says_so);
    TEST(what_goes_by_the_account_waits_until_that_is_known);
    LOOP_TEST(over_a_whole_year_working_hours_are_those_of_the_clock_on_the_wall, zones);
    LOOP_TEST(over_a_whole_year_hours_go_past_midnight, zones);
    TEST(who_is_in_stays_where_a_rule_does_not_end_sessions);
    TEST(a_moment_is_another_when_hours_begin_or_end_and_when_days_or_zones_change);
    TEST(hours_that_when_names_count_as_well);
    TEST(what_does_not_fit_is_cut);
}
