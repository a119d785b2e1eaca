#include "protocol/proxy/header.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

static char out[PROXY_HEADER_MAX];

static struct address address(const char *text)
{
    struct address a;
    ck_assert_int_eq(address_parse(text, &a, NULL), 0);
    return a;
}

/* Its octets are these, in hexadecimal; spaces are for the reader. */
static void is(size_t size, const char *hexadecimal)
{
    char text[2 * PROXY_HEADER_MAX + 1], wanted[2 * PROXY_HEADER_MAX + 1];
    size_t used = 0;
    for (size_t i = 0; i < size; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", (unsigned char)out[i]); /* fits */
    for (; *hexadecimal != '\0'; hexadecimal++)
        if (*hexadecimal != ' ')
            wanted[used++] = *hexadecimal;
    wanted[used] = '\0';
    ck_assert_str_eq(text, wanted);
}

#define SIGNATURE "0d0a0d0a 000d0a51 5549540a "

static struct proxy_client client_of(const struct address *from, const struct address *to)
{
    return (struct proxy_client){
        .from = from, .to = to, .id = "", .tls_version = "", .cipher = "", .certificate = ""};
}

START_TEST(an_ipv4_client_is_told_with_both_addresses_and_ports)
{
    struct address from = address("192.0.2.7:4660"), to = address("198.51.100.1:465");
    const struct proxy_client c = client_of(&from, &to);
    is(proxy_header_write(&c, out), SIGNATURE "21 11 000c c0000207 c6336401 1234 01d1");
}
END_TEST

START_TEST(an_ipv6_client_too)
{
    struct address from = address("[2001:db8::7]:4660"), to = address("[2001:db8::1]:465");
    const struct proxy_client c = client_of(&from, &to);
    is(proxy_header_write(&c, out), SIGNATURE
       "21 21 0024 20010db8000000000000000000000007 20010db8000000000000000000000001 1234 01d1");
}
END_TEST

START_TEST(an_ipv4_client_of_a_door_for_both_families_is_told_as_ipv4)
{
    struct address from = address("[::ffff:192.0.2.7]:4660"),
                   to = address("[::ffff:198.51.100.1]:465");
    const struct proxy_client c = client_of(&from, &to);
    is(proxy_header_write(&c, out), SIGNATURE "21 11 000c c0000207 c6336401 1234 01d1");
}
END_TEST

/* A client whose address was told by another, at a door of the other family. */
START_TEST(addresses_of_two_families_are_told_as_ipv6)
{
    struct address from = address("[2001:db8::7]:4660"), to = address("198.51.100.1:465");
    const struct proxy_client c = client_of(&from, &to);
    is(proxy_header_write(&c, out), SIGNATURE
       "21 21 0024 20010db8000000000000000000000007 00000000000000000000ffffc6336401 1234 01d1");
}
END_TEST

START_TEST(the_id_and_what_is_known_of_tls_follow)
{
    struct address from = address("192.0.2.7:4660"), to = address("198.51.100.1:465");
    struct proxy_client c = client_of(&from, &to);
    c.id = "s1";
    c.tls_version = "TLSv1.3";
    c.cipher = "AES";
    is(proxy_header_write(&c, out), SIGNATURE "21 11 0029 c0000207 c6336401 1234 01d1"
                                              " 05 0002 7331"
                                              " 20 0015 01 00000001 21 0007 544c5376312e33"
                                              " 23 0003 414553");
    c.certificate = "ana";
    is(proxy_header_write(&c, out), SIGNATURE "21 11 002f c0000207 c6336401 1234 01d1"
                                              " 05 0002 7331"
                                              " 20 001b 07 00000000 21 0007 544c5376312e33"
                                              " 22 0003 616e61 23 0003 414553");
}
END_TEST

START_TEST(what_is_too_long_is_left_out_and_the_longest_fits)
{
    static char much[600];
    struct address from = address("[2001:db8::7]:4660"), to = address("[2001:db8::1]:465");
    struct proxy_client c = client_of(&from, &to);
    size_t bare = proxy_header_write(&c, out);
    memset(much, 'a', PROXY_ID_MAX + 1);
    c.id = much;
    ck_assert_uint_eq(proxy_header_write(&c, out), bare);
    c.id++;
    ck_assert_uint_eq(proxy_header_write(&c, out), bare + 3 + PROXY_ID_MAX);
    memset(much, 'a', PROXY_TEXT_MAX);
    c.id = much + PROXY_TEXT_MAX - PROXY_ID_MAX;
    c.tls_version = c.cipher = c.certificate = much;
    ck_assert_uint_eq(proxy_header_write(&c, out),
                      bare + 3 + PROXY_ID_MAX + 3 + 5 + 3 * (3 + PROXY_TEXT_MAX));
    ck_assert_uint_eq((unsigned char)out[14] << 8 | (unsigned char)out[15],
                      bare + 3 + PROXY_ID_MAX + 3 + 5 + 3 * (3 + PROXY_TEXT_MAX) - 16);
}
END_TEST

START_TEST(a_connection_of_our_own_is_local)
{
    is(proxy_header_write_local(out), SIGNATURE "20 00 0000");
}
END_TEST

SUITE(proxy_header)
{
    TEST(an_ipv4_client_is_told_with_both_addresses_and_ports);
    TEST(an_ipv6_client_too);
    TEST(an_ipv4_client_of_a_door_for_both_families_is_told_as_ipv4);
    TEST(addresses_of_two_families_are_told_as_ipv6);
    TEST(the_id_and_what_is_known_of_tls_follow);
    TEST(what_is_too_long_is_left_out_and_the_longest_fits);
    TEST(a_connection_of_our_own_is_local);
}
