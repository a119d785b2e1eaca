#include "base/base64.h"

#include "support/test.h"

#include <stdlib.h>

/* RFC 4648 sections 10 and 9, and the whole alphabet in its order (table 1). */
static const struct {
    const char *plain;
    size_t size;
    const char *encoded;
} vectors[] = {
    {"", 0, ""},
    {"f", 1, "Zg=="},
    {"fo", 2, "Zm8="},
    {"foo", 3, "Zm9v"},
    {"foob", 4, "Zm9vYg=="},
    {"fooba", 5, "Zm9vYmE="},
    {"foobar", 6, "Zm9vYmFy"},
    {"\x14\xfb\x9c\x03\xd9\x7e", 6, "FPucA9l+"}, /* section 9, as the two below */
    {"\x14\xfb\x9c\x03\xd9", 5, "FPucA9k="},
    {"\x14\xfb\x9c\x03", 4, "FPucAw=="},
    {"\0", 1, "AA=="},
    {"\0\0\0", 3, "AAAA"},
    {"\xff\xff\xff", 3, "////"},
    {"\0\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f\x41\x14\x93\x51\x55\x97\x61\x96\x9b\x71\xd7"
     "\x9f\x82\x18\xa3\x92\x59\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c\xb3\xd3\x5d\xb7\xe3\x9e\xbb\xf3"
     "\xdf\xbf",
     48, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"},
};

/* Bit by bit, without padding. */
static size_t naive_encode(struct span in, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t used = 0;
    for (size_t bit = 0; bit < in.size * 8; bit += 6) {
        unsigned value = 0;
        for (size_t b = bit; b < bit + 6; b++)
            value = value * 2 +
                    (b < in.size * 8 ? (unsigned char)in.data[b / 8] >> (7 - b % 8) & 1U : 0);
        out[used++] = digits[value];
    }
    return used;
}

START_TEST(encoding_gives_the_vectors_of_the_rfc)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        char out[BASE64_ENCODED_SIZE(48)];
        struct span plain = span_make(vectors[i].plain, vectors[i].size);
        ck_assert_uint_eq(base64_encode(plain, out), strlen(vectors[i].encoded));
        ck_assert_str_eq(out, vectors[i].encoded);
    }
}
END_TEST

START_TEST(decoding_gives_the_vectors_of_the_rfc)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        char out[48];
        ck_assert_int_eq(base64_decode(span_of(vectors[i].encoded), out, sizeof out),
                         (ssize_t)vectors[i].size);
        ck_assert_mem_eq(out, vectors[i].plain, vectors[i].size);
    }
}
END_TEST

START_TEST(octets_of_every_value_and_length_come_back)
{
    char plain[300], back[300];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (char)(i * 7 + i / 256);
    for (size_t size = 0; size <= sizeof plain; size++) {
        char *encoded = malloc(BASE64_ENCODED_SIZE(size)); /* of the exact size, for ASan */
        size_t length = base64_encode(span_make(plain, size), encoded);
        ck_assert_uint_eq(length + 1, BASE64_ENCODED_SIZE(size));
        ck_assert_int_eq(base64_decode(span_make(encoded, length), back, size), (ssize_t)size);
        ck_assert_mem_eq(back, plain, size);
        free(encoded);
    }
}
END_TEST

START_TEST(encoding_agrees_with_taking_six_bits_at_a_time)
{
    char plain[90], out[BASE64_ENCODED_SIZE(90)], expected[BASE64_ENCODED_SIZE(90)];
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof plain; i++) {
            seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
            plain[i] = (char)(seed >> 24);
        }
        struct span in = span_make(plain, (size_t)round % (sizeof plain + 1));
        size_t length = base64_encode(in, out), digits = naive_encode(in, expected);
        ck_assert_uint_eq(length, (digits + 3) / 4 * 4);
        ck_assert_mem_eq(out, expected, digits);
        ck_assert_uint_eq(strspn(out + digits, "="), length - digits);
    }
}
END_TEST

