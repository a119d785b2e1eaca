#include "protocol/smtp/xclient.h"

#include "support/test.h"

#include <stdio.h>

#define X50  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X200 X50 X50 X50 X50

/* Postfix's XCLIENT_README: attribute names in any case, values in xtext, "[UNAVAILABLE]" and
 * "[TEMPUNAVAIL]", "IPV6:" before an IPv6 address. */
static const struct {
    const char *text;
    bool is_good;
} cases[] = {
    {"ADDR=192.0.2.1", true},
    {" ADDR=192.0.2.1 ", true},
    {"addr=192.0.2.1 PORT=4711 name=mail.example.com HELO=c LOGIN=ana@example.com", true},
    {"NAME=[UNAVAILABLE] ADDR=[unavailable] PORT=[TEMPUNAVAIL] HELO=[UNAVAILABLE]", true},
    {"LOGIN=[UNAVAILABLE]", true},
    {"ADDR=IPV6:2001:db8::1", true},
    {"ADDR=ipv6:::1", true},
    {"ADDR=IPV6:::ffff:192.0.2.1", true},
    {"PROTO=ESMTP DESTADDR=192.0.2.2 DESTPORT=25", true},
    {"PROTO=SMTP", true},
    {"HELO=WIN_PC", true},
    {"HELO=[192.0.2.1]", true},
    {"HELO=b+C3+BCro", true},
    {"LOGIN=ana+2Btag@example.com", true},
    {"PORT=0", true},
    {"PORT=65535", true},
    {"HELO=" X200 X50, true},
    {"", false},
    {" ", false},
    {"ADDR", false},
    {"ADDR=", false},
    {"=192.0.2.1", false},
    {"ADDR=192.0.2.1 ADDR=192.0.2.1", false},
    {"ADDR=192.0.2", false},
    {"ADDR=192.0.2.1:25", false},
    {"ADDR=192.0.2.256", false},
    {"ADDR=mail.example.com", false},
    {"ADDR=2001:db8::1", false},
    {"ADDR=IPV6:192.0.2.1", false},
    {"ADDR=IPV6:", false},
    {"ADDR=[192.0.2.1]", false},
    {"ADDR=192.0.2.1+00", false},
    {"PORT=65536", false},
    {"PORT=-1", false},
    {"PORT=x", false},
    {"PROTO=LMTP", false},
    {"NAME=a+20b", false},
    {"NAME=a+0D+0Ab", false},
    {"HELO=<script>", false},
    {"HELO=b+FCro", false},
    {"LOGIN=ana+0Aevil", false},
    {"LOGIN=+00", false},
    {"LOGIN=ana+2b", false},
    {"LOGIN=ana+", false},
    {"LOGIN=a=b", false},
    {"LOGIN=" X200 X50 "xxxxxx", false},
    {"HELO=" X200 X50 "xxxxxx", false},
    {"FOO=bar", false},
    {"ADDR=192.0.2.1 FOO", false},
    {"ADDR =192.0.2.1", false},
    {"ADDR=192.0.2.1,PORT=25", false},
};

START_TEST(an_xclient_is_taken_or_refused_as_a_whole)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct smtp_told told;
        const char *wrong = smtp_xclient_parse(span_of(cases[i].text), &told);
        ck_assert_msg((wrong == NULL) == cases[i].is_good, "%s: %s", cases[i].text,
                      wrong == NULL ? "" : wrong);
    }
}
END_TEST

static struct smtp_told told(const char *text)
{
    struct smtp_told t;
    ck_assert_ptr_null(smtp_xclient_parse(span_of(text), &t));
    return t;
}

START_TEST(values_are_decoded)
{
    const struct smtp_told t =
        told("LOGIN=ana+2Btag+40example.com HELO=b+C3+BCro NAME=[UNAVAILABLE]");
    char text[SMTP_TOLD_SIZE];
    ck_assert(smtp_told_text(&t, XCLIENT_LOGIN, text));
    ck_assert_str_eq(text, "ana+tag@example.com");
    ck_assert(smtp_told_text(&t, XCLIENT_HELO, text));
    ck_assert_str_eq(text, "b\xc3\xbcro");
    ck_assert(!smtp_told_text(&t, XCLIENT_NAME, text));
    ck_assert(!smtp_told_text(&t, XCLIENT_PROTO, text));
}
END_TEST

static void is_told_address(const char *text, const char *expected)
{
    const struct smtp_told t = told(text);
    struct address a;
    char is[ADDRESS_TEXT_SIZE] = "";
    if (smtp_told_address(&t, &a))
        address_format(&a, is);
    ck_assert_str_eq(is, expected);
}

START_TEST(the_address_has_its_port)
{
    is_told_address("ADDR=192.0.2.1 PORT=4711", "192.0.2.1:4711");
    is_told_address("PORT=4711 ADDR=192.0.2.1", "192.0.2.1:4711");
    is_told_address("ADDR=192.0.2.1", "192.0.2.1:0");
    is_told_address("ADDR=192.0.2.1 PORT=[UNAVAILABLE]", "192.0.2.1:0");
    is_told_address("ADDR=IPV6:2001:db8::1 PORT=25", "[2001:db8::1]:25");
    is_told_address("ADDR=[UNAVAILABLE] PORT=25", "");
    is_told_address("PORT=25", "");
}
END_TEST

START_TEST(where_the_client_came_to_is_another_address)
{
    const struct smtp_told t = told("DESTADDR=192.0.2.5 ADDR=192.0.2.1 PORT=4711 DESTPORT=587");
    const struct smtp_told none = told("ADDR=192.0.2.1 DESTADDR=[UNAVAILABLE] DESTPORT=587");
    struct address a;
    char is[ADDRESS_TEXT_SIZE];
    ck_assert(smtp_told_destination(&t, &a));
    address_format(&a, is);
    ck_assert_str_eq(is, "192.0.2.5:587");
    ck_assert(!smtp_told_destination(&none, &a));
}
END_TEST

SUITE(smtp_xclient)
{
    TEST(an_xclient_is_taken_or_refused_as_a_whole);
    TEST(values_are_decoded);
    TEST(the_address_has_its_port);
    TEST(where_the_client_came_to_is_another_address);
}
