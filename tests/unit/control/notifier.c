#include "control/notifier.h"

#include "control/folding.h"
#include "control/witness.h"
#include "ipc/channel.h"

#include "net/turns.h"
#include "telemetry/logged.h"
#include "telemetry/mapping.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

static struct config config;
static struct notify_config commands[2];
static struct witness_memory *memory;
static struct witness *witness;
static struct notifier *notifier;
static struct logged logged;
static struct event_log event_log;
static int pair[2];

/* What has come to the helper. */
static struct {
    struct channel *channel;
    unsigned count, of[2];
    char account[100], rule[100];
    json_t *told;
} helper;

static void on_control(void *owner, const struct message *m)
{
    (void)owner;
    if (m == NULL) {
        channel_destroy(&helper.channel);
        return;
    }
    const struct message_notify *n = m->payload;
    struct span tail = m->tail;
    ck_assert_int_eq(m->type, MESSAGE_NOTIFY);
    ck_assert_uint_lt(n->command, 2);
    helper.count++;
    helper.of[n->command]++;
    (void)span_copy(span_split(&tail, '\0'), helper.account, sizeof helper.account);
    (void)span_copy(span_split(&tail, '\0'), helper.rule, sizeof helper.rule);
    ck_assert_uint_gt(tail.size, 0);
    ck_assert_int_eq(tail.data[tail.size - 1], '\n');
    json_decref(helper.told);
    helper.told = json_loadb(tail.data, tail.size, 0, NULL);
    ck_assert_ptr_nonnull(helper.told);
}

static void start_helper(void)
{
    int ends[2];
    struct error why;
    channel_destroy(&helper.channel);
    ck_assert_int_eq(channel_pair(ends, &why), 0);
    notifier_set_helper(notifier, ends[0]);
    helper.channel = channel_create(turns.loop, ends[1], on_control, NULL);
    ck_assert_ptr_nonnull(helper.channel);
}

static void has_ended(uint32_t command)
{
    const struct message_notify m = {.command = command};
    ck_assert_int_eq(channel_send(helper.channel, MESSAGE_NOTIFIED, &m, span_make("", 0), -1), 0);
}

static struct notifier *create(void)
{
    const struct notifier_options options = {
        .loop = turns.loop, .config = &config, .log = &event_log, .witness = witness};
    return notifier_create(&options);
}

static void begin(void)
{
    turns_begin();
    commands[0] = (struct notify_config){
        .name = "panel", .command = "/p", .every_ms = 3600000, .notices = 1u << NOTICE_limit};
    commands[1] = (struct notify_config){.name = "mail",
                                         .command = "/m",
                                         .every_ms = 200,
                                         .notices = 1u << NOTICE_limit | 1u << NOTICE_ban};
    config = (struct config){.hostname = "g", .notify = commands, .notify_count = 2};
    memset(&logged, 0, sizeof logged);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    event_log = (struct event_log){.lines = log_create(pair[1], LOG_LEVEL_INFO), .process = ""};
    memory = mapping_make(witness_memory_size());
    witness = witness_create(&(struct witness_options){&config, memory, 1});
    notifier = create();
    witness_tell(witness, notifier_hear, notifier);
    start_helper();
}

static void end(void)
{
    notifier_destroy(&notifier);
    witness_destroy(&witness);
    channel_destroy(&helper.channel);
    json_decref(helper.told);
    memset(&helper, 0, sizeof helper);
    log_destroy(&event_log.lines);
    (void)close(pair[0]); /* was only read */
    (void)close(pair[1]);
    turns_end();
}

static unsigned logged_lines(const char *part)
{
    return logged_with(&logged, event_log.lines, pair[0], part);
}

static void hear(const char *fields)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "time=2026-11-28T06:00:00.000Z level=info event=%s",
                   fields); /* fits */
    witness_hear(witness, span_of(line));
}

static void refuse(int account)
{
    char fields[200];
    (void)snprintf(fields, sizeof fields,
                   "decision account=a%d@example.com rule=hour verdict=defer limit=5",
                   account); /* fits */
    hear(fields);
}

static json_int_t folded(void)
{
    return json_integer_value(json_object_get(helper.told, "folded"));
}

START_TEST(each_command_is_told_of_what_it_has_named)
{
    hear("decision account=ana@example.com rule=hour verdict=defer limit=5");
    UNTIL(helper.count == 2);
    ck_assert_str_eq(helper.account, "ana@example.com");
    ck_assert_str_eq(helper.rule, "hour");
    hear("banned network=192.0.2.7 rule=guessing");
    UNTIL(helper.count == 3);
    ck_assert(helper.of[0] == 1 && helper.of[1] == 2);
    ck_assert_str_eq(json_string_value(json_object_get(helper.told, "event")), "ban");
    ck_assert_str_eq(json_string_value(json_object_get(helper.told, "notify")), "mail");
    hear("near account=ana@example.com rule=hour");
    hear("login account=ana@example.com");
    turns_for(5);
    ck_assert_uint_eq(helper.count, 3);
}
END_TEST

