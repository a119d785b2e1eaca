#include "protocol/milter/reply.h"

#include "support/test.h"

static struct milter_reply reply;
static struct error why;

static int parse(char code, const char *bytes, size_t size, uint32_t actions, bool is_at_end)
{
    const struct milter_frame f = {code, {bytes, size}};
    return milter_reply_parse(&f, actions, is_at_end, &reply, &why);
}

#define AT_END(code, bytes) parse(code, bytes, sizeof(bytes) - 1, MILTER_MAY_ALL, true)

static bool is(struct span s, const char *text)
{
    return span_equals(s, text);
}

START_TEST(verdicts_have_no_data)
{
    for (const char *c = "cartdsp4f"; *c != '\0'; c++) {
        ck_assert_int_eq(parse(*c, "", 0, 0, false), 0);
        ck_assert_int_eq(reply.code, *c);
        ck_assert(!milter_reply_is_edit(*c));
        ck_assert_int_eq(parse(*c, "x", 1, 0, false), -1);
    }
    ck_assert_int_eq(parse('z', "", 0, MILTER_MAY_ALL, true), -1);
    ck_assert(strstr(why.text, "0x7a is no reply") != NULL);
}
END_TEST

START_TEST(changes_are_read_at_the_end_of_a_message)
{
    ck_assert_int_eq(AT_END('h', "X-Spam\0yes\0"), 0);
    ck_assert(is(reply.name, "X-Spam") && is(reply.value, "yes"));
    ck_assert_int_eq(AT_END('i', "\0\0\0\1DKIM-Signature\0v=1;\n\tb=\0"), 0);
    ck_assert(reply.index == 1 && is(reply.value, "v=1;\n\tb="));
    ck_assert_int_eq(AT_END('m', "\0\0\0\0Subject\0\0"), 0);
    ck_assert(reply.index == 1 && is(reply.name, "Subject") && reply.value.size == 0);
    ck_assert_int_eq(AT_END('b', "a\0b"), 0);
    ck_assert_uint_eq(reply.value.size, 3);
    ck_assert_int_eq(AT_END('e', "<a@example.com>\0"), 0);
    ck_assert(is(reply.name, "a@example.com") && reply.value.size == 0);
    ck_assert_int_eq(AT_END('e', "<>\0SIZE=1\0"), 0);
    ck_assert(is(reply.name, "") && is(reply.value, "SIZE=1"));
    ck_assert_int_eq(AT_END('+', "b@example.com\0"), 0);
    ck_assert(is(reply.name, "b@example.com"));
    ck_assert_int_eq(AT_END('2', "<b@example.com>\0NOTIFY=NEVER\0"), 0);
    ck_assert(is(reply.value, "NOTIFY=NEVER"));
    ck_assert_int_eq(AT_END('-', "<b@example.com>\0"), 0);
    ck_assert_int_eq(AT_END('q', "looks odd\0"), 0);
    ck_assert(is(reply.value, "looks odd"));
    for (const char *c = "himbe+2-q"; *c != '\0'; c++)
        ck_assert(milter_reply_is_edit(*c));
}
END_TEST

START_TEST(changes_come_at_the_end_and_where_they_were_agreed_on)
{
    ck_assert_int_eq(parse('h', "X\0y", 4, MILTER_MAY_ALL, false), -1);
    ck_assert(strstr(why.text, "before the end of the message") != NULL);
    ck_assert_int_eq(parse('h', "X\0y", 4, MILTER_MAY_CHANGE_HEADERS, true), -1);
    ck_assert(strstr(why.text, "without having asked for it") != NULL);
    ck_assert_int_eq(parse('h', "X\0y", 4, MILTER_MAY_ADD_HEADERS, true), 0);
}
END_TEST

START_TEST(what_makes_no_sense_is_no_reply)
{
    ck_assert_int_eq(AT_END('h', ""), -1);
    ck_assert_int_eq(AT_END('h', "X\0y"), -1);     /* without its NUL */
    ck_assert_int_eq(AT_END('h', "X\0y\0z"), -1);  /* more behind it */
    ck_assert_int_eq(AT_END('h', "\0y\0"), -1);    /* without a name */
    ck_assert_int_eq(AT_END('h', "X Y\0y\0"), -1); /* that is none */
    ck_assert_int_eq(AT_END('h', "X:\0y\0"), -1);
    ck_assert_int_eq(AT_END('h', "X\r\nY\0y\0"), -1);
    ck_assert_int_eq(AT_END('i', "\0\0\0"), -1);
    ck_assert_int_eq(AT_END('i', "\xff\xff\xff\xffX\0y\0"), -1);
    ck_assert_int_eq(AT_END('+', "b@example.com"), -1);
    ck_assert_int_eq(AT_END('+', "b@example.com\0NOTIFY=NEVER\0"), -1);
    ck_assert_int_eq(AT_END('+', "b@example.com>\r\nDATA\0"), -1);
    ck_assert_int_eq(AT_END('e', "b@example.com\0SIZE=1\r\n\0"), -1);
    ck_assert_int_eq(AT_END('+', "b@example.com> NOTIFY=NEVER\0"), -1);
    ck_assert_int_eq(AT_END('+', "b@example.com NOTIFY=NEVER\0"), -1);
    ck_assert_int_eq(AT_END('+', "<\"b c\"@example.com>\0"), 0);
    ck_assert_int_eq(AT_END('q', "a\0b\0"), -1);
}
END_TEST

