#include "protocol/delegation/answer.h"

#include "protocol/delegation/reading.h"

static void feed(void *owner, struct span piece)
{
    struct reading *r = owner;
    struct error why;
    struct span action, *rest = leftover_join(&r->in, piece);
    if (r->outcome < 0)
        return;
    while ((r->outcome = delegation_answer_parse(rest, &action, &why)) == 1) {
        say(&r->said, "<");
        say_bytes(&r->said, action);
        say(&r->said, ">");
    }
    if (r->outcome < 0)
        say(&r->said, "%s", why.text);
}

static const struct {
    const char *input, *expected;
} cases[] = {
    /* As the README has it. */
    {"action=defer_if_permit Service temporarily unavailable\n\n",
     "<defer_if_permit Service temporarily unavailable>"},
    {"action=DUNNO\n\n", "<DUNNO>"},
    {"action= \tOK \t\n\n", "<OK>"},
    {"action=\n\n", "<>"},
    {"action=PREPEND X-A: b=c\n\n", "<PREPEND X-A: b=c>"},
    /* Other names have no meaning, wherever they stand; a name counts once. */
    {"score=3\naction=OK\nreason=none\n\n", "<OK>"},
    {"action=OK\naction=REJECT\n\n", "<OK>"},
    {"actions=REJECT\naction=OK\n\n", "<OK>"},
    {"Action=REJECT\naction=OK\n\n", "<OK>"},
    /* One behind the other; and one that isn't whole. */
    {"action=OK\n\naction=REJECT\n\n", "<OK><REJECT>"},
    {"action=OK\n\naction=REJ", "<OK>"},
    {"action=OK\n", ""},
    {"", ""},
    /* What is none. */
    {"\n", "its answer has no action"},
    {"score=3\n\n", "its answer has no action"},
    {"DUNNO\n\n", "a line of its answer is no name=value"},
    {"action=OK\nHTTP/1.1 400 Bad Request\n\n", "a line of its answer is no name=value"},
};

START_TEST(an_answer_is_read_however_it_is_cut)
{
    is_read_by(feed, span_of(cases[_i].input), cases[_i].expected);
}
END_TEST

START_TEST(lines_that_end_with_cr_lf_never_end_it)
{
    is_read_by(feed, span_of("action=OK\r\n\r\n"), "");
}
END_TEST

START_TEST(a_nul_octet_is_no_text)
{
    is_read_by(feed, span_make("action=OK\0REJECT\n\n", 18), "a NUL octet in its answer");
    is_read_by(feed, span_make("action=OK\n\n\0", 12), "<OK>a NUL octet in its answer");
}
END_TEST

/* An answer of that many octets. */
static struct span long_answer(char *room, size_t size)
{
    memset(room, 'x', size);
    memcpy(room, "action=", 7);
    room[size - 2] = room[size - 1] = '\n';
    return span_make(room, size);
}

START_TEST(an_answer_has_at_most_4_kib)
{
    static char text[DELEGATION_ANSWER_MAX + 1];
    struct span in = long_answer(text, DELEGATION_ANSWER_MAX), action;
    struct error why;
    ck_assert_int_eq(delegation_answer_parse(&in, &action, &why), 1);
    ck_assert_uint_eq(action.size, DELEGATION_ANSWER_MAX - 9);
    ck_assert_uint_eq(in.size, 0);
    in = long_answer(text, DELEGATION_ANSWER_MAX + 1);
    ck_assert_int_eq(delegation_answer_parse(&in, &action, &why), -1);
    ck_assert_str_eq(why.text, "its answer is longer than 4096 octets");
}
END_TEST

SUITE(delegation_answer)
{
    LOOP_TEST(an_answer_is_read_however_it_is_cut, cases);
    TEST(lines_that_end_with_cr_lf_never_end_it);
    TEST(a_nul_octet_is_no_text);
    TEST(an_answer_has_at_most_4_kib);
}
