#include "policy/limit/table.h"

#include "support/store_model.h"

#include <stdlib.h>

#define NOW    INT64_C(1795534817455204)
#define SECOND INT64_C(1000000)
#define HOUR   (3600 * SECOND)

static struct table table;
static int64_t now;
static uint64_t seed;

static void open_table(uint32_t cells, uint32_t blocks)
{
    free(table.memory);
    table = (struct table){.memory = calloc(1, table_size(cells, blocks)),
                           .cells = cells,
                           .blocks = blocks,
                           .key = {1, 2}};
    ck_assert_ptr_nonnull(table.memory);
}

static void begin(void)
{
    now = NOW;
    seed = 1;
    open_table(200, 20);
}

static void end(void)
{
    free(table.memory);
    table.memory = NULL;
}

static unsigned any(unsigned below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

static void take(const struct counter_take *takes, size_t count, struct counter_answer *answers)
{
    struct table_name names[STORE_TAKES_MAX];
    uint64_t shards = table_names(&table, takes, count, names);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(shards >> names[i].shard & 1, 1);
    ck_assert_int_eq(table_take(&table, takes, names, count, now, answers), 0);
}

static void settle(const struct counter_settle *settles, size_t count)
{
    struct table_name names[8];
    ck_assert_uint_le(count, 8);
    (void)table_settle_names(&table, settles, count, names);
    table_settle(&table, settles, names, count, now);
}

static void advance(int64_t us)
{
    now += us;
}

static const struct store_driver driver = {take, settle, advance};

START_TEST(it_answers_as_every_store_does)
{
    for (int64_t phase = 0; phase < 10; phase++) { /* wherever a window's half begins */
        end();
        begin();
        now = NOW + phase * HOUR / 10;
        store_vectors_run(&driver);
    }
}
END_TEST

/* ---- keys by number ---- */

static char texts[STORE_TAKES_MAX][40];

static struct span key_text(size_t place, unsigned long n)
{
    int size = snprintf(texts[place], sizeof texts[place], "rule %lu", n); /* fits */
    return span_make(texts[place], (size_t)size);
}

static struct counter_take rate(size_t place, uint16_t slot, unsigned long n, int64_t burst)
{
    return (struct counter_take){.kind = COUNTER_RATE,
                                 .needs = STORE_NO_GROUP,
                                 .slot = slot,
                                 .key = key_text(place, n),
                                 .rate = {HOUR, burst * HOUR, 0}};
}

static bool passes(uint16_t slot, unsigned long n, int64_t burst)
{
    struct counter_take t = rate(0, slot, n, burst);
    struct counter_answer a;
    take(&t, 1, &a);
    ck_assert(a.is_taken != a.is_refusing);
    return a.is_taken;
}

static struct table_usage usage(size_t slot)
{
    struct table_usage u;
    table_usage(&table, slot, &u);
    return u;
}

static void add(uint16_t slot, unsigned long n, uint64_t element)
{
    const struct counter_settle s = {.kind = SETTLE_ADD,
                                     .of = COUNTER_DISTINCT,
                                     .slot = slot,
                                     .key = key_text(0, n),
                                     .distinct = {element, 2 * HOUR}};
    settle(&s, 1);
}

static uint64_t different(uint16_t slot, unsigned long n)
{
    const struct counter_take t = {.kind = COUNTER_DISTINCT,
                                   .needs = STORE_NO_GROUP,
                                   .slot = slot,
                                   .key = key_text(0, n),
                                   .distinct = {UINT32_MAX, 0, 2 * HOUR}};
    struct counter_answer a;
    take(&t, 1, &a);
    return a.used;
}

/* ---- room ---- */

#ifdef PORTEIRO_ASAN
enum { SCALE = 10 }; /* what is looked at at each step takes ten times as long */
#else
enum { SCALE = 1 };
#endif
enum { KEYS = 1000000 / SCALE, CELLS = TABLE_CELLS / SCALE, BLOCKS = TABLE_BLOCKS / SCALE };

/* Of so many keys. Each assertion is a system call, and these are millions. */
static unsigned long how_many_pass(uint16_t slot, unsigned long first, unsigned long count)
{
    unsigned long passed = 0;
    for (unsigned long i = first; i < first + count; i++) {
        struct counter_take t = rate(0, slot, i, 1);
        struct counter_answer a;
        struct table_name name;
        (void)table_names(&table, &t, 1, &name);
        passed += table_take(&table, &t, &name, 1, now, &a) == 0 && a.is_taken;
    }
    return passed;
}

START_TEST(a_million_keys_of_one_rule_are_known)
{
    open_table(CELLS, BLOCKS);
    ck_assert_uint_le(table_size(TABLE_CELLS, TABLE_BLOCKS), 128 << 20);
    ck_assert_uint_eq(how_many_pass(1, 0, 1000) + how_many_pass(2, 0, 1000), 2000);
    ck_assert_uint_eq(how_many_pass(0, 0, KEYS), KEYS);
    ck_assert_uint_eq(how_many_pass(0, 0, KEYS), 0);
    ck_assert_uint_eq(usage(0).keys, KEYS);
    ck_assert_uint_eq(usage(0).evictions, 0);
}
END_TEST

/* Who can make keys as he likes, such as addresses, has the whole table first, and goes on. */
START_TEST(a_million_accounts_are_known_however_many_keys_attackers_make)
{
    const unsigned long all = (unsigned long)TABLE_SHARDS * CELLS;
    open_table(CELLS, BLOCKS);
    ck_assert_uint_eq(how_many_pass(1, 0, all), all);
    for (unsigned long i = 0; i < KEYS; i += 1000) {
        ck_assert_uint_eq(how_many_pass(0, i, 1000), 1000);
        ck_assert_uint_eq(how_many_pass(1, all + i, 1000), 1000);
    }
    ck_assert_uint_eq(how_many_pass(0, 0, KEYS), 0);
    ck_assert_uint_eq(usage(0).keys, KEYS);
    ck_assert_uint_eq(usage(0).evictions, 0);
    ck_assert_uint_gt(usage(1).evictions, KEYS);
}
END_TEST

START_TEST(what_has_come_to_rest_makes_room_without_being_counted)
{
    for (int round = 0; round < 20; round++) {
        for (unsigned long i = 0; i < 5000; i++)
            ck_assert(passes(0, (unsigned long)round * 5000 + i, 1));
        advance(2 * HOUR);
    }
    ck_assert_uint_eq(usage(0).evictions, 0);
    ck_assert_uint_le(usage(0).keys, 10000);
}
END_TEST

START_TEST(the_keys_of_one_rule_never_push_out_those_of_another)
{
    for (unsigned long i = 0; i < 100; i++) {
        ck_assert(passes(1, i, 1));
        add(2, i, 1);
        add(2, i, 2);
    }
    for (unsigned long i = 0; i < 100000; i++) {
        ck_assert(passes(3, i, 1));
        add(4, i % 9000, i);
    }
    for (unsigned long i = 0; i < 100; i++) {
        ck_assert(!passes(1, i, 1));
        ck_assert_uint_eq(different(2, i), 2);
    }
    ck_assert_uint_eq(usage(1).evictions + usage(2).evictions, 0);
    ck_assert_uint_gt(usage(3).evictions, 80000);
    ck_assert_uint_gt(usage(4).evictions, 0);
}
END_TEST

START_TEST(who_owes_much_is_not_pushed_out_by_many_who_owe_little)
{
    for (unsigned long i = 0; i < 50; i++)
        for (int n = 0; n < 20; n++)
            ck_assert(passes(0, i, 20));
    for (unsigned long i = 0; i < 100000; i++)
        ck_assert(passes(0, 1000 + i, 20));
    for (unsigned long i = 0; i < 50; i++)
        ck_assert_msg(!passes(0, i, 20), "key %lu", i);
}
END_TEST

START_TEST(of_a_few_keys_the_one_that_owes_least_makes_room)
{
    unsigned long least = 0, known = 0;
    open_table(8, 1);
    for (unsigned long i = 0; i < 600; i++)
        for (unsigned long n = 0; n <= i % 10; n++)
            known += passes(0, i, 10);
    for (unsigned long i = 0; i < 600; i++) {
        struct counter_take t = rate(0, 0, i, 0);
        struct counter_answer a;
        take(&t, 1, &a); /* refused: it is told as it stands */
        unsigned long owes = (unsigned long)((a.tat_us - now) / HOUR);
        ck_assert(owes == 0 || owes == i % 10 + 1);
        least += owes == 0 && i % 10 == 9;
    }
    ck_assert_uint_eq(known, 3300);
    ck_assert_uint_eq(least, 0); /* 60 keys owe 10, in 64 shards of 8 */
}
END_TEST

START_TEST(a_rule_that_comes_later_has_its_share)
{
    for (unsigned long i = 0; i < 50000; i++)
        ck_assert(passes(0, i, 1));
    ck_assert_uint_eq(usage(0).keys, 64 * 200);
    for (unsigned long i = 0; i < 4000; i++)
        ck_assert(passes(1, i, 1));
    for (unsigned long i = 0; i < 4000; i++)
        ck_assert(!passes(1, i, 1));
    ck_assert_uint_eq(usage(1).keys, 4000);
    ck_assert_uint_eq(usage(1).evictions, 0);
    ck_assert_uint_eq(usage(0).keys, 64 * 200 - 4000);
}
END_TEST

START_TEST(a_rule_that_comes_later_has_its_share_of_blocks)
{
    for (unsigned long i = 0; i < 5000; i++)
        for (uint64_t e = 0; e < 2; e++)
            add(0, i, e);
    ck_assert_uint_eq(usage(0).blocks, 64 * 20);
    for (int round = 0; round < 2; round++)
        for (unsigned long i = 0; i < 200; i++)
            for (uint64_t e = 0; e < 5; e++)
                add(1, i, e);
    for (unsigned long i = 0; i < 200; i++)
        ck_assert_uint_eq(different(1, i), 5);
    ck_assert_uint_eq(usage(1).evictions, 0);
    ck_assert_uint_eq(usage(0).blocks, 64 * 20 - 200);
}
END_TEST

START_TEST(all_rules_at_once_have_room)
{
    for (uint16_t slot = 0; slot < STORE_RULES_MAX; slot++)
        for (unsigned long i = 0; i < 8; i++)
            ck_assert(passes(slot, slot * 100UL + i, 1));
    uint64_t keys = 0;
    for (size_t slot = 0; slot < STORE_RULES_MAX; slot++)
        keys += usage(slot).keys;
    ck_assert_uint_le(keys, 64 * 200);
    ck_assert_uint_gt(keys, 7000);
}
END_TEST

START_TEST(a_slot_that_is_cleared_is_empty_and_the_others_are_not)
{
    for (unsigned long i = 0; i < 300; i++) {
        ck_assert(passes(0, i, 1) && passes(1, i, 1));
        add(0, i, 1);
        add(0, i, 2);
    }
    for (size_t shard = 0; shard < TABLE_SHARDS; shard++)
        table_clear(&table, shard, 0, now);
    ck_assert_uint_eq(usage(0).keys + usage(0).blocks, 0);
    for (unsigned long i = 0; i < 300; i++) {
        ck_assert_uint_eq(different(0, i), 0);
        ck_assert(passes(0, i, 1) && !passes(1, i, 1));
    }
}
END_TEST

/* ---- different ones ---- */

static const unsigned long elements[] = {1, 2, 3, 31, 32, 33, 64, 200, 1000, 20000};

START_TEST(few_different_ones_are_counted_exactly_and_many_roughly)
{
    unsigned long n = elements[_i];
    now = NOW / HOUR * HOUR + HOUR / 2;
    for (int round = 0; round < 2; round++)
        for (uint64_t i = 0; i < n; i++)
            add(0, 1, i);
    uint64_t got = different(0, 1);
    if (n <= 32)
        ck_assert_uint_eq(got, n);
    ck_assert_msg((double)got > 0.75 * (double)n && (double)got < 1.25 * (double)n,
                  "%lu are told as %llu", n, (unsigned long long)got);
    ck_assert_uint_le(usage(0).blocks, 1);
}
END_TEST

START_TEST(both_halves_of_a_window_count_and_what_is_in_both_counts_once)
{
    now = NOW / HOUR * HOUR;
    for (uint64_t i = 0; i < 20; i++)
        add(0, 1, i);
    advance(HOUR);
    for (uint64_t i = 10; i < 30; i++)
        add(0, 1, i);
    ck_assert_uint_eq(different(0, 1), 30);
    advance(HOUR);
    ck_assert_uint_eq(different(0, 1), 20);
    for (uint64_t i = 0; i < 500; i++)
        add(0, 1, i);
    uint64_t all = different(0, 1);
    ck_assert_uint_gt(all, 375);
    ck_assert_uint_lt(all, 625);
    advance(2 * HOUR);
    ck_assert_uint_eq(different(0, 1), 0);
    for (uint64_t i = 0; i < 3; i++)
        add(0, 1, i);
    ck_assert_uint_eq(different(0, 1), 3);
}
END_TEST

START_TEST(blocks_come_back)
{
    for (int round = 0; round < 50; round++) {
        for (unsigned long i = 0; i < 300; i++) {
            add(0, i, 1);
            add(0, i, (uint64_t)round + 2);
        }
        advance(3 * HOUR);
    }
    ck_assert_uint_eq(usage(0).evictions, 0);
    for (unsigned long i = 0; i < 300; i++) {
        const struct counter_settle s = {
            .kind = SETTLE_FORGET, .of = COUNTER_DISTINCT, .key = key_text(0, i)};
        add(0, i, 1);
        add(0, i, 2);
        settle(&s, 1);
        ck_assert_uint_eq(different(0, i), 0);
    }
}
END_TEST

/* ---- at once ---- */

static struct counter_take at_once(unsigned long n, uint32_t max)
{
    return (struct counter_take){.kind = COUNTER_AT_ONCE,
                                 .needs = STORE_NO_GROUP,
                                 .key = key_text(0, n),
                                 .at_once = {max, 1, 120 * SECOND}};
}

START_TEST(what_a_dead_holder_had_is_given_back_by_name)
{
    struct counter_take t = at_once(1, 2);
    struct counter_answer a;
    struct table_name names[3];
    take(&t, 1, &a);
    take(&t, 1, &a);
    take(&t, 1, &a);
    ck_assert(a.is_refusing);
    (void)table_names(&table, &t, 1, &names[0]);
    struct counter_take other = rate(1, 0, 1, 1);
    (void)table_names(&table, &other, 1, &names[1]); /* is no lease, and stays as it is */
    ck_assert(passes(0, 1, 1));
    names[2] = names[0];
    t = at_once(1, 2);
    table_release(&table, names, 3, now);
    take(&t, 1, &a);
    ck_assert(a.is_taken);
    ck_assert_uint_eq(a.used, 1);
    ck_assert(!passes(0, 1, 1));
}
END_TEST

START_TEST(leases_that_nobody_renews_end)
{
    struct counter_take t = at_once(1, 1);
    const struct counter_settle renew = {.kind = SETTLE_RENEW,
                                         .of = COUNTER_AT_ONCE,
                                         .key = key_text(1, 1),
                                         .at_once = {1, 120 * SECOND}};
    struct counter_answer a;
    take(&t, 1, &a);
    for (int i = 0; i < 5; i++) {
        advance(60 * SECOND);
        settle(&renew, 1);
        take(&t, 1, &a);
        ck_assert(a.is_refusing);
    }
    advance(120 * SECOND);
    take(&t, 1, &a);
    ck_assert(a.is_taken);
    ck_assert_uint_eq(a.used, 1);
}
END_TEST

/* ---- against a model ---- */

START_TEST(no_schedule_lets_more_through_than_burst_and_rate)
{
    store_model_run(&driver, (uint64_t)_i + 1, SECOND, 3000);
}
END_TEST

START_TEST(any_set_of_different_ones_is_counted_exactly_or_within_the_sketchs_bounds)
{
    store_model_distinct(&driver, 0, 0.065);
}
END_TEST

/* ---- spoiled memory ---- */

static void exercise(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        struct counter_take takes[4] = {rate(0, (uint16_t)any(6), any(3000), 3),
                                        rate(1, (uint16_t)any(6), any(3000), 3), at_once(0, 0),
                                        at_once(0, 0)};
        struct counter_answer answers[4];
        struct table_name names[4];
        takes[2].key = key_text(2, any(3000));
        takes[2].at_once.max = 5;
        takes[3] = (struct counter_take){.kind = any(2) ? COUNTER_DISTINCT : COUNTER_RATIO,
                                         .group = 1,
                                         .needs = STORE_NO_GROUP,
                                         .slot = (uint16_t)any(6),
                                         .key = key_text(3, any(300))};
        if (takes[3].kind == COUNTER_DISTINCT)
            takes[3].distinct.window_us = 2 * HOUR;
        else
            takes[3].ratio.window_us = 2 * HOUR;
        (void)table_names(&table, takes, 4, names);
        (void)table_take(&table, takes, names, 4, now, answers); /* may fail */
        const struct counter_settle settles[] = {
            {SETTLE_ADD, COUNTER_DISTINCT, takes[3].slot, takes[3].key,
             .distinct = {any(100), 2 * HOUR}},
            {SETTLE_COUNT, COUNTER_RATIO, takes[3].slot, takes[3].key, .ratio = {9, 1, 2 * HOUR}},
            {SETTLE_GIVE_BACK, COUNTER_RATE, takes[0].slot, takes[0].key,
             .rate = {HOUR, answers[0].tat_us}},
            {SETTLE_RENEW, COUNTER_AT_ONCE, 0, takes[2].key, .at_once = {1, HOUR}},
            {SETTLE_RELEASE, COUNTER_AT_ONCE, 0, takes[2].key, .at_once = {1, HOUR}},
            {SETTLE_FORGET, COUNTER_DISTINCT, takes[3].slot, takes[3].key, .rate = {0, 0}},
        };
        settle(settles, any(2) ? 5 : 6);
        advance(any(3) == 0 ? HOUR / 50 : 0);
    }
}

