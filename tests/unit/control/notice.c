#include "control/notice.h"

#include "base/clock.h"
#include "control/history.h"

#include "support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW_NS (INT64_C(1795845600) * CLOCK_SECOND) /* 2026-11-28T06:00:00Z */
#define NOW    "2026-11-28T06:00:00.000Z"

static struct history *history;
static struct record_line record;
static json_t *told;

static void begin(void)
{
    history = calloc(1, history_size());
    ck_assert_ptr_nonnull(history);
    history_begin(history, 1000);
}

static void end(void)
{
    json_decref(told);
    told = NULL;
    free(history);
}

/* A line that was written earlier. */
static void before(const char *time, const char *fields)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "time=%s level=info event=%s", time, fields); /* fits */
    history_add(history, span_of(line), 1001);
}

static void read_line(const char *fields)
{
    static char line[4096];
    (void)snprintf(line, sizeof line, "time=" NOW " level=info event=%s", fields); /* fits */
    ck_assert_int_eq(record_read(span_of(line), &record), 0);
}

static void tell(const char *fields, const char *contact, uint32_t folded)
{
    read_line(fields);
    const struct notice_facts facts = {.record = &record,
                                       .notice = notice_of(&record),
                                       .gateway = "mail.example.com",
                                       .command = "panel",
                                       .contact = span_of(contact),
                                       .folded = folded,
                                       .history = history,
                                       .now_ns = NOW_NS};
    char *text = notice_json(&facts);
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_null(strchr(text, '\n'));
    json_decref(told);
    told = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(told);
    free(text);
}

static void says(const char *key, const char *wanted)
{
    char *is = json_dumps(json_object_get(told, key), JSON_COMPACT | JSON_ENCODE_ANY);
    ck_assert_msg((is == NULL) == (wanted == NULL) && (is == NULL || strcmp(is, wanted) == 0),
                  "%s: %s", key, is == NULL ? "none" : is);
    free(is);
}

static const struct {
    const char *fields;
    enum notice notice;
} lines[] = {
    {"suspended account=ana@example.com scope=all", NOTICE_suspend},
    {"resumed account=ana@example.com", NOTICE_COUNT},
    {"banned network=192.0.2.7 rule=guessing", NOTICE_ban},
    {"decision rule=hour verdict=defer limit=x", NOTICE_limit},
    {"decision rule=hour verdict=reject limit=x", NOTICE_limit},
    {"decision rule=sender verdict=reject reason=x", NOTICE_COUNT},
    {"decision rule=hour verdict=delay limit=x", NOTICE_COUNT},
    {"decision rule=hour verdict=monitor limit=x", NOTICE_COUNT},
    {"decision rule=hour verdict=ban limit=x", NOTICE_COUNT}, /* the ban itself tells */
    {"decision rule=hour", NOTICE_COUNT},
    {"decision rule=hour verdict=\"defer reject\"", NOTICE_COUNT},
    {"decision_passed rule=hour verdict=pass", NOTICE_COUNT},
    {"near rule=hour", NOTICE_near},
    {"certificate_expires file=/c.pem days=3", NOTICE_expiry},
    {"certificate file=/c.pem days=80", NOTICE_COUNT},
    {"unbanned network=192.0.2.7", NOTICE_COUNT},
    {"notified notify=panel notice=limit", NOTICE_COUNT},
    {"command_failed notify=panel notice=limit", NOTICE_COUNT},
};

START_TEST(a_line_is_one_notice_or_none)
{
    read_line(lines[_i].fields);
    ck_assert_int_eq(notice_of(&record), lines[_i].notice);
}
END_TEST

START_TEST(it_says_what_its_line_says_and_what_is_known_besides)
{
    tell("decision process=\"worker 1\" client=192.0.2.7:4711 account=ana@example.com rule=hour "
         "verdict=defer key=\"hour ana\" limit=\"at most 5 recipients in 1h\" used=5 cost=1 left=0 "
         "wait=12.500",
         "ana@private.example", 3);
    says("event", "\"limit\"");
    says("notify", "\"panel\"");
    says("gateway", "\"mail.example.com\"");
    says("time", "\"" NOW "\"");
    says("account", "\"ana@example.com\"");
    says("contact", "\"ana@private.example\"");
    says("rule", "\"hour\"");
    says("limit", "\"at most 5 recipients in 1h\"");
    says("used", "5");
    says("wait", "12.5");
    says("folded", "3");
    says("addresses", "[\"192.0.2.7\"]");
    says("recipients", "[]");
    says("level", NULL);
    says("process", NULL);
}
END_TEST

