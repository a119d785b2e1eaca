#include "protocol/smtp/xtext.h"

#include "protocol/said.h"

#include <stdlib.h>

/* RFC 3461 section 4: xchar = any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for
 * "+" and "="; hexchar = ASCII "+" immediately followed by two upper case hexadecimal digits. */
static bool is_xchar(unsigned c)
{
    return c >= 33 && c <= 126 && c != '+' && c != '=';
}

static const char *encode_naively(struct span s)
{
    static struct said out;
    say_nothing(&out);
    for (size_t i = 0; i < s.size; i++) {
        unsigned c = (unsigned char)s.data[i];
        if (is_xchar(c))
            say(&out, "%c", c);
        else
            say(&out, "+%02X", c);
    }
    return out.text;
}

START_TEST(xtext_is_xchars_and_upper_case_hexadecimal)
{
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {
        {"", true},      {"QQ314159", true},    {"a+2Bb", true}, {"+3D", true},
        {"<>", true},    {"a@b.example", true}, {"+20", true},   {"+", false},
        {"a+2", false},  {"+2b", false},        {"+GG", false},  {"+2", false},
        {"a=b", false},  {"a b", false},        {"a\tb", false}, {"a\x7f", false},
        {"+2B+", false}, {"++2B", false},       {"+ 2", false},  {"\xc3\xa9", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(xtext_is_valid(span_of(cases[i].text)) == cases[i].is_valid, "%s",
                      cases[i].text);
}
END_TEST

START_TEST(each_octet_is_xtext_as_rfc_3461_says)
{
    for (int c = 0; c < 256; c++) {
        const char octet = (char)c;
        ck_assert_msg(xtext_is_valid(span_make(&octet, 1)) == is_xchar((unsigned)c), "%d", c);
    }
}
END_TEST

START_TEST(a_nul_is_no_digit)
{
    ck_assert(!xtext_is_valid(span_make("+\0\0", 3)));
    ck_assert(!xtext_is_valid(span_make("+2\0", 3)));
}
END_TEST

START_TEST(each_octet_is_encoded_as_rfc_3461_says)
{
    for (int c = 0; c < 256; c++) {
        const char octet = (char)c;
        const char *expected = encode_naively(span_make(&octet, 1));
        char out[8];
        ck_assert_uint_eq(xtext_encode(span_make(&octet, 1), out, sizeof out), strlen(expected));
        ck_assert_str_eq(out, expected);
    }
}
END_TEST

/* RFC 3461 sections 4.2 and 4.4: "printable (graphic and space) characters". */
START_TEST(what_xtext_stands_for_is_printable)
{
    for (int c = 0; c < 256; c++) {
        char text[8];
        (void)snprintf(text, sizeof text, "a+%02Xb", (unsigned)c); /* fits */
        ck_assert_msg(xtext_is_valid(span_of(text)) == (c >= 32 && c <= 126), "%s", text);
    }
}
END_TEST

START_TEST(what_is_encoded_is_decoded_again)
{
    uint32_t seed = 8;
    for (int round = 0; round < 2000; round++) {
        char text[40], encoded[128], out[40];
        size_t size = next_random(&seed) % sizeof text;
        for (size_t i = 0; i < size; i++)
            text[i] = (char)next_random(&seed);
        size_t used = xtext_encode(span_make(text, size), encoded, sizeof encoded);
        ck_assert_int_eq(xtext_decode(span_make(encoded, used), out, size), size);
        ck_assert_mem_eq(out, text, size);
        ck_assert(size == 0 || xtext_decode(span_make(encoded, used), out, size - 1) == -1);
    }
}
END_TEST

START_TEST(what_is_no_xtext_is_not_decoded)
{
    static const char *const texts[] = {"+", "a+2", "+2b", "+GG", "a b", "a=b", "\x7f", "\xc3\xa9"};
    char out[8];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(xtext_decode(span_of(texts[i]), out, sizeof out) == -1, "%s", texts[i]);
}
END_TEST

START_TEST(a_text_is_encoded_as_a_naive_encoder_does)
{
    uint32_t seed = 7;
    for (int round = 0; round < 2000; round++) {
        char text[40], out[128];
        size_t size = next_random(&seed) % sizeof text;
        for (size_t i = 0; i < size; i++)
            text[i] = (char)next_random(&seed);
        const char *expected = encode_naively(span_make(text, size));
        ck_assert_uint_eq(xtext_encode(span_make(text, size), out, sizeof out), strlen(expected));
        ck_assert(size == 0 || strcmp(out, expected) == 0);
    }
}
END_TEST

/* Never more than `room` octets are written, and what is written is whole. */
START_TEST(what_does_not_fit_is_not_written_in_part)
{
    static const char text[] = "a b=c+d";
    size_t whole = strlen(encode_naively(span_of(text)));
    for (size_t room = 0; room <= whole; room++) {
        char *out = malloc(room == 0 ? 1 : room);
        ck_assert_uint_eq(xtext_encode(span_of(text), out, room), 0);
        free(out);
    }
}
END_TEST

START_TEST(what_just_fits_with_its_nul_is_written)
{
    static const char *const texts[] = {"abc", "abc ", "a", " ", "+", "a=b"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *expected = encode_naively(span_of(texts[i]));
        size_t size = strlen(expected);
        char *out = malloc(size + 1);
        ck_assert_msg(xtext_encode(span_of(texts[i]), out, size + 1) == size, "\"%s\" in %zu",
                      texts[i], size + 1);
        ck_assert_str_eq(out, expected);
        free(out);
    }
}
END_TEST

SUITE(smtp_xtext)
{
    TEST(xtext_is_xchars_and_upper_case_hexadecimal);
    TEST(each_octet_is_xtext_as_rfc_3461_says);
    TEST(a_nul_is_no_digit);
    TEST(each_octet_is_encoded_as_rfc_3461_says);
    TEST(what_xtext_stands_for_is_printable);
    TEST(what_is_encoded_is_decoded_again);
    TEST(what_is_no_xtext_is_not_decoded);
    TEST(a_text_is_encoded_as_a_naive_encoder_does);
    TEST(what_does_not_fit_is_not_written_in_part);
    TEST(what_just_fits_with_its_nul_is_written);
}
