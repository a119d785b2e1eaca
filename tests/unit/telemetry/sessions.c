#include "telemetry/sessions.h"

#include "mapping.h"

#include <stdatomic.h>

enum { CAPACITY = 64, LIMIT = 40, CLAIMERS = 4 };

static struct session_table table;

/* What the processes of a test tell one another. */
static struct {
    _Atomic uint32_t go, claimed, wrong, in_use, holders[CAPACITY];
} * told;

static void make_table(void)
{
    table = (struct session_table){mapping_make(session_table_size(CAPACITY)), CAPACITY};
    told = mapping_make(sizeof *told);
}

/* A row of which each byte says the same number, so that a torn one shows. */
static struct session_row row_of(unsigned char number)
{
    struct session_row row;
    memset(&row, number, sizeof row);
    row.id[sizeof row.id - 1] = '\0';
    row.client[sizeof row.client - 1] = '\0';
    row.account[sizeof row.account - 1] = '\0';
    return row;
}

static bool is_same(const struct session_row *a, const struct session_row *b)
{
    return memcmp(a->id, b->id, sizeof a->id) == 0 &&
           memcmp(a->client, b->client, sizeof a->client) == 0 &&
           memcmp(a->account, b->account, sizeof a->account) == 0 &&
           a->started_wall_ns == b->started_wall_ns && a->listener == b->listener &&
           a->messages == b->messages && a->deleted == b->deleted && a->is_tls == b->is_tls;
}

static bool is_whole(const struct session_row *row)
{
    struct session_row expected = row_of((unsigned char)row->id[0]);
    return is_same(row, &expected);
}

/* Reads a row that is in use. */
static struct session_row read_row(int row)
{
    struct session_row out;
    enum session_state state;
    size_t owner;
    ck_assert_int_eq(session_read(&table, (size_t)row, &out, &state, &owner), 0);
    return out;
}

START_TEST(a_row_is_read_as_it_was_written)
{
    struct session_row written = {
        .id = "0123456789ab",
        .client = "[2001:db8::1]:4711",
        .account = "ana@example.com",
        .started_wall_ns = INT64_C(1795540385123456789),
        .listener = 3,
        .messages = 7,
        .deleted = 3,
        .is_tls = 1,
    };
    struct session_row out;
    enum session_state state;
    size_t owner;
    int row = session_claim(&table, CAPACITY, 5);
    ck_assert_int_ge(row, 0);
    session_write(&table, row, &written);
    session_set_state(&table, row, SESSION_ENVELOPE);
    ck_assert_int_eq(session_read(&table, (size_t)row, &out, &state, &owner), 0);
    ck_assert(is_same(&out, &written));
    ck_assert_uint_eq(state, SESSION_ENVELOPE);
    ck_assert_uint_eq(owner, 5);
}
END_TEST

START_TEST(a_row_that_is_free_is_not_read)
{
    struct session_row out;
    enum session_state state;
    size_t owner;
    ck_assert_int_eq(session_read(&table, 0, &out, &state, &owner), -1);
    int row = session_claim(&table, CAPACITY, 5);
    struct session_row written = row_of('a');
    session_write(&table, row, &written);
    session_free(&table, row);
    ck_assert_int_eq(session_read(&table, (size_t)row, &out, &state, &owner), -1);
}
END_TEST

START_TEST(rows_among_the_first_limit_are_given_out_once)
{
    bool is_taken[CAPACITY] = {false};
    for (int i = 0; i < LIMIT; i++) {
        int row = session_claim(&table, LIMIT, 1);
        ck_assert_int_ge(row, 0);
        ck_assert_int_lt(row, LIMIT);
        ck_assert(!is_taken[row]);
        is_taken[row] = true;
    }
    ck_assert_int_eq(session_claim(&table, LIMIT, 1), -1);
}
END_TEST

START_TEST(a_row_that_was_freed_is_found_wherever_it_is)
{
    while (session_claim(&table, LIMIT, 1) >= 0)
        continue;
    for (int row = LIMIT - 1; row >= 0; row--) {
        session_free(&table, row);
        ck_assert_int_eq(session_claim(&table, LIMIT, 1), row);
    }
}
END_TEST

START_TEST(a_limit_above_the_capacity_is_the_capacity)
{
    for (int i = 0; i < CAPACITY; i++)
        ck_assert_int_ge(session_claim(&table, SIZE_MAX, 1), 0);
    ck_assert_int_eq(session_claim(&table, SIZE_MAX, 1), -1);
}
END_TEST

