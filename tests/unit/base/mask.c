#include "base/mask.h"

#include "support/test.h"

/* "open sesame" is the secret, and its base 64 (coreutils') is another. */
static const struct span secrets[] = {{"open sesame", 11}, {"b3BlbiBzZXNhbWU=", 16}, {"", 0}};

static const struct {
    const char *text, *masked;
} texts[] = {
    {"", ""},
    {"login failed", "login failed"},
    {"what is open sesame?", "what is ***?"},
    {"open sesame", "***"},
    {"open sesameopen sesame open sesame", "*** ***"},
    {"no b3BlbiBzZXNhbWU=", "no ***"},
    {"in another case: OPEN SeSaMe.", "in another case: ***."},
    {"cut: \"PASS open ses...", "cut: \"PASS ***..."},
    {"the middle: ...pen sesa...", "the middle: ...***..."},
    {"five octets: open ", "five octets: open "},
    {"open sopen sesame", "***"}, /* runs that overlap */
};

START_TEST(what_repeats_a_secret_is_masked)
{
    char out[MASK_SIZE];
    struct span masked = mask_secrets(span_of(texts[_i].text), secrets, 3, out);
    ck_assert_msg(span_equals(masked, texts[_i].masked), "%.*s", (int)masked.size, masked.data);
}
END_TEST

START_TEST(a_short_secret_is_masked_wherever_it_stands)
{
    char out[MASK_SIZE];
    const struct span one = span_of("x"), two = span_of("pw");
    ck_assert(span_equals(mask_secrets(span_of("axbxxxxxc"), &one, 1, out), "a*b***c"));
    ck_assert(span_equals(mask_secrets(span_of("pw=PW p w"), &two, 1, out), "**=** p w"));
}
END_TEST

/* A secret that the end cuts in two would show its first part. */
START_TEST(a_long_text_is_cut_without_a_piece_of_the_secret)
{
    static char text[MASK_SIZE + 20], out[MASK_SIZE];
    memset(text, '.', sizeof text);
    memcpy(text + MASK_SIZE - 4, "open sesame", 11);
    struct span masked = mask_secrets(span_make(text, sizeof text), secrets, 3, out);
    ck_assert_uint_eq(masked.size, MASK_SIZE - 4 + 3);
    ck_assert_mem_eq(masked.data + MASK_SIZE - 4, "***", 3);
}
END_TEST

/* A model: each octet that lies in a common run of six is gone. */
START_TEST(no_run_of_six_octets_of_the_secret_is_left)
{
    char text[64], out[MASK_SIZE];
    const char *secret = "abcabdabcabcabdab";
    const struct span one = span_of(secret);
    for (unsigned seed = 1; seed < 2000; seed++) {
        unsigned next = seed;
        for (size_t i = 0; i < sizeof text; i++, next = next * 1103515245 + 12345)
            text[i] = "abcd"[next >> 16 & 3];
        struct span masked = mask_secrets(span_make(text, sizeof text), &one, 1, out);
        for (size_t i = 0; i + 6 <= one.size; i++)
            ck_assert_ptr_null(memmem(masked.data, masked.size, secret + i, 6));
    }
}
END_TEST

SUITE(mask)
{
    LOOP_TEST(what_repeats_a_secret_is_masked, texts);
    TEST(a_short_secret_is_masked_wherever_it_stands);
    TEST(a_long_text_is_cut_without_a_piece_of_the_secret);
    TEST(no_run_of_six_octets_of_the_secret_is_left);
}
