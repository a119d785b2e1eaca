#include "auth/cache.h"

#include "auth/account.h"
#include "base/clock.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

#define LIFETIME_NS (300 * CLOCK_SECOND)
#define NOW_NS      (1000 * CLOCK_SECOND)

static const unsigned char key[AUTH_CACHE_KEY_SIZE] = "a key of this test alone";
static struct auth_cache cache;
static char account[ACCOUNT_SIZE];

static void begin(void)
{
    cache = (struct auth_cache){.table = calloc(1, auth_cache_size()),
                                .key = key,
                                .generation = 1,
                                .realm = "example.com",
                                .lifetime_ns = LIFETIME_NS};
    ck_assert_ptr_nonnull(cache.table);
}

static void end(void)
{
    free(cache.table);
}

/* PLAIN's response, with "|" for NUL. */
static int entry_of(const struct auth_cache *c, const char *text, struct auth_cache_entry *e)
{
    char bytes[3000];
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++)
        bytes[i] = text[i] == '|' ? '\0' : text[i];
    return auth_cache_entry_of(c, span_make(bytes, size), account, e);
}

static struct auth_cache_entry entry(const char *text)
{
    struct auth_cache_entry e;
    ck_assert_int_eq(entry_of(&cache, text, &e), 0);
    return e;
}

static void keep(const char *text, int64_t now_ns)
{
    const struct auth_cache_entry e = entry(text);
    auth_cache_keep(&cache, &e, now_ns);
}

static bool knows(const char *text, int64_t now_ns)
{
    const struct auth_cache_entry e = entry(text);
    return auth_cache_knows(&cache, &e, now_ns);
}

START_TEST(nothing_is_known_at_first)
{
    ck_assert(!knows("|ana@example.com|secret", NOW_NS));
    ck_assert(!knows("|ana@example.com|secret", 0));
}
END_TEST

START_TEST(a_password_of_one_user_there_is_not_that_of_another_who_is_the_same_account)
{
    cache.login_name = LOGIN_NAME_GIVEN;
    keep("|ana|secret", NOW_NS);
    ck_assert(knows("|ana|secret", NOW_NS));
    ck_assert(!knows("|ana@example.com|secret", NOW_NS));
    cache.login_name = LOGIN_NAME_ACCOUNT;
    keep("|ana|secret", NOW_NS);
    ck_assert(knows("|ana@example.com|secret", NOW_NS));
}
END_TEST

START_TEST(what_was_right_is_known_for_its_lifetime)
{
    keep("|ana@example.com|secret", NOW_NS);
    ck_assert(knows("|ana@example.com|secret", NOW_NS));
    ck_assert(knows("|ana@example.com|secret", NOW_NS + LIFETIME_NS - 1));
    ck_assert(!knows("|ana@example.com|secret", NOW_NS + LIFETIME_NS));
}
END_TEST

START_TEST(an_account_is_known_however_it_is_written)
{
    keep("|ana@example.com|secret", NOW_NS);
    ck_assert(knows("|ana|secret", NOW_NS));
    ck_assert(knows("|Ana@Example.COM|secret", NOW_NS));
    ck_assert_str_eq(account, "ana@example.com");
}
END_TEST

static const char *const others[] = {
    "|ana@example.com|Secret", "|ana@example.com|secre",  "|ana@example.com|secrets",
    "|anas@example.com|ecret", "|ana@example.org|secret", "|eva@example.com|secret",
};

START_TEST(nothing_else_is_known)
{
    keep("|ana@example.com|secret", NOW_NS);
    ck_assert(!knows(others[_i], NOW_NS));
}
END_TEST

START_TEST(another_password_takes_the_place_of_the_first)
{
    keep("|ana@example.com|old", NOW_NS);
    keep("|ana@example.com|new", NOW_NS + 1);
    ck_assert(knows("|ana@example.com|new", NOW_NS + 2));
    ck_assert(!knows("|ana@example.com|old", NOW_NS + 2));
}
END_TEST

START_TEST(a_new_generation_knows_nothing_of_the_old_one)
{
    keep("|ana@example.com|secret", NOW_NS);
    cache.generation = 2;
    ck_assert(!knows("|ana@example.com|secret", NOW_NS));
}
END_TEST

START_TEST(under_another_key_nothing_is_known)
{
    static const unsigned char other[AUTH_CACHE_KEY_SIZE] = "another key";
    keep("|ana@example.com|secret", NOW_NS);
    cache.key = other;
    ck_assert(!knows("|ana@example.com|secret", NOW_NS));
}
END_TEST

