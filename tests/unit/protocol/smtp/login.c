#include "protocol/smtp/login.h"

#include "protocol/said.h"

#include "support/failing.h"

#include <stdlib.h>

static const struct smtp_credentials credentials = {.user = "gateway@example.com",
                                                    .secret = "open sesame"};

/* What is said at first, and to `count` questions; "-" where nothing is. */
static void says(enum smtp_mechanism mechanism, size_t count, const char *const *lines)
{
    struct smtp_login l = {.mechanism = mechanism};
    for (size_t i = 0; i < count; i++) {
        struct buffer out = {.limit = 1024};
        int outcome = smtp_login_line(&l, &credentials, &out);
        if (strcmp(lines[i], "-") == 0) {
            ck_assert_int_eq(outcome, -1);
        } else {
            ck_assert_int_eq(outcome, 0);
            ck_assert_msg(span_equals(buffer_bytes(&out), lines[i]), "%.*s", (int)out.size,
                          buffer_bytes(&out).data);
        }
        buffer_clear(&out);
    }
}

/* The base 64 is coreutils'. */
START_TEST(plain_says_all_at_once)
{
    static const char *const lines[] = {
        "AUTH PLAIN AGdhdGV3YXlAZXhhbXBsZS5jb20Ab3BlbiBzZXNhbWU=\r\n", "-"};
    says(SMTP_AUTH_PLAIN, 2, lines);
}
END_TEST

START_TEST(login_answers_two_questions)
{
    static const char *const lines[] = {"AUTH LOGIN\r\n", "Z2F0ZXdheUBleGFtcGxlLmNvbQ==\r\n",
                                        "b3BlbiBzZXNhbWU=\r\n", "-"};
    says(SMTP_AUTH_LOGIN, 4, lines);
}
END_TEST

/* The form of Google's and Microsoft's manuals; what a refusal says is answered with nothing. */
START_TEST(xoauth2_says_its_token_and_answers_a_refusal_with_an_empty_line)
{
    static const char *const lines[] = {
        "AUTH XOAUTH2 "
        "dXNlcj1nYXRld2F5QGV4YW1wbGUuY29tAWF1dGg9QmVhcmVyIG9wZW4gc2V"
        "zYW1lAQE=\r\n",
        "\r\n", "-"};
    says(SMTP_AUTH_XOAUTH2, 3, lines);
}
END_TEST

START_TEST(the_best_that_both_know_is_chosen)
{
    unsigned all = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN | SMTP_AUTH_XOAUTH2;
    unsigned passwords = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN;
    ck_assert_uint_eq(smtp_mechanism_choose(all, all), SMTP_AUTH_XOAUTH2);
    ck_assert_uint_eq(smtp_mechanism_choose(passwords, all), SMTP_AUTH_PLAIN);
    ck_assert_uint_eq(smtp_mechanism_choose(all, SMTP_AUTH_LOGIN), SMTP_AUTH_LOGIN);
    ck_assert_uint_eq(smtp_mechanism_choose(SMTP_AUTH_PLAIN, SMTP_AUTH_LOGIN), 0);
    ck_assert_uint_eq(smtp_mechanism_choose(all, 0), 0);
}
END_TEST

START_TEST(a_mechanism_has_the_name_that_it_is_known_by)
{
    static const enum smtp_mechanism all[] = {SMTP_AUTH_PLAIN, SMTP_AUTH_LOGIN, SMTP_AUTH_XOAUTH2};
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(smtp_mechanisms_parse(span_of(smtp_mechanism_name(all[i]))), all[i]);
    ck_assert_str_eq(smtp_mechanism_name(0), "");
}
END_TEST

START_TEST(a_line_that_does_not_fit_is_not_said)
{
    for (size_t room = 0; room < 40; room++) {
        struct smtp_login l = {.mechanism = SMTP_AUTH_PLAIN};
        struct buffer out = {.limit = room};
        ck_assert_int_eq(smtp_login_line(&l, &credentials, &out), -1);
        buffer_clear(&out);
    }
}
END_TEST

static void say_with_failures(enum smtp_mechanism mechanism)
{
    struct smtp_login l = {.mechanism = mechanism};
    struct buffer out = {.limit = 1024};
    int outcome = smtp_login_line(&l, &credentials, &out);
    if ((outcome < 0) != failing_has_failed()) /* Check itself needs memory */
        abort();
    buffer_clear(&out);
}

START_TEST(a_line_for_which_there_is_no_memory_is_not_said)
{
    WITH_EACH_ALLOCATION_FAILING(say_with_failures(SMTP_AUTH_PLAIN));
    WITH_EACH_ALLOCATION_FAILING(say_with_failures(SMTP_AUTH_XOAUTH2));
}
END_TEST

static const struct {
    enum smtp_mechanism mechanism;
    const char *text, *masked;
} repeated[] = {
    {SMTP_AUTH_PLAIN,
     "Unknown: AUTH PLAIN AGdhdGV3YXlAZXhhbXBsZS5jb20Ab3BlbiBzZXNhbWU=", "Unknown: AUTH PLAIN ***"},
    {SMTP_AUTH_PLAIN, "Authentication failed for gateway@example.com by PLAIN",
     "Authentication failed for gateway@example.com by PLAIN"},
    {SMTP_AUTH_PLAIN, "bad word: open sesame", "bad word: ***"},
    {SMTP_AUTH_LOGIN, "what is b3BlbiBzZXNhbWU=?", "what is ***?"},
    {SMTP_AUTH_LOGIN, "AUTH LOGIN Z2F0ZXdheUBleGFtcGxlLmNvbQ== is nobody",
     "AUTH LOGIN Z2F0ZXdheUBleGFtcGxlLmNvbQ== is nobody"},
    {SMTP_AUTH_XOAUTH2,
     "dXNlcj1nYXRld2F5QGV4YW1wbGUuY29tAWF1dGg9QmVhcmVyIG9wZW4gc2VzYW1lAQE=", "***"},
};

START_TEST(a_secret_that_the_reply_repeats_is_masked)
{
    char out[MASK_SIZE];
    struct span masked =
        smtp_login_mask(repeated[_i].mechanism, &credentials, span_of(repeated[_i].text), out);
    ck_assert_msg(span_equals(masked, repeated[_i].masked), "%.*s", (int)masked.size, masked.data);
}
END_TEST

static void mask_with_failures(void)
{
    char out[MASK_SIZE];
    struct span masked =
        smtp_login_mask(SMTP_AUTH_PLAIN, &credentials, span_of("open sesame?"), out);
    if (!span_equals(masked, failing_has_failed() ? "" : "***?")) /* Check itself needs memory */
        abort();
}

START_TEST(without_memory_nothing_is_told)
{
    WITH_EACH_ALLOCATION_FAILING(mask_with_failures());
}
END_TEST

SUITE(smtp_login)
{
    LOOP_TEST(a_secret_that_the_reply_repeats_is_masked, repeated);
    TEST(without_memory_nothing_is_told);
    TEST(plain_says_all_at_once);
    TEST(login_answers_two_questions);
    TEST(xoauth2_says_its_token_and_answers_a_refusal_with_an_empty_line);
    TEST(the_best_that_both_know_is_chosen);
    TEST(a_mechanism_has_the_name_that_it_is_known_by);
    TEST(a_line_that_does_not_fit_is_not_said);
    TEST(a_line_for_which_there_is_no_memory_is_not_said);
}
