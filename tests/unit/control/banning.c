#include "control/banning.h"

#include "base/clock.h"
#include "base/log.h"
#include "telemetry/mapping.h"

enum { UID = 1000 };

static struct {
    struct config config;
    struct network shared;
    struct event_log log;
    struct banning banning;
    struct error said;
} it;

static void begin(void)
{
    ck_assert_int_eq(network_parse("198.51.100.0/24", &it.shared, NULL), 0);
    it.config.shared = (struct network_list){&it.shared, 1};
    it.log = (struct event_log){.lines = log_create(-1, LOG_LEVEL_ERROR), .process = ""};
    it.banning = (struct banning){
        .bans = mapping_make(bans_size()), .config = &it.config, .log = &it.log, .process = 3};
}

static void end(void)
{
    log_destroy(&it.log.lines);
}

static int orders(int (*order)(const struct banning *, const json_t *, uid_t, struct error *),
                  const char *request)
{
    json_t *asked = json_loads(request, 0, NULL);
    ck_assert_ptr_nonnull(asked);
    int outcome = order(&it.banning, asked, UID, &it.said);
    json_decref(asked);
    return outcome;
}

static size_t count(bool is_exempt)
{
    size_t found = 0;
    struct ban b;
    for (size_t i = 0; i < BANS_MAX; i++)
        found += bans_read(it.banning.bans, i, clock_wall_ns(), &b) == 0 &&
                 (b.kind == BAN_EXEMPTION) == is_exempt;
    return found;
}

static bool is_banned(const char *host)
{
    struct address a;
    struct ban_verdict verdict;
    ck_assert_int_eq(address_make(host, 1, &a), 0);
    return bans_hold(it.banning.bans, &a, 0, clock_wall_ns(), &verdict);
}

static const char *const wrong[] = {
    "{}",
    "{\"network\": 5, \"seconds\": 60}",
    "{\"network\": \"\", \"seconds\": 60}",
    "{\"network\": \"192.0.2.7\"}",
    "{\"network\": \"192.0.2.7\", \"seconds\": 0}",
    "{\"network\": \"192.0.2.7\", \"seconds\": -1}",
    "{\"network\": \"192.0.2.7\", \"seconds\": \"60\"}",
    "{\"network\": \"192.0.2.7\", \"seconds\": 31622401}",
    "{\"network\": \"192.0.2.7\", \"seconds\": 9223372036854775807}",
    "{\"network\": \"192.0.2.7/24\", \"seconds\": 60}",
    "{\"network\": \"2001:db8::/65\", \"seconds\": 60}",
    "{\"network\": \"198.51.100.1\", \"seconds\": 60}",
    "{\"network\": \"198.51.100.0/24\", \"seconds\": 60}",
};

START_TEST(what_is_no_ban_is_refused_and_why_is_said)
{
    ck_assert_int_eq(orders(banning_ban, wrong[_i]), -1);
    ck_assert_str_ne(it.said.text, "");
    ck_assert_uint_eq(count(false), 0);
}
END_TEST

START_TEST(a_ban_is_kept_with_who_has_ordered_it_and_why)
{
    ck_assert_int_eq(orders(banning_ban, "{\"network\": \"2001:db8:1:2::7\", \"seconds\": 60,"
                                         " \"reason\": \"a\\u0007b\"}"),
                     0);
    ck_assert(is_banned("2001:db8:1:2:ffff::"));
    for (size_t i = 0; i < BANS_MAX; i++) {
        json_t *row = banning_row(&it.banning, i, clock_wall_ns());
        if (row == NULL)
            continue;
        ck_assert_str_eq(json_string_value(json_object_get(row, "network")), "2001:db8:1:2::/64");
        ck_assert_str_eq(json_string_value(json_object_get(row, "by")), "uid 1000");
        ck_assert_str_eq(json_string_value(json_object_get(row, "reason")), "a?b");
        ck_assert_str_eq(json_string_value(json_object_get(row, "origin")), "gateway");
        json_decref(row);
    }
    ck_assert_uint_eq(count(false), 1);
}
END_TEST

START_TEST(a_reason_that_is_longer_than_there_is_room_is_cut)
{
    char request[1024] = "{\"network\": \"192.0.2.7\", \"seconds\": 60, \"reason\": \"";
    size_t used = strlen(request);
    memset(request + used, 'r', 500);
    memcpy(request + used + 500, "\"}", 3);
    ck_assert_int_eq(orders(banning_ban, request), 0);
    ck_assert(is_banned("192.0.2.7"));
}
END_TEST

START_TEST(a_network_that_holds_shared_ones_may_be_banned)
{
    ck_assert_int_eq(orders(banning_ban, "{\"network\": \"198.51.0.0/16\", \"seconds\": 60}"), 0);
    ck_assert(is_banned("198.51.7.1"));
}
END_TEST

START_TEST(unban_lifts_what_covers_the_address_and_a_ban_of_it_lifts_its_exemption)
{
    static const char *const networks[] = {"192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "192.0.2.8",
                                           "10.0.0.0/8"};
    char request[100];
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        (void)snprintf(request, sizeof request, "{\"network\": \"%s\", \"seconds\": 60}",
                       networks[i]); /* fits */
        ck_assert_int_eq(orders(banning_ban, request), 0);
    }
    ck_assert_int_eq(orders(banning_unban, "{\"network\": \"192.0.2.7\"}"), 0);
    ck_assert_ptr_nonnull(strstr(it.said.text, "192.0.2.7: bans lifted: 3; exempt until 20"));
    ck_assert_uint_eq(count(false), 2);
    ck_assert_uint_eq(count(true), 1);
    ck_assert(is_banned("192.0.2.8") && is_banned("10.0.0.1") && !is_banned("192.0.2.7"));
    ck_assert_int_eq(orders(banning_ban, "{\"network\": \"192.0.0.0/8\", \"seconds\": 60}"), 0);
    ck_assert(!is_banned("192.0.2.7") && is_banned("192.0.2.9"));
    ck_assert_int_eq(orders(banning_ban, "{\"network\": \"192.0.2.7\", \"seconds\": 60}"), 0);
    ck_assert(is_banned("192.0.2.7"));
    ck_assert_uint_eq(count(true), 0);
}
END_TEST

static const int fills[] = {0xff, 0xfe, 0x7f, 'A', 2};

START_TEST(rows_of_a_hostile_table_are_json_and_bans_can_be_made)
{
    it.banning.bans = mapping_hostile((bans_size() + 7) / 8 * 8, fills[_i]);
    for (size_t i = 0; i < BANS_MAX + 3; i++)
        json_decref(banning_row(&it.banning, i, clock_wall_ns()));
    ck_assert_int_eq(orders(banning_ban, "{\"network\": \"192.0.2.7\", \"seconds\": 60}"), 0);
    ck_assert(is_banned("192.0.2.7"));
}
END_TEST

SUITE(banning)
{
    tcase_add_checked_fixture(tests, begin, end);
    LOOP_TEST(what_is_no_ban_is_refused_and_why_is_said, wrong);
    TEST(a_ban_is_kept_with_who_has_ordered_it_and_why);
    TEST(a_reason_that_is_longer_than_there_is_room_is_cut);
    TEST(a_network_that_holds_shared_ones_may_be_banned);
    TEST(unban_lifts_what_covers_the_address_and_a_ban_of_it_lifts_its_exemption);
    LOOP_TEST(rows_of_a_hostile_table_are_json_and_bans_can_be_made, fills);
}