START_TEST(a_table_that_somebody_has_spoiled_lets_nobody_in)
{
    memset(cache.table, _i == 0 ? 0xff : 0x7f, auth_cache_size());
    ck_assert(!knows("|ana@example.com|secret", NOW_NS));
    keep("|ana@example.com|secret", NOW_NS);
    ck_assert(knows("|ana@example.com|secret", NOW_NS));
}
END_TEST

static const char *const of_no_use[] = {
    "",
    "|",
    "||",
    "|ana",
    "|ana|",
    "ana|ana|secret",
    "eva|ana|secret",
    "|ana|sec|ret",
    "|a na|secret",
    "||secret",
    "ana",
    "|ana@@example.com|secret",
};

START_TEST(what_is_malformed_or_for_another_is_asked_about)
{
    struct auth_cache_entry e;
    ck_assert_int_eq(entry_of(&cache, of_no_use[_i], &e), -1);
}
END_TEST

START_TEST(a_password_too_long_to_be_kept_is_asked_about)
{
    char text[2800];
    struct auth_cache_entry e;
    for (size_t size = 1900; size < sizeof text - 20; size++) {
        int used = snprintf(text, sizeof text, "|ana@example.com|"); /* fits */
        memset(text + used, 'x', size);
        text[(size_t)used + size] = '\0';
        ck_assert_int_eq(entry_of(&cache, text, &e), (size_t)used + size <= 2048 ? 0 : -1);
    }
}
END_TEST

START_TEST(turned_off_it_is_asked_for_nothing)
{
    struct auth_cache_entry e;
    cache.lifetime_ns = 0;
    ck_assert_int_eq(entry_of(&cache, "|ana|secret", &e), -1);
}
END_TEST

START_TEST(thousands_of_accounts_are_known_at_once)
{
    unsigned known = 0;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 4000; i++) {
            char text[60];
            (void)snprintf(text, sizeof text, "|user%d|secret%d", i, i); /* fits */
            if (round == 0)
                keep(text, NOW_NS + i);
            else
                known += knows(text, NOW_NS + 4000);
        }
    ck_assert_uint_gt(known, 3500); /* sets of four fill unevenly */
}
END_TEST

START_TEST(what_is_forgotten_is_asked_about_and_the_rest_is_known)
{
    keep("|ana|secret", NOW_NS);
    keep("|rui|secret", NOW_NS);
    ck_assert(auth_cache_forget(&cache, "ana@example.com"));
    ck_assert(!knows("|ana|secret", NOW_NS));
    ck_assert(knows("|rui|secret", NOW_NS));
    ck_assert(!auth_cache_forget(&cache, "ana@example.com"));
    ck_assert(!auth_cache_forget(&cache, "nobody@example.com"));
    keep("|ana|secret", NOW_NS);
    ck_assert(knows("|ana|secret", NOW_NS));
}
END_TEST

START_TEST(a_generation_is_forgotten_by_its_number)
{
    keep("|ana|secret", NOW_NS);
    cache.generation = 2;
    ck_assert(!auth_cache_forget(&cache, "ana@example.com"));
    cache.generation = 1;
    ck_assert(knows("|ana|secret", NOW_NS));
    ck_assert(auth_cache_forget(&cache, "ana@example.com"));
}
END_TEST

SUITE(cache)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(nothing_is_known_at_first);
    TEST(a_password_of_one_user_there_is_not_that_of_another_who_is_the_same_account);
    TEST(what_was_right_is_known_for_its_lifetime);
    TEST(an_account_is_known_however_it_is_written);
    LOOP_TEST(nothing_else_is_known, others);
    TEST(another_password_takes_the_place_of_the_first);
    TEST(a_new_generation_knows_nothing_of_the_old_one);
    TEST(under_another_key_nothing_is_known);
    tcase_add_loop_test(tests, a_table_that_somebody_has_spoiled_lets_nobody_in, 0, 2);
    LOOP_TEST(what_is_malformed_or_for_another_is_asked_about, of_no_use);
    TEST(a_password_too_long_to_be_kept_is_asked_about);
    TEST(turned_off_it_is_asked_for_nothing);
    TEST(thousands_of_accounts_are_known_at_once);
    TEST(what_is_forgotten_is_asked_about_and_the_rest_is_known);
    TEST(a_generation_is_forgotten_by_its_number);
}
