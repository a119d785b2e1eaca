#include "net/hkdf.h"

#include "support/test.h"

#include <string.h>

/* RFC 5869 appendix A.3: neither salt nor info. */
START_TEST(the_rfcs_vector_comes_out)
{
    static const unsigned char expected[42] = {
        0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f, 0x71, 0x5f, 0x80, 0x2a, 0x06, 0x3c,
        0x5a, 0x31, 0xb8, 0xa1, 0x1f, 0x5c, 0x5e, 0xe1, 0x87, 0x9e, 0xc3, 0x45, 0x4e, 0x5f,
        0x3c, 0x73, 0x8d, 0x2d, 0x9d, 0x20, 0x13, 0x95, 0xfa, 0xa4, 0xb6, 0x1a, 0x96, 0xc8};
    unsigned char out[42];
    char secret[22];
    memset(secret, 0x0b, sizeof secret);
    hkdf_derive(span_make(secret, sizeof secret), "", out, sizeof out);
    ck_assert_mem_eq(out, expected, sizeof out);
}
END_TEST

START_TEST(another_purpose_or_secret_makes_another_key)
{
    unsigned char one[16], purpose[16], secret[16];
    hkdf_derive(span_of("secret"), "one", one, sizeof one);
    hkdf_derive(span_of("secret"), "two", purpose, sizeof purpose);
    hkdf_derive(span_of("Secret"), "one", secret, sizeof secret);
    ck_assert_mem_ne(one, purpose, sizeof one);
    ck_assert_mem_ne(one, secret, sizeof one);
}
END_TEST

SUITE(hkdf)
{
    TEST(the_rfcs_vector_comes_out);
    TEST(another_purpose_or_secret_makes_another_key);
}
