#include "message/header_values.h"

#include "support/test.h"

static const char *const names[] = {"X-Script", "X-Site", "X-Empty"};
static struct header_values values;

/* The same, however it is cut. */
static void take(const char *text)
{
    size_t size = strlen(text);
    struct header_values whole;
    header_values_init(&whole, names, 3);
    header_values_take(&whole, span_make(text, size));
    for (size_t cut = 0; cut <= size; cut++) {
        header_values_init(&values, names, 3);
        header_values_take(&values, span_make(text, cut));
        header_values_take(&values, span_make(text + cut, size - cut));
        for (size_t i = 0; i < 3; i++)
            ck_assert_pstr_eq(header_values_find(&values, names[i]),
                              header_values_find(&whole, names[i]));
    }
}

static void is(const char *name, const char *value)
{
    ck_assert_pstr_eq(header_values_find(&values, name), value);
}

START_TEST(the_value_of_a_field_is_found_whatever_its_case)
{
    take("From: ana@example.com\r\nx-SCRIPT: 33:mailer.php\r\nSubject: X-Site: no\r\n\r\n");
    is("X-Script", "33:mailer.php");
    is("X-Site", NULL);
    is("Subject", NULL); /* nobody has asked for it */
}
END_TEST

START_TEST(folds_and_white_space_are_one_space)
{
    take("X-Script :\t a \r\n\t b  c\t\r\n  \r\nX-Empty:\r\nX-Site:\r\n d\r\n\r\n");
    is("X-Script", "a b c");
    is("X-Empty", "");
    is("X-Site", "d");
    take("X-Script                                                                    : a\r\n"
         "X-Site x: b\r\nX- Empty: c\r\n\r\n");
    is("X-Script", "a");
    is("X-Site", NULL);
    is("X-Empty", NULL);
}
END_TEST

START_TEST(of_a_field_that_comes_twice_the_first_counts)
{
    take("X-Site: one\r\nX-Site: two\r\n three\r\n\r\n");
    is("X-Site", "one");
}
END_TEST

/* The reader takes one dot away: where there are two, one is the name's. */
START_TEST(a_dot_that_begins_a_line_is_passed_over)
{
    take(".X-Site: a\r\n. b\r\n..X-Script: c\r\n.X-Empty: .d\r\n\r\n");
    is("X-Site", "a b");
    is("X-Script", NULL);
    is("X-Empty", ".d");
}
END_TEST

START_TEST(what_is_no_field_is_none)
{
    take(" X-Script: folded\r\nX-Site\r\n: a\r\nX-Sit: b\r\nX-Sitee: c\r\nA X-Empty: d\r\n\r\n");
    is("X-Script", NULL);
    is("X-Site", NULL);
    is("X-Empty", NULL);
}
END_TEST

START_TEST(a_header_that_ends_without_an_empty_line_is_read_too)
{
    take("X-Site: one \r\n");
    ck_assert_int_eq(strncmp(header_values_find(&values, "X-Site"), "one", 3), 0);
}
END_TEST

START_TEST(a_name_or_a_value_that_is_too_long_is_bounded)
{
    char text[2000];
    memset(text, 'x', sizeof text);
    header_values_init(&values, names, 3);
    header_values_take(&values, span_make(text, sizeof text));
    header_values_take(&values, span_of(": a\r\nX-Site: "));
    header_values_take(&values, span_make(text, sizeof text));
    header_values_take(&values, span_of("\r\n\r\n"));
    ck_assert_uint_eq(strlen(header_values_find(&values, "X-Site")), HEADER_VALUE_SIZE - 1);
    is("X-Script", NULL);
}
END_TEST

SUITE(header_values)
{
    TEST(the_value_of_a_field_is_found_whatever_its_case);
    TEST(folds_and_white_space_are_one_space);
    TEST(of_a_field_that_comes_twice_the_first_counts);
    TEST(a_dot_that_begins_a_line_is_passed_over);
    TEST(what_is_no_field_is_none);
    TEST(a_header_that_ends_without_an_empty_line_is_read_too);
    TEST(a_name_or_a_value_that_is_too_long_is_bounded);
}
