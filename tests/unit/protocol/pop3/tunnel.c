#include "protocol/pop3/tunnel.h"

#include "protocol/said.h"
#include "support/splits.h"

/* ---- the model: all bytes are there; what is asked for stands in a row ---- */

enum { WAITING_MAX = POP3_TUNNEL_COMMANDS };

struct asked {
    bool is_multiline[WAITING_MAX];
    size_t count;
};

/* RFC 1939 section 3: a response of many lines ends with the line of a dot alone, and the lines are
 * ended by CRLF. Returns where the body that begins at `start` ends, or the size: not yet. */
static size_t body_end(struct span all, size_t start, bool *is_whole)
{
    for (size_t i = start; i + 3 <= all.size; i++) {
        bool is_line_start =
            i == start || (i >= start + 2 && memcmp(all.data + i - 2, "\r\n", 2) == 0);
        if (is_line_start && memcmp(all.data + i, ".\r\n", 3) == 0) {
            *is_whole = true;
            return i + 3;
        }
    }
    *is_whole = false;
    return all.size;
}

/* How many of the commands are answered by all of these bytes; `is_between`: and nothing more has
 * begun. What comes when nobody has asked is a line of its own. */
static size_t answered_by(const struct asked *asked, struct span all, bool *is_between)
{
    size_t count = 0, at = 0;
    while (at < all.size) {
        const char *end = memchr(all.data + at, '\n', all.size - at);
        *is_between = false;
        if (end == NULL)
            return count;
        bool has_body = count < asked->count && asked->is_multiline[count] && all.data[at] == '+';
        bool is_whole = true;
        at = (size_t)(end - all.data) + 1;
        if (has_body)
            at = body_end(all, at, &is_whole);
        if (!is_whole)
            return count;
        count += count < asked->count;
    }
    *is_between = true;
    return count;
}

/* ---- the tunnel beside it ---- */

struct run {
    const char *commands;
    const struct asked *asked;
    struct span input;
    size_t fed;
    struct pop3_tunnel tunnel;
};

static void restart(void *owner)
{
    struct run *r = owner;
    memset(&r->tunnel, 0, sizeof r->tunnel);
    r->fed = 0;
    struct span in = span_of(r->commands);
    if (pop3_tunnel_commands(&r->tunnel, in) != (ptrdiff_t)in.size)
        ck_abort_msg("the commands don't pass");
}

static void feed(void *owner, struct span piece)
{
    struct run *r = owner;
    bool is_between = true;
    struct leftover exact = {.bytes = NULL};
    pop3_tunnel_responses(&r->tunnel, *leftover_join(&exact, piece));
    leftover_drop(&exact);
    r->fed += piece.size;
    size_t answered = answered_by(r->asked, span_make(r->input.data, r->fed), &is_between);
    if (r->tunnel.waiting != r->asked->count - answered ||
        pop3_tunnel_is_quiet(&r->tunnel) != (is_between && answered == r->asked->count))
        ck_abort_msg("behind <%.*s> %u wait and not %zu, or it is quiet or not", (int)r->fed,
                     r->input.data, r->tunnel.waiting, r->asked->count - answered);
}

static void done(void *owner)
{
    (void)owner; /* it was looked at behind each piece */
}

static void check(const char *commands, const struct asked *asked, struct span responses)
{
    static struct run r;
    r.commands = commands;
    r.asked = asked;
    r.input = responses;
    every_split(responses, restart, feed, done, &r);
}

static const struct asked one_retr = {{true}, 1};

START_TEST(the_example_of_rfc_1939_section_10_is_followed)
{
    static const struct asked asked = {{false, true, true, false, true, false, false}, 7};
    check("STAT\r\nLIST\r\nRETR 1\r\nDELE 1\r\nRETR 2\r\nDELE 2\r\nQUIT\r\n", &asked,
          span_of("+OK 2 320\r\n"
                  "+OK 2 messages (320 octets)\r\n1 120\r\n2 200\r\n.\r\n"
                  "+OK 120 octets\r\nSubject: one\r\n\r\n..dotted\r\n.\r\n"
                  "+OK message 1 deleted\r\n"
                  "+OK 200 octets\r\nSubject: two\r\n\r\n\r\n.\r\n"
                  "+OK message 2 deleted\r\n"
                  "+OK dewey POP3 server signing off (maildrop empty)\r\n"));
}
END_TEST

