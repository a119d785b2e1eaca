#include "process/token.h"

#include "support/test.h"

#include <stdlib.h>

static struct token token;
static struct error why;

static const struct {
    const char *output, *text;
    int64_t lifetime_s;
} good[] = {
    {"ya29.a0Af_token", "ya29.a0Af_token", 0},
    {"  token\r\n\n", "token", 0},
    {"{\"access_token\": \"abc\", \"expires_in\": 3599}", "abc", 3599},
    {"\n{\"token_type\":\"Bearer\",\"access_token\":\"abc\"}\n", "abc", 0},
    {"{\"access_token\": \"abc\", \"expires_in\": -5}", "abc", 0},
    {"{\"access_token\": \"abc\", \"expires_in\": \"3599\"}", "abc", 0},
    {"{\"access_token\": \"abc\", \"expires_in\": 9223372036854775807}", "abc", 30 * 24 * 3600},
};

START_TEST(a_token_is_read_by_itself_or_from_json)
{
    ck_assert_int_eq(token_parse(span_of(good[_i].output), &token, &why), 0);
    ck_assert_str_eq(token.text, good[_i].text);
    ck_assert_int_eq(token.lifetime_s, good[_i].lifetime_s);
}
END_TEST

static const struct {
    const char *output, *why;
} bad[] = {
    {"", "no token"},
    {" \n", "no token"},
    {"Secret42 Secret43", "space"},
    {"Secret42\nSecret43", "line end"},
    {"Secret42\xc3\xbc", "ASCII"},
    {"{Secret42", "no JSON"},
    {"{\"access_token\": \"Secret42\"", "no JSON"},
    {"{\"access_token\": \"Secret42\", \"access_token\": \"b\"}", "no JSON"},
    {"{\"access_token\": \"Secret42\"} and more", "no JSON"},
    {"{\"token\": \"Secret42\"}", "access_token"},
    {"{\"access_token\": 42}", "access_token"},
    {"{\"access_token\": \"\"}", "no token"},
    {"{\"access_token\": \"Secret42\\u0001\"}", "no token"},
};

START_TEST(what_is_no_token_is_refused_without_a_word_of_it)
{
    ck_assert_int_eq(token_parse(span_of(bad[_i].output), &token, &why), -1);
    ck_assert_msg(strstr(why.text, bad[_i].why) != NULL, "%s", why.text);
    ck_assert_ptr_null(strstr(why.text, "Secret42"));
}
END_TEST

START_TEST(a_token_has_at_most_8192_octets)
{
    char *text = malloc(TOKEN_MAX + 2);
    ck_assert_ptr_nonnull(text);
    memset(text, 'a', TOKEN_MAX + 1);
    ck_assert_int_eq(token_parse(span_make(text, TOKEN_MAX), &token, &why), 0);
    ck_assert_uint_eq(strlen(token.text), TOKEN_MAX);
    ck_assert_int_eq(token_parse(span_make(text, TOKEN_MAX + 1), &token, &why), -1);
    ck_assert_int_eq(token_parse(span_make("a\0b", 3), &token, &why), -1);
    free(text);
}
END_TEST

SUITE(token)
{
    LOOP_TEST(a_token_is_read_by_itself_or_from_json, good);
    LOOP_TEST(what_is_no_token_is_refused_without_a_word_of_it, bad);
    TEST(a_token_has_at_most_8192_octets);
}
