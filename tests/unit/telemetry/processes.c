#include "telemetry/processes.h"

#include "mapping.h"

static struct process_table *table;

static const struct process_row worker = {
    .pid = 4711,
    .role = PROCESS_WORKER,
    .index = 2,
    .generation = 3,
    .state = PROCESS_STARTING,
    .started_wall_ns = INT64_C(1795540385123456789),
    .tick_ns = INT64_C(987654321),
};

static void make_table(void)
{
    table = mapping_make(process_table_size());
}

static bool is_same(const struct process_row *a, const struct process_row *b)
{
    return a->pid == b->pid && a->role == b->role && a->index == b->index &&
           a->generation == b->generation && a->state == b->state &&
           a->started_wall_ns == b->started_wall_ns && a->tick_ns == b->tick_ns;
}

static struct process_row row_of(size_t slot)
{
    struct process_row row;
    ck_assert_int_eq(process_read(table, slot, &row), 0);
    return row;
}

START_TEST(a_row_is_read_as_it_was_claimed)
{
    int slot = process_claim(table, &worker);
    ck_assert_int_ge(slot, 0);
    struct process_row row = row_of((size_t)slot);
    ck_assert(is_same(&row, &worker));
}
END_TEST

START_TEST(a_free_slot_has_no_row)
{
    struct process_row row;
    int slot = process_claim(table, &worker);
    for (size_t i = 0; i < PROCESS_SLOT_MAX; i++)
        ck_assert_int_eq(process_read(table, i, &row), i == (size_t)slot ? 0 : -1);
    process_free(table, (size_t)slot);
    ck_assert_int_eq(process_read(table, (size_t)slot, &row), -1);
}
END_TEST

START_TEST(every_slot_is_given_out_once)
{
    static bool is_taken[PROCESS_SLOT_MAX];
    for (int i = 0; i < PROCESS_SLOT_MAX; i++) {
        int slot = process_claim(table, &worker);
        ck_assert_int_ge(slot, 0);
        ck_assert_int_lt(slot, PROCESS_SLOT_MAX);
        ck_assert(!is_taken[slot]);
        is_taken[slot] = true;
    }
    ck_assert_int_eq(process_claim(table, &worker), -1);
}
END_TEST

START_TEST(a_slot_that_was_freed_is_given_out_again)
{
    struct process_row auth = worker;
    auth.role = PROCESS_AUTH;
    while (process_claim(table, &worker) >= 0)
        continue;
    process_free(table, 500);
    ck_assert_int_eq(process_claim(table, &auth), 500);
    struct process_row row = row_of(500);
    ck_assert(is_same(&row, &auth));
}
END_TEST

START_TEST(a_pid_is_set_when_it_is_known)
{
    struct process_row expected = worker;
    size_t slot = (size_t)process_claim(table, &worker);
    process_set_pid(table, slot, 815);
    expected.pid = 815;
    struct process_row row = row_of(slot);
    ck_assert(is_same(&row, &expected));
}
END_TEST

static bool serves_and_ticks(void)
{
    process_set_state(table, 1, PROCESS_SERVING);
    process_tick(table, 1, 42);
    return true;
}

START_TEST(the_master_sees_the_state_and_the_tick_of_a_process)
{
    struct process_row expected = worker;
    (void)process_claim(table, &worker); /* another's */
    ck_assert_int_eq(process_claim(table, &worker), 1);
    child_succeeds(child_start(serves_and_ticks));
    expected.state = PROCESS_SERVING;
    expected.tick_ns = 42;
    struct process_row row = row_of(1), other = row_of(0);
    ck_assert(is_same(&row, &expected));
    ck_assert(is_same(&other, &worker));
}
END_TEST

START_TEST(a_slot_past_the_table_has_no_row)
{
    static const size_t slots[] = {PROCESS_SLOT_MAX, PROCESS_SLOT_MAX + 1, UINT32_MAX, SIZE_MAX};
    struct process_row row;
    table = mapping_hostile(process_table_size(), 0xff);
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        ck_assert_int_eq(process_read(table, slots[i], &row), -1);
}
END_TEST

START_TEST(rows_of_a_hostile_mapping_have_names_for_role_and_state)
{
    table = mapping_hostile(process_table_size(), 0xff);
    for (size_t slot = 0; slot < PROCESS_SLOT_MAX; slot++) {
        struct process_row row = row_of(slot);
        ck_assert_str_eq(process_role_name(row.role), "?");
        ck_assert_str_eq(process_state_name(row.state), "?");
    }
}
END_TEST

START_TEST(roles_and_states_have_names)
{
    ck_assert_str_eq(process_role_name(PROCESS_MASTER), "master");
    ck_assert_str_eq(process_role_name(PROCESS_WORKER), "worker");
    ck_assert_str_eq(process_role_name(PROCESS_AUTH), "auth");
    ck_assert_str_eq(process_role_name(PROCESS_CONTROL), "control");
    ck_assert_str_eq(process_role_name(PROCESS_ROLES), "?");
    ck_assert_str_eq(process_state_name(PROCESS_STARTING), "starting");
    ck_assert_str_eq(process_state_name(PROCESS_SERVING), "serving");
    ck_assert_str_eq(process_state_name(PROCESS_DRAINING), "draining");
    ck_assert_str_eq(process_state_name(PROCESS_STOPPING), "stopping");
    ck_assert_str_eq(process_state_name(PROCESS_STOPPING + 1), "?");
}
END_TEST

SUITE(processes)
{
    tcase_add_checked_fixture(tests, make_table, NULL);
    TEST(a_row_is_read_as_it_was_claimed);
    TEST(a_free_slot_has_no_row);
    TEST(every_slot_is_given_out_once);
    TEST(a_slot_that_was_freed_is_given_out_again);
    TEST(a_pid_is_set_when_it_is_known);
    TEST(the_master_sees_the_state_and_the_tick_of_a_process);
    TEST(a_slot_past_the_table_has_no_row);
    TEST(rows_of_a_hostile_mapping_have_names_for_role_and_state);
    TEST(roles_and_states_have_names);
}
