#include "filters.h"

/* One that wants all and no macros. */
#define PLAIN AGREED NO_MACROS

/* It has let the envelope pass, of one recipient. */
static struct filter *in_data(size_t milter)
{
    struct filter *f = COMES(milter, PLAIN);
    hears(f, CONNECT);
    hears(f, HELO);
    hears(f, "M:<a@example.com>|");
    hears(f, "R:<b@example.com>|");
    says(f, "cccc");
    return f;
}

static struct filter *at_data(void)
{
    mail("a@example.com");
    rcpt("b@example.com");
    struct filter *f = in_data(0);
    hears_answers("MAIL pass\nRCPT b@example.com pass\n");
    milter_chain_data(room.chain);
    hears(f, "T:");
    says(f, "c");
    hears_answers("DATA pass\n");
    return f;
}

START_TEST(a_message_is_told_stage_by_stage)
{
    begin(1, "");
    mail("a@example.com");
    rcpt("b@example.com");
    struct filter *f = COMES(0, AGREED);
    hears(f, "D:Cj|mail.example.com|");
    hears(f, CONNECT);
    hears(f, HELO);
    hears(f, "D:Mi|4711|{auth_authen}|ana|");
    hears(f, "M:<a@example.com>|");
    hears(f, "D:Ri|4711|{rcpt_mailer}|smtp|{rcpt_host}|example.com|{rcpt_addr}|b@example.com|");
    hears(f, "R:<b@example.com>|");
    hears_no_answer();
    says(f, "ccc");
    hears_answers("MAIL pass\n");
    says(f, "c");
    hears_answers("RCPT b@example.com pass\n");
    milter_chain_data(room.chain);
    hears(f, "D:Ti|4711|");
    hears(f, "T:");
    says(f, "c");
    hears_answers("DATA pass\n");
    ck_assert(milter_chain_may_edit(room.chain));
    text("Subject: one\r\n two\r\nTo:b\r\n", "hello\r\n");
    hears(f, "L:Subject|one\n two|");
    hears(f, "L:To|b|");
    hears(f, "D:Ni|4711|");
    hears(f, "N:");
    hears(f, "B:hello\r\n");
    hears(f, "D:Ei|4711|");
    hears(f, "E:");
    says(f, "cccc");
    hears_no_answer();
    says(f, "c");
    hears_answers("END pass\n");
    ck_assert_ptr_null(milter_chain_edits(room.chain)->sender);
    fields_are("Subject: one\r\n two\r\nTo:b\r\n");
    end();
}
END_TEST

START_TEST(edits_take_place_when_it_lets_the_message_pass)
{
    begin(1, "");
    struct filter *f = at_data();
    text("Subject: one\r\nX: 1\r\nX: 2\r\n", "hello\r\n");
    hears_all(f, "LLLNBE");
    says(f, "ccccc");
    SAYS(f, 'h', "Last\0a\n b\0");
    SAYS(f, 'i', "\0\0\0\1First\0c\0");
    SAYS(f, 'm', "\0\0\0\2X\0three\0");
    SAYS(f, 'm', "\0\0\0\1Subject\0\0");
    SAYS(f, 'e', "<new@example.com>\0");
    SAYS(f, '2', "<c@example.com>\0NOTIFY=NEVER\0");
    SAYS(f, '-', "<b@example.com>\0");
    SAYS(f, 'b', "another ");
    says(f, "p");
    SAYS(f, 'b', "body\r\n");
    SAYS(f, 'q', "odd\0");
    turns_for(5);
    fields_are("Subject: one\r\nX: 1\r\nX: 2\r\n");
    ck_assert_ptr_null(milter_chain_edits(room.chain)->body);
    says(f, "a");
    hears_answers("END pass\n");
    fields_are("First: c\r\nX: 1\r\nX: three\r\nLast: a\r\n b\r\n");
    const struct milter_edits *e = milter_chain_edits(room.chain);
    ck_assert_str_eq(e->sender, "new@example.com");
    ck_assert_uint_eq(e->recipient_count, 2);
    ck_assert_str_eq(e->recipients[0].address, "c@example.com");
    ck_assert_str_eq(e->recipients[0].parameters, "NOTIFY=NEVER");
    ck_assert(!e->recipients[0].is_removed && e->recipients[1].is_removed);
    ck_assert_str_eq(e->quarantine, "odd");
    ck_assert_str_eq(e->quarantined_by, "m0");
    char bytes[64];
    ck_assert(span_equals(spool_read(e->body, 0, bytes, sizeof bytes), "another body\r\n"));
    end();
}
END_TEST

