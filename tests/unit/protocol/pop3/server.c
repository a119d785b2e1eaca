#include "protocol/pop3/server.h"

#include "protocol/said.h"
#include "support/splits.h"

/* A session as small as can be: it takes STLS; the password or response "Z29vZA==" logs in, which
 * ends the talk, "YmFk" is wrong, other responses are asked for more. */
struct talk {
    struct span input;
    const char *expected;
    enum pop3_state begins;
    struct pop3_server server;
    struct leftover in;
    bool is_over;
    struct said said;
};

static void say_refusal(struct said *said, const struct pop3_event *event)
{
    static const char *const names[POP3_REPLY_COUNT] = {
        [POP3_REPLY_starttls_first] = "STLS first",   [POP3_REPLY_tls_active] = "TLS already",
        [POP3_REPLY_user_first] = "USER first",       [POP3_REPLY_login_first] = "login first",
        [POP3_REPLY_bad_argument] = "wrong argument", [POP3_REPLY_unknown_command] = "unknown",
        [POP3_REPLY_line_too_long] = "too long",      [POP3_REPLY_line_bare] = "bad line",
        [POP3_REPLY_no_mail_client] = "no client",
    };
    if (names[event->refusal] == NULL)
        ck_abort_msg("an unexpected refusal: %d", (int)event->refusal);
    say(said, "%s\n", names[event->refusal]);
}

static void say_text(struct said *said, const char *what, struct span text)
{
    say(said, "%s <", what);
    say_bytes(said, text);
    say(said, ">");
}

static void say_event(struct said *said, const struct pop3_event *event)
{
    switch (event->kind) {
    case POP3_EVENT_CAPA: say(said, "CAPA"); break;
    case POP3_EVENT_STLS: say(said, "STLS"); break;
    case POP3_EVENT_UTF8: say(said, "UTF8"); break;
    case POP3_EVENT_USER: say_text(said, "USER", event->text); break;
    case POP3_EVENT_PASS: say_text(said, "PASS", event->text); break;
    case POP3_EVENT_AUTH:
        say_text(said, "AUTH", event->text);
        if (event->has_response)
            say_text(said, " with", event->response);
        break;
    case POP3_EVENT_AUTH_RESPONSE: say_text(said, "response", event->response); break;
    case POP3_EVENT_AUTH_CANCEL: say(said, "cancelled"); break;
    case POP3_EVENT_QUIT: say(said, "QUIT"); break;
    case POP3_EVENT_REFUSED: say_refusal(said, event); return;
    }
    say(said, "\n");
}

static void judge(struct talk *t, struct span secret)
{
    t->is_over = span_equals(secret, "Z29vZA==");
    if (span_equals(secret, "YmFk"))
        pop3_server_login_ended(&t->server);
}

static void answer(struct talk *t, const struct pop3_event *event)
{
    switch (event->kind) {
    case POP3_EVENT_STLS: pop3_server_secured(&t->server); break;
    case POP3_EVENT_PASS: judge(t, event->text); break;
    case POP3_EVENT_AUTH:
    case POP3_EVENT_AUTH_RESPONSE: judge(t, event->response); break;
    case POP3_EVENT_AUTH_CANCEL: pop3_server_login_ended(&t->server); break;
    case POP3_EVENT_REFUSED:
        if (t->server.state == POP3_IN_AUTH)
            pop3_server_login_ended(&t->server);
        break;
    case POP3_EVENT_QUIT: t->is_over = true; break;
    default: break;
    }
}

static void restart(void *owner)
{
    struct talk *t = owner;
    leftover_drop(&t->in);
    t->server = (struct pop3_server){.state = t->begins};
    t->is_over = false;
    say_nothing(&t->said);
}

static void feed(void *owner, struct span piece)
{
    struct talk *t = owner;
    struct pop3_event event;
    struct span *in = leftover_join(&t->in, piece);
    while (!t->is_over && pop3_server_next(&t->server, in, &event) == 1) {
        say_event(&t->said, &event);
        answer(t, &event);
    }
}

static void done(void *owner)
{
    struct talk *t = owner;
    said_is(&t->said, t->expected, t->input.data);
}

static void check(enum pop3_state begins, struct span input, const char *expected)
{
    static struct talk t;
    t.begins = begins;
    t.input = input;
    t.expected = expected;
    every_split(input, restart, feed, done, &t);
    leftover_drop(&t.in);
}

