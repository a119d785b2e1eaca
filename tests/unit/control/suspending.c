#include "control/suspending.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/banning.h"
#include "telemetry/mapping.h"

#include <stdio.h>

enum { UID = 1000 };

static struct {
    struct event_log log;
    struct suspending suspending;
    struct error said;
} it;

static void begin(void)
{
    it.log = (struct event_log){.lines = log_create(-1, LOG_LEVEL_ERROR), .process = ""};
    it.suspending = (struct suspending){.bans = mapping_make(bans_size()),
                                        .log = &it.log,
                                        .process = 3,
                                        .key = {5, 7},
                                        .cache = {.realm = "example.com"},
                                        .processes = mapping_make(process_table_size())};
}

static void end(void)
{
    log_destroy(&it.log.lines);
}

static int orders(int (*order)(const struct suspending *, const json_t *, uid_t, struct error *),
                  const char *request)
{
    json_t *asked = json_loads(request, 0, NULL);
    ck_assert_ptr_nonnull(asked);
    int outcome = order(&it.suspending, asked, UID, &it.said);
    json_decref(asked);
    return outcome;
}

static void suspends(const char *request)
{
    ck_assert_msg(orders(suspending_suspend, request) == 0, "%s", it.said.text);
}

#define FOR_AN_HOUR "\"seconds\": 3600, \"reason\": \"sends spam\"}"

static enum suspension scope_of(const char *account)
{
    uint64_t hash = guessing_account(it.suspending.key, account);
    return bans_suspension(it.suspending.bans, hash, clock_wall_ns(), NULL);
}

/* The only row there is, or NULL. */
static json_t *only(void)
{
    json_t *found = NULL;
    for (size_t i = 0; i < BANS_MAX; i++) {
        json_t *row = suspending_row(&it.suspending, i, clock_wall_ns());
        ck_assert(row == NULL || found == NULL);
        found = row != NULL ? row : found;
    }
    return found;
}

START_TEST(an_account_is_suspended_by_any_of_its_names_and_let_go)
{
    suspends("{\"account\": \"ANA\", \"scope\": \"sending\", " FOR_AN_HOUR);
    ck_assert_ptr_nonnull(strstr(it.said.text, "ana@example.com is suspended (sending) until 20"));
    ck_assert_int_eq(scope_of("ana@example.com"), SUSPENSION_SENDING);
    ck_assert_int_eq(scope_of("bea@example.com"), SUSPENSION_LIFTED);
    json_t *row = only();
    ck_assert_str_eq(json_string_value(json_object_get(row, "account")), "ana@example.com");
    ck_assert_str_eq(json_string_value(json_object_get(row, "scope")), "sending");
    ck_assert_str_eq(json_string_value(json_object_get(row, "by")), "uid 1000");
    ck_assert_str_eq(json_string_value(json_object_get(row, "reason")), "sends spam");
    double left = json_number_value(json_object_get(row, "left"));
    ck_assert(left > 3000 && left <= 3600);
    json_decref(row);
    ck_assert_int_eq(orders(suspending_resume, "{\"account\": \"ana@example.com\"}"), 0);
    ck_assert_int_eq(scope_of("ana@example.com"), SUSPENSION_LIFTED);
    ck_assert_ptr_null(only());
    ck_assert_int_eq(orders(suspending_resume, "{\"account\": \"ana@example.com\"}"), -1);
    ck_assert_str_eq(it.said.text, "ana@example.com is not suspended");
}
END_TEST

START_TEST(without_an_end_it_is_until_somebody_resumes_it)
{
    suspends("{\"account\": \"ana\", \"scope\": \"all\", \"seconds\": 0}");
    ck_assert_str_eq(it.said.text, "ana@example.com is suspended (all) until resumed");
    json_t *row = only();
    ck_assert(json_is_null(json_object_get(row, "until")));
    ck_assert(json_is_null(json_object_get(row, "left")));
    json_decref(row);
    ck_assert_int_eq(orders(suspending_resume, "{\"account\": \"ana\"}"), 0);
    suspends("{\"account\": \"ana\", \"scope\": \"all\", \"seconds\": 0}");
    ck_assert_int_eq(scope_of("ana@example.com"), SUSPENSION_ALL);
}
END_TEST

