#include "protocol/lines.h"

#include "protocol/said.h"
#include "support/splits.h"

enum { MAX = 6 };

struct run {
    struct span input;
    size_t max;
    struct line_reader reader;
    struct leftover in;
    struct said said, expected;
};

static void say_line(struct said *said, enum line_result result, struct span line)
{
    switch (result) {
    case LINE_MORE: break;
    case LINE_WHOLE:
        say(said, "whole <");
        say_bytes(said, line);
        say(said, ">\n");
        break;
    case LINE_BARE: say(said, "bare\n"); break;
    case LINE_TOO_LONG: say(said, "too long\n"); break;
    }
}

/* The model: all bytes are there, and each is looked at. */
static void expect(struct run *r)
{
    size_t start = 0;
    say_nothing(&r->expected);
    for (size_t i = 0; i < r->input.size; i++) {
        if (r->input.data[i] != '\n')
            continue;
        struct span line = span_make(r->input.data + start, i + 1 - start);
        enum line_result result = LINE_WHOLE;
        if (line.size < 2 || line.data[line.size - 2] != '\r')
            result = LINE_BARE;
        for (size_t k = 0; k + 2 < line.size; k++)
            if (line.data[k] == '\r')
                result = LINE_BARE;
        if (line.size > r->max)
            result = LINE_TOO_LONG;
        say_line(&r->expected, result,
                 span_make(line.data, result == LINE_WHOLE ? line.size - 2 : 0));
        start = i + 1;
    }
}

static void restart(void *owner)
{
    struct run *r = owner;
    r->reader = (struct line_reader){false};
    leftover_drop(&r->in);
    say_nothing(&r->said);
}

static void feed(void *owner, struct span piece)
{
    struct run *r = owner;
    struct span *in = leftover_join(&r->in, piece), line;
    enum line_result result;
    while ((result = line_take(&r->reader, r->max, in, &line)) != LINE_MORE)
        say_line(&r->said, result, line);
    if (r->in.rest.size >= r->max)
        ck_abort_msg("%zu octets are kept of a line that may have %zu", r->in.rest.size, r->max);
}

static void done(void *owner)
{
    struct run *r = owner;
    said_is(&r->said, r->expected.text, r->input.data);
}

static void check(struct span input, size_t max)
{
    static struct run r;
    r.input = input;
    r.max = max;
    expect(&r);
    every_split(input, restart, feed, done, &r);
    leftover_drop(&r.in);
}

START_TEST(a_line_ends_with_crlf_and_nothing_else)
{
    static const struct {
        const char *input, *said;
    } cases[] = {
        {"NOOP\r\n", "whole <NOOP>\n"},
        {"\r\n", "whole <>\n"},
        {"a\r\nb\r\n", "whole <a>\nwhole <b>\n"},
        {"a\nb\r\n", "bare\nwhole <b>\n"},
        {"\n", "bare\n"},
        {"a\rb\r\n", "bare\n"},
        {"a\r\r\n", "bare\n"},
        {"\r\r\n", "bare\n"},
        {"a\rb\nc\r\n", "bare\nwhole <c>\n"},
        {"a\n\rb\r\n", "bare\nbare\n"},
        {"a\r", ""},
        {"a\r\nb", "whole <a>\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct run r;
        r.input = span_of(cases[i].input);
        r.max = 512;
        say_nothing(&r.expected);
        say(&r.expected, "%s", cases[i].said);
        every_split(r.input, restart, feed, done, &r);
        leftover_drop(&r.in);
    }
}
END_TEST

START_TEST(however_an_input_is_cut_its_lines_are_those_of_a_naive_reader)
{
    static const char alphabet[] = {'\r', '\n', 'a'};
    char input[9];
    for (size_t size = 0; size <= sizeof input; size++) {
        unsigned count = 1;
        for (size_t i = 0; i < size; i++)
            count *= sizeof alphabet;
        for (unsigned n = 0; n < count; n++) {
            unsigned digits = n;
            for (size_t i = 0; i < size; i++, digits /= sizeof alphabet)
                input[i] = alphabet[digits % sizeof alphabet];
            check(span_make(input, size), MAX);
        }
    }
}
END_TEST

START_TEST(a_line_has_its_bound_with_its_crlf)
{
    check(span_of("1234\r\n"), MAX);
    check(span_of("12345\r\n"), MAX);
    check(span_of("1234\r\n12345\r\n1234\r\n"), MAX);
    check(span_of("12345\n123456\n1234567\n"), MAX);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_told_once_and_the_next_is_whole)
{
    check(span_of("123456789 123456789 123456789\r\nQUIT\r\n"), MAX);
    check(span_of("12345\r6789\r\r\r\nQUIT\r\n"), MAX);
}
END_TEST

START_TEST(an_endless_line_is_not_kept)
{
    struct line_reader reader = {false};
    char piece[1000];
    struct span line;
    memset(piece, 'x', sizeof piece);
    for (int i = 0; i < 1000; i++) {
        struct span in = span_make(piece, sizeof piece);
        ck_assert_int_eq(line_take(&reader, 512, &in, &line), LINE_MORE);
        ck_assert_uint_eq(in.size, 0);
    }
    struct span in = span_of("\r\nQUIT\r\n");
    ck_assert_int_eq(line_take(&reader, 512, &in, &line), LINE_TOO_LONG);
    ck_assert_int_eq(line_take(&reader, 512, &in, &line), LINE_WHOLE);
    ck_assert(span_equals(line, "QUIT"));
}
END_TEST

START_TEST(a_line_lies_in_the_input)
{
    static const char input[] = "EHLO a\r\nQUIT\r\n";
    struct line_reader reader = {false};
    struct span in = span_of(input), line;
    ck_assert_int_eq(line_take(&reader, 512, &in, &line), LINE_WHOLE);
    ck_assert_ptr_eq(line.data, input);
    ck_assert_ptr_eq(in.data, input + 8);
}
END_TEST

START_TEST(control_characters_are_those_below_space_and_del)
{
    for (int c = 0; c < 256; c++) {
        const char text[] = {'a', (char)c, 'b'};
        ck_assert_msg(line_has_control(span_make(text, sizeof text)) == (c < 32 || c == 127),
                      "octet %d", c);
    }
    ck_assert(!line_has_control(span_make(NULL, 0)));
}
END_TEST

SUITE(lines)
{
    TEST(a_line_ends_with_crlf_and_nothing_else);
    TEST(however_an_input_is_cut_its_lines_are_those_of_a_naive_reader);
    TEST(a_line_has_its_bound_with_its_crlf);
    TEST(a_line_that_is_too_long_is_told_once_and_the_next_is_whole);
    TEST(an_endless_line_is_not_kept);
    TEST(a_line_lies_in_the_input);
    TEST(control_characters_are_those_below_space_and_del);
}
