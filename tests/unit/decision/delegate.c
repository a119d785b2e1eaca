#include "decision/policy_server.h"

#include <stdio.h>

enum { ASKERS_MAX = 2100 };

struct asker {
    struct delegate_query query;
    unsigned answers, failures;
    char said[200];
};

static struct asker askers[ASKERS_MAX];

static int write_question(void *owner, struct buffer *out)
{
    const struct asker *a = owner;
    return buffer_printf(out, "question=%d\n\n", (int)(a - askers));
}

static void on_answer(void *owner, const struct span *action, const char *why)
{
    struct asker *a = owner;
    if (action != NULL) {
        a->answers++;
        (void)span_copy(*action, a->said, sizeof a->said);
    } else {
        a->failures++;
        (void)span_copy(span_of(why), a->said, sizeof a->said);
    }
}

static void end(void)
{
    for (size_t i = 0; i < ASKERS_MAX; i++)
        delegate_cancel(&askers[i].query);
    policy_server_end();
}

static void ask_within(size_t n, size_t server, int64_t timeout_ms)
{
    struct asker *a = &askers[n];
    a->query = (struct delegate_query){.write = write_question, .fn = on_answer, .owner = a};
    delegate_ask(there.delegates, &a->query, server, timeout_ms);
}

static void ask(size_t n)
{
    ask_within(n, 0, 5000);
}

static int64_t failures(void)
{
    counters_flush(there.counters);
    return counter_read(there.counted, COUNTER_delegate_failures, 0);
}

static unsigned lines_with(const char *part)
{
    return logged_with(&there.logged, there.lines, there.log_fd, part);
}

/* ---- answers ---- */

START_TEST(an_answer_finds_who_has_asked)
{
    ask(7);
    struct peer *p = accept_one();
    ck_assert_uint_eq(question(p), 7);
    peer_say(p, "action=DUNNO");
    turns_for(20);
    ck_assert_uint_eq(askers[7].answers, 0);
    peer_say(p, "\n\n");
    UNTIL(askers[7].answers == 1);
    ck_assert_str_eq(askers[7].said, "DUNNO");
    ck_assert_int_eq(failures(), 0);
}
END_TEST

START_TEST(a_connection_is_used_again)
{
    struct peer *p;
    for (size_t n = 0; n < 3; n++) {
        ask(n);
        p = n == 0 ? accept_one() : &there.peers[0];
        ck_assert_uint_eq(question(p), n);
        peer_say(p, "action=OK\n\n");
        UNTIL(askers[n].answers == 1);
    }
    ck_assert(!has_come());
}
END_TEST

START_TEST(ten_are_asked_at_once_and_the_others_in_their_turn)
{
    for (size_t n = 0; n < 12; n++)
        ask(n);
    for (int i = 0; i < 10; i++)
        (void)question(accept_one());
    turns_for(20);
    ck_assert(!has_come());
    peer_say(&there.peers[3], "action=OK\n\n");
    ck_assert_uint_eq(question(&there.peers[3]), 10);
    peer_say(&there.peers[3], "action=OK\n\n");
    ck_assert_uint_eq(question(&there.peers[3]), 11);
}
END_TEST

START_TEST(an_answer_that_nobody_waits_for_is_not_anothers)
{
    ask(0);
    struct peer *p = accept_one();
    ck_assert_uint_eq(question(p), 0);
    delegate_cancel(&askers[0].query);
    ask(1);
    UNTIL(peer_has_ended(p));
    p = accept_one();
    ck_assert_uint_eq(question(p), 1);
    peer_say(p, "action=OK\n\n");
    UNTIL(askers[1].answers == 1);
    ck_assert_uint_eq(askers[0].answers + askers[0].failures, 0);
}
END_TEST

START_TEST(one_that_waits_may_be_cancelled)
{
    for (size_t n = 0; n < 13; n++)
        ask(n);
    for (int i = 0; i < 10; i++)
        (void)question(accept_one());
    delegate_cancel(&askers[10].query);
    delegate_cancel(&askers[12].query);
    peer_say(&there.peers[0], "action=OK\n\n");
    ck_assert_uint_eq(question(&there.peers[0]), 11);
}
END_TEST

/* ---- no answer ---- */

START_TEST(one_that_does_not_answer_in_time_is_given_up)
{
    ask_within(0, 0, 50);
    struct peer *p = accept_one();
    (void)question(p);
    UNTIL(askers[0].failures == 1);
    ck_assert_str_eq(askers[0].said, "it does not answer in time");
    UNTIL(peer_has_ended(p));
    ck_assert_int_eq(failures(), 1);
}
END_TEST

START_TEST(the_time_counts_for_those_that_wait_too)
{
    for (size_t n = 0; n < 11; n++)
        ask_within(n, 0, n == 10 ? 50 : 5000);
    UNTIL(askers[10].failures == 1);
    ck_assert_uint_eq(askers[0].failures, 0);
}
END_TEST

START_TEST(how_many_wait_is_bounded)
{
    for (size_t n = 0; n < ASKERS_MAX; n++)
        ask(n);
    UNTIL(askers[ASKERS_MAX - 1].failures == 1);
    ck_assert_str_eq(askers[ASKERS_MAX - 1].said, "too many questions wait for it");
    ck_assert_uint_eq(askers[1999].failures, 0);
}
END_TEST

