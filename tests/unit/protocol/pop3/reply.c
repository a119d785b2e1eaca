#include "protocol/pop3/reply.h"

#include "protocol/said.h"
#include "support/splits.h"

static char text[2048];

/* What is appended, with its NUL, in `text`. */
static const char *own(enum pop3_reply_name name, const char *argument, const char *id)
{
    struct buffer out = {.limit = sizeof text - 1};
    ck_assert_int_eq(pop3_reply_append(name, argument, id, &out), 0);
    (void)span_copy(buffer_bytes(&out), text, sizeof text);
    buffer_clear(&out);
    return text;
}

static bool starts(const char *line, const char *start)
{
    return strncmp(line, start, strlen(start)) == 0;
}

/* RFC 1939 section 3: status indicator, keyword, CRLF, 512 octets; AUTH's "+ " of RFC 5034. */
START_TEST(every_reply_of_ours_is_a_line_of_rfc_1939)
{
    for (int name = 0; name < POP3_REPLY_COUNT; name++) {
        const char *line = own((enum pop3_reply_name)name, "argument", "0123456789abcdef");
        size_t size = strlen(line);
        ck_assert_uint_le(size, 512);
        ck_assert_str_eq(line + size - 2, "\r\n");
        ck_assert_msg(starts(line, "+OK\r") || starts(line, "+OK ") || starts(line, "-ERR ") ||
                          (name == POP3_REPLY_auth_continue && starts(line, "+ ")),
                      "%s", line);
        for (size_t i = 0; i < size - 2; i++)
            ck_assert_msg(line[i] >= 32 && line[i] < 127, "%s", line);
    }
}
END_TEST

/* RFC 3206 and 2449: wrong credentials are [AUTH], and nothing else is; what passes is [SYS/TEMP].
 */
START_TEST(a_failure_has_the_code_of_its_kind)
{
    static const enum pop3_reply_name passing[] = {
        POP3_REPLY_auth_unavailable, POP3_REPLY_auth_banned,     POP3_REPLY_full,
        POP3_REPLY_crowded,          POP3_REPLY_greeting_banned, POP3_REPLY_banned,
        POP3_REPLY_shutting_down,    POP3_REPLY_kicked,          POP3_REPLY_out_of_memory,
        POP3_REPLY_upstream_busy,    POP3_REPLY_upstream_down,   POP3_REPLY_upstream_refuses,
        POP3_REPLY_limit_connection};
    for (int name = 0; name < POP3_REPLY_COUNT; name++) {
        const char *line = own((enum pop3_reply_name)name, "x", NULL);
        bool is_temporary = false;
        for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
            is_temporary = is_temporary || name == (int)passing[i];
        ck_assert_msg(starts(line, "-ERR [AUTH] ") == (name == POP3_REPLY_auth_invalid ||
                                                       name == POP3_REPLY_mailbox_refused_login),
                      "%s", line);
        ck_assert_msg(starts(line, "-ERR [SYS/TEMP] ") == is_temporary, "%s", line);
    }
}
END_TEST

START_TEST(the_id_stands_behind_refusals_alone)
{
    for (int name = 0; name < POP3_REPLY_COUNT; name++) {
        const char *line = own((enum pop3_reply_name)name, "x", "the-id");
        ck_assert_msg((strstr(line, "the-id") != NULL) == starts(line, "-ERR"), "%s", line);
    }
    ck_assert_ptr_null(strchr(own(POP3_REPLY_unknown_command, NULL, NULL), '('));
}
END_TEST

START_TEST(the_argument_stands_where_the_text_wants_it)
{
    ck_assert_str_eq(own(POP3_REPLY_auth_continue, "UGFzc3dvcmQ6", "ID"), "+ UGFzc3dvcmQ6\r\n");
    ck_assert_str_eq(own(POP3_REPLY_auth_continue, NULL, "ID"), "+ \r\n");
    ck_assert_str_eq(own(POP3_REPLY_greeting, "mail.example.com", "ID"),
                     "+OK mail.example.com POP3 ready\r\n");
    ck_assert_str_eq(own(POP3_REPLY_mailbox_refused, "[IN-USE] %s%n", NULL),
                     "-ERR [IN-USE] %s%n\r\n");
}
END_TEST

