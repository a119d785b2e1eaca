#include "control/limit_setting.h"

#include "base/clock.h"
#include "base/log.h"
#include "policy/policy.h"
#include "telemetry/mapping.h"

enum { UID = 1000 };

static struct limit_rule limits[] = {
    {.name = "hour",
     .enabled = true,
     .keys = {LIMIT_KEY_ACCOUNT},
     .key_count = 1,
     .count = LIMIT_RECIPIENTS,
     .rate = {600, INT64_C(3600) * 1000000, 100}},
    {.name = "open",
     .enabled = true,
     .keys = {LIMIT_KEY_LOGIN},
     .key_count = 1,
     .count = LIMIT_SESSIONS,
     .kind = COUNTER_AT_ONCE,
     .max = 4},
    {.name = "address",
     .enabled = true,
     .keys = {LIMIT_KEY_IP},
     .key_count = 1,
     .rate = {9, 1000000, 9}},
};
static struct policy policy = {.name = "out", .limits = limits, .limit_count = 3};
static struct config config = {
    .auth = {.realm = "example.com"}, .policies = &policy, .policy_count = 1};

static struct {
    struct event_log log;
    struct limit_setting setting;
    struct error said;
} it;

static void begin(void)
{
    static const uint64_t key[2] = {1, 2};
    it.log = (struct event_log){.lines = log_create(-1, LOG_LEVEL_ERROR), .process = ""};
    it.setting = (struct limit_setting){
        .limits = mapping_make(set_limits_size()), .config = &config, .log = &it.log, .process = 3};
    set_limits_begin(it.setting.limits, key);
}

static void end(void)
{
    log_destroy(&it.log.lines);
}

static int orders(int (*order)(const struct limit_setting *, const json_t *, uid_t, struct error *),
                  const char *request)
{
    json_t *asked = json_loads(request, 0, NULL);
    ck_assert_ptr_nonnull(asked);
    int outcome = order(&it.setting, asked, UID, &it.said);
    json_decref(asked);
    return outcome;
}

#define SET(name, limit, figure, seconds)                                      \
    "{\"name\": \"" name "\", \"limit\": \"" limit "\", \"figure\": \"" figure \
    "\", \"burst\": \"\", "                                                    \
    "\"seconds\": " seconds ", \"reason\": \"campaign\\n\"}"
#define UNSET(name, limit) "{\"name\": \"" name "\", \"limit\": \"" limit "\"}"

/* The only row; NULL: none. */
static json_t *row(void)
{
    json_t *found = NULL;
    for (size_t i = 0; i < SET_LIMITS_MAX; i++) {
        json_t *one = limit_setting_row(&it.setting, i, clock_wall_ns());
        ck_assert(one == NULL || found == NULL);
        found = one == NULL ? found : one;
    }
    return found;
}

static const char *text(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    return t == NULL ? "" : t;
}

START_TEST(what_was_and_is_in_force_is_said_and_it_is_listed)
{
    ck_assert_int_eq(orders(limit_setting_set, SET("Ana", "hour", "5000/1h", "86400")), 0);
    ck_assert_ptr_nonnull(
        strstr(it.said.text, "hour of ana@example.com\n"
                             "before  out: at most 600 recipients in 1h, 100 at once\n"
                             "now     out: at most 5000 recipients in 1h (set for this account)\n"
                             "until   20"));
    json_t *is = row();
    ck_assert_str_eq(text(is, "name"), "ana@example.com");
    ck_assert_str_eq(text(is, "limit"), "hour");
    ck_assert_str_eq(text(is, "figure"), "5000/1h");
    ck_assert_str_eq(text(is, "reason"), "campaign?");
    ck_assert_int_eq(json_integer_value(json_object_get(is, "uid")), UID);
    double left = json_number_value(json_object_get(is, "left"));
    ck_assert(left > 86300 && left <= 86400);
    json_decref(is);
    ck_assert_int_eq(orders(limit_setting_unset, UNSET("ana@example.com", "hour")), 0);
    ck_assert_str_eq(it.said.text,
                     "hour of ana@example.com\n"
                     "before  out: at most 5000 recipients in 1h (set for this account)\n"
                     "now     out: at most 600 recipients in 1h, 100 at once");
    ck_assert_ptr_null(row());
    ck_assert_int_eq(orders(limit_setting_unset, UNSET("ana@example.com", "hour")), -1);
    ck_assert_str_eq(it.said.text, "nothing is set for hour of ana@example.com; limit list shows "
                                   "what is");
}
END_TEST