/* What is made of a text; NULL: nothing, `code` alone. */
static void lines_are(struct span text, int code, const char *expected)
{
    struct buffer out = {.limit = 64 * 1024};
    int heard = 0;
    ck_assert_int_eq(milter_reply_lines(text, &heard, &out), expected != NULL);
    ck_assert_int_eq(heard, code);
    ck_assert_msg(span_equals(buffer_bytes(&out), expected == NULL ? "" : expected), "<%.*s>",
                  (int)out.size, out.data);
    buffer_clear(&out);
}

START_TEST(a_refusal_in_its_own_words_is_passed_on)
{
    static const struct {
        const char *text;
        int code;
        const char *lines;
    } cases[] = {
        {"550 5.7.1 no", 550, "550 5.7.1 no\r\n"},
        {"451 4.7.1 later", 451, "451 4.7.1 later\r\n"},
        {"554 no", 554, "554 5.7.1 no\r\n"},
        {"421", 421, "421 4.7.1 \r\n"},
        {"550 5.7.1", 550, "550 5.7.1 \r\n"},
        {"550-5.7.1 a\r\n550 5.7.1 b", 550, "550-5.7.1 a\r\n550 5.7.1 b\r\n"},
        {"550-a\n550-5.7.20 b\n550 c", 550, "550-5.7.1 a\r\n550-5.7.20 b\r\n550 5.7.1 c\r\n"},
        {"550 5.7.1 100%% sure, % or not%", 550, "550 5.7.1 100% sure,  or not\r\n"},
        {"550 5.7.1 a\tb\x80\r", 550, "550 5.7.1 a?b?\r\n"},
        {"550 5.7.1.9 a", 550, "550 5.7.1 5.7.1.9 a\r\n"},
        /* the class of the enhanced code is another; nothing goes on; it goes on, and nothing
         * comes; codes differ */
        {"550 4.7.1 a", 550, NULL},
        {"550 5.7.1 a\r\n550 5.7.1 b", 550, NULL},
        {"550-5.7.1 a", 550, NULL},
        {"550-5.7.1 a\r\n", 550, NULL},
        {"550-5.7.1 a\r\n551 5.7.1 b", 550, NULL},
        {"452-4.7.1 a\r\n552 5.7.1 b", 451, NULL},
        {"550_a", 550, NULL},
        {"55", 550, NULL},
        {"4x1 a", 451, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        lines_are(span_of(cases[i].text), cases[i].code, cases[i].lines);
}
END_TEST

START_TEST(what_is_no_refusal_has_no_code)
{
    int code;
    struct buffer out = {.limit = 1024};
    ck_assert_int_eq(milter_reply_lines(span_of(""), &code, &out), -1);
    ck_assert_int_eq(milter_reply_lines(span_of("250 2.0.0 Ok"), &code, &out), -1);
    ck_assert_uint_eq(out.size, 0);
}
END_TEST

START_TEST(a_line_is_cut_at_510_octets_and_64_of_them_are_the_most)
{
    char text[65 * 4 + 1024], line[513];
    memset(text, 'x', sizeof text);
    memset(line, 'x', sizeof line);
    memcpy(text, "550 5.7.1 ", 10);
    memcpy(line, "550 5.7.1 ", 10);
    memcpy(line + 510, "\r\n", 3);
    lines_are(span_make(text, 1000), 550, line);
    for (size_t i = 0; i < 65; i++)
        memcpy(text + i * 5, i < 64 ? "550-\n" : "550 a", 5);
    lines_are(span_make(text, 65 * 5), 550, NULL);
}
END_TEST

SUITE(milter_reply)
{
    TEST(verdicts_have_no_data);
    TEST(changes_are_read_at_the_end_of_a_message);
    TEST(changes_come_at_the_end_and_where_they_were_agreed_on);
    TEST(what_makes_no_sense_is_no_reply);
    TEST(a_refusal_in_its_own_words_is_passed_on);
    TEST(what_is_no_refusal_has_no_code);
    TEST(a_line_is_cut_at_510_octets_and_64_of_them_are_the_most);
}