START_TEST(a_body_ends_with_a_dot_alone_between_crlf_and_nothing_else)
{
    static const char *const bodies[] = {
        ".\r\n",
        "\r\n.\r\n",
        "a\r\n.\r\n",
        "..\r\n.\r\n",
        ".\n.\r\n.\r\n",
        "a\n.\r\n.\r\n",
        "a\r.\r\n.\r\n",
        "a\r\n.\n.\r\n\r\n.\r\n",
        ".\r.\r\n.\r\n",
        ".\r\r\n.\r\n",
        "\r\r\n.\r\n",
        "\r\n\r\n.\r\n",
        "..\r\n..\r\n.\r\n",
        "a.\r\n.\r\n",
        " .\r\n.\r\n",
        ". \r\n.\r\n",
        ".\r\r\n.\r\r\n.\r\n",
        "\n\n.\n\n\r\n.\r\n",
        "\r\n.\r\r\n.\r\n",
        "...\r\n.\r\n",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        static struct said responses;
        say_nothing(&responses);
        say(&responses, "+OK\r\n%s", bodies[i]);
        check("RETR 1\r\n", &one_retr, span_of(responses.text));
    }
}
END_TEST

START_TEST(any_body_is_followed_as_a_naive_reader_does)
{
    static const char alphabet[] = {'\r', '\n', '.', 'a'};
    static const char start[] = "+OK\r\n", end[] = "\r\n.\r\n-ERR\r\n";
    static const struct asked asked = {{true, true}, 2};
    enum { LONGEST = 6 };
    char responses[sizeof start + LONGEST + sizeof end];
    memcpy(responses, start, sizeof start - 1);
    for (size_t size = 0; size <= LONGEST; size++) {
        for (unsigned n = 0; n < 1U << (2 * size); n++) {
            for (size_t i = 0; i < size; i++)
                responses[sizeof start - 1 + i] = alphabet[n >> (2 * i) & 3];
            memcpy(responses + sizeof start - 1 + size, end, sizeof end - 1);
            check("RETR 1\r\nRETR 2\r\n", &asked,
                  span_make(responses, sizeof start - 1 + size + sizeof end - 1));
        }
    }
}
END_TEST

/* Long enough for what looks at sixteen octets at a time. */
START_TEST(a_long_body_is_followed_as_a_naive_reader_does)
{
    static const char *const words[] = {
        "\r\n", "\r\n", ".",    "..",    "\n",
        "\r",   "a",    "text", "\r\n.", "a line of some length that goes on\r\n"};
    static struct said responses;
    uint32_t seed = 37;
    for (int round = 0; round < 150; round++) {
        say_nothing(&responses);
        say(&responses, "+OK\r\n");
        for (int n = 0; n < 40; n++)
            say(&responses, "%s", words[next_random(&seed) % (sizeof words / sizeof *words)]);
        say(&responses, "\r\n.\r\n");
        check("RETR 1\r\n", &one_retr, span_of(responses.text));
    }
}
END_TEST

START_TEST(a_body_in_pieces_of_any_size_ends_where_it_ends)
{
    static char body[100000];
    uint32_t seed = 41;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = "\r\n.a"[next_random(&seed) % 4];
    memcpy(body, "+OK\r\n", 5);
    for (int round = 0; round < 20; round++) {
        static struct pop3_tunnel t;
        bool is_between = true;
        size_t fed = 0;
        memset(&t, 0, sizeof t);
        ck_assert_int_eq(pop3_tunnel_commands(&t, span_of("RETR 1\r\n")), 8);
        bool is_whole = false;
        size_t end = body_end(span_make(body, sizeof body), 5, &is_whole);
        ck_assert(is_whole);
        while (fed < end) {
            size_t size = 1 + next_random(&seed) % (round < 10 ? 3 : 200);
            size = size < end - fed ? size : end - fed;
            pop3_tunnel_responses(&t, span_make(body + fed, size));
            fed += size;
            ck_assert_int_eq(pop3_tunnel_is_quiet(&t), fed == end);
        }
        (void)answered_by(&one_retr, span_make(body, end), &is_between);
        ck_assert(is_between);
    }
}
END_TEST

START_TEST(a_refused_command_has_no_body)
{
    static const struct asked asked = {{true, true, false}, 3};
    check("RETR 1\r\nLIST\r\nNOOP\r\n", &asked,
          span_of("-ERR no such message\r\n+OK\r\n1 120\r\n.\r\n+OK\r\n"));
}
END_TEST

