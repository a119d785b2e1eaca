#include "policy/ownership.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t key[2] = {11, 13};

static char *built;
static size_t built_size;

static void end(void)
{
    free(built);
    built = NULL;
}

/* Of accounts "0" to "COUNT-1", each with "aN@example.com". */
static void build(unsigned count)
{
    char text[40];
    struct ownership_builder *b = ownership_builder_create(key);
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(text, sizeof text, "%u", i); /* fits, as below */
        ck_assert_int_eq(ownership_account(b, span_of(text)), 0);
        (void)snprintf(text, sizeof text, "a%u@example.com", i);
        ck_assert_int_eq(ownership_add(b, span_of(text)), 0);
    }
    end();
    built = ownership_build(b, &built_size);
    ck_assert_ptr_nonnull(built);
    ownership_builder_destroy(&b);
}

static bool holds(unsigned account, unsigned address)
{
    char name[40], text[40];
    (void)snprintf(name, sizeof name, "%u", account); /* fits, as below */
    (void)snprintf(text, sizeof text, "a%u@example.com", address);
    return ownership_holds(span_make(built, built_size), span_of(name), span_of(text));
}

START_TEST(each_account_has_its_own_and_no_other)
{
    static const unsigned counts[] = {1, 2, 3, 50, 5000};
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
        build(counts[n]);
        for (unsigned i = 0; i < counts[n]; i++) {
            ASSERT_OFTEN(holds(i, i), "%u hasn't its own", i);
            ASSERT_OFTEN(!holds(i, i + 1) && !holds(i + 1, i), "%u has another's", i);
        }
    }
}
END_TEST

START_TEST(a_line_with_an_address_costs_54_octets)
{
    build(10000);
    ck_assert_uint_le(built_size, 10000 * 54);
}
END_TEST

START_TEST(what_was_spoiled_is_read_within_its_bounds)
{
    build(3);
    for (size_t size = 0; size < built_size; size++) {
        char *copy = malloc(size + 1);
        memcpy(copy, built, size);
        ck_assert(
            ownership_holds(span_make(copy, size), span_of("a@b"), span_of("a@b"))); /* its name */
        ck_assert(!ownership_holds(span_make(copy, size), span_of("0"), span_of("a0@example.com")));
        free(copy);
    }
    memset(built + 24, 'x', built_size - 24); /* no free slot */
    ck_assert(!holds(0, 0));
}
END_TEST

START_TEST(without_a_file_an_account_has_its_name)
{
    ck_assert(ownership_holds(span_make(NULL, 0), span_of("a@b"), span_of("a@b")));
    ck_assert(!ownership_holds(span_make(NULL, 0), span_of("a@b"), span_of("c@b")));
    ck_assert(!ownership_holds(span_make(NULL, 0), span_of("a@b"), span_of("")));
}
END_TEST

static char *build_one(void)
{
    struct ownership_builder *b = ownership_builder_create(key);
    bool is_added = b != NULL && ownership_account(b, span_of("a")) == 0;
    char *octets = is_added ? ownership_build(b, &built_size) : NULL;
    ownership_builder_destroy(&b);
    return octets;
}

START_TEST(without_memory_nothing_is_taken)
{
    bool is_so = true;
    WITH_EACH_ALLOCATION_FAILING({
        char *octets = build_one();
        is_so = is_so && (octets == NULL) == failing_has_failed();
        free(octets);
    })
    ck_assert(is_so);
}
END_TEST

SUITE(ownership)
{
    tcase_add_checked_fixture(tests, NULL, end);
    TEST(each_account_has_its_own_and_no_other);
    TEST(a_line_with_an_address_costs_54_octets);
    TEST(what_was_spoiled_is_read_within_its_bounds);
    TEST(without_a_file_an_account_has_its_name);
    TEST(without_memory_nothing_is_taken);
}
