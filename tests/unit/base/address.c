#include "base/address.h"

#include "support/test.h"

#include <string.h>

static struct address address_of(const char *text)
{
    struct address a;
    struct error why;
    if (address_parse(text, &a, &why) < 0)
        ck_abort_msg("%s", why.text);
    return a;
}

static bool is_ours(const struct address *a)
{
    (void)a;
    return true;
}

static bool is_foreign(const struct address *a)
{
    (void)a;
    return false;
}

static const char *const right[] = {
    "192.0.2.1:465", "0.0.0.0:1", "255.255.255.255:65535", "[2001:db8::1]:465",
    "[::1]:25",      "[::]:1",    "[fe80::1:2]:65535",     "[2001:db8:1:2:3:4:5:6]:587",
};

static const char *const wrong[] = {
    "",
    ":",
    "192.0.2.1",
    "192.0.2.1:",
    ":465",
    "192.0.2.1:0",
    "192.0.2.1:65536",
    "192.0.2.1:-1",
    "192.0.2.1:+25",
    "192.0.2.1:25x",
    "192.0.2.1: 25",
    "192.0.2.1 :25",
    "192.0.2:25",
    "192.0.2.256:25",
    "192.0.2.1.1:25",
    "2001:db8::1:465",
    "2001:db8::1",
    "[2001:db8::1]",
    "[2001:db8::1]465",
    "[2001:db8::1:465",
    "2001:db8::1]:465",
    "[2001:db8::g]:465",
    "[]:465",
    "[:465",
    "mail.example.com:25",
    "localhost",
    "unix:/run/mail.sock",
    "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff:1111:2222:3333:4444:5555:6666]:25",
};

START_TEST(an_address_is_printed_as_it_was_written)
{
    char out[ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        struct address a = address_of(right[i]);
        address_format(&a, out);
        ck_assert_str_eq(out, right[i]);
    }
}
END_TEST

START_TEST(what_is_no_address_is_refused_with_a_reason_that_quotes_it)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct address a;
        struct error why = {.text = ""};
        ck_assert_msg(address_parse(wrong[i], &a, &why) == -1, "\"%s\"", wrong[i]);
        ck_assert_msg(strstr(why.text, wrong[i]) != NULL, "\"%s\": %s", wrong[i], why.text);
    }
}
END_TEST

START_TEST(localhost_is_the_ipv4_loopback)
{
    char out[ADDRESS_TEXT_SIZE];
    struct address a = address_of("localhost:465");
    address_format(&a, out);
    ck_assert_str_eq(out, "127.0.0.1:465");
}
END_TEST

START_TEST(an_address_is_as_the_kernel_wants_it)
{
    struct address v4 = address_of("192.0.2.1:465"), v6 = address_of("[2001:db8::1]:465");
    ck_assert_int_eq(v4.any.sa_family, AF_INET);
    ck_assert_uint_eq(v4.size, sizeof(struct sockaddr_in));
    ck_assert_uint_eq(ntohs(v4.v4.sin_port), 465);
    ck_assert_uint_eq(ntohl(v4.v4.sin_addr.s_addr), 0xc0000201);
    ck_assert_int_eq(v6.any.sa_family, AF_INET6);
    ck_assert_uint_eq(v6.size, sizeof(struct sockaddr_in6));
    ck_assert_uint_eq(ntohs(v6.v6.sin6_port), 465);
    ck_assert_mem_eq(&v6.v6.sin6_addr, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
    ck_assert_uint_eq(v6.v6.sin6_scope_id, 0);
}
END_TEST

START_TEST(a_star_listens_on_both_families_and_is_no_one_to_connect_to)
{
    struct address out[ADDRESS_LISTEN_MAX];
    char text[ADDRESS_TEXT_SIZE];
    struct error why;
    ck_assert_int_eq(address_parse_listen("*:465", out, &why), 2);
    address_format(&out[0], text);
    ck_assert_str_eq(text, "0.0.0.0:465");
    address_format(&out[1], text);
    ck_assert_str_eq(text, "[::]:465");
    ck_assert_int_eq(address_parse("*:465", &out[0], &why), -1);
}
END_TEST

START_TEST(any_other_address_to_listen_on_is_one)
{
    struct address out[ADDRESS_LISTEN_MAX];
    char text[ADDRESS_TEXT_SIZE];
    struct error why;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        ck_assert_int_eq(address_parse_listen(right[i], out, &why), 1);
        address_format(&out[0], text);
        ck_assert_str_eq(text, right[i]);
    }
}
END_TEST

