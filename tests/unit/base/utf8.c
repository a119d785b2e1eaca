#include "base/utf8.h"

#include "support/test.h"

static bool in(unsigned char byte, unsigned char first, unsigned char last)
{
    return byte >= first && byte <= last;
}

/* The syntax of RFC 3629 section 4, alternative by alternative: the length of the UTF8-char at the
 * front, or 0. */
static size_t rfc3629_char(const unsigned char *s, size_t size)
{
    static const unsigned char multiple[][8] = {
        {0xc2, 0xdf, 0x80, 0xbf},                         /* UTF8-2 */
        {0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf},             /* UTF8-3 */
        {0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf},             /* likewise */
        {0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf},             /* likewise */
        {0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf},             /* likewise */
        {0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf}, /* UTF8-4 */
        {0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf}, /* likewise */
        {0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf}, /* likewise */
    };
    if (s[0] <= 0x7f)
        return 1; /* UTF8-1 */
    for (size_t i = 0; i < sizeof multiple / sizeof *multiple; i++) {
        size_t length = multiple[i][4] == 0 ? 2 : multiple[i][6] == 0 ? 3 : 4, right = 0;
        while (right < length && right < size &&
               in(s[right], multiple[i][2 * right], multiple[i][2 * right + 1]))
            right++;
        if (right == length)
            return length;
    }
    return 0;
}

static bool rfc3629_octets(const unsigned char *s, size_t size)
{
    while (size > 0) {
        size_t length = rfc3629_char(s, size);
        if (length == 0)
            return false;
        s += length;
        size -= length;
    }
    return true;
}

/* The encoding of RFC 3629 section 3 for any number of 21 bits; returns its length. */
static size_t encode(unsigned point, char out[4])
{
    static const unsigned marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(marks[length] | point);
    return length;
}

