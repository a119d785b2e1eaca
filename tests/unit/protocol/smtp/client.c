#include "protocol/smtp/client.h"

#include "protocol/said.h"
#include "support/splits.h"

static struct smtp_client client;

static void begin(bool is_pipelining)
{
    smtp_client_init(&client);
    client.is_pipelining = is_pipelining;
}

static void queue(enum smtp_command command, const char *line)
{
    ck_assert_int_eq(smtp_client_queue(&client, command, span_of(line)), 0);
}

/* What is to be written now is this. */
static void writes(const char *expected)
{
    struct span out = smtp_client_output(&client);
    ck_assert_msg(span_equals(out, expected), "<%.*s> instead of <%s>", (int)out.size, out.data,
                  expected);
    smtp_client_written(&client, out.size);
}

/* The reply is taken, and answers this. */
static void answers(const char *bytes, enum smtp_command expected)
{
    struct span in = span_of(bytes);
    enum smtp_command command;
    const struct smtp_reply *reply;
    struct error why;
    uint64_t code;
    ck_assert_int_eq(smtp_client_input(&client, &in, &command, &reply, &why), 1);
    ck_assert_int_eq(command, expected);
    ck_assert_int_eq(span_number(span_make(bytes, 3), 999, &code), 0);
    ck_assert_int_eq(reply->code, (int)code);
    ck_assert_uint_eq(in.size, 0);
}

static int input(const char *bytes, struct error *why)
{
    struct span in = span_of(bytes);
    enum smtp_command command;
    const struct smtp_reply *reply;
    return smtp_client_input(&client, &in, &command, &reply, why);
}

START_TEST(without_pipelining_each_command_waits_for_the_reply_before)
{
    begin(false);
    queue(SMTP_COMMAND_MAIL, "MAIL FROM:<a@b>\r\n");
    queue(SMTP_COMMAND_RCPT, "RCPT TO:<c@d>\r\n");
    queue(SMTP_COMMAND_DATA, "DATA\r\n");
    ck_assert_uint_eq(smtp_client_due(&client), 3);
    writes("MAIL FROM:<a@b>\r\n");
    writes("");
    answers("250 Ok\r\n", SMTP_COMMAND_MAIL);
    writes("RCPT TO:<c@d>\r\n");
    answers("550 No\r\n", SMTP_COMMAND_RCPT);
    writes("DATA\r\n");
    answers("554 No\r\n", SMTP_COMMAND_DATA);
    writes("");
    ck_assert_uint_eq(smtp_client_due(&client), 0);
    smtp_client_clear(&client);
}
END_TEST