static const struct {
    char code;
    const char *data, *answer;
} refusals[] = {
    {'r', "", "refuse 550 m0\n"},
    {'t', "", "refuse 451 m0\n"},
    {'d', "", "discard 250 m0\n"},
    {'4', "", "close 421 m0\n"},
    {'f', "", "close 421 m0\n"},
    {'y', "554 5.7.9 no, 100%%", "refuse 554 5.7.9 no, 100%\r\n"},
    {'y', "550-5.7.1 a\r\n550 5.7.1 b", "refuse 550-5.7.1 a\r\n550 5.7.1 b\r\n"},
    {'y', "421 4.7.0 bye", "close 421 4.7.0 bye\r\n"},
    {'y', "552 4.0.0 what", "refuse 550 m0\n"},
    {'y', "250 2.0.0 ok", "failure 451 m0\n"},
    {'z', "", "failure 451 m0\n"},
    {'h', "X\0y\0", "failure 451 m0\n"},
};

/* At each stage: connection, HELO, MAIL, RCPT, DATA, header, EOH, body, end of message. */
static const char *const before[] = {"", "c", "cc", "ccc"};

static void says_refusal(struct filter *f, int i)
{
    says_bytes(f, refusals[i].code, refusals[i].data, strlen(refusals[i].data));
}

START_TEST(whatever_it_says_of_the_envelope_is_the_answer)
{
    char expected[256];
    for (size_t n = 0; n < sizeof before / sizeof *before; n++) {
        if (refusals[_i].code == 'd' && n < 2)
            continue; /* a message is discarded, no client */
        begin(1, "");
        mail("a@example.com");
        rcpt("b@example.com");
        struct filter *f = COMES(0, PLAIN);
        hears_all(f, "CHMR");
        says(f, before[n]);
        says_refusal(f, _i);
        (void)snprintf(expected, sizeof expected, "%s%s%sRCPT b@example.com %s",
                       n < 3 ? "MAIL " : "", n < 3 ? refusals[_i].answer : "MAIL pass\n", "",
                       refusals[_i].answer); /* fits */
        hears_answers(expected);
        end();
    }
}
END_TEST

START_TEST(whatever_it_says_of_the_text_is_the_answer)
{
    static const char *const texts[] = {"", "c", "cc", "ccc"};
    char expected[256];
    for (size_t n = 0; n < sizeof texts / sizeof *texts; n++) {
        if (refusals[_i].code == 'h' && n == 3)
            continue; /* it is an edit there */
        begin(1, "");
        struct filter *f = at_data();
        text("X: 1\r\n", "hello\r\n");
        hears_all(f, "LNBE");
        says(f, texts[n]);
        says_refusal(f, _i);
        (void)snprintf(expected, sizeof expected, "TEXT %s", refusals[_i].answer); /* fits */
        hears_answers(expected);
        hears_no_answer();
        end();
    }
}
END_TEST

START_TEST(no_client_can_be_discarded)
{
    begin(1, "");
    mail("a@example.com");
    rcpt("b@example.com");
    struct filter *f = COMES(0, PLAIN);
    hears_all(f, "CHMR");
    says(f, "ddcc");
    hears_answers("MAIL pass\nRCPT b@example.com pass\n");
    end();
}
END_TEST

START_TEST(a_refused_recipient_is_one_alone)
{
    begin(1, "");
    mail("a@example.com");
    rcpt("b@example.com");
    rcpt("c@example.com");
    rcpt("d@example.com");
    struct filter *f = COMES(0, PLAIN);
    hears_all(f, "CHMRRR");
    says(f, "cccc");
    SAYS(f, 'y', "550 5.1.1 nobody\0");
    says(f, "c");
    hears_answers(
        "MAIL pass\nRCPT b@example.com pass\nRCPT c@example.com refuse 550 5.1.1 nobody\r\n"
        "RCPT d@example.com pass\n");
    end();
}
END_TEST