START_TEST(what_is_not_strictly_base_64_is_refused)
{
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {
        {"Z", 1},        {"Zg", 2},       {"Zg=", 3},      {"Zm8", 3},        {"Zm9vY", 5},
        {"=", 1},        {"==", 2},       {"===", 3},      {"====", 4},       {"Z===", 4},
        {"=Zg=", 4},     {"Z=g=", 4},     {"Zg==Zg==", 8}, {"Zm8=Zm8=", 8},   {"Zg==AAAA", 8},
        {"Zm9v====", 8}, {"Zm9v=", 5},    {"Zm9v\n", 5},   {"Zm9v\r\n", 6},   {" Zm9", 4},
        {"Zm 9vYmF", 8}, {"Zm9v ", 5},    {"Zm9-", 4},     {"Zm9_", 4},       {"Zm9.", 4},
        {"Zm9\0", 4},    {"\0\0\0\0", 4}, {"Zm9\xff", 4},  {"Zm\xc3\xa4", 4}, {"*", 1},
        {"Zh==", 4},     {"Zx==", 4},     {"Z/==", 4},     {"Zm9=", 4},       {"Zm+=", 4},
        {"Zm9vZh==", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[16];
        ck_assert_msg(base64_decode(span_make(cases[i].text, cases[i].size), out, sizeof out) == -1,
                      "case %zu: \"%s\"", i, cases[i].text);
    }
}
END_TEST

START_TEST(a_length_that_is_no_multiple_of_four_is_refused)
{
    const char *text = "Zm9vYmFyZm9vYmFy";
    for (size_t size = 0; size <= 16; size++) {
        char out[12];
        ck_assert_int_eq(base64_decode(span_make(text, size), out, sizeof out),
                         size % 4 == 0 ? (ssize_t)size / 4 * 3 : -1);
    }
}
END_TEST

START_TEST(each_octet_outside_the_alphabet_is_refused_in_each_place)
{
    for (int c = 0; c < 256; c++) {
        bool is_digit = ascii_is_alnum((char)c) || c == '+' || c == '/';
        for (int place = 0; place < 4; place++) {
            char text[] = "AAAAAAAA", out[6];
            text[place] = (char)c;
            ck_assert_msg((base64_decode(span_of("AAAA"), out, sizeof out) == 3) &&
                              (base64_decode(span_make(text, 8), out, sizeof out) == 6) == is_digit,
                          "octet %d at %d", c, place);
        }
    }
}
END_TEST

START_TEST(bits_left_over_must_be_zero)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int value = 0; value < 64; value++) {
        char one[] = "AA==", two[] = "AAA=", out[3];
        one[1] = two[2] = digits[value];
        ck_assert_int_eq(base64_decode(span_of(one), out, sizeof out), value % 16 == 0 ? 1 : -1);
        ck_assert_int_eq(base64_decode(span_of(two), out, sizeof out), value % 4 == 0 ? 2 : -1);
    }
}
END_TEST

START_TEST(what_finds_no_room_is_refused)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        for (size_t room = 0; room < vectors[i].size; room++) {
            char *out = malloc(room); /* of the exact size, for ASan */
            ck_assert_int_eq(base64_decode(span_of(vectors[i].encoded), out, room), -1);
            free(out);
        }
}
END_TEST

SUITE(base64)
{
    TEST(encoding_gives_the_vectors_of_the_rfc);
    TEST(decoding_gives_the_vectors_of_the_rfc);
    TEST(octets_of_every_value_and_length_come_back);
    TEST(encoding_agrees_with_taking_six_bits_at_a_time);
    TEST(what_is_not_strictly_base_64_is_refused);
    TEST(a_length_that_is_no_multiple_of_four_is_refused);
    TEST(each_octet_outside_the_alphabet_is_refused_in_each_place);
    TEST(bits_left_over_must_be_zero);
    TEST(what_finds_no_room_is_refused);
}
