#include "protocol/pop3/capabilities.h"

#include "support/test.h"

static const struct {
    const char *line;
    unsigned capability;
} lines[] = {
    /* RFC 2449 section 6 */
    {"TOP", POP3_TOP},
    {"UIDL", POP3_UIDL},
    {"PIPELINING", POP3_PIPELINING},
    {"top", POP3_TOP},
    {"UIDL and more", POP3_UIDL},
    {"USER", 0},
    {"SASL PLAIN TOP", 0},
    {"IMPLEMENTATION TOP", 0},
    {"TOPS", 0},
    {"UID", 0},
    {" TOP", 0},
    {"", 0},
};

START_TEST(a_line_offers_what_its_tag_says)
{
    ck_assert_uint_eq(pop3_capability_of(span_of(lines[_i].line)), lines[_i].capability);
}
END_TEST

SUITE(pop3_capabilities)
{
    LOOP_TEST(a_line_offers_what_its_tag_says, lines);
}