START_TEST(a_milter_that_accepts_hears_no_more_and_the_next_message_has_another_connection)
{
    begin(1, "");
    mail("a@example.com");
    rcpt("b@example.com");
    struct filter *f = COMES(0, PLAIN);
    hears_all(f, "CHMR");
    says(f, "cca");
    hears_answers("MAIL pass\nRCPT b@example.com pass\n");
    milter_chain_data(room.chain);
    hears_answers("DATA pass\n");
    text("X: 1\r\n", "hello\r\n");
    hears_answers("END pass\n");
    UNTIL(peer_has_ended(&f->peer)); /* what it was told ahead has no reply */
    mail("a@example.com");
    rcpt("b@example.com");
    (void)in_data(0);
    hears_answers("MAIL pass\nRCPT b@example.com pass\n");
    end();
}
END_TEST

START_TEST(a_client_that_it_accepts_is_not_told_of_again)
{
    begin(1, "");
    mail("a@example.com");
    struct filter *f = COMES(0, PLAIN);
    hears_all(f, "CHM");
    says(f, "a");
    hears_answers("MAIL pass\n");
    UNTIL(peer_has_ended(&f->peer));
    mail("a@example.com");
    hears_answers("MAIL pass\n");
    nobody_comes(0);
    room.client.port++;
    mail("a@example.com");
    (void)COMES(0, PLAIN);
    end();
}
END_TEST

/* The end of a message that it lets pass. */
static void ends(struct filter *f, const char *codes)
{
    text("X: 1\r\n", "hello\r\n");
    hears(f, "L:X|1|");
    hears(f, "N:");
    hears(f, "B:hello\r\n");
    hears(f, "E:");
    says(f, codes);
    hears_answers("END pass\n");
}

START_TEST(the_next_message_of_a_client_goes_over_the_same_connection)
{
    begin(1, "");
    struct filter *f = at_data();
    ends(f, "ccca");
    mail("c@example.com");
    hears(f, "M:<c@example.com>|");
    says(f, "c");
    hears_answers("MAIL pass\n");
    milter_chain_abort(room.chain);
    hears(f, "A:");
    room.helo = "other.example.com";
    mail("d@example.com");
    hears(f, "H:other.example.com|");
    hears(f, "M:<d@example.com>|");
    end();
}
END_TEST

START_TEST(another_client_takes_the_connection_only_after_an_end_that_it_has_continued)
{
    begin(1, "");
    struct filter *f = at_data();
    ends(f, "cccc");
    milter_chain_destroy(&room.chain);
    hears(f, "K:");
    room.chain = new_chain();
    mail("a@example.com");
    hears(f, CONNECT);
    hears(f, HELO);
    hears(f, "M:<a@example.com>|");
    says(f, "ccc");
    hears_answers("MAIL pass\n");
    milter_chain_destroy(&room.chain);
    hears(f, "A:");
    hears(f, "Q:");
    sees_the_end(f);
    room.chain = new_chain();
    mail("a@example.com");
    (void)COMES(0, PLAIN);
    end();
}
END_TEST

/* As libmilter writes: each reply by itself, and the next one not before the last has arrived. */
START_TEST(replies_that_come_one_by_one_are_not_waited_for)
{
    const int off = 0;
    begin(1, "");
    struct filter *f = at_data();
    ck_assert_int_eq(setsockopt(f->peer.fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off), 0);
    ends(f, "ccca");
    int64_t began = clock_monotonic_ns();
    for (int i = 0; i < 30; i++) {
        mail("a@example.com");
        rcpt("b@example.com");
        hears_all(f, "MR");
        says(f, "cc");
        hears_answers("MAIL pass\nRCPT b@example.com pass\n");
        milter_chain_data(room.chain);
        hears_all(f, "T");
        says(f, "c");
        hears_answers("DATA pass\n");
        ends(f, "ccca");
    }
    ck_assert_int_lt(clock_monotonic_ns() - began, 30 * 40 * CLOCK_MS);
    end();
}
END_TEST