static const struct conversation {
    enum pop3_state begins;
    const char *input, *events;
} conversations[] = {
    /* RFC 1939 section 7 and 10 */
    {POP3_READY, "USER mrose\r\nPASS Z29vZA==\r\n", "USER <mrose>\nPASS <Z29vZA==>\n"},
    {POP3_READY, "USER frated\r\nPASS YmFk\r\nUSER mrose\r\nPASS Z29vZA==\r\n",
     "USER <frated>\nPASS <YmFk>\nUSER <mrose>\nPASS <Z29vZA==>\n"},
    {POP3_READY, "QUIT\r\n", "QUIT\n"},
    /* RFC 6856 section 2 */
    {POP3_READY, "UTF8\r\nutf8 x\r\nUSER a\r\nUTF8\r\nPASS Z29vZA==\r\n",
     "UTF8\nwrong argument\nUSER <a>\nUTF8\nPASS <Z29vZA==>\n"},
    {POP3_CLEAR, "UTF8\r\n", "STLS first\n"},
    {POP3_READY, "USER mrose\r\nQUIT\r\n", "USER <mrose>\nQUIT\n"},
    {POP3_READY, "user a\r\nUsEr b\r\npass YmFk\r\nquit\r\n",
     "USER <a>\nUSER <b>\nPASS <YmFk>\nQUIT\n"},
    /* a password may have spaces, and any at its ends (RFC 1939 section 7) */
    {POP3_READY, "USER a\r\nPASS  two  words \r\n", "USER <a>\nPASS < two  words >\n"},
    {POP3_READY, "USER a\r\nPASS \r\nPASS\r\n", "USER <a>\nPASS <>\nPASS <>\n"},
    {POP3_READY, "USER  ana@example.com \r\n", "USER <ana@example.com>\n"},
    {POP3_READY, "USER j\xc3\xb6rg\r\nPASS \xf6\xff\r\n", "USER <j\xc3\xb6rg>\nPASS <\xf6\xff>\n"},
    {POP3_READY, "USER\r\nUSER \r\nPASS x\r\n", "wrong argument\nwrong argument\nUSER first\n"},
    {POP3_READY, "PASS x\r\nUSER a\r\nPASS YmFk\r\nPASS x\r\n",
     "USER first\nUSER <a>\nPASS <YmFk>\nUSER first\n"},
    /* RFC 2449 */
    {POP3_READY, "CAPA\r\nUSER a\r\nCAPA\r\nPASS Z29vZA==\r\n",
     "CAPA\nUSER <a>\nCAPA\nPASS <Z29vZA==>\n"},
    {POP3_CLEAR, "CAPA\r\n", "CAPA\n"},
    /* RFC 2595 section 4: what comes before STLS, and behind it */
    {POP3_CLEAR, "USER a\r\nPASS x\r\nAUTH PLAIN Z29vZA==\r\nAUTH\r\nSTLS\r\nUSER a\r\nSTLS\r\n",
     "STLS first\nSTLS first\nSTLS first\nSTLS first\nSTLS\nUSER <a>\nTLS already\n"},
    {POP3_CLEAR, "STLS now\r\nstls\r\n", "wrong argument\nSTLS\n"},
    {POP3_CLEAR, "STAT\r\nQUIT\r\n", "STLS first\nQUIT\n"},
    {POP3_READY, "STLS\r\n", "TLS already\n"},
    /* RFC 5034 section 5 */
    {POP3_READY, "AUTH PLAIN dGVzdAB0ZXN0AHRlc3Q=\r\nYmFk\r\n",
     "AUTH <PLAIN> with <dGVzdAB0ZXN0AHRlc3Q=>\nresponse <YmFk>\n"},
    {POP3_READY, "AUTH PLAIN\r\nZ29vZA==\r\n", "AUTH <PLAIN>\nresponse <Z29vZA==>\n"},
    {POP3_READY, "AUTH DIGEST-MD5\r\nY2hhcnNldD11dGYtOA==\r\n\r\nYmFk\r\nUSER a\r\n",
     "AUTH <DIGEST-MD5>\nresponse <Y2hhcnNldD11dGYtOA==>\nresponse <>\nresponse <YmFk>\nUSER "
     "<a>\n"},
    {POP3_READY, "AUTH PLAIN\r\n*\r\nAUTH EXTERNAL =\r\n*\r\nUSER a\r\n",
     "AUTH <PLAIN>\ncancelled\nAUTH <EXTERNAL> with <=>\ncancelled\nUSER <a>\n"},
    {POP3_READY, "AUTH\r\nAUTH \r\nCAPA\r\n", "AUTH <>\nAUTH <>\nCAPA\n"},
    {POP3_READY, "AUTH PLAIN\r\nQUIT\r\nCAPA\r\nYmFk\r\nQUIT\r\n",
     "AUTH <PLAIN>\nresponse <QUIT>\nresponse <CAPA>\nresponse <YmFk>\nQUIT\n"},
    {POP3_READY, "USER a\r\nAUTH PLAIN\r\nYmFk\r\nPASS x\r\n",
     "USER <a>\nAUTH <PLAIN>\nresponse <YmFk>\nUSER first\n"},
    /* what needs a login */
    {POP3_READY,
     "STAT\r\nLIST\r\nLIST 1\r\nRETR 1\r\nDELE 1\r\nNOOP\r\nRSET\r\nTOP 1 0\r\nUIDL\r\nretr 1\r\n",
     "login first\nlogin first\nlogin first\nlogin first\nlogin first\nlogin first\nlogin first\n"
     "login first\nlogin first\nlogin first\n"},
    /* what is no command */
    {POP3_READY, "\r\nXTND\r\nAPOP a b\r\n CAPA\r\nCAPAS\r\nEHLO c\r\nCAPA\r\n",
     "unknown\nunknown\nunknown\nunknown\nunknown\nunknown\nCAPA\n"},
    /* who speaks HTTP */
    {POP3_READY, "GET / HTTP/1.1\r\npost /\r\nPRI * HTTP/2.0\r\nGETS\r\n",
     "no client\nno client\nno client\nunknown\n"},
    {POP3_CLEAR, "CONNECT x:110 HTTP/1.1\r\n", "no client\n"},
    {POP3_CLEAR, "Host: mail\r\nX:\r\n:\r\nHost :x\r\n",
     "no client\nno client\nunknown\nunknown\n"},
    /* lines: LF alone, CR alone, control characters; the next is whole */
    {POP3_READY, "CAPA\nCAPA\r\n", "bad line\nCAPA\n"},
    {POP3_READY, "CA\rPA\r\nCAPA\r\r\nCAPA\r\n", "bad line\nbad line\nCAPA\n"},
    {POP3_READY, "USER a\tb\r\nUSER \x1b[2J\r\nUSER a\x7f\r\nCAPA\r\n",
     "bad line\nbad line\nbad line\nCAPA\n"},
    {POP3_READY, "AUTH PLAIN\r\nYW\nCAPA\r\n", "AUTH <PLAIN>\nbad line\nCAPA\n"},
    {POP3_READY, "USER a\r\nPASS x\nPASS YmFk\r\n", "USER <a>\nbad line\nPASS <YmFk>\n"},
    {POP3_READY, "CAP", ""},
    {POP3_READY, "CAPA\r", ""},
};

