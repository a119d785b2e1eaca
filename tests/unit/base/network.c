#include "base/network.h"

#include "support/test.h"

#include <stdio.h>
#include <string.h>

static struct address host(const char *text)
{
    struct address a;
    ck_assert_msg(address_make(text, 25, &a) == 0, "%s", text);
    return a;
}

START_TEST(a_network_is_read_or_refused)
{
    static const struct {
        const char *text;
        int outcome;
    } cases[] = {
        {"192.0.2.0/24", 0},
        {"192.0.2.1", 0},
        {"192.0.2.1/32", 0},
        {"0.0.0.0/0", 0},
        {"::/0", 0},
        {"2001:db8::/32", 0},
        {"::1", 0},
        {"::1/128", 0},
        {"fe80::/10", 0},
        {"192.0.2.0/25", 0},
        {"", -1},
        {"/", -1},
        {"192.0.2.0/", -1},
        {"192.0.2.0/33", -1},
        {"192.0.2.0/-1", -1},
        {"192.0.2.0/x", -1},
        {"192.0.2.0/24/1", -1},
        {"192.0.2.1/24", -1},
        {"192.0.2.128/24", -1},
        {"2001:db8::1/32", -1},
        {"2001:db8::/129", -1},
        {"192.0.2", -1},
        {"mail.example.com", -1},
        {"[::1]/128", -1},
        {"192.0.2.0/24 ", -1},
        {" 192.0.2.0/24", -1},
        {"::ffff:192.0.2.0/120", -1},
        {"192.0.2.0/0000", -1},
        {"*", -1},
        {"192.0.2.0/4294967320", -1},
        {"0.0.0.0/00", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error why;
        ck_assert_msg(network_check(cases[i].text, &why) == cases[i].outcome, "%s", cases[i].text);
        if (cases[i].outcome < 0)
            ck_assert_msg(strstr(why.text, cases[i].text) != NULL, "%s", why.text);
    }
}
END_TEST

START_TEST(an_address_lies_in_its_networks)
{
    static const struct {
        const char *network, *address;
        bool is_in;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.0", true},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.0/24", "192.0.1.255", false},
        {"192.0.2.0/24", "::ffff:192.0.2.7", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.0", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", false},
        {"::/0", "::ffff:192.0.2.1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::1", false},
        {"::1", "::1", true},
        {"::1", "::", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct network n;
        const struct address a = host(cases[i].address);
        ck_assert_int_eq(network_parse(cases[i].network, &n, NULL), 0);
        ck_assert_msg(network_holds(&n, &a) == cases[i].is_in, "%s in %s", cases[i].address,
                      cases[i].network);
    }
}
END_TEST

/* By the definition: the first bits are the same. */
START_TEST(every_length_of_an_ipv4_network_holds_what_begins_with_its_bits)
{
    const uint32_t first = 0xc0000207;
    for (unsigned bits = 0; bits <= 32; bits++)
        for (unsigned flipped = 0; flipped < 32; flipped++) {
            uint32_t base = bits == 0 ? 0 : first >> (32 - bits) << (32 - bits);
            uint32_t other = base ^ UINT32_C(1) << (31 - flipped);
            char text[32], is[32];
            (void)snprintf(text, sizeof text, "%u.%u.%u.%u/%u", base >> 24, base >> 16 & 255,
                           base >> 8 & 255, base & 255, bits);
            (void)snprintf(is, sizeof is, "%u.%u.%u.%u", other >> 24, other >> 16 & 255,
                           other >> 8 & 255, other & 255);
            struct network n;
            const struct address a = host(is);
            ck_assert_int_eq(network_parse(text, &n, NULL), 0);
            ck_assert_msg(network_holds(&n, &a) == (flipped >= bits), "%s in %s", is, text);
        }
}
END_TEST

START_TEST(networks_meet_when_one_holds_the_other)
{
    static const struct {
        const char *a, *b;
        bool do_meet;
    } pairs[] = {
        {"127.0.0.0/8", "127.0.0.1", true},
        {"0.0.0.0/0", "127.0.0.0/8", true},
        {"10.0.0.0/9", "10.128.0.0/9", false},
        {"::/0", "127.0.0.0/8", false},
        {"::/0", "::1", true},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct network a, b;
        ck_assert_int_eq(network_parse(pairs[i].a, &a, NULL), 0);
        ck_assert_int_eq(network_parse(pairs[i].b, &b, NULL), 0);
        ck_assert_msg(networks_meet(&a, &b) == pairs[i].do_meet, "%s", pairs[i].a);
        ck_assert_msg(networks_meet(&b, &a) == pairs[i].do_meet, "%s", pairs[i].a);
    }
}
END_TEST

START_TEST(a_list_holds_what_one_of_it_holds)
{
    struct network items[2];
    const struct network_list list = {items, 2}, none = {NULL, 0};
    const struct address first = host("10.1.2.3"), second = host("::1"), third = host("11.0.0.0");
    ck_assert_int_eq(network_parse("10.0.0.0/8", &items[0], NULL), 0);
    ck_assert_int_eq(network_parse("::1", &items[1], NULL), 0);
    ck_assert(networks_hold(&list, &first) && networks_hold(&list, &second));
    ck_assert(!networks_hold(&list, &third) && !networks_hold(&none, &first));
}
END_TEST

START_TEST(a_network_is_written_as_it_is_read)
{
    static const char *const texts[] = {"192.0.2.0/24", "192.0.2.1",     "0.0.0.0/0", "::/0",
                                        "2001:db8::",   "2001:db8::/64", "fe80::/10"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct network n;
        char text[NETWORK_TEXT_SIZE];
        ck_assert_int_eq(network_parse(texts[i], &n, NULL), 0);
        network_format(&n, text);
        ck_assert_str_eq(text, texts[i]);
    }
}
END_TEST

START_TEST(an_address_lies_in_a_network_of_so_many_bits)
{
    static const struct {
        const char *address, *network;
        unsigned v4_bits, v6_bits;
    } cases[] = {
        {"192.0.2.77", "192.0.2.0/24", 24, 48},
        {"192.0.2.77", "192.0.2.77", 32, 64},
        {"192.0.2.77", "192.0.2.64/27", 27, 64},
        {"192.0.2.77", "0.0.0.0/0", 0, 0},
        {"::ffff:192.0.2.77", "192.0.2.0/24", 24, 48},
        {"2001:db8:1:2:3::4", "2001:db8:1:2::/64", 32, 64},
        {"2001:db8:1:2:3::4", "2001:db8:1::/48", 24, 48},
        {"2001:db8::ffff", "2001:db8::fff8/125", 24, 125},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a = host(cases[i].address);
        struct network n = network_of(&a, cases[i].v4_bits, cases[i].v6_bits);
        char text[NETWORK_TEXT_SIZE];
        network_format(&n, text);
        ck_assert_str_eq(text, cases[i].network);
        ck_assert(network_holds(&n, &a));
    }
}
END_TEST

START_TEST(a_network_contains_what_is_no_wider)
{
    static const struct {
        const char *wide, *narrow;
        bool contains;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.1", true},
        {"192.0.2.0/24", "192.0.2.0/24", true},
        {"192.0.2.0/25", "192.0.2.0/24", false},
        {"192.0.2.0/24", "192.0.3.0/24", false},
        {"0.0.0.0/0", "192.0.2.1", true},
        {"0.0.0.0/0", "2001:db8::/32", false},
        {"::/0", "192.0.2.1", false},
        {"2001:db8::/32", "2001:db8:1::/48", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct network wide, narrow;
        ck_assert_int_eq(network_parse(cases[i].wide, &wide, NULL), 0);
        ck_assert_int_eq(network_parse(cases[i].narrow, &narrow, NULL), 0);
        ck_assert_msg(network_contains(&wide, &narrow) == cases[i].contains, "%s %s", cases[i].wide,
                      cases[i].narrow);
    }
}
END_TEST

START_TEST(a_client_is_counted_by_its_address_or_its_64_bits)
{
    static const struct {
        const char *one, *other;
        bool is_same;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"0.0.0.0", "::", false},
        {"32.1.13.184", "2001:db8::", false},
        {"0.0.0.1", "::1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address one = host(cases[i].one), other = host(cases[i].other);
        ck_assert_uint_ne(network_number(&one), 0);
        ck_assert_uint_ne(network_number(&other), 0);
        ck_assert_msg((network_number(&one) == network_number(&other)) == cases[i].is_same, "%s %s",
                      cases[i].one, cases[i].other);
    }
}
END_TEST

SUITE(network)
{
    TEST(a_network_is_read_or_refused);
    TEST(an_address_lies_in_its_networks);
    TEST(every_length_of_an_ipv4_network_holds_what_begins_with_its_bits);
    TEST(networks_meet_when_one_holds_the_other);
    TEST(a_list_holds_what_one_of_it_holds);
    TEST(a_client_is_counted_by_its_address_or_its_64_bits);
    TEST(a_network_is_written_as_it_is_read);
    TEST(an_address_lies_in_a_network_of_so_many_bits);
    TEST(a_network_contains_what_is_no_wider);
}
