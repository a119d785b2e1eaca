#include "telemetry/event.h"

#include "base/clock.h"
#include "base/utf8.h"

#include "support/test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Where a line goes, and the last that came out. */
static struct {
    int writer, reader;
    struct event_log log;
    size_t count;
    enum log_level level;
    char line[8192];
} ends;

static void open_ends(void)
{
    int fds[2];
    memset(&ends, 0, sizeof ends);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    ends.writer = fds[0];
    ends.reader = fds[1];
    ends.log = (struct event_log){log_create(ends.writer, LOG_LEVEL_DEBUG), false, ""};
}

static void close_ends(void)
{
    log_destroy(&ends.log.lines);
    ck_assert_int_eq(close(ends.writer), 0);
    ck_assert_int_eq(close(ends.reader), 0);
}

static void take_line(void *owner, enum log_level level, struct span line)
{
    (void)owner; /* there is one pair of ends */
    ends.count++;
    ends.level = level;
    ck_assert_uint_eq(span_copy(line, ends.line, sizeof ends.line), line.size);
    ck_assert_uint_eq(strlen(ends.line), line.size); /* no NUL in it */
}

/* The line that was logged last, without its time. */
static const char *said(void)
{
    static char datagram[LOG_DATAGRAM_MAX];
    ends.line[0] = '\0';
    log_flush(ends.log.lines);
    ssize_t size = recv(ends.reader, datagram, sizeof datagram, MSG_DONTWAIT);
    if (size < 0)
        return "";
    log_lines_each(span_make(datagram, (size_t)size), take_line, NULL);
    const char *behind_time = strchr(ends.line, ends.log.is_json ? ',' : ' ');
    ck_assert_ptr_nonnull(behind_time);
    return behind_time + 1;
}

/* How a text is shown, in the text form or within JSON, without key and ending. */
static struct span shown(struct span text, bool is_json)
{
    ends.log.is_json = is_json;
    log_event(&ends.log, EVENT_login, field_span(KEY_account, text));
    struct span rest = span_of(said());
    const char *head = is_json ? "\"level\":\"info\",\"event\":\"login\",\"account\":"
                               : "level=info event=login account=";
    ck_assert_msg(span_starts_nocase(rest, head), "%s", ends.line);
    span_skip(&rest, strlen(head));
    rest.size -= is_json;
    return rest;
}

/* A character of a JSON string (RFC 8259 section 7) is taken and appended to `out`, decoded. */
static bool take_character(struct span *s, char **out)
{
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = *span_take(s, 1).data;
    if ((unsigned char)c < 0x20)
        return false;
    if (c != '\\') {
        *(*out)++ = c;
        return true;
    }
    if (s->size == 0)
        return false;
    c = *span_take(s, 1).data;
    const char *at = memchr(escapes, c, sizeof escapes - 1);
    if (at != NULL)
        *(*out)++ = meanings[at - escapes];
    if (at != NULL || c != 'u')
        return at != NULL;
    unsigned point;
    if (s->size < 4 || sscanf(s->data, "%4x", &point) != 1 ||
        strspn(s->data, "0123456789abcdefABCDEF") < 4 || point > 0x7ff)
        return false; /* no larger one is ever written */
    span_skip(s, 4);
    if (point >= 0x80)
        *(*out)++ = (char)(0xc0 | point >> 6);
    *(*out)++ = (char)(point < 0x80 ? point : 0x80 | (point & 0x3f));
    return true;
}

static bool take_string(struct span *s, struct span *value)
{
    static char decoded[8192];
    char *out = decoded;
    if (s->size == 0 || *span_take(s, 1).data != '"')
        return false;
    while (s->size > 0 && *s->data != '"')
        if (!take_character(s, &out))
            return false;
    *value = span_make(decoded, (size_t)(out - decoded));
    return s->size > 0 && *span_take(s, 1).data == '"';
}

/* A number of RFC 8259 section 6, without exponent. */
static bool take_number(struct span *s)
{
    struct span number = span_make(s->data, strspn(s->data, "-0123456789."));
    span_skip(s, number.size);
    if (number.size > 0 && *number.data == '-')
        span_skip(&number, 1);
    bool has_fraction = memchr(number.data, '.', number.size) != NULL;
    struct span whole = span_split(&number, '.');
    uint64_t ignored;
    return span_number(whole, UINT64_MAX, &ignored) == 0 &&
           (whole.size == 1 || *whole.data != '0') &&
           (!has_fraction || span_number(number, UINT64_MAX, &ignored) == 0);
}

