#include "policy/record.h"

#include "support/test.h"

#include <stdio.h>

#define TIME "time=2026-11-28T05:50:00.123Z level=info event=decision"

static struct record_line record;

static const char *value(const char *key)
{
    static char text[RECORD_LINE_MAX + 1];
    (void)span_copy(record_value(&record, key), text, sizeof text);
    return text;
}

static const struct {
    const char *line, *key, *value;
} good[] = {
    {TIME, "time", "2026-11-28T05:50:00.123Z"},
    {TIME, "event", "decision"},
    {TIME " account=ana@example.com wait=3.250", "account", "ana@example.com"},
    {TIME " account=ana@example.com wait=3.250", "wait", "3.250"},
    {TIME " account=ana", "rule", ""},
    {TIME " account=ana", "accoun", ""},
    {TIME " key=\"hour ana@example.com\" left=0", "key", "hour ana@example.com"},
    {TIME " key=\"hour ana@example.com\" left=0", "left", "0"},
    {TIME " sender=\"\\\"a\\\\b\\\"@x.example\"", "sender", "\"a\\b\"@x.example"},
    {TIME " reply=\"a=b level=error\"", "reply", "a=b level=error"},
    {TIME " reply=\"a=b level=error\"", "level", "info"},
    {TIME " reply=\"\\u000aevent=login\"", "reply", "\nevent=login"},
    {TIME " reply=\"\\u0085x\\u001b\"", "reply", "\xc2\x85x\x1b"},
    {TIME " reply=\"caf\xc3\xa9\"", "reply", "caf\xc3\xa9"},
    {"{\"time\":\"t\",\"event\":\"login\",\"account\":\"ana\",\"wait\":-3.250}", "account", "ana"},
    {"{\"time\":\"t\",\"event\":\"login\",\"account\":\"ana\",\"wait\":-3.250}", "wait", "-3.250"},
    {"{\"time\":\"t\",\"event\":\"login\",\"reply\":\"\\\"\\/\\b\\f\\n\\r\\t\"}", "reply",
     "\"/\b\f\n\r\t"},
    {"{\"time\":\"t\",\"event\":\"login\",\"reply\":\"\\u20ac\\ud83D\\uDE00\"}", "reply",
     "\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"{ \"time\": \"t\", \"event\" : \"login\", \"code\": 250 }", "code", "250"},
    /* through syslog */
    {"Nov 28 05:50:00 mx1 porteirod[4711]: " TIME " account=ana", "account", "ana"},
    {"<22>Nov 28 05:50:00 porteirod: " TIME, "event", "decision"},
    {"2026-11-28T05:50:00+00:00 mx1 porteirod: {\"time\":\"t\",\"event\":\"login\"}", "event",
     "login"},
};

START_TEST(a_field_is_read_back)
{
    struct span line = span_of(good[_i].line);
    ck_assert_msg(record_read(line, &record) == 0, "%s", good[_i].line);
    ck_assert_str_eq(value(good[_i].key), good[_i].value);
    ck_assert(record_is(&record, good[_i].key, good[_i].value));
    ck_assert(!record_is(&record, good[_i].key, "something else"));
}
END_TEST

static const char *const bad[] = {
    "",
    "time",
    "time=",
    "time=t",                 /* what happened? */
    "event=login time=t",     /* they begin with the time */
    "xtime=t event=login",    /* */
    TIME " ",                 /* cut */
    TIME " account",          /* */
    TIME " account=",         /* */
    TIME " account=\"\"",     /* such a field isn't written */
    TIME " account=\"a",      /* */
    TIME " account=\"a\\",    /* */
    TIME " account=\"a\\u00", /* */
    TIME " account=\"a\\u00g0\"",
    TIME " account=\"a\\x\"",
    TIME " account=\"a\"b=c",
    TIME " account=a\"b",
    TIME " account=a\\b",
    TIME " account=caf\xc3\xa9", /* it would be quoted */
    TIME " Account=a",
    TIME "  account=a",
    TIME "\taccount=a",
    TIME " account=a\n",
    TIME " account=\"a\nb\"",
    TIME " account=\"a\x7f\"",
    TIME " account=\"\xe9\"", /* it would be escaped */
    TIME " account=ana account=bob",
    TIME " event=login",
    "{\"time\":\"t\",\"event\":\"login\"",
    "{\"time\":\"t\",\"event\":\"login\"} ",
    "{\"time\":\"t\",\"event\":\"login\",}",
    "{\"time\":\"t\",\"event\":\"login\" \"code\":250}",
    "{\"time\":\"t\",\"event\":\"login\",\"code\":true}",
    "{\"time\":\"t\",\"event\":\"login\",\"code\":{}}",
    "{\"time\":\"t\",\"event\":\"login\",code:250}",
    "{\"time\":\"t\",\"event\":\"login\",\"reply\":\"\\ud83d\"}",
    "{\"time\":\"t\",\"event\":\"login\",\"reply\":\"\\ud83d\\u0041\"}",
    "{\"time\":\"t\",\"event\":\"login\",\"reply\":\"\\ude00\"}",
    "{}",
    "{\"time\":\"t\"}",
    /* of other programs, whatever they say */
    "Nov 28 05:50:00 mx1 sshd[4711]: " TIME,
    "Nov 28 05:50:00 mx1 sshd[4711]: porteirod: " TIME,
    "Nov 28 05:50:00 mx1 xporteirod: " TIME,
    "Nov 28 05:50:00 mx1 porteirod[x]: " TIME,
    "Nov 28 05:50:00 mx1 porteirod[]: " TIME,
};

START_TEST(what_is_no_whole_line_of_ours_is_not_taken)
{
    ck_assert_msg(record_read(span_of(bad[_i]), &record) == -1, "%s", bad[_i]);
}
END_TEST

START_TEST(a_line_has_so_many_fields_and_no_more)
{
    char line[2000] = TIME, more[20];
    for (int i = 3; i < RECORD_FIELDS_MAX; i++) {
        ck_assert_int_eq(record_read(span_of(line), &record), 0);
        ck_assert_uint_eq(record.count, (size_t)i);
        (void)snprintf(more, sizeof more, " %c%c=x", 'a' + i / 26, 'a' + i % 26); /* fits */
        strcat(line, more);
    }
    ck_assert_int_eq(record_read(span_of(line), &record), 0);
    strcat(line, " zz=x");
    ck_assert_int_eq(record_read(span_of(line), &record), -1);
}
END_TEST

START_TEST(the_longest_line_may_be_escaped_from_end_to_end)
{
    static char line[RECORD_LINE_MAX + 2] = TIME " reply=\"";
    size_t head = strlen(line), size = head;
    while (size < RECORD_LINE_MAX - 2)
        line[size++] = '\\';
    size -= (size - head) % 2;
    line[size++] = '"';
    ck_assert_int_eq(record_read(span_make(line, size), &record), 0);
    ck_assert_uint_eq(record_value(&record, "reply").size, (size - 1 - head) / 2);
    memset(line, 'x', sizeof line);
    memcpy(line, TIME " reply=", head - 1);
    ck_assert_int_eq(record_read(span_make(line, RECORD_LINE_MAX), &record), 0);
    ck_assert_int_eq(record_read(span_make(line, RECORD_LINE_MAX + 1), &record), -1);
}
END_TEST

SUITE(record)
{
    LOOP_TEST(a_field_is_read_back, good);
    LOOP_TEST(what_is_no_whole_line_of_ours_is_not_taken, bad);
    TEST(a_line_has_so_many_fields_and_no_more);
    TEST(the_longest_line_may_be_escaped_from_end_to_end);
}
