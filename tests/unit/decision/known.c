#include "decision/known.h"

#include "base/clock.h"
#include "telemetry/mapping.h"

#include <stdio.h>

#define NOW   (INT64_C(1795540385) * CLOCK_SECOND)
#define HOUR  (3600 * CLOCK_SECOND)
#define MONTH (30 * 24 * HOUR)

static const uint64_t key[2] = {3, 5}, other_key[2] = {3, 6};
static struct known *known;

static void begin(void)
{
    known = mapping_make(known_size());
}

static struct address host(const char *text)
{
    struct address a;
    ck_assert_msg(address_make(text, 4711, &a) == 0, "%s", text);
    return a;
}

static void note_at(const char *account, const char *from, int64_t now_ns)
{
    const struct address a = host(from);
    known_note(known, key, account, &a, now_ns);
}

static bool has_at(const char *account, const char *from, int64_t now_ns)
{
    const struct address a = host(from);
    return known_has(known, key, account, &a, MONTH, now_ns);
}

static const struct {
    const char *account, *from;
    bool is_known;
} looks[] = {
    {"ana@example.com", "192.0.2.7", true},
    {"ana@example.com", "192.0.2.255", true},
    {"ana@example.com", "::ffff:192.0.2.7", true},
    {"ana@example.com", "192.0.3.7", false},
    {"ana@example.com", "2001:db8:1:ffff::9", true},
    {"ana@example.com", "2001:db8:2::9", false},
    {"bea@example.com", "192.0.2.7", false},
    {"", "192.0.2.7", false},
    {NULL, "192.0.2.9", true},
    {NULL, "2001:db8:1::", true},
    {NULL, "198.51.100.1", false},
};

START_TEST(an_account_is_known_in_the_network_where_it_logged_in_alone)
{
    note_at("ana@example.com", "192.0.2.7", NOW);
    note_at("ana@example.com", "2001:db8:1:2::7", NOW);
    ck_assert_msg(has_at(looks[_i].account, looks[_i].from, NOW) == looks[_i].is_known, "%s %s",
                  looks[_i].account, looks[_i].from);
}
END_TEST

START_TEST(under_another_key_nobody_is_known)
{
    const struct address a = host("192.0.2.7");
    note_at("ana@example.com", "192.0.2.7", NOW);
    ck_assert(!known_has(known, other_key, "ana@example.com", &a, MONTH, NOW));
}
END_TEST

START_TEST(an_account_is_known_for_so_long_after_it_was_seen_last)
{
    const struct address a = host("192.0.2.7");
    note_at("ana@example.com", "192.0.2.7", NOW);
    ck_assert(has_at("ana@example.com", "192.0.2.7", NOW + MONTH));
    ck_assert(!has_at("ana@example.com", "192.0.2.7", NOW + MONTH + 2 * HOUR));
    note_at("ana@example.com", "192.0.2.7", NOW + MONTH);
    ck_assert(has_at("ana@example.com", "192.0.2.7", NOW + 2 * MONTH));
    ck_assert(!known_has(known, key, "ana@example.com", &a, 0, NOW + MONTH));
}
END_TEST

START_TEST(the_version_changes_with_what_is_new_alone)
{
    uint64_t version = known_version(known);
    note_at("ana@example.com", "192.0.2.7", NOW);
    ck_assert_uint_ne(known_version(known), version);
    version = known_version(known);
    note_at("ana@example.com", "192.0.2.8", NOW + 5 * HOUR);
    ck_assert_uint_eq(known_version(known), version);
}
END_TEST

/* More than there is room for: who was seen lately is there still. */
START_TEST(full_the_one_that_was_seen_longest_ago_makes_room)
{
    enum { MANY = KNOWN_MAX * 2, LATE = 1000 };
    char account[32];
    size_t found = 0;
    const struct address a = host("192.0.2.7");
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(account, sizeof account, "%d", i); /* fits */
        known_note(known, key, account, &a, NOW + (i >= MANY - LATE ? HOUR : 0));
    }
    for (int i = MANY - LATE; i < MANY; i++) {
        (void)snprintf(account, sizeof account, "%d", i); /* fits */
        found += has_at(account, "192.0.2.7", NOW + HOUR);
    }
    ck_assert_uint_eq(found, LATE);
}
END_TEST