START_TEST(what_is_not_printable_is_masked)
{
    char all[256];
    for (int c = 1; c < 256; c++)
        all[c - 1] = (char)c;
    all[255] = '\0';
    const char *line = own(POP3_REPLY_mailbox_refused, all, "ID");
    size_t size = strlen(line);
    for (size_t i = 0; i < size - 2; i++)
        ck_assert_msg(line[i] >= 32 && line[i] < 127, "octet %02x", (unsigned char)line[i]);
    ck_assert_ptr_nonnull(strstr(line, "abcdefghijklmnopqrstuvwxyz{|}~"));
}
END_TEST

START_TEST(a_long_argument_is_cut_and_the_id_stays)
{
    static char argument[1000];
    memset(argument, 'x', sizeof argument - 1);
    for (size_t size = 400; size < 600; size++) {
        argument[size] = '\0';
        const char *line = own(POP3_REPLY_bad_argument, argument, "0123456789abcdef");
        ck_assert_uint_le(strlen(line), 512);
        ck_assert_ptr_nonnull(strstr(line, "0123456789abcdef"));
        argument[size] = 'x';
    }
    ck_assert_uint_eq(strlen(own(POP3_REPLY_bad_argument, argument, "0123456789abcdef")), 512);
    ck_assert_uint_eq(strlen(own(POP3_REPLY_greeting, argument, NULL)), 512);
}
END_TEST

START_TEST(a_reply_that_has_no_room_is_told)
{
    size_t whole = strlen(own(POP3_REPLY_bye, NULL, NULL));
    for (size_t limit = 0; limit < whole; limit++) {
        struct buffer out = {.limit = limit};
        ck_assert_int_eq(pop3_reply_append(POP3_REPLY_bye, NULL, NULL, &out), -1);
        buffer_clear(&out);
    }
}
END_TEST

/* As ck_assert, which itself allocates: for what runs while an allocation is to fail. */
static void must(bool is_kept, const char *promise)
{
    if (!is_kept)
        ck_abort_msg("%s", promise);
}

static void append_some(void)
{
    struct buffer out = {.limit = 4096};
    for (int i = 0; i < 20; i++)
        must(pop3_reply_append(POP3_REPLY_bad_argument, "x", "ID", &out) == 0 ||
                 failing_has_failed(),
             "fails without memory alone");
    must(pop3_reply_append(POP3_REPLY_bye, NULL, NULL, &out) == 0 ||
             pop3_reply_append(POP3_REPLY_bye, NULL, NULL, &out) == 0,
         "usable after it");
    buffer_clear(&out);
}

START_TEST(a_reply_that_finds_no_memory_is_told)
{
    WITH_EACH_ALLOCATION_FAILING(append_some());
}
END_TEST

struct run {
    const char *input, *expected;
    struct line_reader lines;
    struct leftover in;
    bool is_wrong;
    struct said said;
};

static void restart(void *owner)
{
    struct run *r = owner;
    r->lines = (struct line_reader){false};
    leftover_drop(&r->in);
    r->is_wrong = false;
    say_nothing(&r->said);
}

static void feed(void *owner, struct span piece)
{
    struct run *r = owner;
    struct pop3_reply reply;
    struct error why = {.text = ""};
    int got;
    if (r->is_wrong)
        return; /* closed */
    struct span *in = leftover_join(&r->in, piece);
    while ((got = pop3_reply_parse(&r->lines, in, &reply, &why)) == 1) {
        say(&r->said, "%s <", reply.is_ok ? "ok" : "error");
        say_bytes(&r->said, reply.code);
        say(&r->said, "> ");
        say_bytes(&r->said, reply.text);
        say(&r->said, "\n");
    }
    r->is_wrong = got < 0;
    if (r->is_wrong && why.text[0] == '\0')
        ck_abort_msg("no reason is told");
    if (r->is_wrong)
        say(&r->said, "wrong\n");
}

static void done(void *owner)
{
    struct run *r = owner;
    said_is(&r->said, r->expected, r->input);
}

static void check(const char *input, const char *expected)
{
    static struct run r;
    r.input = input;
    r.expected = expected;
    every_split(span_of(input), restart, feed, done, &r);
    leftover_drop(&r.in);
}

