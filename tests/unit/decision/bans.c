#include "decision/bans.h"

#include "base/clock.h"
#include "telemetry/mapping.h"

#include <stdatomic.h>
#include <stdio.h>

#define NOW  (INT64_C(1795540385) * CLOCK_SECOND)
#define HOUR (3600 * CLOCK_SECOND)

enum { PROCESS = 3, KILLED = 8 };

static struct bans *bans;

/* What the processes of a test tell one another. */
static struct {
    _Atomic uint32_t go, end;
} * told;

static void begin(void)
{
    bans = mapping_make(bans_size());
    bans_begin(bans, UINT64_C(0x0123456789abcdef));
    told = mapping_make(sizeof *told);
}

static struct address host(const char *text)
{
    struct address a;
    ck_assert_msg(address_make(text, 4711, &a) == 0, "%s", text);
    return a;
}

/* By a person, for an hour. */
static struct ban ban_of(const char *network)
{
    struct ban b = {.since_ns = NOW, .until_ns = NOW + HOUR};
    ck_assert_int_eq(network_parse(network, &b.network, NULL), 0);
    return b;
}

static struct ban by_rule(const char *network, int64_t ns)
{
    struct ban b = ban_of(network);
    b.until_ns = NOW + ns;
    b.tries = 10;
    (void)snprintf(b.rule, sizeof b.rule, "auth.guessing"); /* fits */
    return b;
}

static void put(struct ban b)
{
    struct error why;
    ck_assert_msg(bans_put(bans, PROCESS, &b, NOW, &why) == 0, "%s", why.text);
}

static bool is_banned_at(const char *address, int64_t now_ns)
{
    const struct address a = host(address);
    struct ban_verdict verdict;
    return bans_hold(bans, &a, 0, now_ns, &verdict);
}

static bool is_banned(const char *address)
{
    return is_banned_at(address, NOW);
}

static size_t count(void)
{
    size_t found = 0;
    struct ban b;
    for (size_t i = 0; i < BANS_MAX; i++)
        found += bans_read(bans, i, NOW, &b) == 0;
    return found;
}

/* The place of the only one there is. */
static size_t only(struct ban *out)
{
    for (size_t i = 0; i < BANS_MAX; i++)
        if (bans_read(bans, i, NOW, out) == 0)
            return i;
    ck_abort_msg("there is none");
}

/* ---- networks ---- */