/* Is the line one JSON object of texts and numbers, and UTF-8? `account` is its account. */
static bool is_json_object(const char *line, struct span *account)
{
    struct span s = span_of(line), key, value = {0};
    *account = span_of("");
    if (!utf8_is_valid(s) || s.size == 0 || *span_take(&s, 1).data != '{')
        return false;
    for (;;) {
        if (!take_string(&s, &key) || s.size == 0)
            return false;
        bool is_account = span_equals(key, "account");
        if (*span_take(&s, 1).data != ':' || s.size == 0 ||
            !(*s.data == '"' ? take_string(&s, &value) : take_number(&s)) || s.size == 0)
            return false;
        if (is_account) {
            static char copy[8192];
            memcpy(copy, value.data, value.size);
            *account = span_make(copy, value.size);
        }
        char next = *span_take(&s, 1).data;
        if (next == '}')
            return s.size == 0;
        if (next != ',')
            return false;
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return *seed >> 16;
}

START_TEST(a_line_of_text_is_keys_and_values)
{
    ends.log.process = "worker 2";
    log_event(&ends.log, EVENT_login_failed, field_text(KEY_account, "ana"),
              field_span(KEY_client, span_of("192.0.2.1:4711")), field_number(KEY_code, 535),
              field_seconds(KEY_duration, INT64_C(1234567890)));
    ck_assert_str_eq(said(), "level=warning event=login_failed process=\"worker 2\" account=ana "
                             "client=192.0.2.1:4711 code=535 duration=1.234");
}
END_TEST

START_TEST(a_line_of_json_is_one_object)
{
    ends.log.process = "worker 2";
    ends.log.is_json = true;
    log_event(&ends.log, EVENT_login_failed, field_text(KEY_account, "ana"),
              field_span(KEY_client, span_of("192.0.2.1:4711")), field_number(KEY_code, 535),
              field_seconds(KEY_duration, INT64_C(1234567890)));
    ck_assert_str_eq(said(),
                     "\"level\":\"warning\",\"event\":\"login_failed\",\"process\":\"worker 2\","
                     "\"account\":\"ana\",\"client\":\"192.0.2.1:4711\",\"code\":535,"
                     "\"duration\":1.234}");
    ck_assert_int_eq(ends.line[0], '{');
}
END_TEST

START_TEST(a_line_begins_with_the_time_in_utc)
{
    for (int is_json = 0; is_json <= 1; is_json++) {
        struct tm t = {0};
        const char *head = is_json ? "{\"time\":\"" : "time=";
        ends.log.is_json = is_json;
        int64_t before = clock_wall_ns() / CLOCK_SECOND;
        log_event(&ends.log, EVENT_started, field_number(KEY_pid, 1));
        int64_t after = clock_wall_ns() / CLOCK_SECOND;
        (void)said(); /* into ends.line */
        ck_assert(strncmp(ends.line, head, strlen(head)) == 0);
        const char *end = strptime(ends.line + strlen(head), "%Y-%m-%dT%H:%M:%S", &t);
        ck_assert_ptr_nonnull(end);
        ck_assert_int_ge(timegm(&t), before);
        ck_assert_int_le(timegm(&t), after);
        ck_assert(end[0] == '.' && strspn(end + 1, "0123456789") == 3 && end[4] == 'Z');
        ck_assert_int_eq(end[5], is_json ? '"' : ' ');
    }
}
END_TEST

START_TEST(an_event_has_the_level_of_the_list)
{
    static const struct {
        enum event event;
        enum log_level level;
        const char *line;
    } cases[] = {
        {EVENT_connected, LOG_LEVEL_DEBUG, "level=debug event=connected"},
        {EVENT_login, LOG_LEVEL_INFO, "level=info event=login"},
        {EVENT_draining, LOG_LEVEL_WARNING, "level=warning event=draining"},
        {EVENT_upstream_down, LOG_LEVEL_ERROR, "level=error event=upstream_down"},
    };
    const struct field none[] = {{.kind = FIELD_END}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        log_event_fields(&ends.log, cases[i].event, none);
        ck_assert_str_eq(said(), cases[i].line);
        ck_assert_uint_eq(ends.level, cases[i].level);
    }
}
END_TEST

START_TEST(an_event_below_the_threshold_is_left_out)
{
    log_destroy(&ends.log.lines);
    ends.log.lines = log_create(ends.writer, LOG_LEVEL_WARNING);
    log_event(&ends.log, EVENT_login, field_text(KEY_account, "ana"));
    ck_assert_str_eq(said(), "");
    ck_assert(!event_is_logged(&ends.log, EVENT_login));
    ck_assert(event_is_logged(&ends.log, EVENT_login_failed));
    log_event(&ends.log, EVENT_login_failed, field_text(KEY_account, "ana"));
    ck_assert_str_eq(said(), "level=warning event=login_failed account=ana");
}
END_TEST

START_TEST(empty_fields_are_left_out)
{
    for (int is_json = 0; is_json <= 1; is_json++) {
        ends.log.is_json = is_json;
        log_event(&ends.log, EVENT_login, field_text(KEY_account, ""), field_text(KEY_sender, NULL),
                  field_span(KEY_recipient, span_of("")), field_span(KEY_rule, span_make(NULL, 0)),
                  field_number(KEY_count, 0));
        ck_assert_str_eq(said(), is_json ? "\"level\":\"info\",\"event\":\"login\",\"count\":0}"
                                         : "level=info event=login count=0");
    }
}
END_TEST

START_TEST(a_text_is_quoted_where_it_could_be_misread)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"ana", "ana"},
        {"ana@example.com", "ana@example.com"},
        {"[2001:db8::1]:465", "[2001:db8::1]:465"},
        {"a b", "\"a b\""},
        {" ", "\" \""},
        {"a=b", "\"a=b\""},
        {"x event=login", "\"x event=login\""},
        {"a\"b", "\"a\\\"b\""},
        {"\"", "\"\\\"\""},
        {"a\\b", "\"a\\\\b\""},
        {"a\\", "\"a\\\\\""},
        {"caf\xc3\xa9", "\"caf\xc3\xa9\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span is = shown(span_of(cases[i].text), false);
        ck_assert_msg(span_equals(is, cases[i].shown), "%s", ends.line);
    }
}
END_TEST

