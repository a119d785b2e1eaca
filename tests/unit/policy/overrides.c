#include "policy/overrides.h"

#include "base/arena.h"
#include "base/lookup.h"
#include "policy/policy.h"
#include "support/test.h"

#define HOUR_US (INT64_C(3600) * 1000000)

static struct lookup_builder *builder;
static struct buffer octets;
static struct sealed list;
static struct override_file file;
static struct limit_rule rule;
static struct policy_facts facts;
static struct error why;

static void begin(void)
{
    builder = lookup_builder_create();
    octets = (struct buffer){.limit = 1 << 16};
    file = (struct override_file){.path = "/etc/over"};
    rule = (struct limit_rule){.name = "hour",
                               .enabled = true,
                               .count = LIMIT_MESSAGES,
                               .stage = STAGE_MAIL,
                               .keys = {LIMIT_KEY_ACCOUNT},
                               .key_count = 1,
                               .rate = {10, HOUR_US, 10},
                               .overrides = &file};
    facts = (struct policy_facts){.account = "ana@example.com", .login = "web@example.net"};
}

static void end(void)
{
    lookup_builder_destroy(&builder);
    buffer_clear(&octets);
}

/* The file has one of limit "hour" more. */
static void add(const char *name, struct rate figure)
{
    char key[OVERRIDE_KEY_SIZE];
    unsigned lines[2];
    struct span value = span_make((const char *)&figure, sizeof figure);
    ck_assert_uint_gt(override_key(span_of("hour"), name, key), 0);
    ck_assert_int_eq(lookup_add(builder, span_of(key), value, 1), 0);
    buffer_clear(&octets);
    ck_assert_int_eq(lookup_build(builder, &octets, lines), 0);
    list.bytes = buffer_bytes(&octets);
    file.list = &list;
}

/* The count in force; 0: what the rule says. */
static int64_t found(void)
{
    struct override o;
    return override_find(&rule, &facts, &o) ? o.figure.count : 0;
}