START_TEST(what_is_no_address_can_not_be_listened_on)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct address out[ADDRESS_LISTEN_MAX];
        struct error why = {.text = ""};
        ck_assert_msg(address_parse_listen(wrong[i], out, &why) == -1, "\"%s\"", wrong[i]);
        ck_assert_msg(strstr(why.text, wrong[i]) != NULL, "\"%s\": %s", wrong[i], why.text);
    }
}
END_TEST

START_TEST(checking_says_what_parsing_would)
{
    struct error why;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        ck_assert_int_eq(address_check(right[i], &why), 0);
        ck_assert_int_eq(address_check_listen(right[i], &why), 0);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(address_check(wrong[i], &why), -1);
        ck_assert_int_eq(address_check_listen(wrong[i], &why), -1);
    }
    ck_assert_int_eq(address_check("*:465", &why), -1);
    ck_assert_int_eq(address_check_listen("*:465", &why), 0);
}
END_TEST

START_TEST(an_ipv4_address_within_ipv6_is_shown_as_ipv4)
{
    char out[ADDRESS_TEXT_SIZE];
    struct address a = address_of("[::ffff:192.0.2.1]:465");
    address_format(&a, out);
    ck_assert_str_eq(out, "192.0.2.1:465");
    address_format_host(&a, out);
    ck_assert_str_eq(out, "192.0.2.1");
    ck_assert(!address_is_v6(&a));
}
END_TEST

START_TEST(a_host_is_shown_without_port_and_brackets)
{
    char out[ADDRESS_TEXT_SIZE];
    struct address v4 = address_of("192.0.2.1:465"), v6 = address_of("[2001:db8::1]:465");
    address_format_host(&v4, out);
    ck_assert_str_eq(out, "192.0.2.1");
    address_format_host(&v6, out);
    ck_assert_str_eq(out, "2001:db8::1");
}
END_TEST

START_TEST(the_port_is_that_of_either_family)
{
    struct address v4 = address_of("192.0.2.1:465"), v6 = address_of("[2001:db8::1]:65535");
    ck_assert_uint_eq(address_port(&v4), 465);
    ck_assert_uint_eq(address_port(&v6), 65535);
}
END_TEST

START_TEST(an_address_knows_its_family)
{
    struct address v4 = address_of("192.0.2.1:465"), v6 = address_of("[2001:db8::1]:465");
    ck_assert(!address_is_v6(&v4));
    ck_assert(address_is_v6(&v6));
}
END_TEST

START_TEST(the_longest_address_fits)
{
    char out[ADDRESS_TEXT_SIZE];
    const char *text = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535";
    struct address a = address_of(text);
    address_format(&a, out);
    ck_assert_str_eq(out, text);
}
END_TEST

