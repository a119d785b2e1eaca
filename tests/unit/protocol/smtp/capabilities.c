#include "protocol/smtp/capabilities.h"

#include "protocol/said.h"

#include <stdlib.h>

enum { COMMAND_SIZE = 513, ALL = (1 << XCLIENT_COUNT) - 1 };

static const char *const names[XCLIENT_COUNT] = {
    [XCLIENT_NAME] = "NAME",   [XCLIENT_PROTO] = "PROTO",       [XCLIENT_HELO] = "HELO",
    [XCLIENT_LOGIN] = "LOGIN", [XCLIENT_DESTADDR] = "DESTADDR", [XCLIENT_DESTPORT] = "DESTPORT",
    [XCLIENT_PORT] = "PORT",   [XCLIENT_ADDR] = "ADDR",
};

static unsigned bit(enum xclient_attribute a)
{
    return 1U << a;
}

START_TEST(the_extensions_of_a_server_are_those_it_lists)
{
    struct smtp_capabilities c = smtp_capabilities_parse(
        span_of("mx.example.com greets you\nPIPELINING\nSIZE 52428800\nVRFY\nETRN\nSTARTTLS\n"
                "AUTH PLAIN LOGIN\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING\n"
                "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"));
    ck_assert_uint_eq(c.extensions, SMTP_PIPELINING | SMTP_SIZE | SMTP_STARTTLS |
                                        SMTP_ENHANCEDSTATUSCODES | SMTP_8BITMIME | SMTP_SMTPUTF8 |
                                        SMTP_DSN | SMTP_CHUNKING | SMTP_XCLIENT | SMTP_AUTH);
    ck_assert_uint_eq(c.xclient, ALL);
    ck_assert_uint_eq(c.size, 52428800);
}
END_TEST

START_TEST(a_line_of_the_reply_to_ehlo_says_what_rfc_5321_says)
{
    static const struct {
        const char *text;
        unsigned extensions, xclient;
        uint64_t size;
    } cases[] = {
        {"", 0, 0, 0},
        {"host", 0, 0, 0},
        {"PIPELINING", 0, 0, 0}, /* the first line is the greeting */
        {"DSN SIZE 5", 0, 0, 0},
        {"host\n", 0, 0, 0},
        {"host\n\n\nDSN", SMTP_DSN, 0, 0},
        {"host\npipelining\nDsn", SMTP_PIPELINING | SMTP_DSN, 0, 0},
        {"host\nPIPELINING2", 0, 0, 0},
        {"host\nX-PIPELINING", 0, 0, 0},
        {"host\nPIPELINING with words", SMTP_PIPELINING, 0, 0},
        {"host\nAUTH=LOGIN", SMTP_AUTH, 0, 0}, /* the form before RFC 2554 */
        {"host\nSIZE", SMTP_SIZE, 0, 0},
        {"host\nSIZE 0", SMTP_SIZE, 0, 0}, /* RFC 1870: no limit told */
        {"host\nSIZE 1000", SMTP_SIZE, 0, 1000},
        {"host\nsize  1000 ", SMTP_SIZE, 0, 1000},
        {"host\nSIZE -1", SMTP_SIZE, 0, 0},
        {"host\nSIZE 10M", SMTP_SIZE, 0, 0},
        {"host\nSIZE 99999999999999999999999", SMTP_SIZE, 0, 0},
        {"host\nXCLIENT", SMTP_XCLIENT, 0, 0},
        {"host\nXCLIENT ADDR", SMTP_XCLIENT, 1 << XCLIENT_ADDR, 0},
        {"host\nxclient addr  Port", SMTP_XCLIENT, 1 << XCLIENT_ADDR | 1 << XCLIENT_PORT, 0},
        {"host\nXCLIENT SESSION TTL FORWARD", SMTP_XCLIENT, 0, 0},
        {"host\nXCLIENT ADDRESS", SMTP_XCLIENT, 0, 0},
        {"host\nXFORWARD ADDR", SMTP_XFORWARD, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct smtp_capabilities c = smtp_capabilities_parse(span_of(cases[i].text));
        ck_assert_msg(c.extensions == cases[i].extensions && c.xclient == cases[i].xclient &&
                          c.size == cases[i].size,
                      "<%s> gives %x, %x, %lu", cases[i].text, c.extensions, c.xclient,
                      (unsigned long)c.size);
    }
}
END_TEST

/* What the commands said together, taken apart by the rules of XCLIENT. */
struct told {
    char value[XCLIENT_COUNT][1024];
    unsigned command[XCLIENT_COUNT]; /* in which it stood, from 1; 0: in none */
    unsigned commands;
};

static size_t decode(struct span s, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < s.size; i++) {
        unsigned octet = (unsigned char)s.data[i];
        ck_assert_msg(octet > 32 && octet < 127 && octet != '=', "%.*s", (int)s.size, s.data);
        if (octet == '+') {
            const char hex[] = {s.data[i + 1], s.data[i + 2], '\0'};
            octet = (unsigned)strtoul(hex, NULL, 16);
            i += 2;
        }
        out[used++] = (char)octet;
    }
    out[used] = '\0';
    return used;
}