START_TEST(a_limit_of_zero_admits_nobody)
{
    ck_assert_int_eq(session_claim(&table, 0, 1), -1);
}
END_TEST

START_TEST(a_limit_that_was_lowered_holds_for_who_comes_next)
{
    for (int i = 0; i < LIMIT; i++)
        ck_assert_int_ge(session_claim(&table, CAPACITY, 1), 0);
    ck_assert_int_eq(session_claim(&table, 10, 1), -1);
    session_free(&table, 3);
    ck_assert_int_eq(session_claim(&table, 10, 1), 3);
}
END_TEST

START_TEST(rows_in_use_are_counted_by_process_and_in_all)
{
    for (size_t slot = 0; slot < 3; slot++)
        for (size_t i = 0; i <= slot; i++)
            ck_assert_int_ge(session_claim(&table, CAPACITY, slot), 0);
    ck_assert_uint_eq(session_count(&table, 0), 1);
    ck_assert_uint_eq(session_count(&table, 1), 2);
    ck_assert_uint_eq(session_count(&table, 2), 3);
    ck_assert_uint_eq(session_count(&table, 3), 0);
    ck_assert_uint_eq(session_count(&table, -1), 6);
}
END_TEST

/* Claims until there is nothing left; each row must be his alone. */
static bool claims_all_there_is(void)
{
    while (atomic_load(&told->go) == 0)
        continue;
    for (int row; (row = session_claim(&table, LIMIT, 1)) >= 0;) {
        atomic_fetch_add(&told->claimed, 1);
        if (row >= LIMIT || atomic_fetch_add(&told->holders[row], 1) != 0)
            return false;
    }
    return true;
}

START_TEST(four_processes_claim_no_more_than_the_limit)
{
    for (int round = 0; round < 20; round++) {
        pid_t children[CLAIMERS];
        memset(told, 0, sizeof *told);
        for (int i = 0; i < CLAIMERS; i++)
            children[i] = child_start(claims_all_there_is);
        atomic_store(&told->go, 1);
        for (int i = 0; i < CLAIMERS; i++)
            child_succeeds(children[i]);
        ck_assert_uint_eq(atomic_load(&told->claimed), LIMIT);
        ck_assert_uint_eq(session_free_all(&table, 1), LIMIT);
    }
}
END_TEST

/* Comes and goes; never may more than the limit be there, nor two in a row. */
static bool claims_and_frees(void)
{
    while (atomic_load(&told->go) == 0)
        continue;
    for (int i = 0; i < 20000; i++) {
        int row = session_claim(&table, 3, 1);
        if (row < 0)
            continue;
        if (atomic_fetch_add(&told->in_use, 1) >= 3 ||
            atomic_fetch_add(&told->holders[row], 1) != 0)
            return false;
        atomic_fetch_sub(&told->holders[row], 1);
        atomic_fetch_sub(&told->in_use, 1);
        session_free(&table, row);
    }
    return true;
}

START_TEST(four_processes_that_come_and_go_never_exceed_the_limit)
{
    pid_t children[CLAIMERS];
    for (int i = 0; i < CLAIMERS; i++)
        children[i] = child_start(claims_and_frees);
    atomic_store(&told->go, 1);
    for (int i = 0; i < CLAIMERS; i++)
        child_succeeds(children[i]);
    ck_assert_uint_eq(session_count(&table, -1), 0);
}
END_TEST

static bool claims_ten_and_stays(void)
{
    for (int i = 0; i < 10; i++)
        if (session_claim(&table, CAPACITY, 8) < 0)
            return false;
    atomic_store(&told->claimed, 1);
    for (;;)
        (void)pause(); /* until it is killed */
}

START_TEST(rows_of_a_killed_process_are_freed)
{
    int ours = session_claim(&table, CAPACITY, 7);
    pid_t child = child_start(claims_ten_and_stays);
    while (atomic_load(&told->claimed) == 0)
        continue;
    child_kill(child);
    ck_assert_uint_eq(session_count(&table, 8), 10);
    ck_assert_uint_eq(session_free_all(&table, 8), 10);
    ck_assert_uint_eq(session_count(&table, -1), 1);
    ck_assert_uint_eq(session_free_all(&table, 8), 0);
    session_free(&table, ours);
}
END_TEST