START_TEST(without_a_contact_or_an_account_there_is_none)
{
    tell("banned network=192.0.2.0/24 rule=guessing tries=11", "", 0);
    says("event", "\"ban\"");
    says("network", "\"192.0.2.0/24\"");
    says("tries", "11");
    says("contact", NULL);
    says("account", NULL);
    says("addresses", "[]");
}
END_TEST

START_TEST(no_line_says_what_is_not_its_own)
{
    tell("near account=ana@example.com contact=evil@example.net gateway=g notify=n folded=7 "
         "addresses=a recipients=5",
         "", 0);
    says("contact", NULL);
    says("gateway", "\"mail.example.com\"");
    says("notify", "\"panel\"");
    says("folded", "0");
    says("addresses", "[]");
    says("recipients", "[]");
}
END_TEST

START_TEST(addresses_and_recipients_of_the_last_hour_are_told_the_last_first)
{
    before("2026-11-28T04:59:59.999Z", "login client=192.0.2.1:1 account=ana@example.com");
    before("2026-11-28T05:00:00.000Z", "login client=192.0.2.2:1 account=ana@example.com");
    before(NOW, "login client=[2001:db8::1]:465 account=ana@example.com");
    before(NOW, "login client=192.0.2.9:1 account=bob@example.com sender=ana@example.com");
    before(NOW,
           "recipient_refused client=192.0.2.2:2 account=ana@example.com recipient=x@a.example");
    before(NOW, "recipient_refused client=192.0.2.2:2 account=ana@example.com "
                "recipient=\"\\\"y z\\\"@a.example\"");
    tell("near client=192.0.2.7:3 account=ana@example.com rule=hour recipient=x@a.example", "", 0);
    says("addresses", "[\"192.0.2.7\",\"192.0.2.2\",\"2001:db8::1\"]");
    says("recipients", "[\"x@a.example\",\"\\\"y z\\\"@a.example\"]");
}
END_TEST

START_TEST(of_many_the_last_are_told)
{
    char fields[200];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(
            fields, sizeof fields,
            "decision client=192.0.2.%d:1 account=ana@example.com recipient=r%d@a.example", i,
            i); /* fits */
        before(NOW, fields);
    }
    tell("near account=ana@example.com rule=hour", "", 0);
    ck_assert_uint_eq(json_array_size(json_object_get(told, "addresses")), NOTICE_ADDRESSES_MAX);
    says("recipients", "[\"r99@a.example\",\"r98@a.example\",\"r97@a.example\",\"r96@a.example\","
                       "\"r95@a.example\"]");
}
END_TEST

/* What goes to the helper has its bound. */
START_TEST(the_longest_has_room_in_a_message)
{
    static char long_line[3900], fields[3980];
    char text[400];
    memset(text, 'r', 310);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(text + 310, sizeof text - 310, "%d", i); /* fits */
        (void)snprintf(fields, sizeof fields, "near account=ana@example.com recipient=%s", text);
        before(NOW, fields);
    }
    for (size_t i = 0; i + 6 < sizeof long_line; i += 6)
        memcpy(long_line + i, "\\u0001", 6);
    (void)snprintf(fields, sizeof fields, "near account=ana@example.com sender=\"%.3894s\"",
                   long_line); /* fits */
    tell(fields, "ana@private.example", UINT32_MAX);
    char *all = json_dumps(told, JSON_COMPACT);
    ck_assert_uint_lt(strlen(all), 12 * 1024);
    free(all);
}
END_TEST

static void make_one(void)
{
    const struct notice_facts facts = {.record = &record,
                                       .notice = NOTICE_near,
                                       .gateway = "g",
                                       .command = "c",
                                       .contact = span_of("x@y"),
                                       .history = history,
                                       .now_ns = NOW_NS};
    free(notice_json(&facts));
}

START_TEST(without_memory_there_is_none)
{
    read_line("near account=ana@example.com recipient=x@a.example client=192.0.2.7:1");
    WITH_EACH_ALLOCATION_FAILING(make_one());
}
END_TEST

SUITE(notice)
{
    tcase_add_checked_fixture(tests, begin, end);
    LOOP_TEST(a_line_is_one_notice_or_none, lines);
    TEST(it_says_what_its_line_says_and_what_is_known_besides);
    TEST(without_a_contact_or_an_account_there_is_none);
    TEST(no_line_says_what_is_not_its_own);
    TEST(addresses_and_recipients_of_the_last_hour_are_told_the_last_first);
    TEST(of_many_the_last_are_told);
    TEST(the_longest_has_room_in_a_message);
    TEST(without_memory_there_is_none);
}
