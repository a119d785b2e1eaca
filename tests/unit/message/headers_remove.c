#include "message/headers_remove.h"

#include "support/test.h"

static const struct {
    const char *headers, *left;
    unsigned count;
} cases[] = {
    {"", "", 0},
    {"To: a\r\nSubject: b\r\n", "To: a\r\nSubject: b\r\n", 0},
    {"X-Account: ana\r\nTo: a\r\n", "To: a\r\n", 1},
    {"To: a\r\nx-ACCOUNT: ana\r\n", "To: a\r\n", 1},
    {"X-Account : ana\r\nTo: a\r\n", "To: a\r\n", 1},
    {"X-Account:\r\n ana\r\n\t@b\r\nTo: a\r\n c\r\n", "To: a\r\n c\r\n", 1},
    {"X-Account: a\r\nTo: a\r\nX-Account: a\r\n", "To: a\r\n", 2},
    {"X-Account-Id: a\r\nX-Accoun: b\r\nTo: X-Account: c\r\n",
     "X-Account-Id: a\r\nX-Accoun: b\r\nTo: X-Account: c\r\n", 0},
    {"To: a\r\n X-Account: ana\r\n", "To: a\r\n X-Account: ana\r\n", 0},
    /* The reader takes one dot away: that is the field, and that its fold. */
    {".X-Account: ana\r\n. b\r\n..X-Account: c\r\n", "..X-Account: c\r\n", 1},
    {"X-Account: ana\r\n", "", 1},
};

START_TEST(the_fields_of_a_name_are_taken_out_with_their_folds)
{
    struct buffer headers = {.limit = 1000};
    ck_assert_int_eq(buffer_append(&headers, span_of("\r\n")), 0);
    ck_assert_int_eq(buffer_append(&headers, span_of(cases[_i].headers)), 0);
    buffer_consume(&headers, 2); /* it doesn't begin at the front */
    ck_assert_uint_eq(headers_remove(&headers, "X-Account"), cases[_i].count);
    struct span left = buffer_bytes(&headers);
    ck_assert_msg(span_equals(left, cases[_i].left), "%.*s", (int)left.size, left.data);
    buffer_clear(&headers);
}
END_TEST

SUITE(headers_remove)
{
    LOOP_TEST(the_fields_of_a_name_are_taken_out_with_their_folds, cases);
}
