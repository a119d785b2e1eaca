/* What telemetry writes, policy/record reads back. */
#include "policy/record.h"

#include "base/utf8.h"
#include "telemetry/event.h"

#include "support/test.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int fds[2];
    struct event_log log;
    char line[8192];
    struct record_line record;
} it;

static void set_up(bool is_json)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, it.fds), 0);
    it.log = (struct event_log){log_create(it.fds[0], LOG_LEVEL_DEBUG), is_json, "worker 2"};
}

static void tear_down(void)
{
    log_destroy(&it.log.lines);
    ck_assert_int_eq(close(it.fds[0]) | close(it.fds[1]), 0);
}

static void take_line(void *owner, enum log_level level, struct span line)
{
    (void)owner, (void)level;
    ck_assert_uint_eq(span_copy(line, it.line, sizeof it.line), line.size);
    ck_assert_msg(record_read(span_of(it.line), &it.record) == 0, "%s", it.line);
}

/* The fields as they are read back. */
static void say(const struct field *fields)
{
    static char datagram[LOG_DATAGRAM_MAX];
    log_event_fields(&it.log, EVENT_decision, fields);
    log_flush(it.log.lines);
    ssize_t size = recv(it.fds[1], datagram, sizeof datagram, MSG_DONTWAIT);
    ck_assert_int_gt(size, 0);
    log_lines_each(span_make(datagram, (size_t)size), take_line, NULL);
    ck_assert(record_is(&it.record, "event", "decision"));
    ck_assert(record_is(&it.record, "level", "info"));
    ck_assert(record_is(&it.record, "process", "worker 2"));
}

/* What isn't UTF-8 comes back as if it were Latin-1. */
static struct span as_utf8(struct span text, char *out)
{
    size_t size = 0;
    if (utf8_is_valid(text))
        return text;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x80)
            out[size++] = (char)(0xc0 | c >> 6);
        out[size++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
    }
    return span_make(out, size);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return *seed >> 16;
}

static const bool forms[] = {false, true};

START_TEST(each_key_and_any_octets_come_back)
{
    uint32_t seed = 1;
    char text[40], wide[80];
    set_up(forms[_i]);
    for (unsigned n = 0; n < 20000; n++) {
        /* Of all octets, of printable ones, and of those that mean something. */
        static const char special[] = "\"\\=u\xc2\x85 {}:,\n0";
        enum log_key key = (enum log_key)(KEY_session + n % (LOG_KEY_COUNT - KEY_session));
        size_t size = 1 + next_random(&seed) % sizeof text;
        for (size_t i = 0; i < size; i++) {
            uint32_t dice = next_random(&seed);
            text[i] = (char)(n % 3 == 0   ? dice
                             : n % 3 == 1 ? ' ' + dice % 95
                                          : (uint32_t)special[dice % (sizeof special - 1)]);
        }
        const struct span value = span_make(text, size);
        const struct field fields[] = {field_span(key, value), {.kind = FIELD_END}};
        say(fields);
        const struct span want = as_utf8(value, wide);
        const struct span got = record_value(&it.record, log_key_name(key));
        ck_assert_msg(got.size == want.size && memcmp(got.data, want.data, got.size) == 0, "%s",
                      it.line);
        ck_assert_uint_eq(it.record.count, 5);
    }
    tear_down();
}
END_TEST

START_TEST(numbers_and_times_come_back)
{
    static const struct {
        int64_t number;
        const char *whole, *seconds;
    } cases[] = {{0, "0", "0.000"},
                 {7, "7", "0.000"},
                 {-1500000000, "-1500000000", "-1.500"},
                 {INT64_MAX, "9223372036854775807", "9223372036.854"}};
    set_up(forms[_i]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct field fields[] = {field_number(KEY_count, cases[i].number),
                                       field_seconds(KEY_wait, cases[i].number),
                                       {.kind = FIELD_END}};
        say(fields);
        ck_assert_msg(record_is(&it.record, "count", cases[i].whole), "%s", it.line);
        ck_assert_msg(record_is(&it.record, "wait", cases[i].seconds), "%s", it.line);
    }
    tear_down();
}
END_TEST

START_TEST(a_line_that_was_too_long_comes_back_without_what_did_not_fit)
{
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    set_up(forms[_i]);
    const struct field fields[] = {field_text(KEY_account, "ana"),
                                   field_text(KEY_reply, text),
                                   field_text(KEY_rule, "hour"),
                                   {.kind = FIELD_END}};
    say(fields);
    ck_assert(record_is(&it.record, "account", "ana") && record_is(&it.record, "rule", "hour"));
    ck_assert_uint_eq(record_value(&it.record, "reply").size, 0);
    tear_down();
}
END_TEST

SUITE(record)
{
    LOOP_TEST(each_key_and_any_octets_come_back, forms);
    LOOP_TEST(numbers_and_times_come_back, forms);
    LOOP_TEST(a_line_that_was_too_long_comes_back_without_what_did_not_fit, forms);
}