START_TEST(an_old_connection_that_is_dead_is_replaced_unseen)
{
    begin(1, "");
    struct filter *f = at_data();
    ends(f, "ccca");
    mail("c@example.com");
    hears(f, "M:<c@example.com>|");
    peer_reset(&f->peer);
    f = COMES(0, PLAIN);
    hears(f, CONNECT);
    hears(f, HELO);
    hears(f, "M:<c@example.com>|");
    says(f, "ccc");
    hears_answers("MAIL pass\n");
    ck_assert_uint_eq(lines_with("milter_failed"), 0);
    end();
}
END_TEST

START_TEST(one_that_was_closed_while_it_waited_is_forgotten)
{
    begin(1, "");
    struct filter *f = at_data();
    ends(f, "ccca");
    peer_close(&f->peer);
    turns_for(5);
    mail("c@example.com");
    (void)COMES(0, PLAIN);
    end();
}
END_TEST

static const struct {
    const char *setting, *answer;
} failures[] = {{"on_failure = \"tempfail\"", "failure 451 m0\n"},
                {"on_failure = \"reject\"", "failure 550 m0\n"},
                {"on_failure = \"accept\"", "pass\n"}};

START_TEST(a_milter_that_is_away_fails_this_message_alone)
{
    char expected[128];
    begin(1, failures[_i].setting);
    ck_assert_int_eq(close(room.listening[0]), 0);
    (void)snprintf(expected, sizeof expected, "MAIL %s", failures[_i].answer); /* fits */
    mail("a@example.com");
    hears_answers(expected);
    mail("a@example.com");
    hears_answers(expected);
    ck_assert_uint_eq(lines_with("event=milter_failed"), 1);
    counters_flush(room.counters);
    ck_assert_int_eq(counter_read(room.table, COUNTER_milter_failures, 0), 2);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&room.at[0], sizeof room.at[0]), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    room.listening[0] = fd;
    struct filter *f = at_data();
    ends(f, "cccc");
    ck_assert_uint_eq(lines_with("event=milter_back"), 1);
    end();
}
END_TEST

START_TEST(one_that_dies_in_the_text_leaves_nothing_half_done)
{
    char expected[128];
    begin(1, failures[_i].setting);
    struct filter *f = at_data();
    text("X: 1\r\n", "hello\r\n");
    hears_all(f, "LNBE");
    says(f, "ccc");
    SAYS(f, 'h', "Y\0z\0");
    SAYS(f, 'e', "x@example.com\0");
    turns_for(5);
    peer_reset(&f->peer);
    (void)snprintf(expected, sizeof expected, _i == 2 ? "END %s" : "TEXT %s",
                   failures[_i].answer); /* fits */
    hears_answers(expected);
    fields_are("X: 1\r\n");
    ck_assert_ptr_null(milter_chain_edits(room.chain)->sender);
    end();
}
END_TEST

START_TEST(one_that_is_too_slow_has_failed_and_progress_gives_it_time)
{
    begin(1, "reply_timeout = \"100ms\" message_timeout = \"350ms\"");
    struct filter *f = at_data();
    text("X: 1\r\n", "hello\r\n");
    hears_all(f, "LNBE");
    says(f, "ccc");
    for (int i = 0; i < 4; i++) {
        turns_for(60);
        says(f, "p");
    }
    hears_answers("");
    for (int i = 0; i < 3; i++) {
        turns_for(60);
        if (room.told.size == 0)
            says(f, "p");
    }
    hears_answers("TEXT failure 451 m0\n"); /* message_timeout holds whatever it says */
    f = at_data();
    milter_chain_abort(room.chain);
    mail("a@example.com");
    hears_answers("MAIL failure 451 m0\n");
    end();
}
END_TEST

START_TEST(progress_is_not_believed_for_ever)
{
    begin(1, "reply_timeout = \"100ms\" message_timeout = \"250ms\"");
    mail("a@example.com");
    struct filter *f = COMES(0, PLAIN);
    hears_all(f, "CHM");
    for (int i = 0; i < 10 && room.told.size == 0; i++) {
        says(f, "p");
        turns_for(50);
    }
    hears_answers("MAIL failure 451 m0\n");
    end();
}
END_TEST

