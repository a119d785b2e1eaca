#include "message/dots.h"

#include "support/splits.h"
#include "support/test.h"

static const struct {
    const char *text, *shown;
} cases[] = {
    {"", ""},
    {"a\r\nb\r\n", "a\r\nb\r\n"},
    {"..\r\n", ".\r\n"},
    {"..a\r\n...b\r\nc.\r\n..\r\n", ".a\r\n..b\r\nc.\r\n.\r\n"},
    {".a\r\n\r\n. b\r\n", "a\r\n\r\n b\r\n"},
    {"\r\n..\r\n\r\n..x", "\r\n.\r\n\r\n.x"},
};

struct reading {
    struct dots dots;
    char out[64];
    size_t size;
    const char *expected;
};

static void restart(void *owner)
{
    struct reading *r = owner;
    r->dots = (struct dots){0};
    r->size = 0;
}

static void feed(void *owner, struct span piece)
{
    struct reading *r = owner;
    struct span shown;
    while ((shown = dots_next(&r->dots, &piece)).size > 0) {
        memcpy(r->out + r->size, shown.data, shown.size);
        r->size += shown.size;
    }
    ck_assert_uint_eq(piece.size, 0);
}

static void done(void *owner)
{
    const struct reading *r = owner;
    ck_assert_msg(span_equals(span_make(r->out, r->size), r->expected), "%.*s", (int)r->size,
                  r->out);
}

START_TEST(the_first_dot_of_a_line_is_taken_away)
{
    struct reading r = {.expected = cases[_i].shown};
    every_split(span_of(cases[_i].text), restart, feed, done, &r);
}
END_TEST

static void feed_shown(void *owner, struct span piece)
{
    struct reading *r = owner;
    char spare[64];
    struct span text = dots_double(&r->dots, piece, spare);
    ck_assert(text.data == spare || text.data == piece.data);
    if (text.size > 0)
        memcpy(r->out + r->size, text.data, text.size);
    r->size += text.size;
}

static const struct {
    const char *shown, *text;
} doubled[] = {
    {"", ""},
    {"a\r\nb\r\n", "a\r\nb\r\n"},
    {".\r\n", "..\r\n"},
    {".a\r\n..b\r\nc.\r\n.\r\n", "..a\r\n...b\r\nc.\r\n..\r\n"},
    {"\r\n.\r\n\r\n.x", "\r\n..\r\n\r\n..x"},
};

START_TEST(each_dot_that_begins_a_line_is_doubled_again)
{
    struct reading r = {.expected = doubled[_i].text};
    every_split(span_of(doubled[_i].shown), restart, feed_shown, done, &r);
}
END_TEST

START_TEST(a_text_without_a_last_line_end_gets_one)
{
    struct dots d = {0};
    char spare[8];
    ck_assert_uint_eq(dots_end(&d).size, 0);
    (void)dots_double(&d, span_of("a\r\n"), spare);
    ck_assert_uint_eq(dots_end(&d).size, 0);
    (void)dots_double(&d, span_of("a"), spare);
    ck_assert(span_equals(dots_end(&d), "\r\n"));
}
END_TEST

SUITE(dots)
{
    LOOP_TEST(the_first_dot_of_a_line_is_taken_away, cases);
    LOOP_TEST(each_dot_that_begins_a_line_is_doubled_again, doubled);
    TEST(a_text_without_a_last_line_end_gets_one);
}
