#include "base/span.h"

#include "support/test.h"

START_TEST(a_number_is_digits_within_its_bound)
{
    static const struct {
        const char *text;
        uint64_t max;
        int outcome;
        uint64_t number;
    } cases[] = {
        {"0", 10, 0, 0},
        {"10", 10, 0, 10},
        {"007", 10, 0, 7},
        {"11", 10, -1, 0},
        {"", 10, -1, 0},
        {"-1", 10, -1, 0},
        {"+1", 10, -1, 0},
        {" 1", 10, -1, 0},
        {"1 ", 10, -1, 0},
        {"5", 3, -1, 0},
        {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, -1, 0},
        {"99999999999999999999999", UINT64_MAX, -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t number = 0;
        ck_assert_msg(span_number(span_of(cases[i].text), cases[i].max, &number) ==
                              cases[i].outcome &&
                          number == cases[i].number,
                      "\"%s\" up to %lu", cases[i].text, (unsigned long)cases[i].max);
    }
}
END_TEST

START_TEST(comparing_ignores_the_case_of_ascii_letters_alone)
{
    ck_assert(span_equals_nocase(span_of("EHLO"), "ehlo"));
    ck_assert(!span_equals_nocase(span_of("EHLO"), "ehl"));
    ck_assert(!span_equals_nocase(span_of("EHL"), "ehlo"));
    ck_assert(!span_equals_nocase(span_of("\xc3\x84"), "\xc3\xa4"));
    ck_assert(!span_equals_nocase(span_of("[[["), "{{{"));
    ck_assert(span_starts_nocase(span_of("MAIL FROM:<>"), "mail from:"));
    ck_assert(!span_starts_nocase(span_of("MAI"), "mail"));
}
END_TEST

START_TEST(splitting_takes_the_part_before_the_separator_and_the_separator)
{
    struct span rest = span_of("a,,b");
    ck_assert(span_equals(span_split(&rest, ','), "a"));
    ck_assert(span_equals(span_split(&rest, ','), ""));
    ck_assert(span_equals(span_split(&rest, ','), "b"));
    ck_assert_uint_eq(rest.size, 0);
    ck_assert(span_equals(span_split(&rest, ','), ""));
}
END_TEST

START_TEST(a_copy_is_cut_to_fit_and_always_closed)
{
    char out[4];
    ck_assert_uint_eq(span_copy(span_of("abcdef"), out, sizeof out), 3);
    ck_assert_str_eq(out, "abc");
    ck_assert_uint_eq(span_copy(span_make(NULL, 0), out, sizeof out), 0);
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(trimming_leaves_the_spaces_inside)
{
    ck_assert(span_equals(span_trim(span_of(" \ta b\t ")), "a b"));
    ck_assert(span_equals(span_trim(span_of(" \t ")), ""));
}
END_TEST

SUITE(span)
{
    TEST(a_number_is_digits_within_its_bound);
    TEST(comparing_ignores_the_case_of_ascii_letters_alone);
    TEST(splitting_takes_the_part_before_the_separator_and_the_separator);
    TEST(a_copy_is_cut_to_fit_and_always_closed);
    TEST(trimming_leaves_the_spaces_inside);
}