START_TEST(what_it_wants_beyond_the_offer_fails_it)
{
    begin(1, "");
    mail("a@example.com");
    (void)COMES(0, "\0\0\0\7\0\0\0\0\0\0\0\0");
    hears_answers("MAIL failure 451 m0\n");
    ck_assert_uint_eq(lines_with("version 7"), 1);
    end();
}
END_TEST

START_TEST(what_it_does_not_want_to_hear_or_answer_is_not_waited_for)
{
    begin(1, "");
    mail("a@example.com");
    rcpt("b@example.com");
    /* no HELO; nothing but RCPT and the end is answered */
    struct filter *f = COMES(0, "\0\0\0\6\0\0\0\0\0\x0d\x50\x82" NO_MACROS);
    hears(f, CONNECT);
    hears(f, "M:<a@example.com>|");
    hears(f, "R:<b@example.com>|");
    hears_answers("MAIL pass\n");
    hears_no_answer();
    says(f, "c");
    hears_answers("RCPT b@example.com pass\n");
    milter_chain_data(room.chain);
    hears_answers("DATA pass\n");
    hears(f, "T:");
    ck_assert(!milter_chain_may_edit(room.chain));
    text("X: 1\r\n", "hello\r\n");
    hears(f, "L:X|1|");
    hears(f, "N:");
    hears(f, "B:hello\r\n");
    hears(f, "E:");
    says(f, "c");
    hears_answers("END pass\n");
    end();
}
END_TEST

START_TEST(spaces_are_the_filters_where_it_wants_them)
{
    begin(1, "");
    mail("a@example.com");
    rcpt("b@example.com");
    struct filter *f =
        COMES(0, "\0\0\0\6\0\0\0\1\0\x10\0\x7\0\0\0\0\0\0\0\0\1\0\0\0\0\2\0\0\0\0\3\0"
                 "\0\0\0\4\0\0\0\0\5\0\0\0\0\6\0");
    hears_all(f, "R");
    says(f, "c");
    hears_answers("MAIL pass\nRCPT b@example.com pass\n");
    milter_chain_data(room.chain);
    hears(f, "T:");
    says(f, "c");
    hears_answers("DATA pass\n");
    text("X:  1\r\n\t2\r\nY:3\r\n", "hello\r\n");
    hears(f, "L:X|  1\n\t2|");
    hears(f, "L:Y|3|");
    says(f, "cccc");
    SAYS(f, 'h', "Z\0\t4\0");
    says(f, "c");
    hears_answers("END pass\n");
    fields_are("X:  1\r\n\t2\r\nY:3\r\nZ:\t4\r\n");
    end();
}
END_TEST

START_TEST(recipients_refused_before_are_told_to_who_wants_to_know)
{
    begin(1, "");
    mail("a@example.com");
    milter_chain_rcpt_refused(room.chain, "x@example.com", "550 5.7.1 no\r\n");
    rcpt("b@example.com");
    struct filter *f = COMES(0, "\0\0\0\6\0\0\0\0\0\0\x08\x07");
    hears(f, "D:Cj|mail.example.com|");
    hears(f, "D:Mi|4711|{auth_authen}|ana|");
    hears(f, "D:Ri|4711|{rcpt_mailer}|error|{rcpt_addr}|550 5.7.1 no|");
    hears(f, "R:<x@example.com>|");
    hears(f, "D:Ri|4711|{rcpt_mailer}|smtp|{rcpt_host}|example.com|{rcpt_addr}|b@example.com|");
    hears(f, "R:<b@example.com>|");
    says(f, "rc");
    hears_answers("MAIL pass\nRCPT b@example.com pass\n");
    end();
}
END_TEST

START_TEST(a_long_body_goes_in_pieces_while_it_comes_and_skip_ends_it)
{
    static char piece[65536], rest[4097];
    begin(1, "");
    struct filter *f = at_data();
    memset(piece, 'x', sizeof piece - 1);
    memset(rest, 'y', sizeof rest - 1);
    text_begins("X: 1\r\n");
    body(rest);
    hears(f, "L:X|1|");
    hears(f, "N:");
    hears_nothing(f);
    body(piece);
    memcpy(piece, rest, sizeof rest - 1);
    hears_bytes(f, 'B', span_make(piece, 65535));
    hears_nothing(f);
    memset(piece, 'x', sizeof piece - 1);
    says(f, "ccs");
    turns_for(5);
    body(piece);
    hears_nothing(f);
    milter_chain_end(room.chain);
    hears(f, "E:");
    says(f, "c");
    hears_answers("END pass\n");
    end();
}
END_TEST