START_TEST(spoiled_memory_hurts_nobody_and_mends_itself)
{
    open_table(60, 6);
    size_t words = table_size(60, 6) / sizeof(uint16_t);
    uint16_t *memory = table.memory;
    seed = (uint64_t)_i + 1;
    exercise(300);
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < words / 20; i++)
            memory[any((unsigned)words)] = (uint16_t)any(any(2) ? 80 : 65536);
        exercise(300);
    }
    for (size_t shard = 0; shard < TABLE_SHARDS; shard++)
        for (size_t slot = 0; slot < 6; slot++)
            table_clear(&table, shard, slot, now);
    for (unsigned long i = 0; i < 500; i++)
        ck_assert(passes(900, 100000 + i, 1) && !passes(900, 100000 + i, 1));
}
END_TEST

static const int octets[] = {1, 2, 5, 0x33, 0x3c, 0x7f, 0x80, 0xff};

START_TEST(a_table_of_one_octet_everywhere_hurts_nobody)
{
    open_table(60, 6);
    memset(table.memory, octets[_i], table_size(60, 6));
    exercise(500);
}
END_TEST

/* Halfway through a change, as it would be found of somebody who was killed: whatever leads to the
 * cells is rubbish, and the shard says so. */
START_TEST(what_was_left_half_changed_is_made_anew_from_the_cells)
{
    size_t shard = table_size(200, 20) / TABLE_SHARDS, cells = 64 + 16384;
    for (unsigned long i = 0; i < 1000; i++)
        ck_assert(passes((uint16_t)(i % 3), i, 1));
    for (unsigned long i = 0; i < 200; i++)
        for (uint64_t e = 0; e < 3; e++)
            add(4, i, e);
    char *memory = table.memory;
    for (size_t i = 0; i < TABLE_SHARDS; i++) {
        memory[i * shard] = 1;                                    /* is_busy */
        memset(memory + i * shard + 64, 0x5a, cells - 64);        /* rings */
        memset(memory + i * shard + cells + 200 * 32, 0x33, 512); /* heads */
    }
    for (unsigned long i = 0; i < 1000; i++)
        ck_assert(!passes((uint16_t)(i % 3), i, 1));
    for (unsigned long i = 0; i < 200; i++)
        ck_assert_uint_eq(different(4, i), 3);
}
END_TEST