/* Which responses go on behind +OK: RFC 1939 sections 5 and 7, RFC 2449 section 5. */
START_TEST(the_responses_of_many_lines_are_known)
{
    static const struct {
        const char *command;
        bool is_multiline;
    } cases[] = {
        {"LIST\r\n", true},   {"LIST \r\n", true},   {"list\r\n", true},     {"LIST 1\r\n", false},
        {"UIDL\r\n", true},   {"UIDL 1\r\n", false}, {"uidl 2\r\n", false},  {"RETR 1\r\n", true},
        {"retr 1\r\n", true}, {"TOP 1 0\r\n", true}, {"Top 1 10\r\n", true}, {"CAPA\r\n", true},
        {"STAT\r\n", false},  {"DELE 1\r\n", false}, {"NOOP\r\n", false},    {"RSET\r\n", false},
        {"QUIT\r\n", false},  {"LISTS\r\n", false},  {"\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct pop3_tunnel t;
        struct span in = span_of(cases[i].command);
        memset(&t, 0, sizeof t);
        ck_assert_int_eq(pop3_tunnel_commands(&t, in), in.size);
        pop3_tunnel_responses(&t, span_of("+OK\r\n"));
        ck_assert_msg(pop3_tunnel_is_quiet(&t) == !cases[i].is_multiline, "%s", cases[i].command);
        if (cases[i].is_multiline)
            pop3_tunnel_responses(&t, span_of("1 120\r\n.\r\n"));
        ck_assert_msg(pop3_tunnel_is_quiet(&t), "%s", cases[i].command);
    }
}
END_TEST

/* RFC 6856 section 3.2: LANG alone lists the languages; a mailbox behind may well know it. */
START_TEST(lang_alone_has_a_response_of_many_lines)
{
    static struct pop3_tunnel t;
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_of("LANG\r\nLANG en\r\n")), 15);
    pop3_tunnel_responses(&t, span_of("+OK Language listing follows:\r\nen English\r\n"));
    ck_assert_uint_eq(t.waiting, 2);
    pop3_tunnel_responses(&t, span_of(".\r\n+OK en\r\n"));
    ck_assert(pop3_tunnel_is_quiet(&t));
}
END_TEST

START_TEST(a_new_tunnel_is_quiet)
{
    static const struct pop3_tunnel t;
    ck_assert(pop3_tunnel_is_quiet(&t));
}
END_TEST

START_TEST(lines_that_nobody_asked_for_answer_nothing)
{
    static const struct asked none = {{false}, 0};
    check("", &none, span_of("+OK hello\r\n-ERR [SYS/TEMP] going down\r\n.\r\n\r\nx\r\n"));
    static struct pop3_tunnel t;
    pop3_tunnel_responses(&t, span_of("-ERR going down\r\n"));
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_of("RETR 1\r\n")), 8);
    ck_assert_uint_eq(t.waiting, 1);
    pop3_tunnel_responses(&t, span_of("+OK\r\n.\r\n"));
    ck_assert(pop3_tunnel_is_quiet(&t));
}
END_TEST

START_TEST(half_a_line_is_not_quiet)
{
    static struct pop3_tunnel t;
    pop3_tunnel_responses(&t, span_of("+O"));
    ck_assert(!pop3_tunnel_is_quiet(&t));
    pop3_tunnel_responses(&t, span_of("K\r\n"));
    ck_assert(pop3_tunnel_is_quiet(&t));
}
END_TEST

/* ---- commands ---- */