static void take_attribute(struct told *t, struct span attribute)
{
    struct span name = span_split(&attribute, '=');
    for (size_t i = 0; i < XCLIENT_COUNT; i++)
        if (span_equals(name, names[i])) {
            ck_assert_msg(t->command[i] == 0, "%s is told twice", names[i]);
            t->command[i] = t->commands;
            (void)decode(attribute, t->value[i]);
            return;
        }
    ck_abort_msg("an unknown attribute: %.*s", (int)name.size, name.data);
}

static void tell(const struct xclient_values *values, unsigned wanted, struct told *t)
{
    unsigned next = 0;
    size_t size;
    char *out = malloc(COMMAND_SIZE); /* a sanitizer sees what goes past it */
    *t = (struct told){.commands = 0};
    while ((size = xclient_command(values, wanted, &next, out)) > 0) {
        t->commands++;
        ck_assert_uint_le(size, 512);
        ck_assert_uint_eq(strlen(out), size);
        struct span line = span_make(out, size - 2);
        ck_assert(memcmp(out + size - 2, "\r\n", 2) == 0);
        ck_assert(span_equals(span_split(&line, ' '), "XCLIENT"));
        ck_assert_uint_gt(line.size, 0);
        while (line.size > 0)
            take_attribute(t, span_split(&line, ' '));
        ck_assert_uint_le(t->commands, XCLIENT_COUNT);
    }
    ck_assert_uint_eq(xclient_command(values, wanted, &next, out), 0);
    free(out);
}

static const struct xclient_values usual = {.value = {[XCLIENT_NAME] = "[UNAVAILABLE]",
                                                      [XCLIENT_PROTO] = "ESMTP",
                                                      [XCLIENT_HELO] = "laptop.example",
                                                      [XCLIENT_LOGIN] = "ana+news@example.com",
                                                      [XCLIENT_DESTADDR] = "192.0.2.1",
                                                      [XCLIENT_DESTPORT] = "465",
                                                      [XCLIENT_PORT] = "50000",
                                                      [XCLIENT_ADDR] = "IPV6:2001:db8::7"}};

START_TEST(what_fits_is_told_in_one_command)
{
    char out[COMMAND_SIZE];
    unsigned next = 0;
    size_t size = xclient_command(&usual, ALL, &next, out);
    ck_assert_str_eq(out, "XCLIENT NAME=[UNAVAILABLE] PROTO=ESMTP HELO=laptop.example "
                          "LOGIN=ana+2Bnews@example.com DESTADDR=192.0.2.1 DESTPORT=465 "
                          "PORT=50000 ADDR=IPV6:2001:db8::7\r\n");
    ck_assert_uint_eq(size, strlen(out));
    ck_assert_uint_eq(xclient_command(&usual, ALL, &next, out), 0);
}
END_TEST

START_TEST(only_what_the_server_listed_is_told)
{
    for (unsigned wanted = 0; wanted <= ALL; wanted++) {
        struct told t;
        tell(&usual, wanted, &t);
        for (unsigned i = 0; i < XCLIENT_COUNT; i++)
            ck_assert_uint_eq(t.command[i] != 0, wanted >> i & 1);
    }
}
END_TEST

START_TEST(what_is_not_known_is_not_told)
{
    struct xclient_values values = usual;
    struct told t;
    values.value[XCLIENT_LOGIN] = values.value[XCLIENT_PORT] = NULL;
    tell(&values, ALL, &t);
    ck_assert_uint_eq(t.command[XCLIENT_LOGIN], 0);
    ck_assert_uint_eq(t.command[XCLIENT_PORT], 0);
    ck_assert_uint_eq(t.command[XCLIENT_ADDR], 1);
    tell(&(struct xclient_values){.value = {NULL}}, ALL, &t);
    ck_assert_uint_eq(t.commands, 0);
}
END_TEST

/* ASCII, or all octets, each of which is three of xtext. */
static void fill_in(char *out, size_t size, bool is_ascii, uint32_t *seed)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(is_ascii ? 'a' + next_random(seed) % 26 : 128 + next_random(seed) % 128);
    out[size] = '\0';
}

START_TEST(any_values_are_told_whole_in_commands_of_512_octets)
{
    static char value[XCLIENT_COUNT][256];
    uint32_t seed = 3;
    for (int round = 0; round < 500; round++) {
        struct xclient_values values = usual;
        struct told t;
        for (unsigned i = 0; i < XCLIENT_PORT; i++) {
            bool is_ascii = next_random(&seed) % 2 == 0;
            fill_in(value[i], 1 + next_random(&seed) % (is_ascii ? 255 : 100), is_ascii, &seed);
            values.value[i] = value[i];
        }
        tell(&values, ALL, &t);
        for (unsigned i = 0; i < XCLIENT_COUNT; i++)
            ck_assert_str_eq(t.value[i], values.value[i]);
        for (unsigned i = 1; i < XCLIENT_COUNT; i++)
            ck_assert_uint_ge(t.command[i], t.command[i - 1]);
    }
}
END_TEST

