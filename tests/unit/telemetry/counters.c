#include "telemetry/counters.h"

#include "mapping.h"

static struct counter_table *table;

static void make_table(void)
{
    table = mapping_make(counter_table_size());
}

/* How many slots a counter has. */
static size_t slots_of(enum counter c)
{
    enum label_kind kind;
    return counter_label(c, &kind) ? label_capacity(kind) : 1;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return *seed >> 16;
}

START_TEST(what_is_added_is_told_with_the_flush)
{
    struct counters *c = counters_create(table);
    counter_add(c, COUNTER_messages, 3, 1);
    counter_add(c, COUNTER_messages, 3, 41);
    ck_assert_int_eq(counter_read(table, COUNTER_messages, 3), 0);
    counters_flush(c);
    ck_assert_int_eq(counter_read(table, COUNTER_messages, 3), 42);
    ck_assert_int_eq(counter_read(table, COUNTER_messages, 2), 0);
    ck_assert_int_eq(counter_read(table, COUNTER_recipients, 3), 0);
    counters_destroy(&c);
}
END_TEST

START_TEST(what_was_told_is_not_told_again)
{
    struct counters *c = counters_create(table);
    counter_add(c, COUNTER_logins, 0, 5);
    counters_flush(c);
    counters_flush(c);
    ck_assert_int_eq(counter_read(table, COUNTER_logins, 0), 5);
    counter_add(c, COUNTER_logins, 0, 2);
    counters_flush(c);
    ck_assert_int_eq(counter_read(table, COUNTER_logins, 0), 7);
    counters_destroy(&c);
}
END_TEST

START_TEST(counters_agree_with_plain_sums)
{
    static int64_t sums[COUNTER_COUNT][LABEL_SERVER_MAX];
    struct counters *c = counters_create(table);
    uint32_t seed = 1;
    for (int turn = 0; turn < 500; turn++) {
        for (uint32_t n = next_random(&seed) % 300; n > 0; n--) {
            enum counter counter = (enum counter)(next_random(&seed) % COUNTER_COUNT);
            size_t slot = next_random(&seed) % slots_of(counter);
            int64_t add = (int64_t)(next_random(&seed) % 7) - 3;
            counter_add(c, counter, slot, add);
            sums[counter][slot] += add;
        }
        counters_flush(c);
    }
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        for (size_t slot = 0; slot < LABEL_SERVER_MAX; slot++)
            ck_assert_int_eq(counter_read(table, (enum counter)i, slot), sums[i][slot]);
    counters_destroy(&c);
}
END_TEST

START_TEST(every_cell_can_change_in_one_turn)
{
    struct counters *c = counters_create(table);
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        for (size_t slot = 0; slot < slots_of((enum counter)i); slot++)
            counter_add(c, (enum counter)i, slot, (int64_t)(i * 1000 + slot + 1));
    counters_flush(c);
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        for (size_t slot = 0; slot < slots_of((enum counter)i); slot++)
            ck_assert_int_eq(counter_read(table, (enum counter)i, slot),
                             (int64_t)(i * 1000 + slot + 1));
    counters_destroy(&c);
}
END_TEST

static bool counts_to_10000(void)
{
    struct counters *c = counters_create(table);
    for (int i = 0; c != NULL && i < 10000; i++) {
        counter_add(c, COUNTER_connections, 7, 1);
        counter_add(c, COUNTER_message_bytes, 7, INT64_C(1000000000));
        counters_flush(c);
    }
    return c != NULL;
}

START_TEST(counters_of_two_processes_add_up)
{
    pid_t first = child_start(counts_to_10000), second = child_start(counts_to_10000);
    child_succeeds(first);
    child_succeeds(second);
    ck_assert_int_eq(counter_read(table, COUNTER_connections, 7), 20000);
    ck_assert_int_eq(counter_read(table, COUNTER_message_bytes, 7), INT64_C(20000000000000));
}
END_TEST

START_TEST(what_a_process_has_told_stays_when_it_is_killed)
{
    int told[2];
    char byte = 0;
    ck_assert_int_eq(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        byte = (char)counts_to_10000();
        (void)!write(told[1], &byte, 1); /* the parent waits for it */
        for (;;)
            (void)pause(); /* until it is killed */
    }
    ck_assert_int_eq(read(told[0], &byte, 1), 1);
    child_kill(child);
    ck_assert_int_eq(counter_read(table, COUNTER_connections, 7), 10000);
}
END_TEST