/* ---- several ---- */

START_TEST(each_is_asked_when_the_one_before_has_let_pass)
{
    begin(2, "");
    mail("a@example.com");
    rcpt("b@example.com");
    rcpt("c@example.com");
    struct filter *f = COMES(0, PLAIN), *g = COMES(1, PLAIN);
    hears_all(f, "CHMRR");
    hears_nothing(g);
    says(f, "ccccr");
    hears(g, CONNECT);
    hears(g, HELO);
    hears(g, "M:<a@example.com>|");
    hears(g, "R:<b@example.com>|");
    hears_nothing(g);
    hears_answers("");
    says(g, "ccct");
    hears_answers(
        "MAIL pass\nRCPT b@example.com refuse 451 m1\nRCPT c@example.com refuse 550 m0\n");
    milter_chain_abort(room.chain);
    hears(g, "A:");
    end();
}
END_TEST

/* Both have let the envelope pass. */
static void both_at_data(struct filter **f, struct filter **g, const char *options, size_t size)
{
    mail("a@example.com");
    rcpt("b@example.com");
    *f = comes_with(0, options, size);
    *g = COMES(1, PLAIN);
    hears_all(*f, "CHMR");
    says(*f, "cccc");
    hears_all(*g, "CHMR");
    says(*g, "cccc");
    hears_answers("MAIL pass\nRCPT b@example.com pass\n");
    milter_chain_data(room.chain);
    hears_all(*f, "T");
    says(*f, "c");
    hears_all(*g, "T");
    says(*g, "c");
    hears_answers("DATA pass\n");
}

START_TEST(each_sees_what_those_before_it_have_changed)
{
    struct filter *f, *g;
    begin(2, "");
    both_at_data(&f, &g, PLAIN, sizeof PLAIN - 1);
    text("X: 1\r\n", "hello\r\n");
    hears(f, "L:X|1|");
    hears(f, "N:");
    hears(f, "B:hello\r\n");
    hears(f, "E:");
    hears_nothing(g);
    says(f, "ccc");
    SAYS(f, 'm', "\0\0\0\1X\0two\0");
    SAYS(f, 'b', "bye\r\n");
    says(f, "c");
    hears(g, "L:X|two|");
    hears(g, "N:");
    hears(g, "B:bye\r\n");
    hears(g, "E:");
    hears_answers("");
    says(g, "ccc");
    SAYS(g, 'h', "Y\0three\0");
    says(g, "c");
    hears_answers("END pass\n");
    fields_are("X: two\r\nY: three\r\n");
    end();
}
END_TEST

START_TEST(those_behind_one_that_changes_nothing_are_told_at_the_same_time)
{
    static const char reads[] = "\0\0\0\6\0\0\0\0\0\0\0\0" NO_MACROS;
    struct filter *f, *g;
    begin(2, "");
    both_at_data(&f, &g, reads, sizeof reads - 1);
    text("X: 1\r\n", "hello\r\n");
    hears(f, "L:X|1|");
    hears_all(g, "LNBE");
    says(g, "ccc");
    SAYS(g, 'm', "\0\0\0\1X\0two\0");
    says(g, "c");
    hears_no_answer();
    says(f, "cccc");
    hears_answers("END pass\n");
    fields_are("X: two\r\n");
    end();
}
END_TEST

START_TEST(the_first_refusal_ends_it_for_all)
{
    struct filter *f, *g;
    begin(2, "");
    both_at_data(&f, &g, PLAIN, sizeof PLAIN - 1);
    text("X: 1\r\n", "hello\r\n");
    hears_all(f, "LNBE");
    says(f, "r");
    hears_answers("TEXT refuse 550 m0\n");
    milter_chain_abort(room.chain);
    hears(g, "A:");
    end();
}
END_TEST