START_TEST(what_could_command_a_terminal_is_escaped)
{
    static const struct {
        const char *text;
        size_t size;
        const char *shown;
    } cases[] = {
        {"a\nb", 3, "\"a\\u000ab\""},
        {"a\r\nb", 4, "\"a\\u000d\\u000ab\""},
        {"\t", 1, "\"\\u0009\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\x1b[31m", 5, "\"\\u001b[31m\""},
        {"\x1f", 1, "\"\\u001f\""},
        {"\x7f", 1, "\"\\u007f\""},
        {"\xc2\x80", 2, "\"\\u0080\""}, /* the C1 controls, CSI among them */
        {"\xc2\x9b"
         "31m",
         5, "\"\\u009b31m\""},
        {"\xc2\x9f", 2, "\"\\u009f\""},
        {"\xc2\xa0", 2, "\"\xc2\xa0\""}, /* the first that is none */
        {"\xc3\x9b", 2, "\"\xc3\x9b\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int is_json = 0; is_json <= 1; is_json++) {
            struct span is = shown(span_make(cases[i].text, cases[i].size), is_json);
            ck_assert_msg(span_equals(is, cases[i].shown), "%s", ends.line);
        }
}
END_TEST

START_TEST(what_is_not_utf8_is_shown_by_byte)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"caf\xe9", "\"caf\\u00e9\""},
        {"\xff\xfe", "\"\\u00ff\\u00fe\""},
        {"\xc0\xaf", "\"\\u00c0\\u00af\""},
        {"\x9b"
         "31m",
         "\"\\u009b31m\""},
        {"\xc2", "\"\\u00c2\""},
        {"\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\""},
        {"\xc3\xa9\xff", "\"\\u00c3\\u00a9\\u00ff\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int is_json = 0; is_json <= 1; is_json++) {
            struct span is = shown(span_of(cases[i].text), is_json);
            ck_assert_msg(span_equals(is, cases[i].shown), "%s", ends.line);
        }
}
END_TEST

