#include "session/smtp_replies.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct smtp_replies replies;

/* What has gone to the client so far. */
static char gone[SMTP_REPLIES_MAX * (SMTP_REPLY_LINE_MAX + 2) + 8192];
static size_t gone_size;

static void begin(void)
{
    smtp_replies_init(&replies);
    gone_size = 0;
    gone[0] = '\0';
}

static void end(void)
{
    smtp_replies_clear(&replies);
}

/* Takes all that may go, as the session writes it. */
static const char *take_ready(void)
{
    struct span ready = buffer_bytes(&replies.ready);
    ck_assert_uint_lt(gone_size + ready.size, sizeof gone);
    memcpy(gone + gone_size, ready.data, ready.size);
    gone_size += ready.size;
    gone[gone_size] = '\0';
    buffer_consume(&replies.ready, ready.size);
    return gone;
}

static void say(enum smtp_reply_name name)
{
    ck_assert_int_eq(smtp_replies_add(&replies, name, NULL, NULL), 0);
}

static void expect(void)
{
    ck_assert_int_eq(smtp_replies_expect(&replies), 0);
}

static void answer(const char *text)
{
    ck_assert_int_eq(smtp_replies_answer(&replies, span_of(text)), 0);
}

/* ---- the order ---- */

START_TEST(our_own_reply_goes_at_once_when_nothing_is_to_come)
{
    say(SMTP_REPLY_ok);
    ck_assert_str_eq(take_ready(), "250 2.0.0 Ok\r\n");
    ck_assert(!smtp_replies_are_due(&replies));
}
END_TEST

START_TEST(a_reply_with_an_argument_and_an_id_has_both)
{
    ck_assert_int_eq(smtp_replies_add(&replies, SMTP_REPLY_bad_argument, "SIZE", "0123456789ab"),
                     0);
    ck_assert_ptr_nonnull(strstr(take_ready(), "501 5.5.4 Wrong argument: SIZE"));
    ck_assert_ptr_nonnull(strstr(gone, "0123456789ab"));
}
END_TEST

START_TEST(what_was_said_behind_an_answer_to_come_waits_for_it)
{
    say(SMTP_REPLY_sender_ok);
    expect();
    say(SMTP_REPLY_ok);
    ck_assert(smtp_replies_are_due(&replies));
    ck_assert_str_eq(take_ready(), "250 2.1.0 Ok\r\n");
    answer("550 5.1.1 Nobody\r\n");
    ck_assert_str_eq(take_ready(), "250 2.1.0 Ok\r\n550 5.1.1 Nobody\r\n250 2.0.0 Ok\r\n");
    ck_assert(!smtp_replies_are_due(&replies));
}
END_TEST

START_TEST(answers_go_to_the_commands_in_their_order)
{
    expect();
    expect();
    expect();
    answer("250 2.1.5 first\r\n");
    ck_assert_str_eq(take_ready(), "250 2.1.5 first\r\n");
    answer("550 5.1.1 second\r\n");
    answer("250 2.1.5 third\r\n");
    ck_assert_str_eq(take_ready(), "250 2.1.5 first\r\n550 5.1.1 second\r\n250 2.1.5 third\r\n");
    ck_assert(!smtp_replies_are_due(&replies));
}
END_TEST

START_TEST(an_answer_releases_only_what_stands_before_the_next_to_come)
{
    expect();
    say(SMTP_REPLY_ok);
    say(SMTP_REPLY_verify);
    expect();
    say(SMTP_REPLY_bye);
    answer("250 first\r\n");
    ck_assert_ptr_nonnull(strstr(take_ready(), "250 first\r\n250 2.0.0 Ok\r\n252 "));
    ck_assert_ptr_null(strstr(gone, "221 "));
    ck_assert(smtp_replies_are_due(&replies));
    answer("250 second\r\n");
    ck_assert_ptr_nonnull(strstr(take_ready(), "250 second\r\n221 2.0.0 Bye\r\n"));
}
END_TEST

START_TEST(an_answer_of_several_lines_goes_whole)
{
    expect();
    answer("550-5.1.1 Nobody\r\n550 5.1.1 here\r\n");
    ck_assert_str_eq(take_ready(), "550-5.1.1 Nobody\r\n550 5.1.1 here\r\n");
}
END_TEST

/* A model: the texts in the order of the commands; what may go is all before the first that is not
 * yet known. */
static struct {
    char text[SMTP_REPLIES_MAX * 4][24];
    bool is_known[SMTP_REPLIES_MAX * 4];
    unsigned count, next_answer;
} model;

static void model_add(bool is_known)
{
    unsigned n = model.count++;
    ck_assert_uint_lt(n, sizeof model.text / sizeof *model.text);
    model.is_known[n] = is_known;
    if (is_known)
        (void)snprintf(model.text[n], sizeof *model.text, "250 2.0.0 Ok\r\n"); /* fits */
}

static void model_answer(unsigned number)
{
    while (model.is_known[model.next_answer])
        model.next_answer++;
    (void)snprintf(model.text[model.next_answer], sizeof *model.text, "550 no %u\r\n", number);
    model.is_known[model.next_answer] = true;
    answer(model.text[model.next_answer]);
}

