#include "policy/match.h"

#include "base/arena.h"
#include "base/lookup.h"
#include "policy/policy.h"
#include "support/test.h"

static struct arena *arena;
static struct match match;
static struct address client;
static struct policy_facts facts;
static struct buffer octets;
static struct sealed list;
static struct account_group groups[2];
static const struct account_groups all = {groups, 2};
static struct error why;

static void begin(void)
{
    arena = arena_create(1024 * 1024);
    ck_assert_int_eq(address_make("192.0.2.7", 25, &client), 0);
    match = (struct match){.group_count = 0};
    facts = (struct policy_facts){.client = &client, .listener = "submission"};
    groups[0] = (struct account_group){.name = "shop"};
    groups[1] = (struct account_group){.name = "directors"};
    octets = (struct buffer){.limit = 1 << 16};
}

static void end(void)
{
    buffer_clear(&octets);
    arena_destroy(&arena);
}

/* Prepared for this one of accounts; returns what match_prepare does. */
static int accounts(const char *account)
{
    static const char *items[1];
    items[0] = account;
    match.accounts = (struct text_list){items, 1};
    return match_prepare(&match, &all, arena, &why);
}

static bool holds(const char *account)
{
    facts.account = account;
    return match_holds(&match, &facts);
}

/* The file of a group now has these, up to a NULL. */
static void set_list(struct account_group *g, const char *const *names)
{
    struct lookup_builder *b = lookup_builder_create();
    unsigned lines[2];
    for (unsigned i = 0; names[i] != NULL; i++)
        ck_assert_int_eq(lookup_add(b, span_of(names[i]), span_of(""), i + 1), 0);
    buffer_clear(&octets);
    ck_assert_int_eq(lookup_build(b, &octets, lines), 0);
    lookup_builder_destroy(&b);
    list.bytes = buffer_bytes(&octets);
    g->list = &list;
}

START_TEST(an_account_is_meant_by_its_name_or_domain_in_any_case)
{
    static const struct {
        const char *item, *account;
        bool holds;
    } cases[] = {
        {"ana@example.com", "ana@example.com", true},
        {"Ana@Example.COM", "ana@example.com", true},
        {"@Example.com", "ana@example.com", true},
        {"@ample.com", "ana@example.com", false},
        {"@example.com", "ana@sub.example.com", false},
        {"na@example.com", "ana@example.com", false},
        {"@example.com", NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(accounts(cases[i].item), 0);
        ck_assert_msg(holds(cases[i].account) == cases[i].holds, "%s", cases[i].item);
    }
}
END_TEST

START_TEST(a_group_means_its_accounts_and_those_of_its_file_as_it_is_now)
{
    static const char *own[] = {"eva@example.com"};
    static const char *const first[] = {"ana@example.com", "@shop.example", NULL};
    static const char *const second[] = {"rui@example.com", NULL};
    groups[0].accounts = (struct text_list){own, 1};
    ck_assert_int_eq(accounts("group:shop"), 0);
    ck_assert(holds("eva@example.com"));
    ck_assert(!holds("ana@example.com"));
    set_list(&groups[0], first);
    ck_assert(holds("ana@example.com"));
    ck_assert(holds("anybody@shop.example"));
    ck_assert(holds("eva@example.com"));
    ck_assert(!holds("rui@example.com"));
    ck_assert(!holds(NULL));
    set_list(&groups[0], second);
    ck_assert(!holds("ana@example.com"));
    ck_assert(holds("rui@example.com"));
}
END_TEST

START_TEST(an_empty_group_means_nobody)
{
    static const char *const none[] = {NULL};
    set_list(&groups[1], none);
    ck_assert_int_eq(accounts("group:directors"), 0);
    ck_assert(!match_is_empty(&match));
    ck_assert(!holds("ana@example.com"));
}
END_TEST

START_TEST(a_group_that_is_not_there_is_refused_with_those_that_are)
{
    static const struct account_groups none = {NULL, 0};
    ck_assert_int_eq(accounts("group:shp"), -1);
    ck_assert_str_eq(why.text, "\"group:shp\" is none of groups: shop, directors");
    ck_assert(!holds("ana@example.com"));
    ck_assert_int_eq(match_prepare(&match, &none, arena, &why), -1);
    ck_assert_str_eq(why.text, "\"group:shp\": there are no groups");
}
END_TEST

START_TEST(all_that_is_asked_for_must_hold)
{
    static const char *nets[] = {"192.0.2.0/24", "2001:db8::/32"}, *doors[] = {"submission"};
    ck_assert(match_is_empty(&match));
    ck_assert_int_eq(match_prepare(&match, &all, arena, &why), 0);
    ck_assert(holds(NULL));
    match.networks = (struct text_list){nets, 2};
    match.listeners = (struct text_list){doors, 1};
    ck_assert_int_eq(accounts("@example.com"), 0);
    ck_assert(holds("ana@example.com"));
    ck_assert(!holds("ana@example.net"));
    facts.listener = "submissions";
    ck_assert(!holds("ana@example.com"));
    facts.listener = "submission";
    ck_assert_int_eq(address_make("198.51.100.7", 25, &client), 0);
    ck_assert(!holds("ana@example.com"));
}
END_TEST

START_TEST(a_client_is_meant_by_his_country_in_any_case_where_it_is_known)
{
    static const char *countries[] = {"BR", "pt"};
    match.countries = (struct text_list){countries, 2};
    ck_assert_int_eq(match_prepare(&match, &all, arena, &why), 0);
    ck_assert(!match_is_empty(&match));
    ck_assert(!holds(NULL));
    facts.country = "BR";
    ck_assert(holds(NULL));
    facts.country = "PT";
    ck_assert(holds(NULL));
    facts.country = "FR";
    ck_assert(!holds(NULL));
}
END_TEST

/* RFC 8536: one type, five hours and a half before UTC, by its rules. */
START_TEST(hours_are_those_of_the_zone)
{
#define HEAD                                                                              \
    "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\1" \
    "\0\0\0\0\0\0\0"
    static const char bytes[] = HEAD HEAD "\nIST-5:30\n";
    static const char *items[] = {"Fri 17:00-18:00"};
    static struct sealed file = {.bytes = {bytes, sizeof bytes - 1}};
    struct time_zone zone = {.file = NULL};
    match.hours = (struct text_list){items, 1};
    match.zone = &zone;
    ck_assert_int_eq(match_prepare(&match, &all, arena, &why), 0);
    ck_assert(!match_is_empty(&match));
    facts.now_s = INT64_C(1795781400); /* Friday, 2026-11-27T12:10Z */
    ck_assert(!holds(NULL));
    facts.now_s += 5 * 3600;
    ck_assert(holds(NULL));
    zone.file = &file;
    ck_assert(!holds(NULL));
    facts.now_s -= 5 * 3600;
    ck_assert(holds(NULL));
}
END_TEST

SUITE(match)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(an_account_is_meant_by_its_name_or_domain_in_any_case);
    TEST(a_group_means_its_accounts_and_those_of_its_file_as_it_is_now);
    TEST(an_empty_group_means_nobody);
    TEST(a_group_that_is_not_there_is_refused_with_those_that_are);
    TEST(all_that_is_asked_for_must_hold);
    TEST(a_client_is_meant_by_his_country_in_any_case_where_it_is_known);
    TEST(hours_are_those_of_the_zone);
}
