#include "decision/limits_file.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/shared.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HOUR INT64_C(3600000000)

static const uint64_t key[2] = {3, 5};
static struct memory memory, after; /* before a restart and after it */
static struct limits_writer *writer;
static struct buffer file;
static struct limits_reader reader;
static struct error why;

static struct memory new_memory(const uint64_t with[2])
{
    struct shared_layout layout = {0};
    (void)shared_reserve(&layout, memory_size());
    void *region = shared_map(&layout, &why);
    ck_assert_ptr_nonnull(region);
    return memory_open(region, with, 0, NULL);
}

static void begin(void)
{
    memory = new_memory(key);
    writer = malloc(sizeof *writer);
    file = (struct buffer){.limit = LIMITS_FILE_MAX};
    ck_assert_ptr_nonnull(writer);
}

static void end(void)
{
    (void)munmap(memory.region, memory_size());
    free(writer);
    buffer_clear(&file);
}

/* ---- counters ---- */

static struct counter_take take_of(enum counter_kind kind, uint16_t slot, const char *name)
{
    struct counter_take t = {
        .kind = kind, .needs = STORE_NO_GROUP, .slot = slot, .key = span_of(name)};
    if (kind == COUNTER_RATE) {
        t.rate.increment_us = HOUR;
        t.rate.tolerance_us = 3 * HOUR;
    } else if (kind == COUNTER_AT_ONCE) {
        t.at_once.max = 5;
        t.at_once.lease_us = HOUR;
    } else if (kind == COUNTER_DISTINCT) {
        t.distinct.max = UINT32_MAX;
        t.distinct.window_us = 24 * HOUR;
    } else {
        t.ratio.min = UINT32_MAX;
        t.ratio.window_us = 24 * HOUR;
    }
    return t;
}

static struct counter_answer take(struct memory *m, enum counter_kind kind, uint16_t slot,
                                  const char *name)
{
    const struct counter_take t = take_of(kind, slot, name);
    struct counter_answer a;
    ck_assert_int_eq(memory_take(m, &t, 1, &a), 0);
    return a;
}

static void add(uint16_t slot, const char *name, uint64_t element)
{
    const struct counter_settle s[] = {
        {SETTLE_ADD, COUNTER_DISTINCT, slot, span_of(name), .distinct = {element, 24 * HOUR}},
        {SETTLE_COUNT, COUNTER_RATIO, slot, span_of(name), .ratio = {2, 1, 24 * HOUR}}};
    ck_assert_int_eq(memory_settle(&memory, s, 2), 0);
}

/* ---- a restart ---- */

static void append(struct span chunk)
{
    ck_assert_uint_gt(chunk.size, 0);
    ck_assert_uint_le(chunk.size, LIMITS_CHUNK_MAX);
    ck_assert_int_eq(buffer_append(&file, chunk), 0);
}

/* Rules 1 and 2 are "one" and "two". */
static void write_file(void)
{
    append(limits_write_head(writer, &memory));
    append(limits_write_rule(writer, 1, "one"));
    append(limits_write_rule(writer, 2, "two"));
    for (size_t i = 0; i < TABLE_SHARDS; i++)
        append(limits_write_shard(writer, &memory, i));
    append(limits_write_end(writer));
}

/* "two" has slot 7 now, and "one" is gone. */
static int slot_of(void *owner, const char *name)
{
    ck_assert_ptr_eq(owner, &after);
    return strcmp(name, "two") == 0 ? 7 : -1;
}

static size_t restore(int64_t later_us)
{
    ck_assert_msg(limits_read(&reader, buffer_bytes(&file), &why) == 0, "%s", why.text);
    after = new_memory(reader.key);
    return limits_restore(&reader, &after.table, clock_wall_ns() / 1000 + later_us, slot_of,
                          &after);
}

START_TEST(what_was_counted_counts_after_a_restart_wherever_its_rule_stands_now)
{
    for (int i = 0; i < 3; i++)
        ck_assert(take(&memory, COUNTER_RATE, 2, "two ana").is_taken);
    add(2, "two one", 1);
    for (uint64_t e = 0; e < 20; e++)
        add(2, "two few", e);
    for (uint64_t e = 0; e < 400; e++)
        add(2, "two many", e);
    uint64_t many = take(&memory, COUNTER_DISTINCT, 2, "two many").used;
    write_file();
    ck_assert_uint_eq(restore(0), 7);
    ck_assert_mem_eq(after.table.key, key, sizeof key);
    ck_assert(take(&after, COUNTER_RATE, 7, "two ana").is_refusing);
    ck_assert(take(&after, COUNTER_RATE, 7, "two bob").is_taken);
    ck_assert_uint_eq(take(&after, COUNTER_DISTINCT, 7, "two one").used, 1);
    ck_assert_uint_eq(take(&after, COUNTER_DISTINCT, 7, "two few").used, 20);
    ck_assert_uint_eq(take(&after, COUNTER_DISTINCT, 7, "two many").used, many);
    ck_assert_uint_eq(take(&after, COUNTER_RATIO, 7, "two few").used, 40);
    ck_assert_uint_eq(take(&after, COUNTER_RATIO, 7, "two few").bad, 20);
}
END_TEST