/* Writes row 0 again and again, all of it the same number each time. */
static bool writes_and_writes(void)
{
    for (unsigned i = 0; i < 300000; i++) {
        struct session_row row = row_of((unsigned char)('A' + i % 26));
        session_write(&table, 0, &row);
        atomic_store(&told->go, 1);
    }
    return true;
}

static bool writes_until_it_is_killed(void)
{
    while (writes_and_writes())
        continue;
    return false;
}

START_TEST(a_reader_never_sees_a_torn_row)
{
    struct session_row row = row_of('A');
    ck_assert_int_eq(session_claim(&table, 1, 1), 0);
    session_write(&table, 0, &row);
    pid_t child = child_start(writes_and_writes);
    siginfo_t ended = {0};
    while (ended.si_pid == 0) {
        enum session_state state;
        size_t owner;
        if (session_read(&table, 0, &row, &state, &owner) == 0 && !is_whole(&row))
            ck_abort_msg("torn: it begins with %c", row.id[0]);
        ck_assert_int_eq(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
    }
    child_succeeds(child);
    row = read_row(0);
    ck_assert_int_eq(row.id[0], 'A' + 299999 % 26);
}
END_TEST

START_TEST(a_row_whose_writer_was_killed_can_be_written_by_the_next)
{
    for (int round = 0; round < 30; round++) {
        struct session_row row = row_of('z');
        memset(told, 0, sizeof *told);
        ck_assert_int_eq(session_claim(&table, 1, 1), 0);
        pid_t child = child_start(writes_until_it_is_killed);
        while (atomic_load(&told->go) == 0)
            continue;
        child_kill(child);
        ck_assert_uint_eq(session_free_all(&table, 1), 1);
        ck_assert_int_eq(session_claim(&table, 1, 2), 0);
        session_write(&table, 0, &row);
        struct session_row out = read_row(0);
        ck_assert(is_same(&out, &row));
        session_free(&table, 0);
    }
}
END_TEST

/* ---- networks ---- */

enum { ANA = 4711, BEA = 4712, MOST = 5 };

/* A row of the network, or -1: it has `max`. */
static int comes_from(uint64_t network, size_t max, size_t slot)
{
    int row = session_claim(&table, CAPACITY, slot);
    if (row < 0 || session_join(&table, row, network, max) == 0)
        return row;
    session_free(&table, row);
    return -1;
}

START_TEST(a_network_has_so_many_rows_and_another_too)
{
    int last = -1;
    for (int i = 0; i < MOST; i++)
        ck_assert_int_ge(last = comes_from(ANA, MOST, 1), 0);
    ck_assert_int_eq(comes_from(ANA, MOST, 2), -1);
    ck_assert_int_ge(comes_from(BEA, MOST, 2), 0);
    ck_assert_int_ge(comes_from(ANA, MOST + 1, 2), 0);
    ck_assert_int_eq(comes_from(ANA, MOST, 2), -1);
    session_free(&table, last);
    ck_assert_int_eq(comes_from(ANA, MOST, 2), -1);
    ck_assert_int_ge(comes_from(ANA, MOST + 1, 2), 0);
}
END_TEST

START_TEST(networks_that_share_a_crowd_are_told_apart)
{
    for (uint64_t network = 1; network <= 20000; network++) {
        int first = comes_from(network, 1, 1), other = comes_from(network + 20000, 1, 1);
        ck_assert_int_ge(first, 0);
        ck_assert_int_ge(other, 0);
        ck_assert_int_eq(comes_from(network, 1, 1), -1);
        session_free(&table, first);
        if (network % 32 == 0) /* the others stay a while, so that crowds are shared */
            ck_assert_uint_eq(session_free_all(&table, 1), 32);
    }
}
END_TEST

/* Comes and goes; never may more than three of the network be there. */
static bool joins_and_leaves(void)
{
    while (atomic_load(&told->go) == 0)
        continue;
    for (int i = 0; i < 20000; i++) {
        int row = comes_from(ANA, 3, 1);
        if (row < 0)
            continue;
        if (atomic_fetch_add(&told->in_use, 1) >= 3)
            return false;
        atomic_fetch_sub(&told->in_use, 1);
        session_free(&table, row);
    }
    return true;
}

START_TEST(four_processes_that_come_and_go_never_exceed_a_networks_limit)
{
    pid_t children[CLAIMERS];
    for (int i = 0; i < CLAIMERS; i++)
        children[i] = child_start(joins_and_leaves);
    atomic_store(&told->go, 1);
    for (int i = 0; i < CLAIMERS; i++)
        child_succeeds(children[i]);
    for (int i = 0; i < 3; i++)
        ck_assert_int_ge(comes_from(ANA, 3, 1), 0);
}
END_TEST

static bool joins_until_it_is_killed(void)
{
    while (atomic_load(&told->wrong) == 0) { /* as long as it lives */
        int rows[MOST];
        for (int i = 0; i < MOST; i++)
            rows[i] = comes_from(ANA, MOST, 8);
        atomic_store(&told->go, 1);
        for (int i = 0; i < MOST; i++)
            if (rows[i] >= 0)
                session_free(&table, rows[i]);
    }
    return false;
}

START_TEST(what_a_killed_process_held_of_a_network_is_given_back_to_the_last_place)
{
    for (int round = 0; round < 50; round++) {
        atomic_store(&told->go, 0);
        pid_t child = child_start(joins_until_it_is_killed);
        while (atomic_load(&told->go) == 0)
            continue;
        child_kill(child);
        (void)session_free_all(&table, 8); /* it may have held none just then */
    }
    for (int i = 0; i < MOST; i++)
        ck_assert_int_ge(comes_from(ANA, MOST, 1), 0);
    ck_assert_int_eq(comes_from(ANA, MOST, 1), -1);
}
END_TEST

static void add_up(void *owner, int row, struct span held)
{
    size_t *sum = owner;
    ck_assert_int_ge(row, 0);
    *sum += held.size;
}

static size_t held_by_all(size_t slot)
{
    size_t sum = 0;
    session_each_held(&table, slot, add_up, &sum);
    return sum;
}

START_TEST(what_a_session_holds_is_known_as_long_as_it_holds_it)
{
    static const char many[SESSION_HELD_MAX + 1];
    int ours = session_claim(&table, CAPACITY, 7), theirs = session_claim(&table, CAPACITY, 8);
    session_set_held(&table, ours, span_of("three and four"));
    session_set_held(&table, theirs, span_of("three"));
    ck_assert_uint_eq(held_by_all(7), 14);
    ck_assert_uint_eq(held_by_all(8), 5);
    session_set_held(&table, ours, span_make("", 0));
    ck_assert_uint_eq(held_by_all(7), 0);
    session_set_held(&table, ours, span_make(many, sizeof many)); /* what is past it is not */
    ck_assert_uint_eq(held_by_all(7), SESSION_HELD_MAX);
    session_free(&table, ours);
    ck_assert_uint_eq(held_by_all(7), 0);
    while (session_claim(&table, CAPACITY, 7) >= 0)
        ; /* whoever has the row next holds nothing */
    ck_assert_uint_eq(held_by_all(7), 0);
}
END_TEST

/* Gives back the first word. */
static struct span give_back(void *owner, struct span held)
{
    (void)span_split(&held, ' ');
    (*(unsigned *)owner)++;
    return held;
}

START_TEST(what_cannot_be_given_back_goes_to_the_heir_and_the_rest_is_free)
{
    const uint64_t network = 4711;
    unsigned calls = 0;
    int free_one = session_claim(&table, CAPACITY, 8), kept = session_claim(&table, CAPACITY, 8);
    int other = session_claim(&table, CAPACITY, 9);
    session_set_held(&table, free_one, span_of("memory"));
    session_set_held(&table, kept, span_of("memory Redis"));
    session_set_held(&table, other, span_of("memory Redis"));
    ck_assert_int_eq(session_join(&table, kept, network, 1), 0);
    ck_assert_uint_eq(session_end_all(&table, 8, 3, give_back, &calls), 1);
    ck_assert_uint_eq(calls, 2);
    ck_assert_uint_eq(session_count(&table, 8), 0);
    ck_assert_uint_eq(session_count(&table, 3), 1);
    ck_assert_uint_eq(held_by_all(3), strlen("Redis"));
    ck_assert_int_eq(session_join(&table, other, network, 1), 0); /* the dead one's place */
    session_free(&table, kept);
    ck_assert_uint_eq(session_end_all(&table, 9, -1, give_back, &calls), 0);
    ck_assert_uint_eq(session_count(&table, -1), 0);
}
END_TEST

START_TEST(a_row_past_the_capacity_is_not_read)
{
    static const size_t rows[] = {CAPACITY, CAPACITY + 1, UINT32_MAX, SIZE_MAX};
    table.region = mapping_hostile(session_table_size(CAPACITY), 0xfe);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct session_row out;
        enum session_state state;
        size_t owner;
        ck_assert_int_eq(session_read(&table, rows[i], &out, &state, &owner), -1);
    }
}
END_TEST

