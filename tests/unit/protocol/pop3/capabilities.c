#include "protocol/pop3/capabilities.h"

#include "support/test.h"

static const struct {
    const char *line;
    unsigned offered;
    const char *told;
} lines[] = {
    /* RFC 2449 section 6 */
    {"TOP", POP3_TOP, "TOP\r\n"},
    {"UIDL", POP3_UIDL, "UIDL\r\n"},
    {"PIPELINING", POP3_PIPELINING, ""},
    {"top", POP3_TOP, "TOP\r\n"},
    {"UIDL and more", POP3_UIDL, "UIDL\r\n"},
    {"EXPIRE 5 USER", POP3_EXPIRE | POP3_EXPIRE_USER, "EXPIRE 5 USER\r\n"},
    {"EXPIRE 30", POP3_EXPIRE, "EXPIRE 30\r\n"},
    {"expire never", POP3_EXPIRE, "EXPIRE NEVER\r\n"},
    {"EXPIRE 0", POP3_EXPIRE, "EXPIRE 0\r\n"},
    {"LOGIN-DELAY 900", POP3_LOGIN_DELAY, "LOGIN-DELAY 900\r\n"},
    {"LOGIN-DELAY 180 USER", POP3_LOGIN_DELAY | POP3_LOGIN_DELAY_USER, "LOGIN-DELAY 180 USER\r\n"},
    {"UTF8", POP3_UTF8, "UTF8\r\n"},
    {"UTF8 USER", POP3_UTF8 | POP3_UTF8_USER, "UTF8 USER\r\n"},
    /* no number */
    {"EXPIRE", 0, ""},
    {"EXPIRE soon", 0, ""},
    {"EXPIRE -1", 0, ""},
    {"EXPIRE 99999999999", 0, ""},
    {"LOGIN-DELAY NEVER", 0, ""},
    {"LOGIN-DELAY", 0, ""},
    {"LOGIN-DELAY\t900", 0, ""},
    /* others', or none */
    {"USER", 0, ""},
    {"SASL PLAIN TOP", 0, ""},
    {"IMPLEMENTATION TOP", 0, ""},
    {"TOPS", 0, ""},
    {"UID", 0, ""},
    {" TOP", 0, ""},
    {"", 0, ""},
};

static void tells(const struct pop3_capabilities *c, const char *text)
{
    struct buffer out = {.limit = 200};
    ck_assert_int_eq(pop3_capabilities_append(c, &out), 0);
    ck_assert_msg(span_equals(buffer_bytes(&out), text), "%.*s", (int)out.size,
                  buffer_bytes(&out).data);
    buffer_clear(&out);
}

START_TEST(a_line_offers_what_its_tag_says)
{
    struct pop3_capabilities c = {0};
    pop3_capabilities_take(&c, span_of(lines[_i].line));
    ck_assert_uint_eq(c.offered, lines[_i].offered);
    tells(&c, lines[_i].told);
}
END_TEST

static struct pop3_capabilities of(const char *const *all)
{
    struct pop3_capabilities c = {0};
    for (; *all != NULL; all++)
        pop3_capabilities_take(&c, span_of(*all));
    return c;
}

START_TEST(of_several_servers_the_least_is_promised)
{
    static const char *const one[] = {"TOP", "UIDL", "EXPIRE NEVER", "LOGIN-DELAY 10", NULL};
    static const char *const two[] = {"UIDL", "EXPIRE 60 USER", "LOGIN-DELAY 900", NULL};
    static const char *const three[] = {"UIDL", "LOGIN-DELAY 30", NULL};
    struct pop3_capabilities c = of(one), second = of(two), third = of(three);
    pop3_capabilities_narrow(&c, &second);
    tells(&c, "UIDL\r\nEXPIRE 60 USER\r\nLOGIN-DELAY 900\r\n");
    pop3_capabilities_narrow(&c, &third);
    tells(&c, "UIDL\r\nLOGIN-DELAY 900\r\n");
}
END_TEST

START_TEST(what_does_not_fit_is_told)
{
    static const char *const all[] = {"TOP", "UIDL", "EXPIRE 5", "LOGIN-DELAY 10", NULL};
    struct pop3_capabilities c = of(all);
    for (size_t limit = 0; limit < 37; limit++) {
        struct buffer out = {.limit = limit};
        ck_assert_int_eq(pop3_capabilities_append(&c, &out), -1);
        buffer_clear(&out);
    }
}
END_TEST

SUITE(pop3_capabilities)
{
    LOOP_TEST(a_line_offers_what_its_tag_says, lines);
    TEST(of_several_servers_the_least_is_promised);
    TEST(what_does_not_fit_is_told);
}