START_TEST(clearing_a_slot_empties_the_counters_of_its_kind_alone)
{
    struct counters *c = counters_create(table);
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        for (size_t slot = 0; slot < slots_of((enum counter)i); slot++)
            counter_add(c, (enum counter)i, slot, 1);
    counters_flush(c);
    counter_table_clear(table, LABEL_LISTENER, 5);
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        for (size_t slot = 0; slot < slots_of((enum counter)i); slot++) {
            enum label_kind kind;
            bool is_cleared =
                counter_label((enum counter)i, &kind) && kind == LABEL_LISTENER && slot == 5;
            ck_assert_int_eq(counter_read(table, (enum counter)i, slot), is_cleared ? 0 : 1);
        }
    counters_destroy(&c);
}
END_TEST

START_TEST(a_slot_past_the_table_reads_as_zero)
{
    static const size_t slots[] = {LABEL_SERVER_MAX, LABEL_SERVER_MAX + 1, UINT32_MAX, SIZE_MAX};
    table = mapping_hostile(counter_table_size(), 0xff);
    for (size_t c = 0; c < COUNTER_COUNT; c++)
        for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
            ck_assert_int_eq(counter_read(table, (enum counter)c, slots[i]), 0);
}
END_TEST

START_TEST(a_hostile_mapping_is_read_and_counted_in_within_its_bounds)
{
    table = mapping_hostile(counter_table_size(), 0xff);
    struct counters *c = counters_create(table);
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        for (size_t slot = 0; slot < LABEL_SERVER_MAX; slot++) {
            ck_assert_int_eq(counter_read(table, (enum counter)i, slot), -1);
            counter_add(c, (enum counter)i, slot, 1);
        }
    counters_flush(c);
    counters_destroy(&c);
}
END_TEST

START_TEST(labels_are_those_of_the_list)
{
    enum label_kind kind;
    ck_assert(counter_label(COUNTER_connections, &kind) && kind == LABEL_LISTENER);
    ck_assert(counter_label(COUNTER_upstream_messages, &kind) && kind == LABEL_SERVER);
    ck_assert(!counter_label(COUNTER_log_lines_dropped, &kind));
}
END_TEST

START_TEST(every_counter_has_a_name_and_help)
{
    ck_assert_str_eq(counter_name(COUNTER_login_failures), "login_failures");
    ck_assert_str_eq(counter_help(COUNTER_login_failures), "Logins with wrong credentials");
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        ck_assert_uint_gt(strlen(counter_help((enum counter)i)), 0);
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(counter_name((enum counter)i), counter_name((enum counter)k));
    }
}
END_TEST

static void create_and_count(void)
{
    struct counters *c = counters_create(table);
    if ((c == NULL) != failing_has_failed())
        ck_abort_msg("null without memory alone");
    if (c != NULL) {
        counter_add(c, COUNTER_messages, 0, 1);
        counters_flush(c);
    }
    counters_destroy(&c);
}

START_TEST(counting_needs_memory_once)
{
    WITH_EACH_ALLOCATION_FAILING(create_and_count());
    ck_assert_int_eq(counter_read(table, COUNTER_messages, 0), 1);
}
END_TEST

SUITE(counters)
{
    tcase_add_checked_fixture(tests, make_table, NULL);
    TEST(what_is_added_is_told_with_the_flush);
    TEST(what_was_told_is_not_told_again);
    TEST(counters_agree_with_plain_sums);
    TEST(every_cell_can_change_in_one_turn);
    TEST(counters_of_two_processes_add_up);
    TEST(what_a_process_has_told_stays_when_it_is_killed);
    TEST(clearing_a_slot_empties_the_counters_of_its_kind_alone);
    TEST(a_slot_past_the_table_reads_as_zero);
    TEST(a_hostile_mapping_is_read_and_counted_in_within_its_bounds);
    TEST(labels_are_those_of_the_list);
    TEST(every_counter_has_a_name_and_help);
    TEST(counting_needs_memory_once);
}