START_TEST(a_conversation_gives_the_same_events_however_it_is_cut)
{
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
        check(conversations[i].begins, span_of(conversations[i].input), conversations[i].events);
}
END_TEST

static struct span padded(char *out, const char *start, size_t size)
{
    memset(out, 'x', size);
    memcpy(out, start, strlen(start));
    memcpy(out + size - 2, "\r\n", 2);
    return span_make(out, size);
}

/* RFC 2449 section 4. */
START_TEST(a_command_of_255_octets_is_taken)
{
    static char line[300];
    static struct said expected;
    struct span input = padded(line, "USER ", 255);
    say(&expected, "USER <%.*s>\n", 255 - 7, line + 5);
    check(POP3_READY, input, expected.text);
}
END_TEST

START_TEST(a_command_that_is_too_long_is_refused_and_the_next_is_whole)
{
    static const size_t sizes[] = {256, 300, 2500};
    static char line[3000];
    struct span input = padded(line, "USER ", sizes[_i]);
    memcpy(line + input.size, "CAPA\r\n", 6);
    check(POP3_READY, span_make(line, input.size + 6), "too long\nCAPA\n");
}
END_TEST

START_TEST(a_response_may_be_longer_than_a_command)
{
    static char line[6000];
    static struct said input, expected;
    struct span response = padded(line, "", 5000);
    say(&input, "AUTH PLAIN\r\n");
    say_bytes(&input, response);
    say(&expected, "AUTH <PLAIN>\nresponse <%.*s>\n", (int)response.size - 2, line);
    check(POP3_READY, span_of(input.text), expected.text);
}
END_TEST

START_TEST(an_initial_response_may_be_longer_than_a_command)
{
    static char line[6000];
    static struct said expected;
    struct span input = padded(line, "auth PLAIN ", 5000);
    say(&expected, "AUTH <PLAIN> with <%.*s>\n", 5000 - 13, line + 11);
    check(POP3_READY, input, expected.text);
}
END_TEST

START_TEST(a_response_that_is_too_long_is_refused_and_the_next_line_is_whole)
{
    static char line[14000];
    static struct talk t;
    struct span response = padded(line, "", 13000);
    t.begins = POP3_READY;
    for (size_t cut = 0; cut < response.size; cut += 499) {
        restart(&t);
        feed(&t, span_of("AUTH PLAIN\r\n"));
        feed(&t, span_make(response.data, cut));
        feed(&t, span_make(response.data + cut, response.size - cut));
        feed(&t, span_of("CAPA\r\n"));
        ck_assert_str_eq(t.said.text, "AUTH <PLAIN>\ntoo long\nCAPA\n");
    }
    leftover_drop(&t.in);
}
END_TEST