static const char *model_gone(void)
{
    static char all[sizeof model.text + 1];
    size_t used = 0;
    all[0] = '\0';
    for (unsigned n = 0; n < model.count && model.is_known[n]; n++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s", model.text[n]); /* fits */
    return all;
}

START_TEST(whatever_comes_first_replies_leave_as_a_list_in_order_would)
{
    uint32_t seed = (uint32_t)_i + 1;
    unsigned due = 0;
    memset(&model, 0, sizeof model);
    for (unsigned step = 0; step < SMTP_REPLIES_MAX * 3; step++) {
        seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
        unsigned choice = seed >> 30;
        if (choice < 2 && due > 0) {
            model_answer(step);
            due--;
        } else if (choice % 2 == 0 && !smtp_replies_are_full(&replies)) {
            expect();
            model_add(false);
            due++;
        } else if (!smtp_replies_are_full(&replies)) {
            say(SMTP_REPLY_ok);
            model_add(true);
        }
        ck_assert_str_eq(take_ready(), model_gone());
        ck_assert(smtp_replies_are_due(&replies) == (due > 0));
    }
}
END_TEST

/* ---- the limits ---- */

START_TEST(the_queue_tells_that_it_is_full_before_it_is)
{
    unsigned count = 0;
    for (; !smtp_replies_are_full(&replies); count++)
        expect();
    ck_assert_uint_le(count, SMTP_REPLIES_MAX);
    expect(); /* there is room for one more: what the command says itself */
    ck_assert(smtp_replies_are_full(&replies));
}
END_TEST

START_TEST(what_is_past_the_limit_is_refused_and_the_rest_goes)
{
    unsigned count = 0;
    while (smtp_replies_expect(&replies) == 0)
        ck_assert_uint_le(++count, SMTP_REPLIES_MAX);
    ck_assert_uint_eq(count, SMTP_REPLIES_MAX);
    ck_assert_int_eq(smtp_replies_add(&replies, SMTP_REPLY_ok, NULL, NULL), -1);
    for (unsigned n = 0; n < SMTP_REPLIES_MAX; n++)
        answer("550 no\r\n");
    ck_assert_uint_eq(strlen(take_ready()), SMTP_REPLIES_MAX * strlen("550 no\r\n"));
    ck_assert(!smtp_replies_are_due(&replies));
}
END_TEST

START_TEST(a_full_queue_of_the_longest_replies_has_room)
{
    char argument[2 * SMTP_REPLY_LINE_MAX], longest[SMTP_REPLY_LINE_MAX + 3];
    memset(argument, 'a', sizeof argument);
    argument[sizeof argument - 1] = '\0';
    memset(longest, '5', sizeof longest);
    memcpy(longest + SMTP_REPLY_LINE_MAX, "\r\n", 3);
    expect();
    for (unsigned n = 1; n < SMTP_REPLIES_MAX; n++)
        ck_assert_int_eq(smtp_replies_add(&replies, SMTP_REPLY_bad_argument, argument, NULL), 0);
    answer(longest);
    ck_assert_uint_eq(strlen(take_ready()), SMTP_REPLIES_MAX * (SMTP_REPLY_LINE_MAX + 2));
}
END_TEST

START_TEST(nothing_is_held_while_nothing_waits)
{
    expect();
    say(SMTP_REPLY_ok);
    answer("550 no\r\n");
    (void)take_ready(); /* it is gone */
    ck_assert_ptr_null(replies.queue);
    ck_assert_ptr_null(replies.ready.data);
    ck_assert_ptr_null(replies.later.data);
}
END_TEST

START_TEST(a_cleared_queue_is_as_new)
{
    say(SMTP_REPLY_ok);
    expect();
    say(SMTP_REPLY_bye);
    smtp_replies_clear(&replies);
    ck_assert(!smtp_replies_are_due(&replies));
    say(SMTP_REPLY_ok);
    ck_assert_str_eq(take_ready(), "250 2.0.0 Ok\r\n");
}
END_TEST

/* Three commands, until one finds no memory. Nothing here may allocate but the replies. */
static bool say_three(void)
{
    static const char all[] = "250 2.1.0 Ok\r\n550 no\r\n250 2.0.0 Ok\r\n";
    bool is_said = smtp_replies_add(&replies, SMTP_REPLY_sender_ok, NULL, NULL) == 0 &&
                   smtp_replies_expect(&replies) == 0 &&
                   smtp_replies_add(&replies, SMTP_REPLY_ok, NULL, NULL) == 0 &&
                   smtp_replies_answer(&replies, span_of("550 no\r\n")) == 0;
    bool is_whole = span_equals(buffer_bytes(&replies.ready), all);
    smtp_replies_clear(&replies);
    if (is_said == failing_has_failed() || (is_said && !is_whole))
        abort();
    return is_said;
}

START_TEST(without_memory_it_says_so_and_leaves_nothing_behind)
{
    bool is_said = false;
    WITH_EACH_ALLOCATION_FAILING(is_said = say_three());
    ck_assert(is_said);
}
END_TEST

/* ---- what of the upstream's replies may pass ---- */

/* RFC 5321 section 4.3.2, RFC 4954 section 6, RFC 3207 section 4: what each command may be answered
 * with; and of these, what is said to the gateway, not to its client. */
static const struct {
    enum smtp_command command;
    int code;
    bool passes;
    enum smtp_reply_name instead;
    bool is_admins;
} passing[] = {
    {SMTP_COMMAND_MAIL, 250, true, 0, false},
    {SMTP_COMMAND_RCPT, 250, true, 0, false},
    {SMTP_COMMAND_RCPT, 251, true, 0, false},
    {SMTP_COMMAND_RCPT, 252, true, 0, false},
    {SMTP_COMMAND_RCPT, 450, true, 0, false},
    {SMTP_COMMAND_RCPT, 451, true, 0, false},
    {SMTP_COMMAND_RCPT, 452, true, 0, false},
    {SMTP_COMMAND_RCPT, 550, true, 0, false},
    {SMTP_COMMAND_RCPT, 551, true, 0, false},
    {SMTP_COMMAND_RCPT, 553, true, 0, false},
    {SMTP_COMMAND_MAIL, 552, true, 0, false},
    {SMTP_COMMAND_MAIL, 555, true, 0, false},
    {SMTP_COMMAND_DATA, 451, true, 0, false},
    {SMTP_COMMAND_DATA, 554, true, 0, false},
    {SMTP_COMMAND_DOT, 452, true, 0, false},
    {SMTP_COMMAND_DOT, 554, true, 0, false},
    /* It closes its connection, not ours. */
    {SMTP_COMMAND_MAIL, 421, false, SMTP_REPLY_upstream_busy, false},
    {SMTP_COMMAND_RCPT, 421, false, SMTP_REPLY_upstream_busy, false},
    {SMTP_COMMAND_DATA, 421, false, SMTP_REPLY_upstream_busy, false},
    {SMTP_COMMAND_DOT, 421, false, SMTP_REPLY_upstream_busy, false},
    /* The client has logged in and used TLS: the gateway has not. */
    {SMTP_COMMAND_MAIL, 530, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_RCPT, 530, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_MAIL, 534, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_MAIL, 535, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_MAIL, 538, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_RCPT, 503, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_DATA, 503, false, SMTP_REPLY_upstream_refuses, true},
    /* No answer to this command. */
    {SMTP_COMMAND_RCPT, 354, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_RCPT, 220, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_RCPT, 253, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_MAIL, 334, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_DATA, 250, false, SMTP_REPLY_upstream_refuses, true},
    {SMTP_COMMAND_DOT, 354, false, SMTP_REPLY_upstream_refuses, true},
};

START_TEST(a_reply_passes_unless_it_speaks_of_the_gateway_or_makes_no_sense)
{
    enum smtp_reply_name instead = SMTP_REPLY_COUNT;
    bool is_admins = false;
    bool passes = smtp_replies_pass(passing[_i].command, passing[_i].code, &instead, &is_admins);
    ck_assert_int_eq(passes, passing[_i].passes);
    if (passes)
        return;
    ck_assert_int_eq((int)instead, (int)passing[_i].instead);
    ck_assert_int_eq(is_admins, passing[_i].is_admins);
}
END_TEST

START_TEST(what_is_said_instead_asks_the_client_to_try_again)
{
    for (int code = 200; code < 600; code++)
        for (int command = SMTP_COMMAND_MAIL; command <= SMTP_COMMAND_DOT; command++) {
            enum smtp_reply_name instead;
            bool is_admins;
            if (!smtp_replies_pass((enum smtp_command)command, code, &instead, &is_admins))
                ck_assert_int_eq(smtp_reply_code(instead) / 100, 4);
        }
}
END_TEST

SUITE(smtp_replies)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(our_own_reply_goes_at_once_when_nothing_is_to_come);
    TEST(a_reply_with_an_argument_and_an_id_has_both);
    TEST(what_was_said_behind_an_answer_to_come_waits_for_it);
    TEST(answers_go_to_the_commands_in_their_order);
    TEST(an_answer_releases_only_what_stands_before_the_next_to_come);
    TEST(an_answer_of_several_lines_goes_whole);
    tcase_add_loop_test(tests, whatever_comes_first_replies_leave_as_a_list_in_order_would, 0, 50);
    TEST(the_queue_tells_that_it_is_full_before_it_is);
    TEST(what_is_past_the_limit_is_refused_and_the_rest_goes);
    TEST(a_full_queue_of_the_longest_replies_has_room);
    TEST(nothing_is_held_while_nothing_waits);
    TEST(a_cleared_queue_is_as_new);
    TEST(without_memory_it_says_so_and_leaves_nothing_behind);
    LOOP_TEST(a_reply_passes_unless_it_speaks_of_the_gateway_or_makes_no_sense, passing);
    TEST(what_is_said_instead_asks_the_client_to_try_again);
}