START_TEST(counters_of_a_rule_that_is_gone_are_left_out)
{
    ck_assert(take(&memory, COUNTER_RATE, 1, "one ana").is_taken);
    add(1, "one ana", 1);
    ck_assert(take(&memory, COUNTER_RATE, 3, "a rule without a name in the file").is_taken);
    write_file();
    ck_assert_uint_eq(restore(0), 0);
}
END_TEST

START_TEST(leases_end_with_who_held_them)
{
    ck_assert_uint_eq(take(&memory, COUNTER_AT_ONCE, 2, "two ana").used, 1);
    write_file();
    ck_assert_uint_eq(restore(0), 0);
    ck_assert_uint_eq(take(&after, COUNTER_AT_ONCE, 7, "two ana").used, 1);
}
END_TEST

/* A counter of that kind at which nothing passes, for two hours more. */
static struct counter_answer refuse(struct memory *m, uint16_t slot, enum counter_kind kind)
{
    struct counter_take t = take_of(kind, slot, "two ana");
    struct counter_answer a;
    t.marks.hold_us = 2 * HOUR;
    t.at_once.max = 1;
    if (kind == COUNTER_RATIO)
        t.ratio.min = 2;
    if (kind == COUNTER_DISTINCT)
        t.distinct.max = 1;
    ck_assert_int_eq(memory_take(m, &t, 1, &a), 0);
    return a;
}

static const enum counter_kind held_kinds[] = {COUNTER_AT_ONCE, COUNTER_DISTINCT, COUNTER_RATIO};

START_TEST(what_refuses_for_a_while_goes_on_after_a_restart)
{
    enum counter_kind kind = held_kinds[_i];
    add(2, "two ana", 1);
    add(2, "two ana", 2);
    if (kind == COUNTER_AT_ONCE)
        ck_assert(refuse(&memory, 2, kind).is_taken);
    ck_assert_int_eq(refuse(&memory, 2, kind).wait_us, 2 * HOUR);
    write_file();
    (void)restore(0); /* how many differs */
    ck_assert(refuse(&after, 7, kind).is_refusing);
    int64_t left_us = refuse(&after, 7, kind).wait_us;
    ck_assert(left_us > HOUR && left_us <= 2 * HOUR);
}
END_TEST

START_TEST(what_has_come_to_rest_meanwhile_is_left_out)
{
    ck_assert(take(&memory, COUNTER_RATE, 2, "two ana").is_taken);
    ck_assert(take(&memory, COUNTER_RATE, 2, "two bob").is_taken);
    ck_assert(take(&memory, COUNTER_RATE, 2, "two bob").is_taken);
    write_file();
    ck_assert_uint_eq(restore(HOUR), 1);
    ck_assert_uint_eq(restore(2 * HOUR), 0);
}
END_TEST

/* Whoever has once sent owes as much as anybody can, and nobody waits for that time to come. */
START_TEST(after_a_clock_was_set_back_nobody_waits_longer_than_who_has_used_all)
{
    ck_assert(take(&memory, COUNTER_RATE, 2, "two ana").is_taken);
    write_file();
    ck_assert_uint_eq(restore(-1000 * HOUR), 1); /* it is kept: the clock may be set right again */
    const struct counter_take t = take_of(COUNTER_RATE, 7, "two ana");
    struct table_name name;
    struct counter_answer a;
    int64_t now_us = clock_wall_ns() / 1000 - 1000 * HOUR;
    (void)table_names(&after.table, &t, 1, &name);
    ck_assert_int_eq(table_take(&after.table, &t, &name, 1, now_us, &a), 0);
    ck_assert(a.is_refusing);
    ck_assert_int_eq(a.wait_us, HOUR);
    ck_assert_int_eq(table_take(&after.table, &t, &name, 1, now_us + HOUR, &a), 0);
    ck_assert_int_le(a.wait_us, HOUR);
}
END_TEST

START_TEST(what_could_never_come_to_rest_is_left_out)
{
    ck_assert(take(&memory, COUNTER_RATE, 2, "two ana").is_taken);
    write_file();
    ck_assert_uint_eq(restore(-clock_wall_ns() / 1000), 0); /* 1970 */
}
END_TEST

/* ---- files that are none ---- */

static void fill_a_little(void)
{
    ck_assert(take(&memory, COUNTER_RATE, 2, "two ana").is_taken);
    add(2, "two ana", 1);
    add(2, "two ana", 2);
    write_file();
}

