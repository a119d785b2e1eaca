#include "protocol/smtp/xforward.h"

#include "support/test.h"

enum { ALL = (1 << XFORWARD_COUNT) - 1 };

static const struct xforward_values values = {.value = {[XFORWARD_NAME] = "host.example",
                                                        [XFORWARD_ADDR] = "IPV6:2001:db8::1",
                                                        [XFORWARD_PORT] = "4321",
                                                        [XFORWARD_PROTO] = "ESMTP",
                                                        [XFORWARD_HELO] = "a b+c",
                                                        [XFORWARD_IDENT] = "M1",
                                                        [XFORWARD_SOURCE] = "REMOTE"}};

static char line[513];

static size_t say_first(const struct xforward_values *v, unsigned wanted, unsigned *next)
{
    *next = 0;
    return xforward_command(v, wanted, next, line);
}

START_TEST(the_words_of_the_capability_are_those_that_we_know)
{
    ck_assert_uint_eq(xforward_parse(span_of("")), 0);
    ck_assert_uint_eq(xforward_parse(span_of("NAME ADDR PROTO HELO SOURCE PORT IDENT")), ALL);
    ck_assert_uint_eq(xforward_parse(span_of("addr  LOGIN SOURCES")), 1U << XFORWARD_ADDR);
}
END_TEST

START_TEST(what_is_known_is_said_in_one_command_as_xtext)
{
    unsigned next;
    ck_assert_uint_eq(say_first(&values, ALL, &next), strlen(line));
    ck_assert_str_eq(line, "XFORWARD NAME=host.example ADDR=IPV6:2001:db8::1 PORT=4321 PROTO=ESMTP "
                           "HELO=a+20b+2Bc IDENT=M1 SOURCE=REMOTE\r\n");
    ck_assert_uint_eq(xforward_command(&values, ALL, &next, line), 0);
}
END_TEST

START_TEST(only_what_is_wanted_is_said)
{
    unsigned next;
    (void)say_first(&values, 1U << XFORWARD_PORT | 1U << XFORWARD_SOURCE, &next);
    ck_assert_str_eq(line, "XFORWARD PORT=4321 SOURCE=REMOTE\r\n");
    ck_assert_uint_eq(say_first(&values, 0, &next), 0);
}
END_TEST

START_TEST(what_is_not_known_or_too_long_is_said_to_be)
{
    static char much[400];
    struct xforward_values v = {.value = {[XFORWARD_HELO] = ""}};
    unsigned next;
    memset(much, 'a', sizeof much - 1);
    v.value[XFORWARD_NAME] = much;
    (void)say_first(&v, ALL, &next);
    ck_assert_str_eq(line, "XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] "
                           "PROTO=[UNAVAILABLE] HELO=[UNAVAILABLE] IDENT=[UNAVAILABLE] "
                           "SOURCE=[UNAVAILABLE]\r\n");
}
END_TEST

START_TEST(what_does_not_fit_stands_in_further_commands_of_512_octets)
{
    static char name[250], helo[260];
    struct xforward_values v = values;
    unsigned next = 0, commands = 0;
    memset(name, 'n', sizeof name - 1);
    memset(helo, 'h', sizeof helo - 1);
    v.value[XFORWARD_NAME] = name;
    v.value[XFORWARD_HELO] = helo;
    size_t size, total = 0;
    while ((size = xforward_command(&v, ALL, &next, line)) > 0) {
        ck_assert_uint_le(size, 512);
        ck_assert_int_eq(memcmp(line, "XFORWARD ", 9), 0);
        commands++;
        total += size;
    }
    ck_assert_uint_eq(commands, 2);
    ck_assert_uint_gt(total, sizeof name + sizeof helo);
}
END_TEST

SUITE(xforward)
{
    TEST(the_words_of_the_capability_are_those_that_we_know);
    TEST(what_is_known_is_said_in_one_command_as_xtext);
    TEST(only_what_is_wanted_is_said);
    TEST(what_is_not_known_or_too_long_is_said_to_be);
    TEST(what_does_not_fit_stands_in_further_commands_of_512_octets);
}