START_TEST(utf8_comes_back_from_json_as_it_was)
{
    for (unsigned point = 0; point < 0x3000; point++) {
        char text[8] = "<";
        size_t size = 1;
        if (point >= 0x800)
            text[size++] = (char)(0xe0 | point >> 12);
        if (point >= 0x80)
            text[size++] = (char)(point >= 0x800 ? 0x80 | (point >> 6 & 0x3f) : 0xc0 | point >> 6);
        text[size++] = (char)(point < 0x80 ? point : 0x80 | (point & 0x3f));
        text[size++] = '>';
        struct span account;
        (void)shown(span_make(text, size), true); /* into ends.line */
        if (!is_json_object(ends.line, &account) || account.size != size ||
            memcmp(account.data, text, size) != 0)
            ck_abort_msg("U+%04X: %s", point, ends.line);
    }
}
END_TEST

START_TEST(json_is_whole_whatever_the_bytes)
{
    static const char bytes[] =
        "\"\\\"\\\n\r\t\x1b\x7f =,:{}ab\xc2\x9b\xc3\xa9\xe2\x82\xac\xff\x80";
    uint32_t seed = 1;
    ends.log.is_json = true;
    for (int round = 0; round < 5000; round++) {
        char text[64];
        struct span ignored, random = span_make(text, next_random(&seed) % sizeof text);
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = next_random(&seed) % 4 == 0 ? (char)next_random(&seed)
                                                  : bytes[next_random(&seed) % sizeof bytes];
        log_event(&ends.log, EVENT_command_refused, field_span(KEY_account, random),
                  field_span(KEY_reply, span_make(text, 10)), field_number(KEY_code, -1));
        (void)said(); /* into ends.line */
        if (!is_json_object(ends.line, &ignored))
            ck_abort_msg("%s", ends.line);
    }
}
END_TEST

START_TEST(a_line_of_text_is_one_line_whatever_the_bytes)
{
    uint32_t seed = 1;
    for (int round = 0; round < 5000; round++) {
        char text[64];
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)next_random(&seed);
        (void)shown(span_make(text, 1 + next_random(&seed) % (sizeof text - 1)), false);
        ck_assert(utf8_is_valid(span_of(ends.line)));
        for (const char *c = ends.line; *c != '\0'; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                ck_abort_msg("octet %u in %s", (unsigned char)*c, ends.line);
    }
}
END_TEST

START_TEST(a_field_that_does_not_fit_is_left_out)
{
    static char text[6000];
    memset(text, 'x', sizeof text);
    for (int is_json = 0; is_json <= 1; is_json++) {
        ends.log.is_json = is_json;
        log_event(&ends.log, EVENT_login, field_text(KEY_session, "s"),
                  field_span(KEY_account, span_make(text, sizeof text)),
                  field_number(KEY_code, 235));
        ck_assert_str_eq(said(), is_json ? "\"level\":\"info\",\"event\":\"login\","
                                           "\"session\":\"s\",\"code\":235}"
                                         : "level=info event=login session=s code=235");
    }
}
END_TEST

START_TEST(a_field_is_whole_or_left_out_at_every_length)
{
    static char text[5000];
    for (size_t size = 1; size < sizeof text; size += size < 500 || size > 3800 ? 1 : 50)
        for (int escapes = 0; escapes <= 1; escapes++) {
            struct span account;
            memset(text, escapes ? '\n' : 'x', sizeof text);
            ends.log.is_json = true;
            log_event(&ends.log, EVENT_login, field_span(KEY_account, span_make(text, size)),
                      field_text(KEY_client, "192.0.2.1:4711"), field_number(KEY_code, 235));
            (void)said(); /* into ends.line */
            if (!is_json_object(ends.line, &account))
                ck_abort_msg("%zu octets: %s", size, ends.line);
            ck_assert(account.size == 0 || account.size == size);
            ck_assert(account.size == size || size > (escapes ? 500 : 3800));
        }
}
END_TEST