/* In memory of exactly its size, so that a sanitizer sees a look past its end. */
static int read_of(struct span bytes)
{
    char *exact = malloc(bytes.size == 0 ? 1 : bytes.size);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, bytes.data, bytes.size);
    why.text[0] = '\0';
    int outcome = limits_read(&reader, span_make(exact, bytes.size), &why);
    ck_assert(outcome == 0 || why.text[0] != '\0');
    free(exact);
    return outcome;
}

START_TEST(a_file_that_was_cut_off_anywhere_is_refused)
{
    fill_a_little();
    struct span whole = buffer_bytes(&file);
    ck_assert_int_eq(read_of(whole), 0);
    for (size_t size = 0; size < whole.size; size++)
        ck_assert_msg(read_of(span_make(whole.data, size)) < 0, "%zu octets", size);
}
END_TEST

START_TEST(a_file_of_which_one_octet_differs_is_refused)
{
    fill_a_little();
    struct span whole = buffer_bytes(&file);
    for (size_t i = 0; i < whole.size; i++)
        for (int bit = 0; bit < 8; bit++) {
            file.data[file.start + i] ^= (char)(1 << bit);
            ck_assert_msg(read_of(whole) < 0, "octet %zu", i);
            file.data[file.start + i] ^= (char)(1 << bit);
        }
    ck_assert_int_eq(read_of(whole), 0);
}
END_TEST

START_TEST(a_file_with_something_behind_its_end_is_refused)
{
    fill_a_little();
    ck_assert_int_eq(buffer_append(&file, span_make("", 1)), 0);
    ck_assert_int_lt(read_of(buffer_bytes(&file)), 0);
    ck_assert_str_eq(why.text, "it is not whole");
}
END_TEST

START_TEST(another_version_and_another_file_are_called_by_their_names)
{
    fill_a_little();
    file.data[file.start + 24] = 2;
    ck_assert_int_lt(read_of(buffer_bytes(&file)), 0);
    ck_assert_str_eq(why.text, "it is of version 2, not 1");
    ck_assert_int_lt(read_of(span_of("root:x:0:0:root:/root:/bin/bash\n")), 0);
    ck_assert_str_eq(why.text, "it is no file of limits");
}
END_TEST

/* ---- shards that can't be read out ---- */

START_TEST(a_shard_that_is_held_is_written_when_it_is_free)
{
    const uint32_t other = 5, nobody = 0;
    ck_assert(take(&memory, COUNTER_RATE, 2, "two ana").is_taken);
    append(limits_write_head(writer, &memory));
    append(limits_write_rule(writer, 2, "two"));
    memcpy(memory.region, &other, sizeof other); /* the word of shard 0 */
    ck_assert_uint_eq(limits_write_shard(writer, &memory, 0).size, 0);
    memcpy(memory.region, &nobody, sizeof nobody);
    for (size_t i = 0; i < TABLE_SHARDS; i++)
        append(limits_write_shard(writer, &memory, i));
    append(limits_write_end(writer));
    ck_assert_uint_eq(restore(0), 1);
}
END_TEST

/* Somebody has filled it with cells that all say that they have a block. */
START_TEST(a_spoiled_shard_is_never_larger_than_a_chunk_can_be)
{
    const uint16_t used = TABLE_CELLS;
    char *shard = memory.table.memory;
    memset(shard, 3, table_size(TABLE_CELLS, TABLE_BLOCKS) / TABLE_SHARDS);
    memset(shard, 0, sizeof(uint32_t)); /* at peace */
    memcpy(shard + 8, &used, sizeof used);
    write_file();
    ck_assert_uint_gt(file.size, LIMITS_CHUNK_MAX - 1000);
    (void)restore(0); /* what of it, nobody knows */
}
END_TEST

SUITE(limits_file)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(what_was_counted_counts_after_a_restart_wherever_its_rule_stands_now);
    TEST(counters_of_a_rule_that_is_gone_are_left_out);
    TEST(leases_end_with_who_held_them);
    LOOP_TEST(what_refuses_for_a_while_goes_on_after_a_restart, held_kinds);
    TEST(what_has_come_to_rest_meanwhile_is_left_out);
    TEST(after_a_clock_was_set_back_nobody_waits_longer_than_who_has_used_all);
    TEST(what_could_never_come_to_rest_is_left_out);
    TEST(a_file_that_was_cut_off_anywhere_is_refused);
    TEST(a_file_of_which_one_octet_differs_is_refused);
    TEST(a_file_with_something_behind_its_end_is_refused);
    TEST(another_version_and_another_file_are_called_by_their_names);
    TEST(a_shard_that_is_held_is_written_when_it_is_free);
    TEST(a_spoiled_shard_is_never_larger_than_a_chunk_can_be);
}
