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

START_TEST(a_reply_that_repeats_what_the_secret_is_in_is_known)
{
    static const struct {
        enum smtp_mechanism mechanism;
        unsigned step;
        const char *text;
        bool is_in;
    } replies[] = {
        {SMTP_AUTH_PLAIN, 1,
         "Unknown: AUTH PLAIN AGdhdGV3YXlAZXhhbXBsZS5jb20Ab3BlbiBzZXNhbWU=", true},
        {SMTP_AUTH_PLAIN, 1, "Authentication failed for gateway@example.com by PLAIN", false},
        {SMTP_AUTH_PLAIN, 1, "bad word: open sesame", true},
        {SMTP_AUTH_LOGIN, 3, "what is b3BlbiBzZXNhbWU=?", true},
        {SMTP_AUTH_LOGIN, 2, "AUTH LOGIN Z2F0ZXdheUBleGFtcGxlLmNvbQ== is nobody", false},
    };
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        const struct smtp_login l = {replies[i].mechanism, replies[i].step};
        ck_assert_msg(smtp_login_is_in(&l, &credentials, span_of(replies[i].text)) ==
                          replies[i].is_in,
                      "%s", replies[i].text);
    }
}
END_TEST

SUITE(smtp_login)
{
    TEST(a_reply_that_repeats_what_the_secret_is_in_is_known);
    TEST(plain_says_all_at_once);
    TEST(login_answers_two_questions);
    TEST(xoauth2_says_its_token_and_answers_a_refusal_with_an_empty_line);
    TEST(the_best_that_both_know_is_chosen);
    TEST(a_mechanism_has_the_name_that_it_is_known_by);
    TEST(a_line_that_does_not_fit_is_not_said);
    TEST(a_line_for_which_there_is_no_memory_is_not_said);
}