START_TEST(rows_of_a_hostile_mapping_are_closed_and_in_a_state_that_exists)
{
    static const int fills[] = {0xff, 0xfe, 'A', 2, 1}; /* odd: as if always being written */
    for (size_t f = 0; f < sizeof fills / sizeof *fills; f++) {
        table.region = mapping_hostile(session_table_size(CAPACITY), fills[f]);
        for (size_t row = 0; row < CAPACITY; row++) {
            struct session_row out;
            enum session_state state;
            size_t owner;
            int outcome = session_read(&table, row, &out, &state, &owner);
            ck_assert_int_eq(outcome, fills[f] % 2 == 0 ? 0 : -1);
            if (outcome < 0)
                continue;
            ck_assert_ptr_nonnull(memchr(out.id, '\0', sizeof out.id));
            ck_assert_ptr_nonnull(memchr(out.client, '\0', sizeof out.client));
            ck_assert_ptr_nonnull(memchr(out.account, '\0', sizeof out.account));
            ck_assert_uint_lt(state, SESSION_STATE_COUNT);
            ck_assert_uint_gt(strlen(session_state_name(state)), 0);
        }
    }
}
END_TEST

START_TEST(claims_in_a_hostile_mapping_stay_within_it)
{
    const struct session_row row = row_of('a');
    table.region = mapping_hostile(session_table_size(CAPACITY), 0xfe);
    ck_assert_int_eq(session_claim(&table, CAPACITY, 1), -1);
    ck_assert_uint_eq(session_count(&table, -1), CAPACITY);
    ck_assert_uint_eq(session_free_all(&table, 0xfefefefd), CAPACITY);
    for (int i = 0; i < CAPACITY; i++)
        ck_assert_int_ge(session_join(&table, i, (uint64_t)i << 56 | 1, CAPACITY), -1); /* or 0 */
    for (int i = 0; i < LIMIT; i++) {
        int claimed = session_claim(&table, LIMIT, 1);
        ck_assert_int_ge(claimed, 0);
        ck_assert_int_lt(claimed, LIMIT);
        session_write(&table, claimed, &row);
    }
    ck_assert_int_eq(session_claim(&table, LIMIT, 1), -1);
}
END_TEST

