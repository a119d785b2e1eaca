#include "base/shared_lock.h"

#include "base/clock.h"
#include "telemetry/mapping.h"

enum { CLAIMERS = 4, TURNS = 20000 };

static struct {
    struct shared_lock lock;
    _Atomic uint32_t go, inside, total, slots;
    uint32_t plain; /* guarded by the lock alone */
} * it;

static void begin(void)
{
    it = mapping_make(sizeof *it);
}

static int take(size_t process)
{
    return shared_lock_take(&it->lock, process, clock_monotonic_ns() + 5 * CLOCK_MS);
}

static bool takes_and_gives(void)
{
    size_t process = atomic_fetch_add(&it->slots, 1);
    while (atomic_load(&it->go) == 0)
        continue;
    for (int i = 0; i < TURNS; i++) {
        if (take(process) < 0)
            continue; /* the holder was put aside by the machine */
        if (atomic_fetch_add(&it->inside, 1) != 0)
            return false;
        it->plain++;
        atomic_fetch_add(&it->total, 1);
        atomic_fetch_sub(&it->inside, 1);
        shared_lock_give(&it->lock);
    }
    return true;
}

START_TEST(one_process_at_a_time_holds_it)
{
    pid_t children[CLAIMERS];
    for (int i = 0; i < CLAIMERS; i++)
        children[i] = child_start(takes_and_gives);
    atomic_store(&it->go, 1);
    for (int i = 0; i < CLAIMERS; i++)
        child_succeeds(children[i]);
    ck_assert_uint_gt(it->plain, 0);
    ck_assert_uint_eq(it->plain, atomic_load(&it->total));
}
END_TEST

START_TEST(who_waits_for_one_that_is_held_gives_up)
{
    ck_assert_int_eq(take(0), 0);
    ck_assert_int_eq(take(1), -1);
    ck_assert_int_eq(take(0), -1);
    shared_lock_give(&it->lock);
    ck_assert_int_eq(take(1), 0);
}
END_TEST

static bool takes_and_stays(void)
{
    if (take(7) < 0)
        return false;
    atomic_store(&it->go, 1);
    for (;;)
        (void)pause(); /* until it is killed */
}

START_TEST(one_of_a_killed_process_is_found_and_taken_back)
{
    pid_t child = child_start(takes_and_stays);
    while (atomic_load(&it->go) == 0)
        continue;
    child_kill(child);
    ck_assert_int_eq(take(1), -1);
    ck_assert(!shared_lock_is_of(&it->lock, 6));
    ck_assert(!shared_lock_is_of(&it->lock, SIZE_MAX));
    ck_assert(shared_lock_is_of(&it->lock, 7));
    shared_lock_give(&it->lock);
    ck_assert(!shared_lock_is_of(&it->lock, 7));
    ck_assert_int_eq(take(1), 0);
}
END_TEST

START_TEST(a_word_that_names_no_process_is_nobodys)
{
    atomic_store(&it->lock.holder, SHARED_LOCK_HOLDERS_MAX);
    ck_assert(!shared_lock_try(&it->lock, 1));
    atomic_store(&it->lock.holder, SHARED_LOCK_HOLDERS_MAX + 1);
    ck_assert(shared_lock_try(&it->lock, 1));
    ck_assert(!shared_lock_try(&it->lock, 2));
}
END_TEST

SUITE(shared_lock)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    TEST(one_process_at_a_time_holds_it);
    TEST(who_waits_for_one_that_is_held_gives_up);
    TEST(one_of_a_killed_process_is_found_and_taken_back);
    TEST(a_word_that_names_no_process_is_nobodys);
}