START_TEST(nobody_there_is_told_once_until_he_is)
{
    ck_assert_int_eq(close(there.listening), 0);
    ask(0);
    UNTIL(askers[0].failures == 1);
    ask(1);
    UNTIL(askers[1].failures == 1);
    ck_assert_uint_eq(lines_with("event=policy_server_away"), 1);
    ck_assert_uint_eq(lines_with("delegate=inet:test"), 1);
    ck_assert_int_eq(failures(), 2);
    policy_server_listen();
    ask(2);
    struct peer *p = accept_one();
    (void)question(p);
    peer_say(p, "action=OK\n\n");
    UNTIL(askers[2].answers == 1);
    ck_assert_uint_eq(lines_with("event=policy_server_back"), 1);
}
END_TEST

START_TEST(one_that_closes_at_once_has_failed)
{
    ask(0);
    struct peer *p = accept_one();
    (void)question(p);
    peer_close(p);
    UNTIL(askers[0].failures == 1);
    ck_assert(!has_come());
}
END_TEST

START_TEST(nonsense_is_no_answer)
{
    ask(0);
    struct peer *p = accept_one();
    (void)question(p);
    peer_say(p, "500 What?\n\n");
    UNTIL(askers[0].failures == 1);
    ck_assert_str_eq(askers[0].said, "a line of its answer is no name=value");
    UNTIL(peer_has_ended(p));
}
END_TEST

START_TEST(an_answer_without_end_is_none)
{
    ask(0);
    struct peer *p = accept_one();
    (void)question(p);
    peer_say(p, "action=");
    while (askers[0].failures == 0) {
        if (peer_send_some(
                p, span_of("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")) == 0)
            break;
        turns_look();
    }
    UNTIL(askers[0].failures == 1);
    ck_assert_ptr_nonnull(strstr(askers[0].said, "longer than"));
}
END_TEST

/* ---- connections that are kept ---- */

/* As many as it says, each used once. */
static void keep_connections(size_t count)
{
    for (size_t n = 0; n < count; n++)
        ask(n);
    for (size_t n = 0; n < count; n++)
        (void)question(accept_one());
    for (size_t n = 0; n < count; n++)
        peer_say(&there.peers[n], "action=OK\n\n");
    for (size_t n = 0; n < count; n++)
        UNTIL(askers[n].answers == 1);
}

START_TEST(one_that_is_dead_at_its_next_use_is_replaced_once)
{
    keep_connections(2);
    ask(5);
    UNTIL((peer_read(&there.peers[0]) | peer_read(&there.peers[1])) > 0);
    peer_close(&there.peers[0]); /* the question was sent, and is lost */
    peer_close(&there.peers[1]);
    struct peer *p = accept_one();
    ck_assert_uint_eq(question(p), 5);
    peer_close(p);
    UNTIL(askers[5].failures == 1);
    ck_assert(!has_come());
}
END_TEST

START_TEST(an_answer_that_has_begun_is_not_asked_for_again)
{
    keep_connections(1);
    ask(5);
    (void)question(&there.peers[0]);
    peer_say(&there.peers[0], "action=");
    turns_for(20);
    peer_close(&there.peers[0]);
    UNTIL(askers[5].failures == 1);
    ck_assert(!has_come());
}
END_TEST

START_TEST(one_that_was_closed_meanwhile_is_not_used)
{
    keep_connections(1);
    peer_close(&there.peers[0]);
    turns_for(20);
    ask(5);
    ck_assert_uint_eq(question(accept_one()), 5);
    ck_assert_int_eq(failures(), 0);
}
END_TEST

START_TEST(one_that_says_more_than_it_was_asked_is_closed)
{
    ask(0);
    struct peer *p = accept_one();
    (void)question(p);
    peer_say(p, "action=OK\n\naction=REJECT\n\n");
    UNTIL(askers[0].answers == 1);
    ck_assert_str_eq(askers[0].said, "OK");
    UNTIL(peer_has_ended(p));
    keep_connections(0);
    ask(1);
    p = accept_one();
    (void)question(p);
    peer_say(p, "action=OK\n\n");
    UNTIL(askers[1].answers == 1);
    peer_say(p, "action=REJECT\n\n");
    UNTIL(peer_has_ended(p));
    ck_assert_int_eq(failures(), 0);
}
END_TEST

START_TEST(without_a_master_nobody_connects_to_a_path)
{
    ask_within(0, 1, 5000);
    UNTIL(askers[0].failures == 1);
    ck_assert_str_eq(askers[0].said, "nobody connects to its socket");
}
END_TEST

SUITE(delegate)
{
    tcase_add_checked_fixture(tests, policy_server_begin, end);
    TEST(an_answer_finds_who_has_asked);
    TEST(a_connection_is_used_again);
    TEST(ten_are_asked_at_once_and_the_others_in_their_turn);
    TEST(an_answer_that_nobody_waits_for_is_not_anothers);
    TEST(one_that_waits_may_be_cancelled);
    TEST(one_that_does_not_answer_in_time_is_given_up);
    TEST(the_time_counts_for_those_that_wait_too);
    TEST(how_many_wait_is_bounded);
    TEST(nobody_there_is_told_once_until_he_is);
    TEST(one_that_closes_at_once_has_failed);
    TEST(nonsense_is_no_answer);
    TEST(an_answer_without_end_is_none);
    TEST(one_that_is_dead_at_its_next_use_is_replaced_once);
    TEST(an_answer_that_has_begun_is_not_asked_for_again);
    TEST(one_that_was_closed_meanwhile_is_not_used);
    TEST(one_that_says_more_than_it_was_asked_is_closed);
    TEST(without_a_master_nobody_connects_to_a_path);
}
