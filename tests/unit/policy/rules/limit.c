#include "policy/rules/limit.h"

#include "policy/overrides.h"
#include "support/test.h"

#include <string.h>

START_TEST(a_limit_is_told_in_figures)
{
    static const struct {
        int kind, what;
        const char *rate;
        int64_t count, burst, max;
        const char *text;
    } cases[] = {
        {COUNTER_RATE, LIMIT_RECIPIENTS, "600/1h", 600, 600, 0, "at most 600 recipients in 1h"},
        {COUNTER_RATE, LIMIT_RECIPIENTS, "600/h", 600, 100, 0,
         "at most 600 recipients in 1h, 100 at once"},
        {COUNTER_AT_ONCE, LIMIT_SESSIONS, "", 0, 0, 4, "at most 4 sessions at once"},
        {COUNTER_DISTINCT, LIMIT_DISTINCT_NETWORKS, "", 0, 0, 3,
         "at most 3 different networks in 2 hours"},
        {COUNTER_DISTINCT, LIMIT_DISTINCT_COUNTRIES, "", 0, 0, 3,
         "at most 3 different countries in 2 hours"},
        {COUNTER_RATE, LIMIT_AUTH_FAILURES, "60/h", 60, 60, 0, "at most 60 failed logins in 1h"},
        {COUNTER_DISTINCT, LIMIT_DISTINCT_CREDENTIALS, "", 0, 0, 3,
         "at most 3 different wrong credentials in 2 hours"},
        {COUNTER_RATIO, LIMIT_REJECTED_RECIPIENTS, "", 0, 0, 0,
         "at most 25% of recipients refused in 2 hours, of 20 or more"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct limit_rule r = {
            .rate_text = cases[i].rate,
            .kind = (enum counter_kind)cases[i].kind,
            .count = cases[i].what,
            .max = cases[i].max,
            .ratio = 25,
            .min = 20,
            .window_ms = 7200000,
            .rate = {cases[i].count, INT64_C(3600) * 1000000, cases[i].burst}};
        char text[120], cut[8];
        ck_assert_str_eq(limit_rule_text(&r, NULL, text, sizeof text), cases[i].text);
        ck_assert_uint_eq(strlen(limit_rule_text(&r, NULL, cut, sizeof cut)), sizeof cut - 1);
    }
}
END_TEST

START_TEST(what_is_set_for_an_account_or_a_domain_is_told_as_that)
{
    const struct limit_rule hour = {.kind = COUNTER_RATE, .count = LIMIT_RECIPIENTS};
    const struct limit_rule open = {.kind = COUNTER_AT_ONCE, .count = LIMIT_SESSIONS, .max = 4};
    const struct override fast = {.figure = {1000, INT64_C(90) * 60000000, 50}};
    const struct override many = {.figure = {.count = 20}, .is_of_domain = true};
    char text[120], cut[8];
    ck_assert_str_eq(limit_rule_text(&hour, &fast, text, sizeof text),
                     "at most 1000 recipients in 90min, 50 at once (set for this account)");
    ck_assert_str_eq(limit_rule_text(&open, &many, text, sizeof text),
                     "at most 20 sessions at once (set for this domain)");
    ck_assert_uint_eq(strlen(limit_rule_text(&open, &many, cut, sizeof cut)), sizeof cut - 1);
}
END_TEST

START_TEST(a_wait_is_told_in_the_unit_that_people_would_use)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1 second"},
        {1, "1 second"},
        {1000001, "2 seconds"},
        {119000000, "119 seconds"},
        {120000000, "2 minutes"},
        {INT64_C(7200) * 1000000, "2 hours"},
        {INT64_C(7201) * 1000000, "3 hours"},
        {INT64_C(172800) * 1000000, "2 days"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[40];
        ck_assert_str_eq(limit_wait_text(cases[i].us, text, sizeof text), cases[i].text);
    }
}
END_TEST

SUITE(limit)
{
    TEST(a_limit_is_told_in_figures);
    TEST(what_is_set_for_an_account_or_a_domain_is_told_as_that);
    TEST(a_wait_is_told_in_the_unit_that_people_would_use);
}