START_TEST(a_refusal_that_comes_after_the_answer_is_passed_over)
{
    begin(2, "");
    mail("a@example.com");
    struct filter *f = COMES(0, PLAIN), *g = COMES(1, PLAIN);
    hears_all(f, "CHM");
    says(f, "ccc");
    hears_all(g, "CHM");
    says(g, "ccc");
    hears_answers("MAIL pass\n");
    rcpt("b@example.com");
    hears_all(f, "R");
    peer_reset(&g->peer);
    hears_answers("RCPT b@example.com failure 451 m1\n");
    says(f, "r");
    hears_no_answer();
    end();
}
END_TEST

START_TEST(without_a_recipient_there_is_no_data)
{
    begin(2, "");
    mail("a@example.com");
    milter_chain_rcpt_refused(room.chain, "x@example.com", "550 5.7.1 no\r\n");
    rcpt("b@example.com");
    milter_chain_data(room.chain);
    struct filter *f = COMES(0, PLAIN), *g = COMES(1, PLAIN);
    hears_all(f, "CHM");
    says(f, "ccc");
    hears_all(f, "RT");
    says(f, "rc");
    hears_all(g, "CHM");
    says(g, "ccc");
    hears_answers("MAIL pass\nRCPT b@example.com refuse 550 m0\nDATA pass\n");
    hears_nothing(g);
    end();
}
END_TEST

START_TEST(one_that_fails_and_may_is_left_out)
{
    struct filter *f, *g;
    begin(2, "on_failure = \"accept\"");
    both_at_data(&f, &g, PLAIN, sizeof PLAIN - 1);
    peer_reset(&f->peer);
    text("X: 1\r\n", "hello\r\n");
    hears_all(g, "LNBE");
    says(g, "cccc");
    hears_answers("END pass\n");
    end();
}
END_TEST

START_TEST(a_milter_that_is_not_for_the_message_is_not_asked)
{
    begin(2, "");
    room.uses[0] = false;
    mail("a@example.com");
    struct filter *g = COMES(1, PLAIN);
    nobody_comes(0);
    hears_all(g, "CHM");
    says(g, "ccc");
    hears_answers("MAIL pass\n");
    end();
}
END_TEST

START_TEST(without_any_all_passes)
{
    begin(1, "");
    room.uses[0] = false;
    mail("a@example.com");
    rcpt("b@example.com");
    milter_chain_data(room.chain);
    hears_answers("MAIL pass\nRCPT b@example.com pass\nDATA pass\n");
    text("X: 1\r\n", "hello\r\n");
    hears_answers("END pass\n");
    end();
}
END_TEST

/* ---- limits ---- */

START_TEST(there_is_an_end_to_what_it_may_change)
{
    static char large[65536];
    begin(1, "");
    struct filter *f = at_data();
    text("X: 1\r\n", "hello\r\n");
    hears_all(f, "LNBE");
    says(f, "ccc");
    memset(large, 'x', sizeof large);
    says_bytes(f, 'b', large, 65535);
    says_bytes(f, 'b', large, 65535);
    hears_answers(
        "TEXT refuse 451 4.3.1 No room for what the mail filter makes of it; try again later\r\n");
    f = at_data();
    text("X: 1\r\n", "hello\r\n");
    hears_all(f, "LNBE");
    says(f, "ccc");
    memcpy(large, "X", 2);
    large[65000] = '\0';
    for (int i = 0; i < 17 && room.told.size == 0; i++)
        says_bytes(f, 'h', large, 65001);
    hears_answers(
        "TEXT refuse 451 4.3.1 No room for what the mail filter makes of it; try again later\r\n");
    end();
}
END_TEST

START_TEST(a_held_message_has_no_place_where_none_is_wanted)
{
    begin(1, "quarantine = \"tempfail\"");
    struct filter *f = at_data();
    text("X: 1\r\n", "hello\r\n");
    hears_all(f, "LNBE");
    says(f, "ccc");
    SAYS(f, 'q', "odd\0");
    says(f, "c");
    hears_answers("TEXT refuse 451 m0\n");
    end();
}
END_TEST

START_TEST(a_field_longer_than_a_frame_is_refused_whatever_a_failure_would_cost)
{
    static char header[70000];
    begin(1, "");
    struct filter *f = at_data();
    memset(header, 'x', sizeof header);
    memcpy(header, "X: ", 3);
    memcpy(header + sizeof header - 3, "\r\n", 3);
    text(header, "hello\r\n");
    hears_answers(
        "TEXT refuse 550 5.6.0 A part of the message is larger than the mail filter takes\r\n");
    UNTIL(peer_has_ended(&f->peer));
    end();
}
END_TEST

