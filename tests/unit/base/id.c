#include "base/id.h"

#include "base/clock.h"
#include "base/span.h"

#include "support/test.h"

#include <stdbool.h>
#include <string.h>

/* 32 bits of seconds and 28 of the counter as five-bit digits, by long division. */
static void model(uint64_t seconds, uint64_t counter, char out[ID_SIZE])
{
    uint64_t number =
        seconds % (UINT64_C(1) << 32) * (UINT64_C(1) << 28) + counter % (UINT64_C(1) << 28);
    for (int i = 11; i >= 0; i--) {
        out[i] = "0123456789abcdefghjkmnpqrstvwxyz"[number % 32];
        number /= 32;
    }
    out[12] = '\0';
}

START_TEST(an_id_is_the_second_and_the_counter_in_base_32)
{
    static const struct {
        int64_t seconds;
        uint32_t counter;
    } cases[] = {
        {0, 0},
        {0, 1},
        {1, 0},
        {1795540385, 0},
        {1795540385, 0x0fffffff},
        {1795540385, 0x10000000},
        {1795540385, UINT32_MAX},
        {UINT32_MAX, 0x0fffffff},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct id_source source = {.counter = cases[i].counter};
        char id[ID_SIZE], expected[ID_SIZE];
        id_next(&source, cases[i].seconds * CLOCK_SECOND + 999999999, id);
        model((uint64_t)cases[i].seconds, cases[i].counter, expected);
        ck_assert_str_eq(id, expected);
    }
}
END_TEST

START_TEST(an_id_has_twelve_characters_and_none_that_is_misheard)
{
    struct id_source source = id_source_create();
    for (int i = 0; i < 10000; i++) {
        char id[ID_SIZE];
        id_next(&source, INT64_C(1795540385) * CLOCK_SECOND + i * CLOCK_SECOND, id);
        ck_assert_uint_eq(strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz"), 12);
        ck_assert_uint_eq(strcspn(id, "ilou"), 12);
    }
}
END_TEST

START_TEST(ids_of_one_second_differ)
{
    struct id_source source = {.counter = 0};
    char before[ID_SIZE] = "", id[ID_SIZE];
    for (int i = 0; i < 100000; i++) {
        id_next(&source, INT64_C(1795540385) * CLOCK_SECOND, id);
        if (strcmp(before, id) >= 0)
            ck_abort_msg("%s then %s", before, id);
        memcpy(before, id, sizeof id);
    }
}
END_TEST

START_TEST(ids_sort_by_time_wherever_the_counter_is)
{
    struct id_source high = {.counter = 0x0fffffff}, low = {.counter = 0};
    char before[ID_SIZE], after[ID_SIZE];
    id_next(&high, INT64_C(1795540385) * CLOCK_SECOND, before);
    id_next(&low, INT64_C(1795540386) * CLOCK_SECOND, after);
    ck_assert_str_lt(before, after);
}
END_TEST

START_TEST(a_counter_that_wraps_goes_on_with_other_ids)
{
    struct id_source source = {.counter = UINT32_MAX};
    char before[ID_SIZE], after[ID_SIZE], expected[ID_SIZE];
    id_next(&source, 0, before);
    id_next(&source, 0, after);
    model(0, 0, expected);
    ck_assert_str_eq(after, expected);
    ck_assert_str_ne(before, after);
}
END_TEST

START_TEST(an_id_is_a_number_again_and_what_is_none_is_0)
{
    static const char *const none[] = {
        "", "0", "dc5anhg8taa", "dc5anhg8taai", "DC5ANHG8TAA0", "dc5anhg8ta\351x"};
    struct id_source source = {.counter = 0x0abcdef};
    char id[ID_SIZE];
    id_next(&source, INT64_C(1795855261) * CLOCK_SECOND, id);
    ck_assert_uint_eq(id_number(id), UINT64_C(1795855261) << 28 | 0x0abcdef);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        char padded[ID_SIZE] = "";
        (void)span_copy(span_of(none[i]), padded, sizeof padded);
        ck_assert_uint_eq(id_number(padded), 0);
    }
}
END_TEST

START_TEST(sources_start_at_random_places)
{
    struct id_source first = id_source_create();
    bool is_random = false;
    for (int i = 0; i < 4; i++)
        is_random = is_random || id_source_create().counter != first.counter;
    ck_assert(is_random);
}
END_TEST

SUITE(id)
{
    TEST(an_id_is_the_second_and_the_counter_in_base_32);
    TEST(an_id_has_twelve_characters_and_none_that_is_misheard);
    TEST(ids_of_one_second_differ);
    TEST(ids_sort_by_time_wherever_the_counter_is);
    TEST(a_counter_that_wraps_goes_on_with_other_ids);
    TEST(an_id_is_a_number_again_and_what_is_none_is_0);
    TEST(sources_start_at_random_places);
}