START_TEST(what_is_read_out_and_put_back_is_known_again)
{
    struct known *old = known;
    for (int i = 0; i < 100; i++) {
        char from[20];
        (void)snprintf(from, sizeof from, "192.0.%d.1", i); /* fits */
        note_at("ana@example.com", from, NOW);
    }
    begin();
    for (size_t place = 0; place < KNOWN_MAX; place++)
        known_put(known, place, known_read(old, place));
    for (int i = 0; i < 100; i++) {
        char from[20];
        (void)snprintf(from, sizeof from, "192.0.%d.1", i); /* fits */
        ck_assert(has_at("ana@example.com", from, NOW));
    }
    ck_assert_uint_eq(known_read(known, KNOWN_MAX), 0);
    known_put(known, KNOWN_MAX, 1); /* a file may say anything */
}
END_TEST

static const int fills[] = {0xff, 0xfe, 0x7f, 'A', 2, 1};

START_TEST(a_hostile_table_is_read_and_written_within_it)
{
    known = mapping_hostile(known_size(), fills[_i]);
    (void)has_at("ana@example.com", "192.0.2.7", NOW); /* whatever it says */
    for (int i = 0; i < 1000; i++) {
        char from[20];
        (void)snprintf(from, sizeof from, "10.0.%d.1", i % 256); /* fits */
        note_at("ana@example.com", from, NOW);
    }
    uint32_t all[KNOWN_WAYS];
    (void)known_credentials(known, key, "ana@example.com", MONTH, NOW, all); /* as above */
}
END_TEST

/* ---- credentials ---- */

static void uses(const char *account, uint32_t credential, int64_t now_ns)
{
    known_note_credential(known, key, account, credential, now_ns);
}

static bool is_used(const char *account, uint32_t credential, int64_t now_ns)
{
    uint32_t all[KNOWN_WAYS];
    size_t count = known_credentials(known, key, account, MONTH, now_ns, all);
    ck_assert_uint_le(count, KNOWN_WAYS);
    for (size_t i = 0; i < count; i++)
        if (all[i] == credential)
            return true;
    return false;
}

START_TEST(what_an_account_has_logged_in_with_is_known_of_it_alone_and_for_so_long)
{
    uint32_t all[KNOWN_WAYS];
    uses("ana@example.com", 4711, NOW);
    uses("ana@example.com", KNOWN_UNSAID, NOW);
    uses("ana@example.com", 4711, NOW + MONTH);
    ck_assert_uint_eq(known_credentials(known, key, "ana@example.com", MONTH, NOW, all), 2);
    ck_assert(is_used("ana@example.com", 4711, NOW + MONTH + HOUR));
    ck_assert(!is_used("ana@example.com", KNOWN_UNSAID, NOW + MONTH + HOUR));
    ck_assert(!is_used("ana@example.com", 4712, NOW));
    ck_assert(!is_used("bea@example.com", 4711, NOW));
    ck_assert(!has_at("ana@example.com", "192.0.2.7", NOW));
    ck_assert_uint_eq(known_credentials(known, other_key, "ana@example.com", MONTH, NOW, all), 0);
}
END_TEST

START_TEST(of_more_than_there_is_room_for_the_last_ones_are_known)
{
    for (uint32_t c = 2; c < 2 + 3 * KNOWN_WAYS; c++)
        uses("ana@example.com", c, NOW + c * HOUR);
    for (uint32_t c = 2; c < 2 + 3 * KNOWN_WAYS; c++)
        ck_assert(is_used("ana@example.com", c, NOW + 30 * HOUR) == (c >= 2 + 2 * KNOWN_WAYS));
}
END_TEST

START_TEST(a_credential_is_never_what_stands_for_none_or_for_an_unsaid_one)
{
    static const uint64_t hashes[] = {0, 1, 2, (1 << 20) - 3, (1 << 20) - 2, 1 << 20, UINT64_MAX};
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        uint32_t c = known_credential(hashes[i]);
        ck_assert_uint_gt(c, KNOWN_UNSAID);
        ck_assert_uint_lt(c, 1 << KNOWN_CREDENTIAL_BITS);
        uses("ana@example.com", c, NOW);
        ck_assert(is_used("ana@example.com", c, NOW));
    }
}
END_TEST

SUITE(known)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    tcase_set_timeout(tests, 60);
    LOOP_TEST(an_account_is_known_in_the_network_where_it_logged_in_alone, looks);
    TEST(under_another_key_nobody_is_known);
    TEST(an_account_is_known_for_so_long_after_it_was_seen_last);
    TEST(the_version_changes_with_what_is_new_alone);
    TEST(full_the_one_that_was_seen_longest_ago_makes_room);
    TEST(what_is_read_out_and_put_back_is_known_again);
    LOOP_TEST(a_hostile_table_is_read_and_written_within_it, fills);
    TEST(what_an_account_has_logged_in_with_is_known_of_it_alone_and_for_so_long);
    TEST(of_more_than_there_is_room_for_the_last_ones_are_known);
    TEST(a_credential_is_never_what_stands_for_none_or_for_an_unsaid_one);
}