START_TEST(the_last_order_holds_whatever_the_clock_of_the_one_before)
{
    struct ban b = {.network = {.is_v6 = true},
                    .account = guessing_account(it.suspending.key, "ana@example.com"),
                    .kind = BAN_SUSPENSION,
                    .scope = SUSPENSION_ALL,
                    .since_ns = clock_wall_ns() + 3600 * CLOCK_SECOND,
                    .until_ns = BAN_UNTIL_LIFTED};
    ck_assert_int_eq(bans_put(it.suspending.bans, 3, &b, clock_wall_ns(), NULL), 0);
    suspends("{\"account\": \"ana\", \"scope\": \"sending\", " FOR_AN_HOUR);
    ck_assert_int_eq(scope_of("ana@example.com"), SUSPENSION_SENDING);
    ck_assert_int_eq(orders(suspending_resume, "{\"account\": \"ana\"}"), 0);
    ck_assert_int_eq(scope_of("ana@example.com"), SUSPENSION_LIFTED);
}
END_TEST

START_TEST(no_order_about_bans_sees_or_lifts_it)
{
    const struct config config = {.hostname = "mail.example.com"};
    const struct banning banning = {
        .bans = it.suspending.bans, .config = &config, .log = &it.log, .process = 3};
    static const char *const lifting[] = {"::/0", "::1", "0.0.0.0/0", "192.0.2.7"};
    suspends("{\"account\": \"ana\", \"scope\": \"all\", " FOR_AN_HOUR);
    for (size_t i = 0; i < sizeof lifting / sizeof *lifting; i++) {
        json_t *asked = json_pack("{s:s}", "network", lifting[i]);
        ck_assert_int_eq(banning_unban(&banning, asked, UID, &it.said), 0);
        ck_assert_ptr_nonnull(strstr(it.said.text, "bans lifted: 0"));
        json_decref(asked);
    }
    ck_assert_int_eq(scope_of("ana@example.com"), SUSPENSION_ALL);
    for (size_t i = 0; i < BANS_MAX; i++) {
        json_t *row = banning_row(&banning, i, clock_wall_ns());
        ck_assert(row == NULL || json_is_true(json_object_get(row, "exempt")));
        json_decref(row);
    }
}
END_TEST

static const char *const wrong[] = {
    "{}",
    "{\"account\": \"a b\", \"scope\": \"all\", \"seconds\": 5}",
    "{\"account\": 5, \"scope\": \"all\", \"seconds\": 5}",
    "{\"account\": \"ana\", \"seconds\": 5}",
    "{\"account\": \"ana\", \"scope\": \"lifted\", \"seconds\": 5}",
    "{\"account\": \"ana\", \"scope\": \"\", \"seconds\": 5}",
    "{\"account\": \"ana\", \"scope\": \"all\"}",
    "{\"account\": \"ana\", \"scope\": \"all\", \"seconds\": -1}",
    "{\"account\": \"ana\", \"scope\": \"all\", \"seconds\": 31622401}",
    "{\"account\": \"ana\", \"scope\": \"all\", \"seconds\": 1.5}",
};

START_TEST(what_is_no_order_is_refused_and_said_why)
{
    ck_assert_int_eq(orders(suspending_suspend, wrong[_i]), -1);
    ck_assert_int_ne(it.said.text[0], '\0');
    ck_assert_ptr_null(only());
}
END_TEST

SUITE(suspending)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(an_account_is_suspended_by_any_of_its_names_and_let_go);
    TEST(without_an_end_it_is_until_somebody_resumes_it);
    TEST(the_last_order_holds_whatever_the_clock_of_the_one_before);
    TEST(no_order_about_bans_sees_or_lifts_it);
    LOOP_TEST(what_is_no_order_is_refused_and_said_why, wrong);
}
