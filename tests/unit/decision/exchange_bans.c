#include "decision/exchange.h"

#include "base/clock.h"
#include "decision/bans.h"

#include "redis/server.h"

enum { PROCESS = 3, RESTS = 8 };

static struct bans *tables[2];
static struct exchange *exchanges[2];
static int64_t now;

/* By whom two gateways have banned the same, and until when: seconds from now. */
static const struct {
    const char *rule[2];
    int since[2], until[2];
    int holds; /* whose of the two */
} pairs[] = {
    {{"guessing", "guessing"}, {0, 0}, {600, 900}, 1}, /* of rules the longer one */
    {{"guessing", "harvesting"}, {9, 0}, {600, 700}, 1},
    {{"", ""}, {0, 5}, {900, 600}, 1}, /* of people the later order */
    {{"", ""}, {5, 5}, {900, 600}, 0},
    {{"", "guessing"}, {0, 5}, {600, 900}, 0}, /* a person's, whatever rules do */
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

/* Each pair is of two networks: each gateway begins with one half of it once. */
static struct ban ban_of(size_t pair, int half, bool is_swapped)
{
    char network[40];
    struct ban b = {.since_ns = now + pairs[pair].since[half] * CLOCK_SECOND,
                    .until_ns = now + pairs[pair].until[half] * CLOCK_SECOND};
    (void)snprintf(network, sizeof network, "192.0.%d.%zu", is_swapped, pair); /* fits */
    (void)span_copy(span_of(pairs[pair].rule[half]), b.rule, sizeof b.rule);   /* likewise */
    ck_assert_int_eq(network_parse(network, &b.network, NULL), 0);
    return b;
}

static void put(int table, const struct ban *b)
{
    ck_assert_int_eq(bans_put(tables[table], PROCESS, b, now, NULL), 0);
}

static void begin(void)
{
    server_start("");
    behind.config.timeout_ms = 200;
    redis_open();
    now = clock_wall_ns();
    for (int i = 0; i < 2; i++) {
        const struct exchange_options options = {turns.loop, behind.redis, &behind.config, PROCESS};
        tables[i] = mapping_make(bans_size());
        bans_begin(tables[i], (uint64_t)i + 1);
        for (size_t pair = 0; pair < PAIRS; pair++)
            for (int swapped = 0; swapped < 2; swapped++) {
                const struct ban b = ban_of(pair, i ^ swapped, swapped != 0);
                put(i, &b);
            }
        exchanges[i] = exchange_create(&options, &exchange_bans, tables[i]);
        ck_assert_ptr_nonnull(exchanges[i]);
    }
}

static void end(void)
{
    for (int i = 0; i < 2; i++)
        exchange_stop(exchanges[i]);
    redis_destroy(&behind.redis);
    for (int i = 0; i < 2; i++)
        exchange_destroy(&exchanges[i]);
    server_end();
}

static bool is_there(int table, const struct ban *b)
{
    struct ban is;
    return bans_find(tables[table], b, now, &is) >= 0 && is.until_ns == b->until_ns &&
           strcmp(is.rule, b->rule) == 0;
}

static bool all_agree(void)
{
    bool is_good = true;
    for (size_t pair = 0; pair < PAIRS; pair++)
        for (int swapped = 0; swapped < 2; swapped++) {
            const struct ban b = ban_of(pair, pairs[pair].holds, swapped != 0);
            is_good = is_good && is_there(0, &b) && is_there(1, &b);
        }
    return is_good;
}

static int64_t calls(void)
{
    counters_flush(behind.options.counters);
    return counter_read(behind.table, COUNTER_redis_calls, 0);
}

static unsigned long changes(void)
{
    return strtoul(redis_cli("HGET '{porteiro}:bans' '#'"), NULL, 10);
}

START_TEST(two_gateways_that_ban_the_same_come_to_rest_with_one_of_the_bans)
{
    UNTIL(all_agree());
    int64_t then = calls();
    UNTIL(calls() > then + 4); /* who has heard another's tells his own again */
    unsigned long told = changes();
    then = calls();
    UNTIL(calls() > then + RESTS);
    ck_assert(all_agree());
    ck_assert_uint_eq(changes(), told);
}
END_TEST

START_TEST(a_ban_that_is_made_longer_or_ordered_anew_is_told)
{
    struct ban longer = ban_of(0, 1, false), order = ban_of(1, 1, false);
    UNTIL(all_agree());
    longer.until_ns += 60 * CLOCK_SECOND;
    put(0, &longer);
    order.rule[0] = '\0';
    order.until_ns = now + 60 * CLOCK_SECOND;
    order.since_ns = now + 20 * CLOCK_SECOND;
    put(0, &order);
    UNTIL(is_there(1, &longer) && is_there(1, &order));
}
END_TEST

SUITE(exchange_bans)
{
    folder_use(tests);
    tcase_add_checked_fixture(tests, begin, end);
    TEST(two_gateways_that_ban_the_same_come_to_rest_with_one_of_the_bans);
    TEST(a_ban_that_is_made_longer_or_ordered_anew_is_told);
}