static const struct {
    const char *network, *address;
    bool is_banned;
} networks[] = {
    {"192.0.2.7", "192.0.2.7", true},
    {"192.0.2.7", "::ffff:192.0.2.7", true},
    {"192.0.2.7", "192.0.2.8", false},
    {"192.0.2.7", "192.0.2.6", false},
    {"192.0.2.0/24", "192.0.2.0", true},
    {"192.0.2.0/24", "192.0.2.255", true},
    {"192.0.2.0/24", "192.0.3.0", false},
    {"192.0.2.64/26", "192.0.2.64", true},
    {"192.0.2.64/26", "192.0.2.128", false},
    {"128.0.0.0/1", "192.0.2.1", true},
    {"128.0.0.0/1", "127.0.0.1", false},
    {"0.0.0.0/0", "192.0.2.1", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"2001:db8:1:2::/64", "2001:db8:1:2::", true},
    {"2001:db8:1:2::/64", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
    {"2001:db8:1:2::/64", "2001:db8:1:3::", false},
    {"2001:db8::/32", "2001:db8:ffff::1", true},
    {"2001:db8::/32", "2001:db9::1", false},
    {"::/0", "2001:db8::1", true},
    {"::/0", "192.0.2.1", false},
    {"::/0", "::1", true},
};

START_TEST(a_ban_hits_its_network_and_nobody_else)
{
    ck_assert(!is_banned(networks[_i].address));
    put(ban_of(networks[_i].network));
    ck_assert(is_banned(networks[_i].address) == networks[_i].is_banned);
}
END_TEST

static const char *const no_networks[] = {"2001:db8::/65", "2001:db8::1", "::/127"};

START_TEST(a_part_of_an_ipv6_64_is_no_network_to_ban)
{
    struct ban b = ban_of(no_networks[_i]), found;
    struct error why;
    ck_assert_int_eq(bans_put(bans, PROCESS, &b, NOW, &why), -1);
    ck_assert_ptr_nonnull(strstr(why.text, "64 bits"));
    ck_assert_uint_eq(count(), 0);
    ck_assert_int_eq(bans_find(bans, &b, NOW, &found), -1); /* as another gateway may tell it */
}
END_TEST

START_TEST(the_last_of_several_to_end_is_told)
{
    const struct address a = host("192.0.2.7");
    struct ban_verdict verdict;
    put(by_rule("192.0.2.7", 2 * HOUR));
    put(by_rule("192.0.2.0/24", 3 * HOUR));
    put(by_rule("192.0.0.0/16", HOUR));
    ck_assert(bans_hold(bans, &a, 0, NOW, &verdict));
    ck_assert_int_eq(verdict.until_ns, NOW + 3 * HOUR);
    ck_assert(verdict.spares_known);
    put(ban_of("192.0.0.0/8"));
    ck_assert(bans_hold(bans, &a, 0, NOW, &verdict));
    ck_assert_int_eq(verdict.until_ns, NOW + 3 * HOUR);
    ck_assert(!verdict.spares_known);
}
END_TEST

START_TEST(a_rule_spares_whoever_is_known_there_unless_it_says_otherwise)
{
    const struct address a = host("192.0.2.7");
    struct ban_verdict verdict;
    struct ban ban = by_rule("192.0.2.7", HOUR), found;
    put(ban);
    ban.until_ns += HOUR;
    ban.spares_nobody = 1;
    put(ban);
    ck_assert_uint_eq(count(), 1); /* the same one, longer */
    ck_assert(bans_hold(bans, &a, 0, NOW, &verdict));
    ck_assert(!verdict.spares_known);
    ck_assert_int_ge(bans_find(bans, &ban, NOW, &found), 0);
    ck_assert_uint_eq(found.spares_nobody, 1);
}
END_TEST

START_TEST(who_is_banned_until_when_is_written_for_people)
{
    static const struct {
        const char *address, *text;
        int64_t until_ns;
    } cases[] = {
        {"192.0.2.7", "192.0.2.7 until 2026-11-24 18:00 UTC", INT64_C(1795543200) * CLOCK_SECOND},
        {"2001:db8::7", "2001:db8::7 until 2026-11-24 18:01 UTC",
         INT64_C(1795543201) * CLOCK_SECOND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct address a = host(cases[i].address);
        char text[BAN_TEXT_SIZE];
        ban_format(&a, cases[i].until_ns, text);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

/* ---- the end ---- */

START_TEST(a_ban_ends_at_its_time_and_takes_no_place_any_more)
{
    struct ban b;
    put(by_rule("192.0.2.7", HOUR));
    ck_assert(is_banned_at("192.0.2.7", NOW + HOUR - 1));
    ck_assert(!is_banned_at("192.0.2.7", NOW + HOUR));
    ck_assert_int_eq(bans_read(bans, only(&b), NOW + HOUR, &b), -1);
}
END_TEST

static const int64_t wrong_ends[] = {0, -1, INT64_MIN, BAN_MAX_NS + 1, INT64_MAX - NOW};

START_TEST(a_ban_without_an_end_within_a_year_is_refused)
{
    struct ban b = ban_of("192.0.2.7");
    struct error why;
    b.until_ns = wrong_ends[_i] == INT64_MIN ? INT64_MIN : NOW + wrong_ends[_i];
    ck_assert_int_eq(bans_put(bans, PROCESS, &b, NOW, &why), -1);
    b.until_ns = NOW + BAN_MAX_NS;
    put(b);
}
END_TEST

/* ---- what is kept of one ---- */

START_TEST(a_ban_is_read_as_it_was_made)
{
    struct ban made = by_rule("2001:db8:1:2::/64", HOUR), found;
    made.account = 4711;
    made.uid = 1000;
    made.origin = BAN_OF_STORE;
    (void)snprintf(made.name, sizeof made.name, "ana@example.com");       /* fits */
    (void)snprintf(made.reason, sizeof made.reason, "wrong credentials"); /* fits */
    put(made);
    (void)only(&found);
    ck_assert_mem_eq(&found, &made, sizeof made);
    ck_assert_uint_eq(count(), 1);
}
END_TEST

START_TEST(the_version_changes_with_each_change_alone)
{
    struct ban b = ban_of("192.0.2.7");
    uint64_t before = bans_version(bans);
    ck_assert(!is_banned("192.0.2.7"));
    ck_assert_uint_eq(bans_version(bans), before);
    put(b);
    ck_assert_uint_ne(bans_version(bans), before);
    before = bans_version(bans);
    ck_assert_int_eq(bans_lift(bans, PROCESS, only(&b), &b), 0);
    ck_assert_uint_ne(bans_version(bans), before);
    ck_assert(!is_banned("192.0.2.7"));
}
END_TEST

START_TEST(a_ban_is_found_by_whom_it_hits)
{
    struct ban found, account = ban_of("192.0.2.7");
    account.account = 5;
    put(by_rule("192.0.2.7", HOUR));
    put(ban_of("192.0.2.0/24"));
    const struct ban same = ban_of("192.0.2.7"), other = ban_of("192.0.2.8");
    ck_assert_int_ge(bans_find(bans, &same, NOW, &found), 0);
    ck_assert_str_eq(found.rule, "auth.guessing");
    ck_assert_int_eq(bans_find(bans, &other, NOW, &found), -1);
    ck_assert_int_eq(bans_find(bans, &account, NOW, &found), -1);
    ck_assert_int_eq(bans_find(bans, &same, NOW + HOUR, &found), -1);
}
END_TEST

START_TEST(a_ban_that_is_another_by_now_is_not_lifted)
{
    struct ban b;
    put(ban_of("192.0.2.7"));
    size_t place = only(&b);
    struct ban other = ban_of("192.0.2.8");
    ck_assert_int_eq(bans_lift(bans, PROCESS, place, &other), 0);
    ck_assert(is_banned("192.0.2.7"));
    ck_assert_int_eq(bans_lift(bans, PROCESS, BANS_MAX, &b), -1);
    ck_assert_int_eq(bans_lift(bans, PROCESS, SIZE_MAX, &b), -1);
}
END_TEST

/* ---- who may change whose ---- */

START_TEST(the_same_ban_again_is_one_and_a_rule_makes_it_longer_alone)
{
    struct ban b;
    put(by_rule("192.0.2.7", HOUR));
    put(by_rule("192.0.2.7", 2 * HOUR));
    put(by_rule("192.0.2.7", HOUR));
    ck_assert_uint_eq(count(), 1);
    (void)only(&b);
    ck_assert_int_eq(b.until_ns, NOW + 2 * HOUR);
}
END_TEST

START_TEST(a_person_changes_what_a_rule_has_made_and_no_rule_what_a_person_has)
{
    struct ban b;
    put(by_rule("192.0.2.7", 2 * HOUR));
    put(ban_of("192.0.2.7"));
    (void)only(&b);
    ck_assert_str_eq(b.rule, "");
    ck_assert_int_eq(b.until_ns, NOW + HOUR);
    put(by_rule("192.0.2.7", 3 * HOUR));
    (void)only(&b);
    ck_assert_str_eq(b.rule, "");
    ck_assert_int_eq(b.until_ns, NOW + HOUR);
    ck_assert_uint_eq(count(), 1);
}
END_TEST

/* ---- exemptions ---- */

static const char *const exempted[] = {"192.0.2.7", "192.0.2.0/24", "0.0.0.0/0"};

START_TEST(an_exemption_wins_over_every_ban_of_the_address)
{
    const struct address a = host("192.0.2.7"), other = host("198.51.100.1");
    struct ban exempt = ban_of(exempted[_i]), b;
    exempt.kind = BAN_EXEMPTION;
    put(ban_of("192.0.2.7"));
    put(ban_of("192.0.2.0/24"));
    put(ban_of("0.0.0.0/0"));
    put(exempt);
    ck_assert_uint_eq(count(), 4);
    ck_assert(!is_banned("192.0.2.7"));
    ck_assert(bans_exempt(bans, &a, NOW));
    ck_assert(is_banned_at("192.0.2.7", NOW + HOUR - 1) == false);
    ck_assert(is_banned("198.51.100.1") == (_i < 2));
    ck_assert(bans_exempt(bans, &other, NOW) == (_i == 2));
    for (size_t i = 0; i < BANS_MAX; i++)
        if (bans_read(bans, i, NOW, &b) == 0 && b.kind == BAN_EXEMPTION)
            ck_assert_int_eq(bans_lift(bans, PROCESS, i, &b), 0);
    ck_assert_uint_eq(count(), 3);
    ck_assert(is_banned("192.0.2.7"));
}
END_TEST

/* ---- accounts ---- */

START_TEST(an_account_is_refused_in_its_network_and_nobody_else_there)
{
    const struct address a = host("192.0.2.7"), other = host("192.0.2.8");
    struct ban b = by_rule("192.0.2.7", HOUR), exempt = ban_of("192.0.2.7");
    struct ban_verdict verdict;
    b.account = 4711;
    put(b);
    ck_assert(bans_hold(bans, &a, 4711, NOW, &verdict));
    ck_assert(!bans_hold(bans, &a, 4712, NOW, &verdict));
    ck_assert(!bans_hold(bans, &a, 0, NOW, &verdict));
    ck_assert(!bans_hold(bans, &other, 4711, NOW, &verdict));
    exempt.kind = BAN_EXEMPTION;
    put(exempt);
    ck_assert(!bans_hold(bans, &a, 4711, NOW, &verdict));
}
END_TEST

/* ---- full ---- */

static struct ban numbered(uint32_t i, bool is_by_rule)
{
    char text[NETWORK_TEXT_SIZE];
    (void)snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 0xff, i & 0xff); /* fits */
    return is_by_rule ? by_rule(text, HOUR + i) : ban_of(text);
}

START_TEST(full_of_rules_bans_the_earliest_to_end_makes_room)
{
    for (uint32_t i = 0; i < 4 * BANS_MAX; i++) {
        char text[NETWORK_TEXT_SIZE];
        struct ban b = numbered(i, true);
        network_format(&b.network, text);
        put(b);
        ck_assert(is_banned(text));
    }
    ck_assert_uint_gt(count(), BANS_MAX * 9 / 10);
    ck_assert(!is_banned("10.0.0.0"));
}
END_TEST

START_TEST(full_of_peoples_bans_no_rule_takes_one_away_and_another_is_refused)
{
    struct error why;
    uint32_t refused = 0, i = 0;
    for (; i < 2 * BANS_MAX; i++) {
        struct ban b = numbered(i, false);
        if (bans_put(bans, PROCESS, &b, NOW, &why) < 0) {
            ck_assert_ptr_nonnull(strstr(why.text, "no room"));
            refused++;
        }
    }
    ck_assert_uint_eq(count() + refused, i);
    size_t before = count();
    for (i = 0; i < BANS_MAX; i++) {
        struct ban b = numbered(i + 4 * BANS_MAX, true);
        (void)bans_put(bans, PROCESS, &b, NOW, &why); /* where there is room */
    }
    struct ban b;
    size_t by_people = 0;
    for (size_t place = 0; place < BANS_MAX; place++)
        by_people += bans_read(bans, place, NOW, &b) == 0 && b.rule[0] == '\0';
    ck_assert_uint_eq(by_people, before);
}
END_TEST

/* ---- several processes ---- */

/* A ban of which each text says the same, so that a torn one shows. Children assert nothing: what
 * Check would be told by one that is killed could be half a word. */
static struct ban lettered(char letter)
{
    struct ban b = {.since_ns = NOW};
    if (network_parse("192.0.2.7", &b.network, NULL) < 0)
        _exit(1);
    memset(b.rule, letter, sizeof b.rule - 1);
    memset(b.name, letter, sizeof b.name - 1);
    memset(b.reason, letter, sizeof b.reason - 1);
    b.until_ns = NOW + HOUR + letter;
    b.tries = (uint32_t)letter;
    return b;
}

static bool writes_and_writes(void)
{
    struct error why;
    for (unsigned i = 0; atomic_load(&told->end) == 0; i++) {
        struct ban b = lettered((char)('A' + i % 26)), was = b;
        if (i % 26 == 0)
            for (size_t place = 0; place < BANS_MAX; place++)
                if (bans_read(bans, place, NOW, &was) == 0)
                    (void)bans_lift(bans, KILLED, place, &was); /* whether it is there or not */
        (void)bans_put(bans, KILLED, &b, NOW, &why);            /* likewise */
        atomic_store(&told->go, 1);
    }
    return true;
}

START_TEST(a_reader_never_sees_a_torn_ban)
{
    const struct address a = host("192.0.2.7");
    pid_t child = child_start(writes_and_writes);
    while (atomic_load(&told->go) == 0)
        continue;
    for (int i = 0; i < 2000; i++) {
        struct ban b;
        struct ban_verdict verdict;
        if (bans_hold(bans, &a, 0, NOW, &verdict))
            ck_assert(verdict.until_ns > NOW + HOUR + 'A' - 1 &&
                      verdict.until_ns < NOW + HOUR + 'Z' + 1);
        for (size_t place = 0; place < BANS_MAX; place++) {
            if (bans_read(bans, place, NOW, &b) < 0)
                continue;
            const struct ban whole = lettered(b.rule[0]);
            if (memcmp(&b, &whole, sizeof b) != 0)
                ck_abort_msg("torn: it begins with %c", b.rule[0]);
        }
    }
    atomic_store(&told->end, 1);
    child_succeeds(child);
}
END_TEST

START_TEST(what_a_killed_process_was_writing_is_dropped_and_others_go_on)
{
    for (int round = 0; round < 50; round++) {
        struct error why;
        struct ban other = ban_of("198.51.100.0/24");
        atomic_store(&told->go, 0);
        pid_t child = child_start(writes_and_writes);
        while (atomic_load(&told->go) == 0)
            continue;
        child_kill(child);
        bans_release(bans, KILLED);
        ck_assert_msg(bans_put(bans, PROCESS, &other, NOW, &why) == 0, "%s", why.text);
        ck_assert(is_banned("198.51.100.1"));
        for (size_t place = 0; place < BANS_MAX; place++) {
            struct ban b;
            if (bans_read(bans, place, NOW, &b) < 0 || b.rule[0] == '\0')
                continue;
            const struct ban whole = lettered(b.rule[0]);
            ck_assert_mem_eq(&b, &whole, sizeof b);
        }
    }
}
END_TEST

START_TEST(a_process_that_held_nothing_leaves_the_table_as_it_is)
{
    put(ban_of("192.0.2.7"));
    uint64_t before = bans_version(bans);
    bans_release(bans, KILLED);
    ck_assert(is_banned("192.0.2.7"));
    ck_assert_uint_eq(bans_version(bans), before);
}
END_TEST

/* ---- a mapping that was written over ---- */

static const int fills[] = {0xff, 0xfe, 0x7f, 'A', 2, 1};

START_TEST(a_hostile_table_is_read_within_it_and_written_to)
{
    static const char *const addresses[] = {"192.0.2.7", "2001:db8::1", "::1", "255.255.255.255"};
    struct ban b;
    bans = mapping_hostile((bans_size() + 7) / 8 * 8, fills[_i]);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        (void)is_banned(addresses[i]); /* whatever it says */
    for (size_t place = 0; place < BANS_MAX; place++)
        if (bans_read(bans, place, NOW, &b) == 0)
            ck_assert(memchr(b.rule, '\0', sizeof b.rule) != NULL &&
                      memchr(b.name, '\0', sizeof b.name) != NULL &&
                      memchr(b.reason, '\0', sizeof b.reason) != NULL);
    put(ban_of("192.0.2.7"));
    ck_assert(is_banned("192.0.2.7"));
}
END_TEST

SUITE(bans)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    tcase_set_timeout(tests, 60);
    LOOP_TEST(a_ban_hits_its_network_and_nobody_else, networks);
    LOOP_TEST(a_part_of_an_ipv6_64_is_no_network_to_ban, no_networks);
    TEST(the_last_of_several_to_end_is_told);
    TEST(a_rule_spares_whoever_is_known_there_unless_it_says_otherwise);
    TEST(who_is_banned_until_when_is_written_for_people);
    TEST(a_ban_ends_at_its_time_and_takes_no_place_any_more);
    LOOP_TEST(a_ban_without_an_end_within_a_year_is_refused, wrong_ends);
    TEST(a_ban_is_read_as_it_was_made);
    TEST(the_version_changes_with_each_change_alone);
    TEST(a_ban_is_found_by_whom_it_hits);
    TEST(a_ban_that_is_another_by_now_is_not_lifted);
    TEST(the_same_ban_again_is_one_and_a_rule_makes_it_longer_alone);
    TEST(a_person_changes_what_a_rule_has_made_and_no_rule_what_a_person_has);
    LOOP_TEST(an_exemption_wins_over_every_ban_of_the_address, exempted);
    TEST(an_account_is_refused_in_its_network_and_nobody_else_there);
    TEST(full_of_rules_bans_the_earliest_to_end_makes_room);
    TEST(full_of_peoples_bans_no_rule_takes_one_away_and_another_is_refused);
    TEST(a_reader_never_sees_a_torn_ban);
    TEST(what_a_killed_process_was_writing_is_dropped_and_others_go_on);
    TEST(a_process_that_held_nothing_leaves_the_table_as_it_is);
    LOOP_TEST(a_hostile_table_is_read_within_it_and_written_to, fills);
}