START_TEST(whole_commands_pass_and_the_piece_behind_them_waits)
{
    static const struct {
        const char *input;
        ptrdiff_t passes;
        unsigned waiting;
    } cases[] = {
        {"", 0, 0},         {"NOO", 0, 0},        {"NOOP\r", 0, 0},
        {"NOOP\r\n", 6, 1}, {"NOOP\r\nST", 6, 1}, {"NOOP\r\nSTAT\r\nRETR 1\r\nDE", 20, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct pop3_tunnel t;
        struct leftover exact = {.bytes = NULL};
        memset(&t, 0, sizeof t);
        ck_assert_int_eq(pop3_tunnel_commands(&t, *leftover_join(&exact, span_of(cases[i].input))),
                         cases[i].passes);
        ck_assert_uint_eq(t.waiting, cases[i].waiting);
        leftover_drop(&exact);
    }
}
END_TEST

struct commands {
    struct pop3_tunnel tunnel;
    struct leftover in;
    size_t passed;
};

static void restart_commands(void *owner)
{
    struct commands *c = owner;
    memset(&c->tunnel, 0, sizeof c->tunnel);
    leftover_drop(&c->in);
    c->passed = 0;
}

static void feed_commands(void *owner, struct span piece)
{
    struct commands *c = owner;
    struct span *in = leftover_join(&c->in, piece);
    ptrdiff_t size = pop3_tunnel_commands(&c->tunnel, *in);
    if (size < 0 || (size_t)size > in->size)
        ck_abort_msg("%td pass", size);
    c->passed += (size_t)size;
    span_skip(in, (size_t)size);
}

static void done_commands(void *owner)
{
    struct commands *c = owner;
    if (c->passed != 50 || c->in.rest.size != 3 || c->tunnel.waiting != 7)
        ck_abort_msg("%zu pass, %u wait", c->passed, c->tunnel.waiting);
}

START_TEST(commands_pass_however_they_are_cut)
{
    static struct commands c;
    static const char input[] = "STAT\r\nRETR 1\r\nDELE 1\r\nretr 2\r\nDele 2\r\nNOOP\r\nQUIT\r\n"
                                "RET";
    every_split(span_of(input), restart_commands, feed_commands, done_commands, &c);
    leftover_drop(&c.in);
}
END_TEST

START_TEST(no_more_commands_pass_than_may_wait)
{
    static struct said input;
    static struct pop3_tunnel t;
    for (int i = 0; i < 3 * WAITING_MAX; i++)
        say(&input, "NOOP\r\n");
    struct span in = span_of(input.text);
    ptrdiff_t size = pop3_tunnel_commands(&t, in);
    ck_assert_int_eq(size, WAITING_MAX * 6);
    ck_assert_uint_eq(t.waiting, WAITING_MAX);
    span_skip(&in, (size_t)size);
    ck_assert_int_eq(pop3_tunnel_commands(&t, in), 0);
    pop3_tunnel_responses(&t, span_of("+OK\r\n+OK\r\n"));
    ck_assert_int_eq(pop3_tunnel_commands(&t, in), 12);
    ck_assert_int_eq(pop3_tunnel_commands(&t, in), 0);
}
END_TEST

START_TEST(commands_and_responses_keep_their_order_round_and_round_the_ring)
{
    static struct pop3_tunnel t;
    static bool is_multiline[20000];
    size_t first = 0, end = 0;
    uint32_t seed = 43;
    for (int step = 0; step < 20000; step++) {
        bool is_filling = step / 150 % 2 == 0;
        if (next_random(&seed) % 4 < (is_filling ? 3U : 1U)) {
            bool is_retr = next_random(&seed) % 2 == 0;
            ptrdiff_t size = pop3_tunnel_commands(&t, span_of(is_retr ? "RETR 1\r\n" : "NOOP\r\n"));
            ck_assert_int_eq(size != 0, end - first < WAITING_MAX);
            if (size != 0)
                is_multiline[end++] = is_retr;
        } else if (end > first) {
            pop3_tunnel_responses(&t, span_of("+OK\r\n"));
            if (is_multiline[first])
                pop3_tunnel_responses(&t, span_of("+OK\r\n..\r\n.\r\n"));
            first++;
        }
        ck_assert_uint_eq(t.waiting, end - first);
        ck_assert_int_eq(pop3_tunnel_is_quiet(&t), end == first);
    }
}
END_TEST

/* A server without PIPELINING (RFC 2449 section 6.6). */
START_TEST(one_by_one_a_command_waits_for_the_response_to_the_one_before)
{
    static struct pop3_tunnel t;
    memset(&t, 0, sizeof t);
    t.is_one_by_one = true;
    ck_assert(!pop3_tunnel_is_full(&t));
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_of("RETR 1\r\nNOOP\r\n")), 8);
    ck_assert(pop3_tunnel_is_full(&t));
    pop3_tunnel_responses(&t, span_of("+OK\r\nhello\r\n"));
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_of("NOOP\r\n")), 0);
    pop3_tunnel_responses(&t, span_of(".\r\n"));
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_of("NOOP\r\n")), 6);
}
END_TEST

/* ---- what is counted ---- */