/* Behind ADDR one may not be trusted any more, and Exim refuses it without PORT. */
START_TEST(addr_and_port_stand_together_in_the_last_command)
{
    static char name[256];
    uint32_t seed = 5;
    for (size_t size = 1; size < sizeof name; size++)
        for (size_t helo = 1; helo <= 251; helo += 125) {
            static char hello[256];
            struct xclient_values values = usual;
            struct told t;
            fill_in(name, size, true, &seed);
            fill_in(hello, helo, true, &seed);
            values.value[XCLIENT_NAME] = name;
            values.value[XCLIENT_HELO] = hello;
            values.value[XCLIENT_PORT] = "65535";
            values.value[XCLIENT_ADDR] = "IPV6:2001:0db8:1111:2222:3333:4444:5555:6666";
            tell(&values, ALL, &t);
            ck_assert_uint_eq(t.command[XCLIENT_ADDR], t.commands);
            ck_assert_uint_eq(t.command[XCLIENT_PORT], t.commands);
        }
}
END_TEST

START_TEST(a_value_that_no_command_can_hold_is_left_out)
{
    static char helo[256];
    struct xclient_values values = usual;
    struct told t;
    uint32_t seed = 9;
    fill_in(helo, 255, false, &seed); /* 765 octets of xtext */
    values.value[XCLIENT_HELO] = helo;
    tell(&values, ALL, &t);
    for (unsigned i = 0; i < XCLIENT_COUNT; i++)
        ck_assert_uint_eq(t.command[i] != 0, i != XCLIENT_HELO);
}
END_TEST

START_TEST(a_value_that_a_command_of_its_own_can_hold_is_told)
{
    static char helo[256];
    struct xclient_values values = usual;
    struct told t;
    uint32_t seed = 11;
    fill_in(helo, 150, false, &seed); /* "XCLIENT HELO=" and 450 octets of xtext */
    values.value[XCLIENT_HELO] = helo;
    tell(&values, ALL, &t);
    ck_assert_uint_ne(t.command[XCLIENT_HELO], 0);
    ck_assert(strcmp(t.value[XCLIENT_HELO], helo) == 0);
}
END_TEST

START_TEST(nothing_a_client_says_ends_the_command)
{
    struct xclient_values values = usual;
    struct told t;
    values.value[XCLIENT_HELO] = "a\r\nRCPT TO:<x@y> LOGIN=root";
    values.value[XCLIENT_LOGIN] = "a ADDR=127.0.0.1";
    tell(&values, ALL, &t);
    ck_assert_str_eq(t.value[XCLIENT_HELO], values.value[XCLIENT_HELO]);
    ck_assert_str_eq(t.value[XCLIENT_LOGIN], values.value[XCLIENT_LOGIN]);
    ck_assert_str_eq(t.value[XCLIENT_ADDR], values.value[XCLIENT_ADDR]);
}
END_TEST

START_TEST(the_mechanisms_of_auth_are_those_that_we_know)
{
    static const struct {
        const char *text;
        unsigned mechanisms;
    } cases[] = {
        {"host\nAUTH", 0},
        {"host\nAUTH PLAIN", SMTP_AUTH_PLAIN},
        {"host\nAUTH CRAM-MD5 login PLAIN XOAUTH2",
         SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN | SMTP_AUTH_XOAUTH2},
        {"host\nAUTH=LOGIN PLAIN", SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN},
        {"host\nAUTH LOGIN\nAUTH=PLAIN", SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN},
        {"host\nAUTH PLAINER LOG IN", 0},
        {"AUTH PLAIN", 0}, /* the greeting */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_uint_eq(smtp_capabilities_parse(span_of(cases[i].text)).mechanisms,
                          cases[i].mechanisms);
}
END_TEST

START_TEST(each_attribute_has_the_name_that_the_server_gave_it)
{
    for (unsigned i = 0; i < XCLIENT_COUNT; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "host\nXCLIENT %s", names[i]); /* fits */
        ck_assert_uint_eq(smtp_capabilities_parse(span_of(text)).xclient,
                          bit((enum xclient_attribute)i));
    }
}
END_TEST

SUITE(smtp_capabilities)
{
    TEST(the_extensions_of_a_server_are_those_it_lists);
    TEST(a_line_of_the_reply_to_ehlo_says_what_rfc_5321_says);
    TEST(what_fits_is_told_in_one_command);
    TEST(only_what_the_server_listed_is_told);
    TEST(what_is_not_known_is_not_told);
    TEST(any_values_are_told_whole_in_commands_of_512_octets);
    TEST(addr_and_port_stand_together_in_the_last_command);
    TEST(a_value_that_no_command_can_hold_is_left_out);
    TEST(a_value_that_a_command_of_its_own_can_hold_is_told);
    TEST(nothing_a_client_says_ends_the_command);
    TEST(the_mechanisms_of_auth_are_those_that_we_know);
    TEST(each_attribute_has_the_name_that_the_server_gave_it);
}