START_TEST(one_that_takes_nothing_makes_nothing_grow)
{
    begin(1, "reply_timeout = \"200ms\"");
    struct filter *f = at_data();
    static char header[300000];
    size_t used = 0;
    for (int i = 0; used + 1010 < sizeof header; i++)
        used += (size_t)snprintf(header + used, sizeof header - used, "X: %0*d\r\n", 990, i);
    (void)f;
    text_begins(header);
    static char piece[65001];
    memset(piece, 'x', sizeof piece - 1);
    for (int i = 0; i < 160; i++) {
        body(piece);
        turn();
    }
    UNTIL(room.told.size > 0);
    hears_answers("TEXT failure 451 m0\n");
    end();
}
END_TEST

static void destroy_chain(const struct milter_event *event)
{
    (void)event;
    milter_chain_destroy(&room.chain);
}

START_TEST(a_session_may_end_when_it_is_told)
{
    begin(1, "");
    room.on_told = destroy_chain;
    mail("a@example.com");
    rcpt("b@example.com");
    struct filter *f = COMES(0, PLAIN);
    hears_all(f, "CHMR");
    says(f, "cccc");
    hears_answers("MAIL pass\n");
    turns_for(5);
    ck_assert_ptr_null(room.chain);
    end();
}
END_TEST

SUITE(milter_chain)
{
    filters_use(tests);
    TEST(a_message_is_told_stage_by_stage);
    TEST(edits_take_place_when_it_lets_the_message_pass);
    LOOP_TEST(whatever_it_says_of_the_envelope_is_the_answer, refusals);
    LOOP_TEST(whatever_it_says_of_the_text_is_the_answer, refusals);
    TEST(no_client_can_be_discarded);
    TEST(a_refused_recipient_is_one_alone);
    TEST(a_milter_that_accepts_hears_no_more_and_the_next_message_has_another_connection);
    TEST(a_client_that_it_accepts_is_not_told_of_again);
    TEST(the_next_message_of_a_client_goes_over_the_same_connection);
    TEST(another_client_takes_the_connection_only_after_an_end_that_it_has_continued);
    TEST(replies_that_come_one_by_one_are_not_waited_for);
    TEST(an_old_connection_that_is_dead_is_replaced_unseen);
    TEST(one_that_was_closed_while_it_waited_is_forgotten);
    LOOP_TEST(a_milter_that_is_away_fails_this_message_alone, failures);
    LOOP_TEST(one_that_dies_in_the_text_leaves_nothing_half_done, failures);
    TEST(one_that_is_too_slow_has_failed_and_progress_gives_it_time);
    TEST(progress_is_not_believed_for_ever);
    TEST(what_it_wants_beyond_the_offer_fails_it);
    TEST(what_it_does_not_want_to_hear_or_answer_is_not_waited_for);
    TEST(spaces_are_the_filters_where_it_wants_them);
    TEST(recipients_refused_before_are_told_to_who_wants_to_know);
    TEST(a_long_body_goes_in_pieces_while_it_comes_and_skip_ends_it);
    TEST(each_is_asked_when_the_one_before_has_let_pass);
    TEST(each_sees_what_those_before_it_have_changed);
    TEST(those_behind_one_that_changes_nothing_are_told_at_the_same_time);
    TEST(the_first_refusal_ends_it_for_all);
    TEST(a_refusal_that_comes_after_the_answer_is_passed_over);
    TEST(without_a_recipient_there_is_no_data);
    TEST(one_that_fails_and_may_is_left_out);
    TEST(a_milter_that_is_not_for_the_message_is_not_asked);
    TEST(without_any_all_passes);
    TEST(there_is_an_end_to_what_it_may_change);
    TEST(a_held_message_has_no_place_where_none_is_wanted);
    TEST(a_field_longer_than_a_frame_is_refused_whatever_a_failure_would_cost);
    TEST(one_that_takes_nothing_makes_nothing_grow);
    TEST(a_session_may_end_when_it_is_told);
}