/* ---- to be kept ---- */

static struct table other;

static void put(void *owner, const struct table_row *row)
{
    unsigned *count = owner;
    ck_assert_int_eq(table_put(&other, row, now), 0);
    ck_assert_int_eq(table_put(&other, row, now), -1); /* twice */
    ++*count;
}

START_TEST(what_is_not_at_rest_is_read_out_and_put_back)
{
    unsigned count = 0;
    struct counter_take t = at_once(1, 1);
    struct counter_answer a;
    for (unsigned long i = 0; i < 500; i++)
        ck_assert(passes(0, i, 1));
    advance(HOUR);
    take(&t, 1, &a); /* whoever holds that ends with the memory */
    for (unsigned long i = 500; i < 800; i++)
        ck_assert(passes(0, i, 1));
    for (uint64_t e = 0; e < 400; e++)
        add(1, e % 7 == 0, e);
    add(1, 2, 1);
    other = table;
    other.memory = calloc(1, table_size(200, 20));
    ck_assert_ptr_nonnull(other.memory);
    for (size_t shard = 0; shard < TABLE_SHARDS; shard++)
        table_each(&table, shard, now, put, &count);
    ck_assert_uint_eq(count, 300 + 3);
    uint64_t both[] = {different(1, 0), different(1, 1), different(1, 2)};
    struct table first = table;
    table = other;
    for (unsigned long i = 0; i < 800; i++)
        ck_assert(passes(0, i, 1) == (i < 500));
    for (unsigned long i = 0; i < 3; i++)
        ck_assert_uint_eq(different(1, i), both[i]);
    take(&t, 1, &a);
    ck_assert(a.is_taken);
    free(first.memory);
}
END_TEST