START_TEST(a_reply_is_what_rfc_1939_says_however_it_is_cut)
{
    static const struct {
        const char *input, *said;
    } cases[] = {
        {"+OK\r\n", "ok <> \n"},
        {"+OK \r\n", "ok <> \n"},
        {"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n",
         "ok <> POP3 server ready <1896.697170952@dbc.mtview.ca.us>\n"},
        {"+OK\r\n-ERR no\r\n+OK 2 320\r\n", "ok <> \nerror <> no\nok <> 2 320\n"},
        {"-ERR\r\n", "error <> \n"},
        {"+ok a\r\n-err b\r\n", "ok <> a\nerror <> b\n"},
        /* RFC 2449 section 8, RFC 3206 */
        {"-ERR [IN-USE] Do you have another POP session running?\r\n",
         "error <IN-USE> [IN-USE] Do you have another POP session running?\n"},
        {"-ERR [SYS/TEMP] wait\r\n", "error <SYS/TEMP> [SYS/TEMP] wait\n"},
        {"-ERR [AUTH]\r\n", "error <AUTH> [AUTH]\n"},
        {"-ERR []\r\n", "error <> []\n"},
        {"-ERR [AUTH wrong\r\n", "error <> [AUTH wrong\n"},
        {"-ERR it is [AUTH]\r\n", "error <> it is [AUTH]\n"},
        {"-ERR AUTH]\r\n", "error <> AUTH]\n"},
        {"+OK [XCLIENT] Dovecot ready.\r\n", "ok <XCLIENT> [XCLIENT] Dovecot ready.\n"},
        /* what servers behind do, and is borne */
        {"+OK\n", "ok <> \n"},
        {"+OK a\rb\r\n", "ok <> a\rb\n"},
        /* no replies */
        {"\r\n", "wrong\n"},
        {"+\r\n", "wrong\n"},
        {"+ \r\n", "wrong\n"},
        {"OK\r\n", "wrong\n"},
        {"+OKAY\r\n", "wrong\n"},
        {"-ERROR\r\n", "wrong\n"},
        {" +OK\r\n", "wrong\n"},
        {"+OK\t2\r\n", "wrong\n"},
        {"-OK\r\n", "wrong\n"},
        {"220 mx ESMTP\r\n", "wrong\n"},
        {"+OK a\r\nfoo\r\n+OK b\r\n", "ok <> a\nwrong\n"},
        {"+OK", ""},
        {"+OK\r", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(cases[i].input, cases[i].said);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_wrong)
{
    static char input[5000] = "+OK ";
    memset(input + 4, 'x', sizeof input - 7);
    memcpy(input + sizeof input - 3, "\r\n", 3);
    check(input, "wrong\n");
}
END_TEST

START_TEST(a_line_without_end_is_not_kept)
{
    static struct run r;
    char piece[1000];
    memset(piece, '+', sizeof piece);
    restart(&r);
    for (int i = 0; i < 1000 && !r.is_wrong; i++) {
        feed(&r, span_make(piece, sizeof piece));
        ck_assert_uint_le(r.in.rest.size, 4096);
    }
    feed(&r, span_of("\r\n"));
    ck_assert(r.is_wrong);
    leftover_drop(&r.in);
}
END_TEST

START_TEST(a_reply_lies_in_the_input)
{
    static const char input[] = "-ERR [AUTH] no\r\nmore";
    struct line_reader lines = {false};
    struct pop3_reply reply;
    struct error why;
    struct span in = span_of(input);
    ck_assert_int_eq(pop3_reply_parse(&lines, &in, &reply, &why), 1);
    ck_assert_ptr_eq(reply.text.data, input + 5);
    ck_assert_ptr_eq(reply.code.data, input + 6);
    ck_assert(span_equals(in, "more"));
}
END_TEST

START_TEST(the_codes_that_clients_know_are_known)
{
    static const char *const known[] = {"AUTH",        "auth",     "IN-USE",
                                        "LOGIN-DELAY", "SYS/TEMP", "SYS/PERM"};
    static const char *const others[] = {"", "AUT", "AUTHX", "SYS", "UTF8", "X"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        ck_assert_msg(pop3_code_is_known(span_of(known[i])), "%s", known[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_msg(!pop3_code_is_known(span_of(others[i])), "%s", others[i]);
}
END_TEST

SUITE(pop3_reply)
{
    TEST(the_codes_that_clients_know_are_known);
    TEST(every_reply_of_ours_is_a_line_of_rfc_1939);
    TEST(a_failure_has_the_code_of_its_kind);
    TEST(the_id_stands_behind_refusals_alone);
    TEST(the_argument_stands_where_the_text_wants_it);
    TEST(what_is_not_printable_is_masked);
    TEST(a_long_argument_is_cut_and_the_id_stays);
    TEST(a_reply_that_has_no_room_is_told);
    TEST(a_reply_that_finds_no_memory_is_told);
    TEST(a_reply_is_what_rfc_1939_says_however_it_is_cut);
    TEST(a_line_that_is_too_long_is_wrong);
    TEST(a_line_without_end_is_not_kept);
    TEST(a_reply_lies_in_the_input);
}