START_TEST(a_domain_has_it_for_good_and_another_order_replaces_it)
{
    ck_assert_int_eq(orders(limit_setting_set, SET("@Example.com", "open", "9", "0")), 0);
    ck_assert_ptr_nonnull(strstr(it.said.text, "at most 9 sessions at once (set for this domain)\n"
                                               "until   for good"));
    ck_assert_int_eq(orders(limit_setting_set, SET("@example.com", "open", "20", "0")), 0);
    json_t *is = row();
    ck_assert_str_eq(text(is, "name"), "@example.com");
    ck_assert_str_eq(text(is, "figure"), "20");
    ck_assert(json_is_null(json_object_get(is, "until")));
    ck_assert(json_is_null(json_object_get(is, "left")));
    json_decref(is);
}
END_TEST

START_TEST(an_order_follows_one_of_a_gateway_whose_clock_is_ahead)
{
    struct set_limit ahead = {.rule = "hour",
                              .name = "ana@example.com",
                              .figure = {5, 1000000, 5},
                              .since_ns = clock_wall_ns() + 60 * CLOCK_SECOND,
                              .until_ns = SET_LIMIT_FOR_GOOD};
    ck_assert_int_ge(set_limits_put(it.setting.limits, 3, &ahead, clock_wall_ns(), NULL), 0);
    ck_assert_int_eq(orders(limit_setting_set, SET("ana", "hour", "7/1h", "60")), 0);
    json_t *is = row();
    ck_assert_str_eq(text(is, "figure"), "7/1h");
    json_decref(is);
}
END_TEST

static const struct {
    const char *request, *said;
} wrong[] = {
    {"{}", "\"\" is no account; write ana@example.com, or @example.com for all of a domain"},
    {SET("a b", "hour", "5/1h", "60"),
     "\"a b\" is no account; write ana@example.com, or @example.com for all of a domain"},
    {SET("ana", "", "5/1h", "60"), "\"\" is no limit"},
    {SET("ana", "huor", "5/1h", "60"), "\"huor\" is none of the limits: hour, open, address"},
    {SET("ana", "hour", "many", "60"),
     "\"many\" is no rate, as \"600/1h\", and no max, from 1 to 1000000"},
    {SET("ana", "hour", "5", "60"), "hour is limited by a rate; write it as \"600/1h\""},
    {SET("ana", "address", "5/1h", "60"),
     "address goes by neither account, login nor account_domain"},
    {SET("ana", "hour", "5/1h", "-1"),
     "a limit is set for a second at least, for 366 days at most, or for good"},
    {SET("ana", "hour", "5/1h", "31622401"),
     "a limit is set for a second at least, for 366 days at most, or for good"},
    {SET("ana", "hour", "5/1h", "\"60\""),
     "a limit is set for a second at least, for 366 days at most, or for good"},
};

START_TEST(what_is_no_order_is_refused_and_why_is_said)
{
    ck_assert_int_eq(orders(limit_setting_set, wrong[_i].request), -1);
    ck_assert_str_eq(it.said.text, wrong[_i].said);
    ck_assert_ptr_null(row());
}
END_TEST

static const int fills[] = {0xff, 0x7f, 'A', 2};

START_TEST(rows_of_a_hostile_table_are_json)
{
    it.setting.limits = mapping_hostile((set_limits_size() + 7) / 8 * 8, fills[_i]);
    for (size_t i = 0; i < SET_LIMITS_MAX + 3; i++)
        json_decref(limit_setting_row(&it.setting, i, clock_wall_ns()));
}
END_TEST

SUITE(limit_setting)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(what_was_and_is_in_force_is_said_and_it_is_listed);
    TEST(a_domain_has_it_for_good_and_another_order_replaces_it);
    TEST(an_order_follows_one_of_a_gateway_whose_clock_is_ahead);
    LOOP_TEST(what_is_no_order_is_refused_and_why_is_said, wrong);
    LOOP_TEST(rows_of_a_hostile_table_are_json, fills);
}