static const struct {
    const char *commands, *responses;
    uint32_t retrieved, deleted;
    bool has_quit;
} sessions[] = {
    {"RETR 1\r\nretr 2\r\nDele 1\r\nQUIT\r\n", "+OK\r\n.\r\n+OK\r\n.\r\n+OK\r\n+OK\r\n", 2, 1,
     true},
    {"RETR 1\r\nDELE 1\r\nQUIT\r\n", "-ERR no\r\n-ERR no\r\n-ERR no\r\n", 0, 0, false},
    {"RETR 1\r\nDELE 1\r\n", "+OK\r\nhalf of it\r\n", 0, 0, false}, /* lost in the middle */
    {"DELE 1\r\nDELE 2\r\nRSET\r\nDELE 3\r\nQUIT\r\n", "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n", 0, 1,
     true},
    {"DELE 1\r\nRSET\r\n", "+OK\r\n-ERR no\r\n", 0, 1, false},
    {"RETRO 1\r\nDELETE 1\r\nTOP 1 0\r\nQUIT now\r\n", "+OK\r\n+OK\r\n+OK\r\n.\r\n+OK\r\n", 0, 0,
     true},
};

START_TEST(what_was_read_and_marked_is_counted_when_it_is_answered)
{
    static struct pop3_tunnel t;
    memset(&t, 0, sizeof t);
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_of(sessions[_i].commands)),
                     strlen(sessions[_i].commands));
    ck_assert_uint_eq(t.retrieved + t.deleted, 0);
    pop3_tunnel_responses(&t, span_of(sessions[_i].responses));
    ck_assert_uint_eq(t.retrieved, sessions[_i].retrieved);
    ck_assert_uint_eq(t.deleted, sessions[_i].deleted);
    ck_assert_int_eq(t.has_quit, sessions[_i].has_quit);
}
END_TEST

static bool is_junk_after(struct pop3_tunnel *t, unsigned count, const char *response)
{
    for (; count > 0; count--) {
        ck_assert_int_eq(pop3_tunnel_commands(t, span_of("FOO\r\n")), 5);
        pop3_tunnel_responses(t, span_of(response));
    }
    return pop3_tunnel_is_junk(t);
}

START_TEST(nothing_but_errors_a_hundred_times_is_junk)
{
    static struct pop3_tunnel t;
    memset(&t, 0, sizeof t);
    ck_assert(!is_junk_after(&t, 99, "-ERR what?\r\n"));
    ck_assert(!is_junk_after(&t, 1, "+OK\r\n"));
    ck_assert(!is_junk_after(&t, 99, "-ERR what?\r\n"));
    ck_assert(is_junk_after(&t, 1, "-ERR what?\r\n"));
}
END_TEST

START_TEST(a_line_of_more_than_255_octets_ends_the_session)
{
    static struct pop3_tunnel t;
    static char line[4000];
    memset(&t, 0, sizeof t);
    memset(line, 'x', sizeof line);
    memcpy(line + 253, "\r\n", 2);
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_make(line, 255)), 255);
    memset(line, 'x', sizeof line);
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_make(line, 255)), 0);
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_make(line, 256)), -1);
    memcpy(line + 254, "\r\n", 2);
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_make(line, 256)), -1);
    memcpy(line, "NOOP\r\n", 6);
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_make(line, 256)), 256);
    memset(line + 6, 'x', sizeof line - 6);
    ck_assert_int_eq(pop3_tunnel_commands(&t, span_make(line, 262)), 6); /* what is before passes */
}
END_TEST

SUITE(pop3_tunnel)
{
    TEST(the_example_of_rfc_1939_section_10_is_followed);
    TEST(a_body_ends_with_a_dot_alone_between_crlf_and_nothing_else);
    TEST(any_body_is_followed_as_a_naive_reader_does);
    TEST(a_long_body_is_followed_as_a_naive_reader_does);
    TEST(a_body_in_pieces_of_any_size_ends_where_it_ends);
    TEST(a_refused_command_has_no_body);
    TEST(the_responses_of_many_lines_are_known);
    TEST(lang_alone_has_a_response_of_many_lines);
    TEST(a_new_tunnel_is_quiet);
    TEST(lines_that_nobody_asked_for_answer_nothing);
    TEST(half_a_line_is_not_quiet);
    TEST(whole_commands_pass_and_the_piece_behind_them_waits);
    TEST(commands_pass_however_they_are_cut);
    TEST(no_more_commands_pass_than_may_wait);
    TEST(commands_and_responses_keep_their_order_round_and_round_the_ring);
    TEST(one_by_one_a_command_waits_for_the_response_to_the_one_before);
    LOOP_TEST(what_was_read_and_marked_is_counted_when_it_is_answered, sessions);
    TEST(nothing_but_errors_a_hundred_times_is_junk);
    TEST(a_line_of_more_than_255_octets_ends_the_session);
}
