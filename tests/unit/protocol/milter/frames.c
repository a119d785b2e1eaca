#include "protocol/milter/frames.h"

#include "support/splits.h"
#include "support/test.h"

static struct {
    struct milter_reader reader;
    struct buffer heard; /* "c0;y5 12345;" */
    struct error why;
    int outcome;
} in;

static void restart(void *owner)
{
    (void)owner;
    milter_reader_clear(&in.reader);
    buffer_clear(&in.heard);
    in.heard.limit = 1 << 20;
    in.outcome = 0;
}

static void feed(void *owner, struct span piece)
{
    struct milter_frame f;
    (void)owner;
    while (in.outcome >= 0 &&
           (in.outcome = milter_frame_take(&in.reader, &piece, &f, &in.why)) > 0) {
        ck_assert_int_eq(buffer_printf(&in.heard, "%c%zu ", f.code, f.data.size), 0);
        ck_assert_int_eq(buffer_append(&in.heard, f.data), 0);
    }
    ck_assert(in.outcome < 0 || piece.size == 0);
}

static const char *expected;

static void is_heard(void *owner)
{
    (void)owner;
    ck_assert_msg(span_equals(buffer_bytes(&in.heard), expected), "<%.*s>", (int)in.heard.size,
                  in.heard.data);
}

static const char three[] = "\0\0\0\1c\0\0\0\6y12345\0\0\0\2q!";

START_TEST(frames_are_read_however_the_network_cuts)
{
    in.reader.most = 10;
    expected = "c0 y5 12345q1 !";
    every_split(span_make(three, sizeof three - 1), restart, feed, is_heard, NULL);
    restart(NULL);
}
END_TEST

START_TEST(a_frame_is_as_long_as_was_agreed_on)
{
    static const struct {
        const char *bytes;
        size_t size;
        int outcome;
    } cases[] = {
        {"\0\0\0\0", 4, -1},        {"\0\0\0\1c", 5, 0},         {"\0\0\0\6y12345", 10, 0},
        {"\0\0\0\7y123456", 4, -1}, {"\xff\xff\xff\xff", 4, -1}, {"\0\0\1", 3, 0},
    };
    in.reader.most = 5;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        restart(NULL);
        feed(NULL, span_make(cases[i].bytes, cases[i].size));
        ck_assert_int_eq(in.outcome, cases[i].outcome);
        restart(NULL);
        for (size_t n = 0; n < cases[i].size && in.outcome >= 0; n++)
            feed(NULL, span_make(cases[i].bytes + n, 1));
        ck_assert_int_eq(in.outcome, cases[i].outcome);
    }
    ck_assert(span_equals(span_make(in.why.text, 10), "a frame of"));
    restart(NULL);
}
END_TEST

START_TEST(frames_are_written_one_behind_the_other)
{
    struct buffer out = {.limit = 100};
    struct milter_writer w = {.out = &out};
    ck_assert_int_eq(milter_frame_put_alone(&w, 'A'), 0);
    milter_frame_begin(&w, 'L');
    milter_frame_put_text(&w, span_of("Subject"));
    milter_frame_put_text(&w, span_make("a\0b", 3));
    ck_assert_int_eq(milter_frame_end(&w, 100), 0);
    static const char both[] = "\0\0\0\1A\0\0\0\15LSubject\0a b\0";
    ck_assert_uint_eq(out.size, sizeof both - 1);
    ck_assert_mem_eq(buffer_bytes(&out).data, both, sizeof both - 1);
    buffer_clear(&out);
}
END_TEST

START_TEST(of_a_frame_that_is_too_long_nothing_stays)
{
    struct buffer out = {.limit = 20};
    struct milter_writer w = {.out = &out};
    ck_assert_int_eq(milter_frame_put_alone(&w, 'A'), 0);
    milter_frame_begin(&w, 'M');
    milter_frame_put(&w, span_of("123456"));
    ck_assert_int_eq(milter_frame_end(&w, 5), -1); /* more than is agreed on */
    ck_assert_uint_eq(out.size, 5);
    milter_frame_begin(&w, 'M');
    milter_frame_put(&w, span_of("12345678901"));
    ck_assert_int_eq(milter_frame_end(&w, 100), -1); /* more than there is room for */
    ck_assert_uint_eq(out.size, 5);
    milter_frame_begin(&w, 'M');
    milter_frame_drop(&w);
    ck_assert_uint_eq(out.size, 5);
    buffer_clear(&out);
}
END_TEST

START_TEST(without_memory_a_frame_is_no_frame)
{
    struct buffer out = {.limit = 100};
    struct milter_writer w = {.out = &out};
    failing_at(1);
    milter_frame_begin(&w, 'M');
    failing_at(0);
    milter_frame_put(&w, span_of("1"));
    ck_assert_int_eq(milter_frame_end(&w, 100), -1);
    ck_assert_uint_eq(out.size, 0);
    in.reader.most = 5;
    restart(NULL);
    failing_at(1);
    feed(NULL, span_make("\0\0\0\2y", 5));
    failing_at(0);
    ck_assert_int_eq(in.outcome, -1);
    ck_assert_str_eq(in.why.text, "out of memory");
    restart(NULL);
}
END_TEST

SUITE(milter_frames)
{
    TEST(frames_are_read_however_the_network_cuts);
    TEST(a_frame_is_as_long_as_was_agreed_on);
    TEST(frames_are_written_one_behind_the_other);
    TEST(of_a_frame_that_is_too_long_nothing_stays);
    TEST(without_memory_a_frame_is_no_frame);
}