START_TEST(a_nul_or_another_control_character_is_no_part_of_a_command)
{
    static char input[] = "USER ?\r\nCAPA\r\n";
    for (char c = 0; c < 32; c++) {
        input[5] = c;
        if (c != '\n')
            check(POP3_READY, span_make(input, sizeof input - 1), "bad line\nCAPA\n");
    }
}
END_TEST

/* What a control character is part of may be a password: a refusal doesn't repeat it. */
START_TEST(a_refusal_does_not_repeat_the_line)
{
    static const char *const lines[] = {"PASS secret\x01\r\n", "PASS secret\n", "secret\r\n",
                                        "PASS secret\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct pop3_server s = {.state = POP3_READY};
        struct pop3_event event;
        struct span in = span_of(lines[i]);
        ck_assert_int_eq(pop3_server_next(&s, &in, &event), 1);
        ck_assert_int_eq(event.kind, POP3_EVENT_REFUSED);
        ck_assert_uint_eq(event.text.size, 0);
        ck_assert_uint_eq(event.response.size, 0);
    }
}
END_TEST

START_TEST(tls_makes_forget_what_was_said_before)
{
    static struct talk t;
    static char junk[5000];
    struct pop3_event event;
    memset(junk, 'x', sizeof junk);
    t.begins = POP3_CLEAR;
    restart(&t);
    struct span in = span_of("STLS\r\n");
    ck_assert_int_eq(pop3_server_next(&t.server, &in, &event), 1);
    ck_assert_int_eq(event.kind, POP3_EVENT_STLS);
    in = span_make(junk, sizeof junk); /* pipelined behind it, and then thrown away */
    ck_assert_int_eq(pop3_server_next(&t.server, &in, &event), 0);
    pop3_server_secured(&t.server);
    feed(&t, span_of("PASS x\r\nCAPA\r\n"));
    ck_assert_str_eq(t.said.text, "USER first\nCAPA\n");
    leftover_drop(&t.in);
}
END_TEST

START_TEST(what_an_event_tells_lies_in_the_input)
{
    static const char line[] = "AUTH PLAIN AAAA\r\nCAPA\r\n";
    struct pop3_server s = {.state = POP3_READY};
    struct pop3_event event;
    struct span in = span_of(line);
    ck_assert_int_eq(pop3_server_next(&s, &in, &event), 1);
    ck_assert_ptr_eq(event.text.data, line + 5);
    ck_assert_ptr_eq(event.response.data, line + 11);
    ck_assert(span_equals(in, "CAPA\r\n"));
    ck_assert_int_eq(s.state, POP3_IN_AUTH);
}
END_TEST

START_TEST(random_words_say_the_same_however_they_are_cut)
{
    static const char *const words[] = {"USER ",    "PASS ",    "AUTH ", "PLAIN ", "CAPA\r\n",
                                        "Z29vZA==", "YmFk\r\n", "\r\n",  "\r",     "\n",
                                        " ",        "*\r\n",    "STLS",  "x",      "STAT\r\n"};
    static const enum pop3_state begins[] = {POP3_CLEAR, POP3_READY, POP3_HAS_USER, POP3_IN_AUTH};
    static struct said input, whole;
    static struct talk t;
    uint32_t seed = 31;
    for (int round = 0; round < 3000; round++) {
        say_nothing(&input);
        t.begins = begins[round % 4];
        for (unsigned n = next_random(&seed) % 12; n > 0; n--)
            say(&input, "%s", words[next_random(&seed) % (sizeof words / sizeof *words)]);
        restart(&t);
        feed(&t, span_of(input.text));
        whole = t.said;
        check(t.begins, span_of(input.text), whole.text);
    }
    leftover_drop(&t.in);
}
END_TEST

SUITE(pop3_server)
{
    TEST(a_conversation_gives_the_same_events_however_it_is_cut);
    TEST(a_command_of_255_octets_is_taken);
    tcase_add_loop_test(tests, a_command_that_is_too_long_is_refused_and_the_next_is_whole, 0, 3);
    TEST(a_response_may_be_longer_than_a_command);
    TEST(an_initial_response_may_be_longer_than_a_command);
    TEST(a_response_that_is_too_long_is_refused_and_the_next_line_is_whole);
    TEST(a_nul_or_another_control_character_is_no_part_of_a_command);
    TEST(a_refusal_does_not_repeat_the_line);
    TEST(tls_makes_forget_what_was_said_before);
    TEST(what_an_event_tells_lies_in_the_input);
    TEST(random_words_say_the_same_however_they_are_cut);
}