/* RFC 2920 section 5.2: the commands leave together, the replies come together. */
START_TEST(with_pipelining_the_commands_leave_together)
{
    begin(true);
    queue(SMTP_COMMAND_MAIL, "MAIL FROM:<mrose@dbc.mtview.ca.us>\r\n");
    queue(SMTP_COMMAND_RCPT, "RCPT TO:<ned@innosoft.com>\r\n");
    queue(SMTP_COMMAND_RCPT, "RCPT TO:<dan@innosoft.com>\r\n");
    queue(SMTP_COMMAND_RCPT, "RCPT TO:<kvc@innosoft.com>\r\n");
    queue(SMTP_COMMAND_DATA, "DATA\r\n");
    writes("MAIL FROM:<mrose@dbc.mtview.ca.us>\r\nRCPT TO:<ned@innosoft.com>\r\n"
           "RCPT TO:<dan@innosoft.com>\r\nRCPT TO:<kvc@innosoft.com>\r\nDATA\r\n");
    writes("");
    struct span in = span_of("250 sender <mrose@dbc.mtview.ca.us> OK\r\n"
                             "250 recipient <ned@innosoft.com> OK\r\n"
                             "250 recipient <dan@innosoft.com> OK\r\n"
                             "250 recipient <kvc@innosoft.com> OK\r\n"
                             "354 enter mail, end with line containing only \".\"\r\n");
    static const enum smtp_command expected[] = {SMTP_COMMAND_MAIL, SMTP_COMMAND_RCPT,
                                                 SMTP_COMMAND_RCPT, SMTP_COMMAND_RCPT,
                                                 SMTP_COMMAND_DATA};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        enum smtp_command command;
        const struct smtp_reply *reply;
        struct error why;
        ck_assert_int_eq(smtp_client_input(&client, &in, &command, &reply, &why), 1);
        ck_assert_int_eq(command, expected[i]);
        ck_assert_int_eq(reply->code, i < 4 ? 250 : 354);
    }
    ck_assert_uint_eq(in.size, 0);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(what_is_queued_while_replies_are_due_leaves_at_once_with_pipelining)
{
    begin(true);
    queue(SMTP_COMMAND_MAIL, "MAIL FROM:<>\r\n");
    writes("MAIL FROM:<>\r\n");
    queue(SMTP_COMMAND_RCPT, "RCPT TO:<a@b>\r\n");
    writes("RCPT TO:<a@b>\r\n");
    answers("250 Ok\r\n", SMTP_COMMAND_MAIL);
    answers("250 Ok\r\n", SMTP_COMMAND_RCPT);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(the_greeting_and_the_end_of_the_text_are_expected_without_a_line)
{
    begin(false);
    ck_assert_int_eq(smtp_client_expect(&client, SMTP_COMMAND_GREETING), 0);
    writes("");
    ck_assert_int_eq(smtp_client_next(&client), SMTP_COMMAND_GREETING);
    answers("220 mx ESMTP\r\n", SMTP_COMMAND_GREETING);
    queue(SMTP_COMMAND_DATA, "DATA\r\n");
    writes("DATA\r\n");
    ck_assert_int_eq(smtp_client_expect(&client, SMTP_COMMAND_DOT), 0);
    answers("354 go on\r\n", SMTP_COMMAND_DATA);
    answers("250 taken\r\n", SMTP_COMMAND_DOT);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(a_queued_command_waits_behind_an_expected_reply)
{
    begin(false);
    ck_assert_int_eq(smtp_client_expect(&client, SMTP_COMMAND_GREETING), 0);
    queue(SMTP_COMMAND_EHLO, "EHLO gateway\r\n");
    writes("");
    answers("220 mx ESMTP\r\n", SMTP_COMMAND_GREETING);
    writes("EHLO gateway\r\n");
    smtp_client_clear(&client);
}
END_TEST

START_TEST(next_is_the_oldest_without_reply)
{
    begin(true);
    queue(SMTP_COMMAND_RSET, "RSET\r\n");
    queue(SMTP_COMMAND_QUIT, "QUIT\r\n");
    ck_assert_int_eq(smtp_client_next(&client), SMTP_COMMAND_RSET);
    writes("RSET\r\nQUIT\r\n");
    ck_assert_int_eq(smtp_client_next(&client), SMTP_COMMAND_RSET);
    answers("250 Ok\r\n", SMTP_COMMAND_RSET);
    ck_assert_int_eq(smtp_client_next(&client), SMTP_COMMAND_QUIT);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(a_reply_of_several_lines_answers_one_command)
{
    begin(true);
    queue(SMTP_COMMAND_EHLO, "EHLO gateway\r\n");
    queue(SMTP_COMMAND_QUIT, "QUIT\r\n");
    writes("EHLO gateway\r\nQUIT\r\n");
    answers("250-mx\r\n250-PIPELINING\r\n250 DSN\r\n", SMTP_COMMAND_EHLO);
    answers("221 Bye\r\n", SMTP_COMMAND_QUIT);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(what_nobody_asked_for_is_an_error)
{
    struct error why = {.text = ""};
    begin(true);
    ck_assert_int_eq(input("250 Ok\r\n", &why), -1);
    ck_assert_str_ne(why.text, "");
    ck_assert_int_eq(input("2", &why), -1);
    ck_assert_int_eq(input("\r\n", &why), -1);
    ck_assert_int_eq(input("", &why), 0);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(what_comes_before_the_command_was_written_is_an_error)
{
    struct error why;
    begin(false);
    queue(SMTP_COMMAND_QUIT, "QUIT\r\n");
    ck_assert_int_eq(input("221 Bye\r\n", &why), -1);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(what_comes_behind_the_last_reply_due_is_an_error)
{
    struct error why;
    begin(true);
    queue(SMTP_COMMAND_RSET, "RSET\r\n");
    writes("RSET\r\n");
    struct span in = span_of("250 Ok\r\n250 Ok\r\n");
    enum smtp_command command;
    const struct smtp_reply *reply;
    ck_assert_int_eq(smtp_client_input(&client, &in, &command, &reply, &why), 1);
    ck_assert_uint_eq(in.size, 8);
    ck_assert_int_eq(smtp_client_input(&client, &in, &command, &reply, &why), -1);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(nonsense_is_an_error_with_a_reason)
{
    struct error why = {.text = ""};
    begin(true);
    queue(SMTP_COMMAND_RSET, "RSET\r\n");
    writes("RSET\r\n");
    ck_assert_int_eq(input("HTTP/1.1 400 Bad Request\r\n", &why), -1);
    ck_assert_str_ne(why.text, "");
    smtp_client_clear(&client);
}
END_TEST

START_TEST(no_more_commands_are_taken_than_the_ring_holds)
{
    begin(true);
    for (int i = 0; i < SMTP_CLIENT_COMMANDS; i++)
        queue(SMTP_COMMAND_RSET, "RSET\r\n");
    ck_assert_int_eq(smtp_client_queue(&client, SMTP_COMMAND_QUIT, span_of("QUIT\r\n")), -1);
    ck_assert_uint_eq(smtp_client_due(&client), SMTP_CLIENT_COMMANDS);
    struct span out = smtp_client_output(&client);
    ck_assert_uint_eq(out.size, SMTP_CLIENT_COMMANDS * strlen("RSET\r\n"));
    smtp_client_written(&client, out.size);
    ck_assert_int_eq(smtp_client_expect(&client, SMTP_COMMAND_DOT), -1);
    answers("250 Ok\r\n", SMTP_COMMAND_RSET);
    ck_assert_int_eq(smtp_client_expect(&client, SMTP_COMMAND_DOT), 0);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(a_line_that_has_no_room_is_not_queued)
{
    static char line[1000 * 1000];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    begin(true);
    ck_assert_int_eq(smtp_client_queue(&client, SMTP_COMMAND_RSET, span_make(line, sizeof line)),
                     -1);
    ck_assert_uint_eq(smtp_client_due(&client), 0);
    writes("");
    smtp_client_clear(&client);
}
END_TEST

START_TEST(what_is_written_holds_no_memory)
{
    begin(true);
    queue(SMTP_COMMAND_RSET, "RSET\r\n");
    writes("RSET\r\n");
    ck_assert_ptr_null(client.text.data);
    smtp_client_clear(&client);
}
END_TEST

START_TEST(a_client_that_begins_anew_owes_nothing)
{
    struct error why;
    begin(true);
    queue(SMTP_COMMAND_EHLO, "EHLO gateway\r\n");
    writes("EHLO gateway\r\n");
    ck_assert_int_eq(input("250-mx\r\n250-and a piece of a line", &why), 0);
    smtp_client_clear(&client);
    smtp_client_init(&client);
    ck_assert(!client.is_pipelining); /* until the server has offered it */
    ck_assert_uint_eq(smtp_client_due(&client), 0);
    queue(SMTP_COMMAND_QUIT, "QUIT\r\n");
    writes("QUIT\r\n");
    answers("221 Bye\r\n", SMTP_COMMAND_QUIT);
    smtp_client_clear(&client);
}
END_TEST

/* The model: two queues of commands, and how many of the first are sent. */
struct naive {
    unsigned char commands[40000];
    size_t first, sent, end;
};

START_TEST(commands_and_replies_keep_their_order_round_and_round_the_ring)
{
    static struct naive n;
    uint32_t seed = 23;
    begin(true);
    for (int step = 0; step < 30000; step++) {
        char line[16];
        enum smtp_command command = (enum smtp_command)(next_random(&seed) % 10);
        size_t due = n.end - n.first;
        /* More is queued than answered for a while, then the other way round. */
        bool is_filling = step / 600 % 2 == 0;
        client.is_pipelining = step / 1500 % 2 == 0;
        if (next_random(&seed) % 4 < (is_filling ? 3U : 1U)) {
            (void)snprintf(line, sizeof line, "%d\r\n", (int)command); /* fits */
            bool has_room = due < SMTP_CLIENT_COMMANDS;
            ck_assert_int_eq(smtp_client_queue(&client, command, span_of(line)), has_room ? 0 : -1);
            if (has_room)
                n.commands[n.end++] = (unsigned char)command;
        } else if (n.sent > n.first) {
            answers("250 Ok\r\n", (enum smtp_command)n.commands[n.first++]);
        }
        struct span out = smtp_client_output(&client);
        size_t size = out.size;
        while (out.size > 0) {
            struct span sent = span_split(&out, '\n');
            (void)snprintf(line, sizeof line, "%d\r", n.commands[n.sent++]); /* fits */
            ck_assert(span_equals(sent, line));
        }
        smtp_client_written(&client, size);
        if (!client.is_pipelining && size > 0)
            ck_assert_uint_eq(n.sent - n.first, 1);
        ck_assert_uint_eq(smtp_client_due(&client), n.end - n.first);
        if (client.is_pipelining)
            ck_assert_uint_eq(n.sent, n.end);
    }
    smtp_client_clear(&client);
}
END_TEST

static const char *const names[] = {"GREETING", "EHLO", "STARTTLS", "XCLIENT", "AUTH", "XFORWARD",
                                    "MAIL",     "RCPT", "DATA",     "DOT",     "RSET", "QUIT"};

struct run {
    const char *expected;
    struct leftover in;
    bool is_wrong;
    struct said said;
};

static void restart(void *owner)
{
    struct run *r = owner;
    leftover_drop(&r->in);
    r->is_wrong = false;
    say_nothing(&r->said);
    smtp_client_clear(&client);
    begin(true);
    queue(SMTP_COMMAND_MAIL, "MAIL FROM:<a@b>\r\n");
    queue(SMTP_COMMAND_RCPT, "RCPT TO:<c@d>\r\n");
    queue(SMTP_COMMAND_DATA, "DATA\r\n");
    smtp_client_written(&client, smtp_client_output(&client).size);
}

static void feed(void *owner, struct span piece)
{
    struct run *r = owner;
    enum smtp_command command;
    const struct smtp_reply *reply;
    struct error why;
    int got;
    if (r->is_wrong)
        return; /* closed */
    struct span *in = leftover_join(&r->in, piece);
    while ((got = smtp_client_input(&client, in, &command, &reply, &why)) == 1)
        say(&r->said, "%s %d\n", names[command], reply->code);
    r->is_wrong = got < 0;
    if (r->is_wrong)
        say(&r->said, "wrong\n");
}

static void done(void *owner)
{
    struct run *r = owner;
    said_is(&r->said, r->expected, "");
}

START_TEST(replies_find_their_commands_however_they_are_cut)
{
    static struct run r;
    static const struct {
        const char *input, *said;
    } cases[] = {
        {"250 a\r\n550 b\r\n354 c\r\n", "MAIL 250\nRCPT 550\nDATA 354\n"},
        {"250-a\r\n250 a\r\n550-5.1.1 b\r\n550 5.1.1 b\r\n", "MAIL 250\nRCPT 550\n"},
        {"250 a\r\n550 b\r\n354 c\r\n250 d\r\n", "MAIL 250\nRCPT 550\nDATA 354\nwrong\n"},
        {"250 a\r\nnonsense\r\n", "MAIL 250\nwrong\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r.expected = cases[i].said;
        every_split(span_of(cases[i].input), restart, feed, done, &r);
    }
    leftover_drop(&r.in);
    smtp_client_clear(&client);
}
END_TEST

/* As ck_assert, which itself allocates: for what runs while an allocation is to fail. */
static void must(bool is_kept, const char *promise)
{
    if (!is_kept)
        ck_abort_msg("%s", promise);
}

static void queue_some(void)
{
    unsigned queued = 0;
    size_t size = 0;
    begin(true);
    for (int i = 0; i < 100; i++) {
        int outcome = smtp_client_queue(&client, SMTP_COMMAND_RSET, span_of("RSET\r\n"));
        must(outcome == 0 || (outcome == -1 && failing_has_failed()), "fails without memory alone");
        queued += outcome == 0;
        size += outcome == 0 ? strlen("RSET\r\n") : 0;
        must(smtp_client_due(&client) == queued, "queued as a whole or not at all");
    }
    must(queued >= 99, "usable after it");
    must(smtp_client_output(&client).size == size, "what was queued is written");
    smtp_client_written(&client, size);
    smtp_client_clear(&client);
}

START_TEST(a_command_that_finds_no_memory_is_not_queued)
{
    WITH_EACH_ALLOCATION_FAILING(queue_some());
}
END_TEST

SUITE(smtp_client)
{
    TEST(without_pipelining_each_command_waits_for_the_reply_before);
    TEST(with_pipelining_the_commands_leave_together);
    TEST(what_is_queued_while_replies_are_due_leaves_at_once_with_pipelining);
    TEST(the_greeting_and_the_end_of_the_text_are_expected_without_a_line);
    TEST(a_queued_command_waits_behind_an_expected_reply);
    TEST(next_is_the_oldest_without_reply);
    TEST(a_reply_of_several_lines_answers_one_command);
    TEST(what_nobody_asked_for_is_an_error);
    TEST(what_comes_before_the_command_was_written_is_an_error);
    TEST(what_comes_behind_the_last_reply_due_is_an_error);
    TEST(nonsense_is_an_error_with_a_reason);
    TEST(no_more_commands_are_taken_than_the_ring_holds);
    TEST(a_line_that_has_no_room_is_not_queued);
    TEST(what_is_written_holds_no_memory);
    TEST(a_client_that_begins_anew_owes_nothing);
    TEST(commands_and_replies_keep_their_order_round_and_round_the_ring);
    TEST(replies_find_their_commands_however_they_are_cut);
    TEST(a_command_that_finds_no_memory_is_not_queued);
}
