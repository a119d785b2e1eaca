#include "decision/senders.h"

#include "support/test.h"
#include "telemetry/mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct senders *senders;

static void begin(void)
{
    senders = mapping_make(senders_size());
}

static const char *whose(uint64_t message)
{
    static char out[SENDER_ACCOUNT_SIZE];
    return senders_find(senders, message, out) < 0 ? NULL : out;
}

START_TEST(a_message_is_its_senders)
{
    ck_assert_ptr_null(whose(7));
    senders_note(senders, 7, "ana@example.com");
    senders_note(senders, 8, "bea@example.com");
    ck_assert_str_eq(whose(7), "ana@example.com");
    ck_assert_str_eq(whose(8), "bea@example.com");
    ck_assert_ptr_null(whose(9));
}
END_TEST

START_TEST(what_is_no_id_is_nobodys)
{
    senders_note(senders, 0, "ana@example.com");
    ck_assert_ptr_null(whose(0));
}
END_TEST

START_TEST(a_name_is_kept_whole_or_not_at_all)
{
    char name[SENDER_ACCOUNT_SIZE + 1];
    memset(name, 'a', sizeof name);
    name[SENDER_ACCOUNT_SIZE] = '\0';
    senders_note(senders, 7, name);
    ck_assert_ptr_null(whose(7));
    name[SENDER_ACCOUNT_SIZE - 1] = '\0';
    senders_note(senders, 7, name);
    ck_assert_str_eq(whose(7), name);
}
END_TEST

START_TEST(the_latest_of_many_are_known)
{
    const uint64_t count = 4 * SENDERS_MAX;
    uint64_t known = 0;
    for (uint64_t n = 1; n <= count; n++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%llu", (unsigned long long)n); /* fits */
        senders_note(senders, n, name);
    }
    for (uint64_t n = count - SENDERS_MAX / 2 + 1; n <= count; n++) {
        const char *name = whose(n);
        known += name != NULL;
        ck_assert(name == NULL || strtoull(name, NULL, 10) == n);
    }
    ck_assert_uint_gt(known, SENDERS_MAX / 2 * 9 / 10);
    ck_assert_ptr_null(whose(1));
}
END_TEST

START_TEST(a_hostile_table_names_nobody)
{
    static const int fills[] = {0xff, 0x80, 1};
    senders = mapping_hostile(senders_size(), fills[_i]);
    for (uint64_t n = 1; n < 1000; n++)
        ck_assert_ptr_null(whose(n));
    ck_assert_ptr_null(whose(UINT64_C(0x0101010101010101) * (uint64_t)fills[_i]));
    senders_note(senders, UINT64_MAX, "ana@example.com");
    ck_assert_str_eq(whose(UINT64_MAX), "ana@example.com");
}
END_TEST

SUITE(senders)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    TEST(a_message_is_its_senders);
    TEST(what_is_no_id_is_nobodys);
    TEST(a_name_is_kept_whole_or_not_at_all);
    TEST(the_latest_of_many_are_known);
    tcase_add_loop_test(tests, a_hostile_table_names_nobody, 0, 3);
}
