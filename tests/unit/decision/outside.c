#include "decision/outside.h"

#include "decision/policy_server.h"

#include <stdio.h>

static const struct delegate_rule rules[] = {{.name = "a", .timeout_ms = 5000},
                                             {.name = "b", .timeout_ms = 50}};
static struct outside *asked;
static unsigned calls;
static size_t subjects[] = {0, 1, 2};

static int write_question(void *owner, void *subject, struct buffer *out)
{
    ck_assert_ptr_eq(owner, &asked);
    return buffer_printf(out, "question=%zu\n\n", *(size_t *)subject);
}

static void on_all(void *owner)
{
    ck_assert_ptr_eq(owner, &asked);
    calls++;
}

static void begin(void)
{
    policy_server_begin();
    const struct outside_options options = {
        .delegates = there.delegates, .write = write_question, .fn = on_all, .owner = &asked};
    asked = outside_create(&options, 3);
    ck_assert_ptr_nonnull(asked);
}

static void end(void)
{
    outside_destroy(&asked);
    policy_server_end();
}

/* Answers the next question, and says of whom it was. */
static size_t answer(const char *text)
{
    struct peer *p = accept_one();
    size_t n = question(p);
    peer_say(p, text);
    return n;
}

START_TEST(all_are_asked_together_and_told_of_when_the_last_is_answered)
{
    outside_add(asked, &rules[0], &subjects[0]);
    outside_add(asked, &rules[0], &subjects[1]);
    outside_run(asked);
    struct peer *first = accept_one(), *second = accept_one();
    (void)question(first);
    (void)question(second);
    peer_say(second, "action=DUNNO\n\n");
    turns_for(20);
    ck_assert_uint_eq(calls, 0);
    peer_say(first, "action=REJECT no\n\n");
    UNTIL(calls == 1);
}
END_TEST

START_TEST(what_was_said_of_the_same_stands_together)
{
    size_t count;
    void *subject;
    outside_add(asked, &rules[0], &subjects[0]);
    outside_add(asked, &rules[0], &subjects[0]);
    outside_add(asked, &rules[0], &subjects[2]);
    outside_add(asked, &rules[0], &subjects[1]); /* there is no room */
    ck_assert_uint_eq(outside_count(asked), 3);
    outside_run(asked);
    for (int i = 0; i < 3; i++)
        (void)answer("action=450 4.1.1 wait\n\n");
    UNTIL(calls == 1);
    const struct delegate_told *told = outside_told(asked, 0, &count, &subject);
    ck_assert(count == 2 && subject == &subjects[0]);
    ck_assert_int_eq(told[1].answer.code, 450);
    ck_assert(span_equals(told[1].answer.text, "wait"));
    told = outside_told(asked, 2, &count, &subject);
    ck_assert(count == 1 && subject == &subjects[2] && told->rule == &rules[0]);
}
END_TEST

START_TEST(no_answer_says_why)
{
    size_t count;
    void *subject;
    outside_add(asked, &rules[1], &subjects[0]);
    outside_add(asked, &rules[0], &subjects[1]);
    outside_run(asked);
    size_t n = answer("");
    if (n == 0)
        (void)answer("action=MAYBE not\n\n");
    else
        peer_say(&there.peers[0], "action=MAYBE not\n\n");
    UNTIL(calls == 1);
    const struct delegate_told *told = outside_told(asked, 0, &count, &subject);
    ck_assert_int_eq(told->answer.says, DELEGATE_FAILED);
    ck_assert(span_equals(told->answer.text, "it does not answer in time"));
    told = outside_told(asked, 1, &count, &subject);
    ck_assert_int_eq(told->answer.says, DELEGATE_FAILED);
    ck_assert(span_equals(told->answer.action, "MAYBE not"));
}
END_TEST

START_TEST(a_long_text_is_cut)
{
    size_t count;
    void *subject;
    static char text[3000];
    memset(text, 'x', sizeof text - 3);
    memcpy(text, "action=REJECT ", 14);
    memcpy(text + sizeof text - 3, "\n\n", 3);
    outside_add(asked, &rules[0], &subjects[0]);
    outside_run(asked);
    (void)answer(text);
    UNTIL(calls == 1);
    const struct delegate_told *told = outside_told(asked, 0, &count, &subject);
    ck_assert_uint_eq(told->answer.text.size, OUTSIDE_TEXT_MAX - strlen("REJECT "));
}
END_TEST

START_TEST(nobody_is_told_of_what_was_given_up)
{
    outside_add(asked, &rules[0], &subjects[0]);
    outside_run(asked);
    struct peer *p = accept_one();
    (void)question(p);
    outside_destroy(&asked);
    UNTIL(peer_has_ended(p));
    ck_assert_uint_eq(calls, 0);
}
END_TEST

SUITE(outside)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(all_are_asked_together_and_told_of_when_the_last_is_answered);
    TEST(what_was_said_of_the_same_stands_together);
    TEST(no_answer_says_why);
    TEST(a_long_text_is_cut);
    TEST(nobody_is_told_of_what_was_given_up);
}
