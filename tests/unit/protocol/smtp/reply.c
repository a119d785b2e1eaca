#include "protocol/smtp/reply.h"

#include "protocol/said.h"
#include "support/splits.h"

/* ---- our own ---- */

static char text[8192];

/* What is appended, with its NUL, in `text`. */
static const char *own(enum smtp_reply_name name, const char *argument, const char *id)
{
    struct buffer out = {.limit = sizeof text - 1};
    ck_assert_int_eq(smtp_reply_append(name, argument, id, &out), 0);
    (void)span_copy(buffer_bytes(&out), text, sizeof text);
    buffer_clear(&out);
    return text;
}

/* The replies of README's table, and those of RFC 5321, 3207 and 4954. */
START_TEST(clients_and_admins_know_our_replies)
{
    static const struct {
        enum smtp_reply_name name;
        const char *start;
    } cases[] = {
        {SMTP_REPLY_greeting, "220 "},
        {SMTP_REPLY_greeting_refused, "554 5.7.1 "},
        {SMTP_REPLY_greeting_full, "421 4.3.2 "},
        {SMTP_REPLY_shutting_down, "421 4.3.2 "},
        {SMTP_REPLY_idle, "421 4.4.2 "},
        {SMTP_REPLY_bye, "221 2.0.0 "},
        {SMTP_REPLY_data, "354 "},
        {SMTP_REPLY_verify, "252 "},
        {SMTP_REPLY_help, "214 "},
        {SMTP_REPLY_starttls, "220 2.0.0 "},
        {SMTP_REPLY_starttls_first, "530 5.7.0 Must issue a STARTTLS command first"},
        {SMTP_REPLY_tls_active, "554 5.5.1 "},
        {SMTP_REPLY_auth_challenge, "334 "},
        {SMTP_REPLY_auth_ok, "235 2.7.0 "},
        {SMTP_REPLY_auth_first, "530 5.7.0 Authentication required"},
        {SMTP_REPLY_auth_invalid, "535 5.7.8 "},
        {SMTP_REPLY_auth_unavailable, "454 4.7.0 "},
        {SMTP_REPLY_auth_cancelled, "501 5.7.0 "},
        {SMTP_REPLY_auth_base64, "501 5.5.2 "},
        {SMTP_REPLY_auth_too_long, "500 5.5.6 "},
        {SMTP_REPLY_auth_mechanism, "504 5.5.4 "},
        {SMTP_REPLY_auth_encryption, "538 5.7.11 "},
        {SMTP_REPLY_auth_twice, "503 5.5.1 "},
        {SMTP_REPLY_bad_sequence, "503 5.5.1 "},
        {SMTP_REPLY_refusing, "503 5.5.1 "},
        {SMTP_REPLY_unknown_command, "500 5.5.2 "},
        {SMTP_REPLY_line_too_long, "500 5.5.2 "},
        {SMTP_REPLY_bad_sender, "501 5.1.7 "},
        {SMTP_REPLY_bad_recipient, "501 5.1.3 "},
        {SMTP_REPLY_unknown_parameter, "555 5.5.4 "},
        {SMTP_REPLY_needs_smtputf8, "553 5.6.7 "},
        {SMTP_REPLY_no_smtputf8, "550 5.6.7 "},
        {SMTP_REPLY_too_many_recipients, "452 4.5.3 "},
        {SMTP_REPLY_no_recipients, "554 5.5.1 "},
        {SMTP_REPLY_too_big, "552 5.3.4 "},
        {SMTP_REPLY_upstream_busy, "451 4.3.2 "},
        {SMTP_REPLY_upstream_down, "451 4.4.1 "},
        {SMTP_REPLY_upstream_lost, "451 4.4.2 "},
        {SMTP_REPLY_upstream_refuses, "451 4.3.5 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(
            strncmp(own(cases[i].name, "x", "ID"), cases[i].start, strlen(cases[i].start)) == 0,
            "%s is not \"%s\"", text, cases[i].start);
}
END_TEST

/* PHPMailer takes the id of a message from these words. */
START_TEST(a_message_is_queued_in_the_words_that_clients_look_for)
{
    ck_assert_str_eq(own(SMTP_REPLY_queued, "4Zz3abc", "SESSION"),
                     "250 2.0.0 Ok: queued as 4Zz3abc\r\n");
}
END_TEST

/* RFC 5321 section 4.2: Reply-code %x32-35 %x30-35 %x30-39; RFC 2034: the class of the enhanced
 * code is that of the reply, and only the greeting and the reply to EHLO go without. */
START_TEST(every_reply_of_ours_is_a_line_of_rfc_5321_and_2034)
{
    for (int name = 0; name < SMTP_REPLY_COUNT; name++) {
        const char *line = own((enum smtp_reply_name)name, "argument", "0123456789abcdef");
        size_t size = strlen(line);
        ck_assert_uint_le(size, 512);
        ck_assert_str_eq(line + size - 2, "\r\n");
        ck_assert(line[0] >= '2' && line[0] <= '5' && line[1] >= '0' && line[1] <= '5');
        ck_assert(line[3] == ' ');
        uint64_t code;
        ck_assert_int_eq(span_number(span_make(line, 3), 999, &code), 0);
        ck_assert_int_eq(smtp_reply_code((enum smtp_reply_name)name), (int)code);
        for (size_t i = 0; i < size - 2; i++)
            ck_assert_msg(line[i] >= 32 && line[i] < 127, "%s", line);
        bool is_bare = name == SMTP_REPLY_greeting || name == SMTP_REPLY_hello || line[0] == '3';
        unsigned subject, detail;
        char class, behind;
        bool is_enhanced =
            sscanf(line + 4, "%c.%3u.%3u%c", &class, &subject, &detail, &behind) == 4 &&
            class == line[0] && behind == ' ';
        ck_assert_msg(is_enhanced == !is_bare, "%s", line);
    }
}
END_TEST

START_TEST(the_id_stands_behind_refusals_alone)
{
    for (int name = 0; name < SMTP_REPLY_COUNT; name++) {
        bool has_id = strstr(own((enum smtp_reply_name)name, "x", "the-id"), "the-id") != NULL;
        ck_assert_msg(has_id == (smtp_reply_code((enum smtp_reply_name)name) >= 400), "%s", text);
    }
    ck_assert_ptr_null(strchr(own(SMTP_REPLY_no_recipients, NULL, NULL), '('));
}
END_TEST

START_TEST(the_argument_stands_where_the_text_wants_it)
{
    ck_assert_str_eq(own(SMTP_REPLY_greeting, "mail.example.com", "ID"),
                     "220 mail.example.com ESMTP\r\n");
    ck_assert_ptr_nonnull(strstr(own(SMTP_REPLY_too_big, "52428800", NULL), " 52428800 "));
    ck_assert_ptr_nonnull(strstr(own(SMTP_REPLY_too_many_recipients, "100", NULL), " 100 "));
    ck_assert_ptr_nonnull(strstr(own(SMTP_REPLY_bad_argument, "100%s%n", NULL), "100%s%n"));
}
END_TEST

START_TEST(each_line_of_ehlo_is_a_line_of_the_reply)
{
    ck_assert_str_eq(own(SMTP_REPLY_hello, "mail.example.com\nPIPELINING\nSIZE 1000", "ID"),
                     "250-mail.example.com\r\n250-PIPELINING\r\n250 SIZE 1000\r\n");
    ck_assert_str_eq(own(SMTP_REPLY_hello, "mail.example.com", "ID"), "250 mail.example.com\r\n");
}
END_TEST

START_TEST(a_long_argument_is_cut_and_the_id_stays)
{
    static char argument[4000];
    memset(argument, 'x', sizeof argument - 1);
    for (size_t size = 380; size < 600; size++) {
        argument[size] = '\0';
        const char *line = own(SMTP_REPLY_bad_argument, argument, "0123456789abcdef");
        ck_assert_uint_le(strlen(line), 512);
        ck_assert_ptr_nonnull(strstr(line, "0123456789abcdef"));
        argument[size] = 'x';
    }
    ck_assert_uint_eq(strlen(own(SMTP_REPLY_bad_argument, argument, "0123456789abcdef")), 512);
    ck_assert_uint_eq(strlen(own(SMTP_REPLY_greeting, argument, NULL)), 512);
}
END_TEST

/* RFC 5321 section 4.2: textstring = 1*(%d09 / %d32-126). A client that wrote other octets may not
 * get them back in our name. */
START_TEST(a_reply_is_ascii_whatever_its_argument)
{
    const char *line = own(SMTP_REPLY_unknown_parameter, "X=\xc3\xa9\x1b[2J\x9b", NULL);
    for (size_t i = 0; i < strlen(line) - 2; i++)
        ck_assert_msg((unsigned char)line[i] >= 32 && (unsigned char)line[i] < 127, "octet %02x",
                      (unsigned char)line[i]);
}
END_TEST

START_TEST(a_reply_comes_behind_what_is_there)
{
    struct buffer out = {.limit = 1000};
    ck_assert_int_eq(smtp_reply_append(SMTP_REPLY_sender_ok, NULL, NULL, &out), 0);
    ck_assert_int_eq(smtp_reply_append(SMTP_REPLY_recipient_ok, NULL, NULL, &out), 0);
    ck_assert(span_equals(buffer_bytes(&out), "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"));
    buffer_clear(&out);
}
END_TEST

START_TEST(a_reply_that_has_no_room_is_told)
{
    size_t whole = strlen(own(SMTP_REPLY_ok, NULL, NULL));
    for (size_t limit = 0; limit < whole; limit++) {
        struct buffer out = {.limit = limit};
        ck_assert_int_eq(smtp_reply_append(SMTP_REPLY_ok, NULL, NULL, &out), -1);
        buffer_clear(&out);
    }
    struct buffer out = {.limit = whole};
    ck_assert_int_eq(smtp_reply_append(SMTP_REPLY_ok, NULL, NULL, &out), 0);
    buffer_clear(&out);
}
END_TEST

static void must(bool is_kept, const char *promise)
{
    if (!is_kept)
        ck_abort_msg("%s", promise);
}

static void append_some(void)
{
    static const char hello[] = "mail.example.com\nPIPELINING\nSIZE 1000\n8BITMIME\nSMTPUTF8\nDSN";
    struct buffer out = {.limit = 4096};
    bool has_first = smtp_reply_append(SMTP_REPLY_hello, hello, "ID", &out) == 0;
    size_t first = out.size;
    must(has_first == !failing_has_failed(), "fails without memory alone");
    bool failed_before = failing_has_failed();
    for (int i = 0; i < 20; i++)
        must(smtp_reply_append(SMTP_REPLY_bad_argument, "x", "ID", &out) == 0 ||
                 failing_has_failed(),
             "fails without memory alone");
    must(failed_before || !has_first ||
             memcmp(buffer_bytes(&out).data, "250-mail.example.com\r\n", 22) == 0,
         "what was there stays");
    must(!has_first || out.size >= first, "what was there stays");
    must(smtp_reply_append(SMTP_REPLY_bye, NULL, NULL, &out) == 0 ||
             smtp_reply_append(SMTP_REPLY_bye, NULL, NULL, &out) == 0,
         "usable after it");
    buffer_clear(&out);
}

START_TEST(a_reply_that_finds_no_memory_is_told)
{
    WITH_EACH_ALLOCATION_FAILING(append_some());
}
END_TEST

/* ---- the upstream's, passed on ---- */

static const char *passed(int code, const char *enhanced, struct span said)
{
    struct smtp_reply reply = {.code = code, .text = said};
    struct buffer out = {.limit = sizeof text - 1};
    (void)span_copy(span_of(enhanced), reply.enhanced, sizeof reply.enhanced); /* fits */
    ck_assert_int_eq(smtp_reply_pass(&reply, &out), 0);
    (void)span_copy(buffer_bytes(&out), text, sizeof text);
    buffer_clear(&out);
    return text;
}

START_TEST(a_reply_passes_with_its_codes)
{
    ck_assert_str_eq(passed(550, "5.1.1", span_of("No such user")), "550 5.1.1 No such user\r\n");
    ck_assert_str_eq(passed(250, "2.1.5", span_of("Ok")), "250 2.1.5 Ok\r\n");
}
END_TEST

/* RFC 3463: the detail that says nothing more. */
START_TEST(a_reply_without_an_enhanced_code_gets_one_of_its_class)
{
    ck_assert_str_eq(passed(250, "", span_of("Ok")), "250 2.0.0 Ok\r\n");
    ck_assert_str_eq(passed(450, "", span_of("Wait")), "450 4.0.0 Wait\r\n");
    ck_assert_str_eq(passed(550, "", span_of("No")), "550 5.0.0 No\r\n");
}
END_TEST

START_TEST(a_reply_of_several_lines_passes_as_one)
{
    ck_assert_str_eq(passed(550, "5.7.1", span_of("Blocked\nsee\nhttps://example.com")),
                     "550 5.7.1 Blocked see https://example.com\r\n");
}
END_TEST

START_TEST(what_passes_is_printable_ascii)
{
    char all[256];
    for (int c = 0; c < 256; c++)
        all[c] = (char)c;
    const char *line = passed(550, "5.1.1", span_make(all, sizeof all));
    size_t size = strlen(line);
    ck_assert_uint_eq(size, strlen("550 5.1.1 ") + sizeof all + 2);
    for (size_t i = 0; i < size - 2; i++)
        ck_assert(line[i] >= 32 && line[i] < 127);
    ck_assert_ptr_nonnull(strstr(line, "abcdefghijklmnopqrstuvwxyz{|}~"));
}
END_TEST

START_TEST(what_passes_is_cut_to_a_line)
{
    static char much[5000];
    memset(much, 'x', sizeof much);
    for (size_t size = 490; size < 520; size++)
        ck_assert_uint_le(strlen(passed(550, "5.123.123", span_make(much, size))), 512);
    ck_assert_uint_eq(strlen(passed(550, "", span_make(much, sizeof much))), 512);
}
END_TEST

static void pass_some(void)
{
    struct smtp_reply reply = {.code = 550, .text = span_of("No such user")};
    struct buffer out = {.limit = 4096};
    for (int i = 0; i < 20; i++)
        must(smtp_reply_pass(&reply, &out) == 0 || failing_has_failed(),
             "fails without memory alone");
    must(smtp_reply_pass(&reply, &out) == 0 || smtp_reply_pass(&reply, &out) == 0,
         "usable after it");
    buffer_clear(&out);
}

START_TEST(a_passed_reply_that_finds_no_memory_is_told)
{
    WITH_EACH_ALLOCATION_FAILING(pass_some());
}
END_TEST

/* ---- the upstream's, parsed ---- */

struct run {
    const char *input, *expected;
    struct smtp_reply_parser parser;
    struct leftover in;
    bool is_wrong;
    struct said said;
};

static void restart(void *owner)
{
    struct run *r = owner;
    memset(&r->parser, 0, sizeof r->parser);
    leftover_drop(&r->in);
    r->is_wrong = false;
    say_nothing(&r->said);
}

static void feed(void *owner, struct span piece)
{
    struct run *r = owner;
    const struct smtp_reply *reply;
    struct error why = {.text = ""};
    int got = 0;
    if (r->is_wrong)
        return; /* closed */
    struct span *in = leftover_join(&r->in, piece);
    while ((got = smtp_reply_parse(&r->parser, in, &reply, &why)) == 1) {
        say(&r->said, "%d <%s> ", reply->code, reply->enhanced);
        say_bytes(&r->said, reply->text);
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

static void check(struct span input, const char *expected)
{
    static struct run r;
    r.input = input.data;
    r.expected = expected;
    every_split(input, restart, feed, done, &r);
    leftover_drop(&r.in);
}

static const struct parsed {
    const char *input, *said;
} parsed[] = {
    {"250 Ok\r\n", "250 <> Ok\n"},
    {"250\r\n", "250 <> \n"}, /* RFC 5321 section 4.2: to be borne */
    {"250 \r\n", "250 <> \n"},
    {"220 mx.example.com ESMTP\r\n250 Ok\r\n", "220 <> mx.example.com ESMTP\n250 <> Ok\n"},
    {"354 go on\r\n", "354 <> go on\n"},
    {"250-mx greets\r\n250-SIZE 1000\r\n250 HELP\r\n", "250 <> mx greets\nSIZE 1000\nHELP\n"},
    {"250-\r\n250 \r\n", "250 <> \n\n"},
    {"250-a\r\n250\r\n", "250 <> a\n\n"},
    {"250-a\r\n250 b\r\n250-c\r\n250 d\r\n", "250 <> a\nb\n250 <> c\nd\n"},
    {"250-a\r\n250-b", ""},
    {"250 a", ""},
    /* RFC 2034, RFC 3463: class "." 1*3DIGIT "." 1*3DIGIT, of the class of the reply */
    {"250 2.1.5 Ok\r\n", "250 <2.1.5> Ok\n"},
    {"250 2.1.5\r\n", "250 <2.1.5> \n"},
    {"250 2.1.5 \r\n", "250 <2.1.5> \n"},
    {"550 5.123.456 No\r\n", "550 <5.123.456> No\n"},
    {"550-5.7.1 Blocked\r\n550 5.7.1 for now\r\n", "550 <5.7.1> Blocked\nfor now\n"},
    {"550-5.7.1 Blocked\r\n550 for now\r\n", "550 <5.7.1> Blocked\nfor now\n"},
    {"550 4.1.1 No\r\n", "550 <> 4.1.1 No\n"},
    {"550 2.0.0 No\r\n", "550 <> 2.0.0 No\n"},
    {"450 5.1.1 No\r\n", "450 <> 5.1.1 No\n"},
    {"550 5.1 No\r\n", "550 <> 5.1 No\n"},
    {"550 5.1.1.1 No\r\n", "550 <> 5.1.1.1 No\n"},
    {"550 5.1.1x No\r\n", "550 <> 5.1.1x No\n"},
    {"550 5.1.1: No\r\n", "550 <> 5.1.1: No\n"},
    {"550 5.1234.1 No\r\n", "550 <> 5.1234.1 No\n"},
    {"550 5.1.1234 No\r\n", "550 <> 5.1.1234 No\n"},
    {"550 55.1.1 No\r\n", "550 <> 55.1.1 No\n"},
    {"550 5..1 No\r\n", "550 <> 5..1 No\n"},
    {"550 5.1. No\r\n", "550 <> 5.1. No\n"},
    {"550 .1.1 No\r\n", "550 <> .1.1 No\n"},
    {"550 5\r\n", "550 <> 5\n"},
    {"550 5.\r\n", "550 <> 5.\n"},
    {"550  5.1.1 No\r\n", "550 <>  5.1.1 No\n"},
    /* what servers behind do, and is borne */
    {"250 Ok\n", "250 <> Ok\n"},
    {"250-a\n250 b\n", "250 <> a\nb\n"},
    {"250 a\rb\r\n", "250 <> a\rb\n"},
    /* no replies */
    {"\r\n", "wrong\n"},
    {"Ok\r\n", "wrong\n"},
    {"25\r\n", "wrong\n"},
    {"25 Ok\r\n", "wrong\n"},
    {"2500 Ok\r\n", "wrong\n"},
    {"250Ok\r\n", "wrong\n"},
    {"250_Ok\r\n", "wrong\n"},
    {"250\tOk\r\n", "wrong\n"},
    {" 250 Ok\r\n", "wrong\n"},
    {"+50 Ok\r\n", "wrong\n"},
    {"-50 Ok\r\n", "wrong\n"},
    {"2 0 Ok\r\n", "wrong\n"},
    {"x50 Ok\r\n", "wrong\n"},
    {"100 Ok\r\n", "wrong\n"},
    {"199 Ok\r\n", "wrong\n"},
    {"000 Ok\r\n", "wrong\n"},
    {"600 Ok\r\n", "wrong\n"},
    {"999 Ok\r\n", "wrong\n"},
    {"+OK POP3 ready\r\n", "wrong\n"},
    {"\xff\xff\xff Ok\r\n", "wrong\n"},
    /* lines that don't belong together */
    {"250-a\r\n251 b\r\n", "wrong\n"},
    {"250-a\r\n251-b\r\n", "wrong\n"},
    {"250-a\r\n550 b\r\n", "wrong\n"},
    {"250-a\r\nb\r\n", "wrong\n"},
    {"250-a\r\n\r\n", "wrong\n"},
    {"250 Ok\r\n250-a\r\n251 b\r\n", "250 <> Ok\nwrong\n"},
};

START_TEST(a_reply_is_what_rfc_5321_says_however_it_is_cut)
{
    for (size_t i = 0; i < sizeof parsed / sizeof *parsed; i++)
        check(span_of(parsed[i].input), parsed[i].said);
}
END_TEST

START_TEST(a_nul_is_text)
{
    static struct run r;
    static const char input[] = "250 a\0b\r\n";
    const struct smtp_reply *reply;
    struct error why;
    restart(&r);
    struct span *in = leftover_join(&r.in, span_make(input, sizeof input - 1));
    ck_assert_int_eq(smtp_reply_parse(&r.parser, in, &reply, &why), 1);
    ck_assert_uint_eq(reply->text.size, 3);
    ck_assert_int_eq(memcmp(reply->text.data, "a\0b", 3), 0);
    ck_assert_str_eq(passed(250, "", reply->text), "250 2.0.0 a?b\r\n");
    leftover_drop(&r.in);
}
END_TEST

/* Lines of so many letters; the text that they give goes into `expected`. */
static struct span many_lines(unsigned count, size_t width, struct said *expected)
{
    static struct said input;
    static char letters[8192];
    say_nothing(&input);
    say_nothing(expected);
    for (unsigned i = 0; i < count; i++) {
        memset(letters, 'a' + (int)(i % 26), width);
        letters[width] = '\0';
        say(&input, "250%c%s\r\n", i + 1 == count ? ' ' : '-', letters);
        say(expected, "%s\n", letters);
    }
    return span_make(input.text, input.size);
}

START_TEST(a_reply_has_a_hundred_lines_at_most)
{
    static struct said lines, expected;
    struct span input = many_lines(100, 1, &lines);
    say(&expected, "250 <> %s", lines.text);
    check(input, expected.text);
    check(many_lines(101, 1, &lines), "wrong\n");
}
END_TEST

START_TEST(replies_without_end_are_wrong_before_they_fill_memory)
{
    static struct run r;
    restart(&r);
    for (int i = 0; i < 1000 && !r.is_wrong; i++)
        feed(&r, span_of("250-and so on\r\n"));
    ck_assert(r.is_wrong);
    leftover_drop(&r.in);
}
END_TEST

START_TEST(lines_that_pass_4_kib_are_dropped_whole)
{
    static struct run r;
    static struct said model;
    const struct smtp_reply *reply;
    struct error why;
    struct span in = many_lines(50, 120, &model);
    for (size_t cut = 0; cut <= in.size; cut += 61) {
        restart(&r);
        struct span *rest = leftover_join(&r.in, span_make(in.data, cut));
        int got = smtp_reply_parse(&r.parser, rest, &reply, &why);
        if (got == 0) {
            rest = leftover_join(&r.in, span_make(in.data + cut, in.size - cut));
            got = smtp_reply_parse(&r.parser, rest, &reply, &why);
        }
        ck_assert_int_eq(got, 1);
        size_t size = reply->text.size;
        ck_assert_uint_gt(size, 4096 - 2 * 120);
        ck_assert_uint_le(size, 4096);
        ck_assert_int_eq(memcmp(reply->text.data, model.text, size), 0);
        ck_assert_int_eq(model.text[size], '\n');
    }
    leftover_drop(&r.in);
}
END_TEST

/* RFC 5321 section 4.5.3.1.5 says 512 octets; whoever sends twice as many is borne. */
START_TEST(a_line_of_1000_octets_is_taken)
{
    static struct said lines, expected;
    struct span in = many_lines(1, 994, &lines);
    say(&expected, "250 <> %s", lines.text);
    ck_assert_uint_eq(in.size, 1000);
    check(in, expected.text);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_wrong)
{
    static struct said lines;
    check(many_lines(1, 5000, &lines), "wrong\n");
}
END_TEST

START_TEST(a_line_without_end_is_not_kept)
{
    static struct run r;
    char piece[1000];
    memset(piece, '2', sizeof piece);
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

START_TEST(random_bytes_say_the_same_however_they_are_cut)
{
    static const char *const words[] = {"250",   "-",   " ", "\r\n", "\r", "\n",
                                        "2.1.0", "550", "x", ".",    "5",  "\r\n250 "};
    static struct said input, whole;
    static struct run r;
    uint32_t seed = 17;
    for (int round = 0; round < 3000; round++) {
        say_nothing(&input);
        say(&input, "250");
        for (unsigned n = next_random(&seed) % 12; n > 0; n--)
            say(&input, "%s", words[next_random(&seed) % (sizeof words / sizeof *words)]);
        restart(&r);
        feed(&r, span_of(input.text));
        whole = r.said;
        check(span_of(input.text), whole.text);
    }
    leftover_drop(&r.in);
}
END_TEST

SUITE(smtp_reply)
{
    TEST(clients_and_admins_know_our_replies);
    TEST(a_message_is_queued_in_the_words_that_clients_look_for);
    TEST(every_reply_of_ours_is_a_line_of_rfc_5321_and_2034);
    TEST(the_id_stands_behind_refusals_alone);
    TEST(the_argument_stands_where_the_text_wants_it);
    TEST(each_line_of_ehlo_is_a_line_of_the_reply);
    TEST(a_long_argument_is_cut_and_the_id_stays);
    TEST(a_reply_is_ascii_whatever_its_argument);
    TEST(a_reply_comes_behind_what_is_there);
    TEST(a_reply_that_has_no_room_is_told);
    TEST(a_reply_that_finds_no_memory_is_told);
    TEST(a_reply_passes_with_its_codes);
    TEST(a_reply_without_an_enhanced_code_gets_one_of_its_class);
    TEST(a_reply_of_several_lines_passes_as_one);
    TEST(what_passes_is_printable_ascii);
    TEST(what_passes_is_cut_to_a_line);
    TEST(a_passed_reply_that_finds_no_memory_is_told);
    TEST(a_reply_is_what_rfc_5321_says_however_it_is_cut);
    TEST(a_nul_is_text);
    TEST(a_reply_has_a_hundred_lines_at_most);
    TEST(replies_without_end_are_wrong_before_they_fill_memory);
    TEST(lines_that_pass_4_kib_are_dropped_whole);
    TEST(a_line_of_1000_octets_is_taken);
    TEST(a_line_that_is_too_long_is_wrong);
    TEST(a_line_without_end_is_not_kept);
    TEST(random_bytes_say_the_same_however_they_are_cut);
}