START_TEST(more_fields_than_fit_leave_json_whole)
{
    static char text[300];
    struct field fields[64];
    for (size_t size = 1; size < sizeof text; size += 7) {
        struct span ignored;
        memset(text, '"', sizeof text);
        for (size_t i = 0; i < 63; i++)
            fields[i] = i % 3 == 0   ? field_number(KEY_count, INT64_MIN)
                        : i % 3 == 1 ? field_seconds(KEY_duration, INT64_MAX)
                                     : field_span(KEY_reason, span_make(text, size));
        fields[63] = (struct field){.kind = FIELD_END};
        ends.log.is_json = true;
        log_event_fields(&ends.log, EVENT_login, fields);
        (void)said(); /* into ends.line */
        if (!is_json_object(ends.line, &ignored))
            ck_abort_msg("%zu octets: %s", size, ends.line);
    }
}
END_TEST

START_TEST(numbers_are_written_in_full)
{
    log_event(&ends.log, EVENT_login, field_number(KEY_count, 0), field_number(KEY_code, -5),
              field_number(KEY_bytes, INT64_MAX), field_number(KEY_pid, INT64_MIN));
    ck_assert_str_eq(said(), "level=info event=login count=0 code=-5 bytes=9223372036854775807 "
                             "pid=-9223372036854775808");
}
END_TEST

START_TEST(seconds_have_three_places)
{
    static const struct {
        int64_t ns;
        const char *shown;
    } cases[] = {
        {0, "0.000"},
        {999999, "0.000"},
        {1000000, "0.001"},
        {INT64_C(50000000), "0.050"},
        {INT64_C(999999999), "0.999"},
        {INT64_C(1000000000), "1.000"},
        {INT64_C(86400250000000), "86400.250"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[100];
        log_event(&ends.log, EVENT_login, field_seconds(KEY_duration, cases[i].ns));
        (void)snprintf(expected, sizeof expected, "level=info event=login duration=%s",
                       cases[i].shown); /* fits */
        ck_assert_str_eq(said(), expected);
    }
}
END_TEST

START_TEST(negative_seconds_are_a_number_too)
{
    log_event(&ends.log, EVENT_login, field_seconds(KEY_duration, INT64_C(-1500000000)));
    ck_assert_str_eq(said(), "level=info event=login duration=-1.500");
    log_event(&ends.log, EVENT_login, field_seconds(KEY_duration, INT64_C(-50000000)));
    ck_assert_str_eq(said(), "level=info event=login duration=-0.050");
}
END_TEST

START_TEST(names_are_those_of_the_lists)
{
    ck_assert_str_eq(event_name(EVENT_message_accepted), "message_accepted");
    ck_assert_str_eq(log_key_name(KEY_tls_version), "tls_version");
    for (int i = 0; i < LOG_KEY_COUNT; i++)
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(log_key_name((enum log_key)i), log_key_name((enum log_key)k));
    for (int i = 0; i < EVENT_COUNT; i++)
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(event_name((enum event)i), event_name((enum event)k));
}
END_TEST

SUITE(event)
{
    tcase_add_checked_fixture(tests, open_ends, close_ends);
    TEST(a_line_of_text_is_keys_and_values);
    TEST(a_line_of_json_is_one_object);
    TEST(a_line_begins_with_the_time_in_utc);
    TEST(an_event_has_the_level_of_the_list);
    TEST(an_event_below_the_threshold_is_left_out);
    TEST(empty_fields_are_left_out);
    TEST(a_text_is_quoted_where_it_could_be_misread);
    TEST(what_could_command_a_terminal_is_escaped);
    TEST(what_is_not_utf8_is_shown_by_byte);
    TEST(utf8_comes_back_from_json_as_it_was);
    TEST(json_is_whole_whatever_the_bytes);
    TEST(a_line_of_text_is_one_line_whatever_the_bytes);
    TEST(a_field_that_does_not_fit_is_left_out);
    TEST(a_field_is_whole_or_left_out_at_every_length);
    TEST(more_fields_than_fit_leave_json_whole);
    TEST(numbers_are_written_in_full);
    TEST(seconds_have_three_places);
    TEST(negative_seconds_are_a_number_too);
    TEST(names_are_those_of_the_lists);
}