START_TEST(a_connection_reaches_the_socket_of_its_address_and_port)
{
    static const struct {
        const char *to, *bound;
        bool is_reached;
    } cases[] = {
        {"192.0.2.1:25", "192.0.2.1:25", true},
        {"192.0.2.1:25", "192.0.2.1:26", false},
        {"192.0.2.1:25", "192.0.2.2:25", false},
        {"[2001:db8::1]:25", "[2001:db8::1]:25", true},
        {"[2001:db8::1]:25", "[2001:db8::1]:26", false},
        {"[2001:db8::1]:25", "[2001:db8::2]:25", false},
        {"192.0.2.1:25", "[2001:db8::1]:25", false},
        {"[2001:db8::1]:25", "192.0.2.1:25", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address to = address_of(cases[i].to), bound = address_of(cases[i].bound);
        ck_assert_msg(address_reaches(&to, &bound, is_foreign) == cases[i].is_reached, "%s to %s",
                      cases[i].to, cases[i].bound);
    }
}
END_TEST

START_TEST(the_wildcard_is_reached_by_every_local_address_of_its_family)
{
    static const struct {
        const char *to, *bound;
        bool is_reached;
    } cases[] = {
        {"192.0.2.1:25", "0.0.0.0:25", true},   {"127.0.0.1:25", "0.0.0.0:25", true},
        {"192.0.2.1:26", "0.0.0.0:25", false},  {"[2001:db8::1]:25", "[::]:25", true},
        {"[2001:db8::1]:26", "[::]:25", false}, {"[2001:db8::1]:25", "0.0.0.0:25", false},
        {"192.0.2.1:25", "[::]:25", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address to = address_of(cases[i].to), bound = address_of(cases[i].bound);
        ck_assert_msg(address_reaches(&to, &bound, is_ours) == cases[i].is_reached, "%s to %s",
                      cases[i].to, cases[i].bound);
        ck_assert(!address_reaches(&to, &bound, is_foreign));
    }
}
END_TEST

START_TEST(an_ipv4_address_within_ipv6_reaches_the_ipv4_socket)
{
    struct address to = address_of("[::ffff:192.0.2.1]:25");
    struct address bound = address_of("192.0.2.1:25"), any = address_of("0.0.0.0:25");
    ck_assert(address_reaches(&to, &bound, is_foreign));
    ck_assert(address_reaches(&to, &any, is_ours));
}
END_TEST

START_TEST(private_addresses_are_those_of_the_rfcs)
{
    static const struct {
        const char *text;
        bool is_private;
    } cases[] = {
        {"127.0.0.1:1", true},
        {"127.255.255.255:1", true},
        {"126.255.255.255:1", false},
        {"128.0.0.0:1", false},
        {"10.0.0.0:1", true},
        {"10.255.255.255:1", true},
        {"9.255.255.255:1", false},
        {"11.0.0.0:1", false},
        {"172.16.0.0:1", true},
        {"172.31.255.255:1", true},
        {"172.15.255.255:1", false},
        {"172.32.0.0:1", false},
        {"192.168.0.0:1", true},
        {"192.168.255.255:1", true},
        {"192.167.255.255:1", false},
        {"192.169.0.0:1", false},
        {"169.254.0.0:1", true},
        {"169.254.255.255:1", true},
        {"169.253.255.255:1", false},
        {"169.255.0.0:1", false},
        {"192.0.2.1:1", false},
        {"[::1]:1", true},
        {"[::2]:1", false},
        {"[fc00::]:1", true},
        {"[fdff:ffff::1]:1", true},
        {"[fbff::1]:1", false},
        {"[fe00::1]:1", false},
        {"[fe80::1]:1", true},
        {"[febf::1]:1", true},
        {"[fec0::1]:1", false},
        {"[2001:db8::1]:1", false},
        {"[::ffff:10.0.0.1]:1", true},
        {"[::ffff:127.0.0.1]:1", true},
        {"[::ffff:192.0.2.1]:1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a = address_of(cases[i].text);
        ck_assert_msg(address_is_private(&a) == cases[i].is_private, "%s", cases[i].text);
    }
}
END_TEST

START_TEST(two_addresses_are_the_same_when_host_and_port_are)
{
    static const struct {
        const char *a, *b;
        bool is_same;
    } cases[] = {
        {"192.0.2.1:25", "192.0.2.1:25", true},
        {"192.0.2.1:25", "192.0.2.1:26", false},
        {"192.0.2.1:25", "192.0.2.2:25", false},
        {"[2001:db8::1]:25", "[2001:db8:0::1]:25", true},
        {"[2001:db8::1]:25", "[2001:db8::2]:25", false},
        {"[::1]:25", "127.0.0.1:25", false},
        {"[::ffff:192.0.2.1]:25", "192.0.2.1:25", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a = address_of(cases[i].a), b = address_of(cases[i].b);
        ck_assert_msg(address_is_same(&a, &b) == cases[i].is_same, "%s %s", cases[i].a, cases[i].b);
        ck_assert(address_is_same(&b, &a) == cases[i].is_same);
    }
    struct address a = address_of("192.0.2.1:25"), none = {.size = 0};
    ck_assert(!address_is_same(&a, &none) && !address_is_same(&none, &none));
}
END_TEST

SUITE(address)
{
    TEST(two_addresses_are_the_same_when_host_and_port_are);
    TEST(an_address_is_printed_as_it_was_written);
    TEST(what_is_no_address_is_refused_with_a_reason_that_quotes_it);
    TEST(localhost_is_the_ipv4_loopback);
    TEST(an_address_is_as_the_kernel_wants_it);
    TEST(a_star_listens_on_both_families_and_is_no_one_to_connect_to);
    TEST(any_other_address_to_listen_on_is_one);
    TEST(what_is_no_address_can_not_be_listened_on);
    TEST(checking_says_what_parsing_would);
    TEST(an_ipv4_address_within_ipv6_is_shown_as_ipv4);
    TEST(a_host_is_shown_without_port_and_brackets);
    TEST(the_port_is_that_of_either_family);
    TEST(an_address_knows_its_family);
    TEST(the_longest_address_fits);
    TEST(a_connection_reaches_the_socket_of_its_address_and_port);
    TEST(the_wildcard_is_reached_by_every_local_address_of_its_family);
    TEST(an_ipv4_address_within_ipv6_reaches_the_ipv4_socket);
    TEST(private_addresses_are_those_of_the_rfcs);
}