START_TEST(text_is_valid_as_the_rfc_has_it)
{
    static const struct {
        const char *text;
        bool is_valid;
        const char *what;
    } cases[] = {
        {"", true, "empty"},
        {"plain", true, "ASCII"},
        {"A\xe2\x89\xa2\xce\x91.", true, "RFC 3629 section 7: A, not identical to, Alpha"},
        {"\xed\x95\x9c\xea\xb5\xad\xec\x96\xb4", true, "RFC 3629 section 7: hangugeo"},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", true, "RFC 3629 section 7: nihongo"},
        {"\xef\xbb\xbf\xf0\xa3\x8e\xb4", true, "RFC 3629 section 7: U+233B4 after a BOM"},
        {"\xc2\x80", true, "U+0080"},
        {"\xdf\xbf", true, "U+07FF"},
        {"\xe0\xa0\x80", true, "U+0800"},
        {"\xed\x9f\xbf", true, "U+D7FF"},
        {"\xee\x80\x80", true, "U+E000"},
        {"\xef\xbf\xbf", true, "U+FFFF"},
        {"\xf0\x90\x80\x80", true, "U+10000"},
        {"\xf4\x8f\xbf\xbf", true, "U+10FFFF"},
        {"\xc0\x80", false, "overlong NUL"},
        {"\xc0\xae", false, "overlong full stop"},
        {"\xc1\xbf", false, "overlong U+007F"},
        {"\xe0\x80\xaf", false, "overlong solidus"},
        {"\xe0\x9f\xbf", false, "overlong U+07FF"},
        {"\xf0\x80\x80\xaf", false, "overlong solidus in four"},
        {"\xf0\x8f\xbf\xbf", false, "overlong U+FFFF"},
        {"\xed\xa0\x80", false, "surrogate U+D800"},
        {"\xed\xbf\xbf", false, "surrogate U+DFFF"},
        {"\xed\xa1\x8c\xed\xbe\xb4", false, "a pair of surrogates"},
        {"\xf4\x90\x80\x80", false, "U+110000"},
        {"\xf5\x80\x80\x80", false, "F5"},
        {"\xf7\xbf\xbf\xbf", false, "U+1FFFFF"},
        {"\xf8\x88\x80\x80\x80", false, "five octets"},
        {"\xfc\x84\x80\x80\x80\x80", false, "six octets"},
        {"\xfe", false, "FE"},
        {"\xff", false, "FF"},
        {"\x80", false, "continuation alone"},
        {"a\xbf", false, "continuation after ASCII"},
        {"\xc3\xa4\xa4", false, "one continuation too many"},
        {"\xc3", false, "one of two"},
        {"\xe2\x82", false, "two of three"},
        {"\xe2", false, "one of three"},
        {"\xf0\x9f\x98", false, "three of four"},
        {"\xf0\x9f", false, "two of four"},
        {"\xf0", false, "one of four"},
        {"\xe2\x82"
         "a",
         false, "two of three, then ASCII"},
        {"\xc3\xc3\xa4", false, "a start instead of a continuation"},
        {"fine until\xff", false, "the last octet"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(utf8_is_valid(span_of(cases[i].text)) == cases[i].is_valid, "%s",
                      cases[i].what);
}
END_TEST

START_TEST(every_code_point_but_surrogates_is_valid)
{
    for (unsigned point = 0; point < 0x200000; point++) {
        char text[4];
        size_t size = encode(point, text);
        bool is_right = point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
        if (utf8_is_valid(span_make(text, size)) != is_right)
            ck_abort_msg("U+%04X", point);
    }
}
END_TEST

START_TEST(a_character_that_is_cut_short_is_invalid)
{
    for (unsigned point = 0x80; point <= 0x10ffff; point += 97) {
        char text[4];
        size_t size = encode(point, text);
        for (size_t cut = 1; cut < size; cut++)
            if (utf8_is_valid(span_make(text, cut)))
                ck_abort_msg("U+%04X, %zu of %zu", point, cut, size);
    }
}
END_TEST

START_TEST(up_to_four_octets_are_judged_as_the_syntax_of_the_rfc_does)
{
    /* Both sides of every bound in the syntax. */
    static const unsigned char bounds[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                           0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
                                           0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xff};
    enum { BOUNDS = sizeof bounds };
    for (unsigned n = 0; n < BOUNDS * BOUNDS * BOUNDS * BOUNDS; n++) {
        unsigned char text[4];
        unsigned rest = n;
        for (int i = 0; i < 4; i++, rest /= BOUNDS)
            text[i] = bounds[rest % BOUNDS];
        for (size_t size = 1; size <= sizeof text; size++)
            if (utf8_is_valid(span_make((const char *)text, size)) != rfc3629_octets(text, size))
                ck_abort_msg("%02x %02x %02x %02x, %zu of them", text[0], text[1], text[2], text[3],
                             size);
    }
}
END_TEST

static bool stream_is_valid(const unsigned char *text, size_t size)
{
    struct utf8_stream s = {0};
    for (size_t i = 0; i < size; i++)
        if (!utf8_next(&s, (char)text[i]))
            return false;
    return utf8_stream_is_whole(&s);
}

START_TEST(octet_by_octet_the_same_is_valid)
{
    unsigned char text[4];
    for (unsigned n = 0; n < 1u << 24; n += 1 + n % 3) {
        memcpy(text,
               (unsigned char[]){(unsigned char)(0x7e + n % 130), (unsigned char)(n >> 16),
                                 (unsigned char)(n >> 8), (unsigned char)(0x40 + n % 192)},
               4);
        for (size_t size = 1; size <= sizeof text; size++)
            ASSERT_OFTEN(
                utf8_is_valid(span_make((const char *)text, size)) == stream_is_valid(text, size),
                "%02x %02x %02x %02x, %zu of them", text[0], text[1], text[2], text[3], size);
    }
}
END_TEST

START_TEST(a_nul_is_a_character)
{
    ck_assert(utf8_is_valid(span_make("a\0b", 3)));
    ck_assert(!utf8_is_valid(span_make("a\0\xff", 3)));
}
END_TEST

START_TEST(bytes_above_7f_are_more_than_ascii)
{
    char text[] = "abcde";
    ck_assert(!utf8_has_non_ascii(span_of("")));
    for (int c = 0; c < 256; c++)
        for (size_t place = 0; place < 5; place++) {
            memset(text, 'a', 5);
            text[place] = (char)c;
            ck_assert(utf8_has_non_ascii(span_make(text, 5)) == (c > 0x7f));
        }
}
END_TEST

SUITE(utf8)
{
    TEST(text_is_valid_as_the_rfc_has_it);
    TEST(every_code_point_but_surrogates_is_valid);
    TEST(a_character_that_is_cut_short_is_invalid);
    TEST(up_to_four_octets_are_judged_as_the_syntax_of_the_rfc_does);
    TEST(octet_by_octet_the_same_is_valid);
    TEST(a_nul_is_a_character);
    TEST(bytes_above_7f_are_more_than_ascii);
}
