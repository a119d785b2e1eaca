#include "message/header_line.h"

#include "support/test.h"

static const char *line(const char *text, bool is_utf8)
{
    static char out[HEADER_LINE_MAX + 3];
    struct buffer b = {.limit = sizeof out};
    int outcome = header_line_append(span_of(text), is_utf8, &b);
    (void)span_copy(buffer_bytes(&b), out, sizeof out);
    buffer_clear(&b);
    return outcome == 0 ? out : NULL;
}

static const struct {
    const char *text, *line;
    bool is_utf8;
} cases[] = {
    {"X-Greylist: delayed 300 seconds", "X-Greylist: delayed 300 seconds\r\n", false},
    {"A:", "A:\r\n", false},
    {"A:\tb: c", "A:\tb: c\r\n", false},
    {"A: b\r\nBcc: eve@example.net", "A: b??Bcc: eve@example.net\r\n", false},
    {"A: \x01\x7f\xc3\xa9", "A: ????\r\n", false},
    {"A: \xc3\xa9", "A: \xc3\xa9\r\n", true},
    {"A: \xc3\xa9\xff", "A: ???\r\n", true},
};

START_TEST(a_header_becomes_one_line)
{
    const char *out = line(cases[_i].text, cases[_i].is_utf8);
    ck_assert_ptr_nonnull(out);
    ck_assert_str_eq(out, cases[_i].line);
}
END_TEST

static const char *const wrong[] = {"",      "A",     ":",           ": b",         "A b: c",
                                    "A : b", " A: b", "\xc3\xa9: b", "\r\n\r\nbody"};

START_TEST(what_is_no_header_is_refused)
{
    ck_assert_ptr_null(line(wrong[_i], true));
}
END_TEST

START_TEST(a_line_has_998_octets)
{
    static char text[HEADER_LINE_MAX + 2] = "A:";
    memset(text + 2, 'x', HEADER_LINE_MAX - 2);
    ck_assert_ptr_nonnull(line(text, false));
    text[HEADER_LINE_MAX] = 'x';
    ck_assert_ptr_null(line(text, false));
}
END_TEST

START_TEST(one_that_does_not_fit_is_refused)
{
    struct buffer b = {.limit = 5};
    ck_assert_int_eq(header_line_append(span_of("A: b"), false, &b), -1);
    ck_assert_uint_eq(b.size, 0);
}
END_TEST

SUITE(header_line)
{
    LOOP_TEST(a_header_becomes_one_line, cases);
    LOOP_TEST(what_is_no_header_is_refused, wrong);
    TEST(a_line_has_998_octets);
    TEST(one_that_does_not_fit_is_refused);
}