START_TEST(every_state_has_a_name_of_its_own)
{
    ck_assert_str_eq(session_state_name(SESSION_TLS), "TLS handshake");
    ck_assert_str_eq(session_state_name(SESSION_FINAL), "upstream: final reply");
    for (int i = 0; i < SESSION_STATE_COUNT; i++)
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(session_state_name((enum session_state)i),
                             session_state_name((enum session_state)k));
}
END_TEST

SUITE(sessions)
{
    tcase_add_checked_fixture(tests, make_table, NULL);
    TEST(a_row_is_read_as_it_was_written);
    TEST(a_row_that_is_free_is_not_read);
    TEST(rows_among_the_first_limit_are_given_out_once);
    TEST(a_row_that_was_freed_is_found_wherever_it_is);
    TEST(a_limit_above_the_capacity_is_the_capacity);
    TEST(a_limit_of_zero_admits_nobody);
    TEST(a_limit_that_was_lowered_holds_for_who_comes_next);
    TEST(rows_in_use_are_counted_by_process_and_in_all);
    TEST(four_processes_claim_no_more_than_the_limit);
    TEST(four_processes_that_come_and_go_never_exceed_the_limit);
    TEST(rows_of_a_killed_process_are_freed);
    TEST(a_reader_never_sees_a_torn_row);
    TEST(a_row_whose_writer_was_killed_can_be_written_by_the_next);
    TEST(a_network_has_so_many_rows_and_another_too);
    TEST(networks_that_share_a_crowd_are_told_apart);
    TEST(four_processes_that_come_and_go_never_exceed_a_networks_limit);
    TEST(what_a_killed_process_held_of_a_network_is_given_back_to_the_last_place);
    TEST(what_a_session_holds_is_known_as_long_as_it_holds_it);
    TEST(what_cannot_be_given_back_goes_to_the_heir_and_the_rest_is_free);
    TEST(a_row_past_the_capacity_is_not_read);
    TEST(rows_of_a_hostile_mapping_are_closed_and_in_a_state_that_exists);
    TEST(claims_in_a_hostile_mapping_stay_within_it);
    TEST(every_state_has_a_name_of_its_own);
}