static const struct table_row wrong_rows[] = {
    {{7, 0, 0, 0}, NOW + HOUR, 0, NULL},
    {{7, 0, 0, COUNTER_AT_ONCE + 1}, NOW + HOUR, 1, NULL},
    {{7, 0, 0, COUNTER_RATIO + 2}, NOW + HOUR, 0, NULL},
    {{7, STORE_RULES_MAX, 0, 1}, NOW + HOUR, 0, NULL},
    {{7, 0, 0, 1}, NOW, 0, NULL},
    {{7, 0, 0, 1}, INT64_MAX, 0, NULL},
    {{7, 0, 0, COUNTER_DISTINCT + 1}, NOW + HOUR, UINT64_C(2) << 56 | 1, NULL},
    {{7, 0, 0, COUNTER_DISTINCT + 1}, NOW + HOUR, 0, (const unsigned char *)"none"},
    {{7, 0, 0, COUNTER_DISTINCT + 1}, NOW + HOUR, UINT64_C(33) << 56 | 1, NULL},
};

START_TEST(what_is_no_counter_is_not_put_back)
{
    ck_assert_int_eq(table_put(&table, &wrong_rows[_i], now), -1);
    ck_assert_uint_eq(different(0, 1), 0);
}
END_TEST

SUITE(table)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(it_answers_as_every_store_does);
    TEST(a_million_keys_of_one_rule_are_known);
    TEST(a_million_accounts_are_known_however_many_keys_attackers_make);
    TEST(what_has_come_to_rest_makes_room_without_being_counted);
    TEST(the_keys_of_one_rule_never_push_out_those_of_another);
    TEST(who_owes_much_is_not_pushed_out_by_many_who_owe_little);
    TEST(of_a_few_keys_the_one_that_owes_least_makes_room);
    TEST(a_rule_that_comes_later_has_its_share);
    TEST(a_rule_that_comes_later_has_its_share_of_blocks);
    TEST(all_rules_at_once_have_room);
    TEST(a_slot_that_is_cleared_is_empty_and_the_others_are_not);
    LOOP_TEST(few_different_ones_are_counted_exactly_and_many_roughly, elements);
    TEST(both_halves_of_a_window_count_and_what_is_in_both_counts_once);
    TEST(blocks_come_back);
    TEST(what_a_dead_holder_had_is_given_back_by_name);
    TEST(leases_that_nobody_renews_end);
    tcase_add_loop_test(tests, no_schedule_lets_more_through_than_burst_and_rate, 0, 8);
    TEST(any_set_of_different_ones_is_counted_exactly_or_within_the_sketchs_bounds);
    tcase_add_loop_test(tests, spoiled_memory_hurts_nobody_and_mends_itself, 0, 8);
    LOOP_TEST(a_table_of_one_octet_everywhere_hurts_nobody, octets);
    TEST(what_was_left_half_changed_is_made_anew_from_the_cells);
    TEST(what_is_not_at_rest_is_read_out_and_put_back);
    LOOP_TEST(what_is_no_counter_is_not_put_back, wrong_rows);
}
