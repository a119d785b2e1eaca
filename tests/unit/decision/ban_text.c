#include "decision/ban_text.h"

#include "base/clock.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#define NOW (INT64_C(1795540385) * CLOCK_SECOND)

static struct ban ban_of(const char *network)
{
    struct ban b = {.since_ns = NOW, .until_ns = NOW + 3600 * CLOCK_SECOND};
    ck_assert_int_eq(network_parse(network, &b.network, NULL), 0);
    return b;
}

/* Written and read again. */
static struct ban told(const struct ban *b)
{
    char name[BAN_NAME_SIZE], value[BAN_VALUE_SIZE];
    struct ban out;
    ban_text_write(b, name, value);
    ck_assert_int_eq(ban_text_read(span_of(name), span_of(value), &out), 0);
    return out;
}

static const char *const networks[] = {"192.0.2.7", "192.0.2.0/24", "0.0.0.0/0",
                                       "2001:db8:1:2::/64", "::/0"};

START_TEST(what_is_told_of_a_ban_is_read_as_it_was)
{
    struct ban b = ban_of(networks[_i]);
    b.account = UINT64_MAX;
    b.tries = UINT32_MAX;
    b.uid = 1000;
    b.kind = _i % 2 != 0 ? BAN_EXEMPTION : BAN_OF_CLIENT;
    b.spares_nobody = _i % 2 == 0;
    (void)snprintf(b.rule, sizeof b.rule, "auth.guessing");      /* fits */
    (void)snprintf(b.name, sizeof b.name, "ana@example.com");    /* fits */
    (void)snprintf(b.reason, sizeof b.reason, "sends \"spam\""); /* fits */
    const struct ban read = told(&b);
    ck_assert_mem_eq(&read.network, &b.network, sizeof b.network);
    ck_assert_uint_eq(read.account, b.account);
    ck_assert_int_eq(read.since_ns, b.since_ns);
    ck_assert_int_eq(read.until_ns, b.until_ns);
    ck_assert_uint_eq(read.tries, b.tries);
    ck_assert_uint_eq(read.uid, b.uid);
    ck_assert_uint_eq(read.kind, b.kind);
    ck_assert_uint_eq(read.spares_nobody, b.spares_nobody);
    ck_assert_str_eq(read.rule, b.rule);
    ck_assert_str_eq(read.name, b.name);
    ck_assert_str_eq(read.reason, b.reason);
}
END_TEST

START_TEST(the_longest_texts_fit_and_lines_within_them_are_none)
{
    struct ban b = ban_of("2001:db8:ffff:ffff::/64");
    memset(b.rule, 'r', sizeof b.rule - 1);
    memset(b.name, 'n', sizeof b.name - 1);
    memset(b.reason, '\n', sizeof b.reason - 1);
    b.since_ns = b.until_ns = INT64_MAX;
    b.tries = b.uid = UINT32_MAX;
    const struct ban read = told(&b);
    ck_assert_str_eq(read.rule, b.rule);
    ck_assert_str_eq(read.name, b.name);
    ck_assert_uint_eq(strspn(read.reason, "?"), sizeof b.reason - 1);
}
END_TEST

static const struct {
    const char *name, *value;
} wrong[] = {
    {"", "1 2 0 0 0\n\n\n"},
    {"192.0.2.7", "1 2 0 0 0\n\n\n"},
    {"192.0.2.7 0", "1 2 0 0 0\n\n\n"},
    {"192.0.2.7 0 bans", "1 2 0 0 0\n\n\n"},
    {"192.0.2.7 x ban", "1 2 0 0 0\n\n\n"},
    {"192.0.2.7 18446744073709551616 ban", "1 2 0 0 0\n\n\n"},
    {"192.0.2.7/33 0 ban", "1 2 0 0 0\n\n\n"},
    {"mail.example.com 0 ban", "1 2 0 0 0\n\n\n"},
    {"192.0.2.7 0 ban", ""},
    {"192.0.2.7 0 ban", "1 2 0"},
    {"192.0.2.7 0 ban", "-1 2 0 0 0\n\n\n"},
    {"192.0.2.7 0 ban", "9223372036854775808 2 0 0 0\n\n\n"},
    {"192.0.2.7 0 ban", "1 2 4294967296 0 0\n\n\n"},
    {"192.0.2.7 0 ban", "1 2 0 4294967296 0\n\n\n"},
    {"192.0.2.7 0 ban", "1 2 0 0 2\n\n\n"},
    {"192.0.2.7 0 ban", "1 2 0 0\n\n\n"},
    {"192.0.2.7 0 ban",
     "1 2 0 0 0\n0123456789012345678901234567890123456789012345678901234567890123\n\n"},
};

START_TEST(what_is_no_ban_is_refused)
{
    struct ban b;
    ck_assert_int_eq(ban_text_read(span_of(wrong[_i].name), span_of(wrong[_i].value), &b), -1);
}
END_TEST

/* Of any cut, and with any octet another: nothing is read past it, and texts end. */
START_TEST(damaged_ones_are_read_or_refused_within_them)
{
    struct ban b = ban_of("192.0.2.7"), out;
    char name[BAN_NAME_SIZE], value[BAN_VALUE_SIZE];
    (void)snprintf(b.rule, sizeof b.rule, "auth.guessing"); /* fits */
    ban_text_write(&b, name, value);
    for (size_t size = 0; size <= strlen(value); size++)
        (void)ban_text_read(span_of(name), span_make(value, size), &out); /* either will do */
    for (size_t size = 0; size <= strlen(name); size++)
        (void)ban_text_read(span_make(name, size), span_of(value), &out); /* as above */
    for (size_t i = 0, size = strlen(value); i < size; i++)
        for (int octet = 0; octet < 256; octet += 5) {
            char was = value[i];
            value[i] = (char)octet;
            if (ban_text_read(span_of(name), span_make(value, size), &out) == 0)
                ck_assert(memchr(out.rule, '\0', sizeof out.rule) != NULL);
            value[i] = was;
        }
}
END_TEST

SUITE(ban_text)
{
    LOOP_TEST(what_is_told_of_a_ban_is_read_as_it_was, networks);
    TEST(the_longest_texts_fit_and_lines_within_them_are_none);
    LOOP_TEST(what_is_no_ban_is_refused, wrong);
    TEST(damaged_ones_are_read_or_refused_within_them);
}