START_TEST(so_many_run_at_once_and_the_next_follows_when_one_has_ended)
{
    for (int i = 0; i < 3 * NOTIFY_AT_ONCE; i++)
        refuse(i);
    UNTIL(helper.count == 2 * NOTIFY_AT_ONCE);
    turns_for(5);
    ck_assert(helper.of[0] == NOTIFY_AT_ONCE && helper.of[1] == NOTIFY_AT_ONCE);
    has_ended(0);
    has_ended(7);          /* nobody's */
    has_ended(UINT32_MAX); /* likewise */
    UNTIL(helper.of[0] == NOTIFY_AT_ONCE + 1);
    turns_for(5);
    ck_assert(helper.of[0] == NOTIFY_AT_ONCE + 1 && helper.of[1] == NOTIFY_AT_ONCE);
}
END_TEST

START_TEST(an_end_that_was_none_lets_no_more_run)
{
    for (int i = 0; i < 2 * NOTIFY_AT_ONCE; i++)
        has_ended(0);
    turns_for(5);
    for (int i = 0; i < 2 * NOTIFY_AT_ONCE; i++)
        refuse(i);
    UNTIL(helper.of[0] == NOTIFY_AT_ONCE);
    turns_for(5);
    ck_assert_uint_eq(helper.of[0], NOTIFY_AT_ONCE);
}
END_TEST

START_TEST(without_a_helper_it_waits_for_one)
{
    channel_destroy(&helper.channel);
    turns_for(5);
    refuse(1);
    refuse(1);
    start_helper();
    UNTIL(helper.count == 2);
    ck_assert_int_eq(folded(), 1);
}
END_TEST

START_TEST(what_a_helper_had_under_way_is_told_to_be_lost)
{
    refuse(1);
    UNTIL(helper.count == 2);
    ck_assert_uint_eq(logged_lines("event=command_failed"), 0);
    start_helper();
    ck_assert_uint_eq(logged_lines("event=command_failed"), 2);
    for (int i = 2; i < 2 + NOTIFY_AT_ONCE; i++)
        refuse(i);
    UNTIL(helper.count == 2 + 2 * NOTIFY_AT_ONCE); /* none of the lost ones is in the way */
}
END_TEST

START_TEST(who_is_retired_tells_nothing_and_the_next_finds_it)
{
    refuse(1);
    UNTIL(helper.count == 2);
    notifier_retire(notifier);
    refuse(1);
    refuse(2);
    turns_for(5);
    ck_assert_uint_eq(helper.count, 2);
    notifier_destroy(&notifier);
    notifier = create();
    witness_tell(witness, notifier_hear, notifier);
    start_helper();
    UNTIL(helper.count == 5); /* of the other one both, of the first the one whose period is over */
    ck_assert(helper.of[0] == 2 && helper.of[1] == 3);
}
END_TEST

START_TEST(a_command_that_is_configured_no_more_is_told_nothing)
{
    channel_destroy(&helper.channel);
    turns_for(5);
    refuse(1);
    commands[0].name = "another";
    start_helper();
    UNTIL(helper.count == 1);
    ck_assert_uint_eq(helper.of[1], 1);
}
END_TEST

START_TEST(what_finds_no_place_is_counted_and_told_once_a_minute)
{
    for (int i = 0; i < 2 * FOLDING_PLACES; i++)
        refuse(i);
    UNTIL(logged_lines("event=notify_dropped") == 1);
}
END_TEST

static void create_and_destroy(void)
{
    struct notifier *n = create();
    notifier_destroy(&n);
}

START_TEST(without_memory_there_is_none)
{
    WITH_EACH_ALLOCATION_FAILING(create_and_destroy());
}
END_TEST

SUITE(notifier)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(each_command_is_told_of_what_it_has_named);
    TEST(so_many_run_at_once_and_the_next_follows_when_one_has_ended);
    TEST(an_end_that_was_none_lets_no_more_run);
    TEST(without_a_helper_it_waits_for_one);
    TEST(what_a_helper_had_under_way_is_told_to_be_lost);
    TEST(who_is_retired_tells_nothing_and_the_next_finds_it);
    TEST(a_command_that_is_configured_no_more_is_told_nothing);
    TEST(what_finds_no_place_is_counted_and_told_once_a_minute);
    TEST(without_memory_there_is_none);
}