START_TEST(a_figure_is_a_rate_with_a_burst_or_a_max)
{
    static const struct {
        const char *figure, *burst;
        struct rate is;
    } cases[] = {
        {"1000/1h", "", {1000, HOUR_US, 1000}},
        {"60/m", "5", {60, 60000000, 5}},
        {"1G/1d", "64K", {1 << 30, 24 * HOUR_US, 65536}},
        {"1024G/366d", "", {RATE_COUNT_MAX, 366 * 24 * HOUR_US, RATE_COUNT_MAX}},
        {"20", "", {20, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rate is;
        ck_assert_int_eq(
            override_parse(span_of(cases[i].figure), span_of(cases[i].burst), &is, &why), 0);
        ck_assert_int_eq(is.count, cases[i].is.count);
        ck_assert_int_eq(is.period_us, cases[i].is.period_us);
        ck_assert_int_eq(is.burst, cases[i].is.burst);
    }
}
END_TEST

static const struct {
    const char *figure, *burst, *why;
} wrong[] = {
    {"", "", "\"\" is no rate, as \"600/1h\", and no max, from 1 to 1000000"},
    {"0", "", "\"0\" is no rate, as \"600/1h\", and no max, from 1 to 1000000"},
    {"many", "", "\"many\" is no rate, as \"600/1h\", and no max, from 1 to 1000000"},
    {"10/", "", "\"10/\" is no rate; write it as \"600/1h\" or \"10/s\""},
    {"0/1h", "", "\"0/1h\": the count is from 1 to 1099511627776, the period up to a year"},
    {"20", "5", "a burst means nothing without a rate; write \"600/1h 100\""},
    {"10/1h", "0", "\"0\" is no burst; write how many pass at once, from 1 to 1099511627776"},
    {"10/1h", "5x", "\"5x\" is no burst; write how many pass at once, from 1 to 1099511627776"},
};

START_TEST(a_wrong_figure_is_told_with_what_would_do)
{
    struct rate is;
    ck_assert_int_eq(override_parse(span_of(wrong[_i].figure), span_of(wrong[_i].burst), &is, &why),
                     -1);
    ck_assert_str_eq(why.text, wrong[_i].why);
}
END_TEST

static const struct {
    enum counter_kind kind;
    enum limit_key key;
    int64_t period_us;
    bool is_of_domain;
    const char *why; /* NULL: it is right */
} fits[] = {
    {COUNTER_RATE, LIMIT_KEY_ACCOUNT, HOUR_US, false, NULL},
    {COUNTER_RATE, LIMIT_KEY_LOGIN, HOUR_US, true, NULL},
    {COUNTER_AT_ONCE, LIMIT_KEY_ACCOUNT, 0, false, NULL},
    {COUNTER_DISTINCT, LIMIT_KEY_ACCOUNT, 0, true, NULL},
    {COUNTER_RATE, LIMIT_KEY_ACCOUNT_DOMAIN, HOUR_US, true, NULL},
    {COUNTER_RATE, LIMIT_KEY_ACCOUNT_DOMAIN, HOUR_US, false,
     "hour goes by account_domain; write it for @example.com"},
    {COUNTER_RATE, LIMIT_KEY_IP, HOUR_US, true,
     "hour goes by neither account, login nor account_domain"},
    {COUNTER_RATE, LIMIT_KEY_ACCOUNT, 0, false,
     "hour is limited by a rate; write it as \"600/1h\""},
    {COUNTER_AT_ONCE, LIMIT_KEY_ACCOUNT, HOUR_US, false,
     "hour is limited by max; write a number alone"},
    {COUNTER_RATIO, LIMIT_KEY_ACCOUNT, 0, false, "hour is a ratio, which is the same for all"},
};

START_TEST(a_figure_must_be_of_the_kind_that_the_rule_has)
{
    const struct rate figure = {10, fits[_i].period_us, 10};
    rule.kind = fits[_i].kind;
    rule.keys[0] = fits[_i].key;
    bool is_good = override_check(&rule, &figure, fits[_i].is_of_domain, &why) == 0;
    ck_assert_int_eq(is_good, fits[_i].why == NULL);
    if (!is_good)
        ck_assert_str_eq(why.text, fits[_i].why);
}
END_TEST

START_TEST(what_is_the_accounts_own_goes_before_what_is_its_domains)
{
    ck_assert_int_eq(found(), 0);
    add("@example.com", (struct rate){5, HOUR_US, 5});
    ck_assert_int_eq(found(), 5);
    add("ana@example.com", (struct rate){7, HOUR_US, 7});
    ck_assert_int_eq(found(), 7);
    facts.account = "rui@example.com";
    ck_assert_int_eq(found(), 5);
    facts.account = "rui@sub.example.com";
    ck_assert_int_eq(found(), 0);
    facts.account = NULL;
    ck_assert_int_eq(found(), 0);
}
END_TEST

static const char *set_name;

/* Something is set for one name. */
static bool find_set(const void *owner, const char *limit, const char *name, int64_t now_s,
                     struct rate *out)
{
    ck_assert_str_eq(limit, "hour");
    ck_assert_int_eq(now_s, 1000);
    *out = *(const struct rate *)owner;
    return strcmp(name, set_name) == 0;
}

START_TEST(what_was_set_goes_before_what_stands_in_the_file)
{
    struct rate nine = {9, HOUR_US, 9};
    const struct override_store store = {find_set, &nine};
    facts.set_limits = &store;
    facts.now_s = 1000;
    set_name = "@example.com";
    rule.overrides = NULL;
    ck_assert_int_eq(found(), 9);
    rule.overrides = &file;
    add("ana@example.com", (struct rate){7, HOUR_US, 7});
    ck_assert_int_eq(found(), 9);
    set_name = "rui@example.com";
    ck_assert_int_eq(found(), 7);
    facts.account = set_name;
    ck_assert_int_eq(found(), 9);
    nine.period_us = 0; /* of a limit by max, which this one was then */
    ck_assert_int_eq(found(), 0);
}
END_TEST

START_TEST(a_figure_is_written_as_it_is_parsed)
{
    static const struct {
        struct rate figure;
        const char *text;
    } cases[] = {{{600, HOUR_US, 600}, "600/1h"},
                 {{600, 90 * 60000000L, 100}, "600/90min 100"},
                 {{1, 1000, 1}, "1/1ms"},
                 {{20, 0, 0}, "20"},
                 {{RATE_COUNT_MAX, 366 * 24 * HOUR_US, RATE_COUNT_MAX - 1},
                  "1099511627776/366d 1099511627775"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[OVERRIDE_FIGURE_SIZE];
        ck_assert_str_eq(override_format(&cases[i].figure, text), cases[i].text);
    }
}
END_TEST

START_TEST(whose_it_is_says_what_the_rule_goes_by)
{
    add("ana@example.com", (struct rate){1, HOUR_US, 1});
    add("web@example.net", (struct rate){2, HOUR_US, 2});
    add("@example.com", (struct rate){3, HOUR_US, 3});
    rule.keys[0] = LIMIT_KEY_LOGIN;
    ck_assert_int_eq(found(), 2);
    rule.keys[0] = LIMIT_KEY_ACCOUNT_DOMAIN;
    ck_assert_int_eq(found(), 3);
    rule.keys[0] = LIMIT_KEY_LISTENER;
    ck_assert_int_eq(found(), 0);
    rule.key_count = 2;
    rule.keys[1] = LIMIT_KEY_ACCOUNT;
    ck_assert_int_eq(found(), 1);
    rule.name = "day";
    ck_assert_int_eq(found(), 0);
}
END_TEST

START_TEST(a_figure_that_nobody_can_have_written_is_not_believed)
{
    static const struct rate spoiled[] = {
        {0, HOUR_US, 1}, {-1, HOUR_US, 1},        {1, HOUR_US, 0},         {1, INT64_MAX, 1},
        {1, -1, 1},      {INT64_MAX, HOUR_US, 1}, {1, HOUR_US, INT64_MAX}, {1, 0, 0}};
    char name[] = "a@example.com";
    for (size_t i = 0; i < sizeof spoiled / sizeof *spoiled; i++) {
        name[0] = (char)('a' + i);
        add(name, spoiled[i]);
        facts.account = name;
        ck_assert_int_eq(found(), 0);
    }
    rule.kind = COUNTER_AT_ONCE; /* the last one is of such a rule */
    ck_assert_int_eq(found(), 1);
}
END_TEST

START_TEST(a_take_is_of_the_figure_in_force_and_the_verdict_names_it)
{
    struct arena *arena = arena_create(1024 * 1024);
    const struct policy policy = {
        .name = "p", .limits = &rule, .limit_count = 1, .stages = 1u << STAGE_MAIL};
    struct policy_call call;
    struct verdict v;
    add("ana@example.com", (struct rate){100, HOUR_US, 50});
    policy_call_begin(&call, arena);
    int own = policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    facts.account = "rui@example.com";
    int others = policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP);
    ck_assert_int_eq(call.takes[own].rate.increment_us, HOUR_US / 100);
    ck_assert_int_eq(call.takes[own].rate.tolerance_us, HOUR_US / 2 + 50);
    ck_assert_int_eq(call.takes[others].rate.increment_us, HOUR_US / 10);
    memset(call.answers, 0, 2 * sizeof *call.answers);
    call.answers[own].is_refusing = call.answers[others].is_refusing = true;
    policy_judge(&call, own, &v);
    ck_assert_int_eq(v.override->figure.count, 100);
    policy_judge(&call, others, &v);
    ck_assert_ptr_null(v.override);
    arena_destroy(&arena);
}
END_TEST

START_TEST(a_take_of_what_is_held_at_once_is_of_the_max_in_force)
{
    struct arena *arena = arena_create(1024 * 1024);
    const struct policy policy = {
        .name = "p", .limits = &rule, .limit_count = 1, .stages = 1u << STAGE_MAIL};
    struct policy_call call;
    rule.kind = COUNTER_AT_ONCE;
    rule.max = 4;
    add("@example.com", (struct rate){.count = 20});
    policy_call_begin(&call, arena);
    ck_assert_int_eq(policy_ask(&call, &policy, STAGE_MAIL, &facts, STORE_NO_GROUP), 0);
    ck_assert_uint_eq(call.takes[0].at_once.max, 20);
    arena_destroy(&arena);
}
END_TEST

SUITE(overrides)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(a_figure_is_a_rate_with_a_burst_or_a_max);
    LOOP_TEST(a_wrong_figure_is_told_with_what_would_do, wrong);
    LOOP_TEST(a_figure_must_be_of_the_kind_that_the_rule_has, fits);
    TEST(what_is_the_accounts_own_goes_before_what_is_its_domains);
    TEST(what_was_set_goes_before_what_stands_in_the_file);
    TEST(a_figure_is_written_as_it_is_parsed);
    TEST(whose_it_is_says_what_the_rule_goes_by);
    TEST(a_figure_that_nobody_can_have_written_is_not_believed);
    TEST(a_take_is_of_the_figure_in_force_and_the_verdict_names_it);
    TEST(a_take_of_what_is_held_at_once_is_of_the_max_in_force);
}
