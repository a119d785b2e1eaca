#include "upstream/health.h"

#include "base/clock.h"
#include "telemetry/labels.h"
#include "telemetry/mapping.h"
#include "telemetry/processes.h"

#include <stdatomic.h>

enum { SERVER = 7, OTHER = 8, PROCESS = 3, TAKERS = 4, MAX = 5 };

static struct health *health;

/* What the processes of a test tell one another. */
static struct {
    _Atomic uint32_t go, in_use, taken;
} * told;

static void make_health(void)
{
    health = mapping_make(health_size());
    told = mapping_make(sizeof *told);
}

static int take(uint32_t max)
{
    return health_take(health, SERVER, PROCESS, max, CLOCK_SECOND);
}

/* ---- permits ---- */

START_TEST(there_are_as_many_permits_as_are_allowed)
{
    for (uint32_t n = 1; n <= MAX; n++) {
        ck_assert_int_eq(take(MAX), 0);
        ck_assert_uint_eq(health_connections(health, SERVER), n);
    }
    ck_assert_int_eq(take(MAX), -1);
    ck_assert_uint_eq(health_connections(health, SERVER), MAX);
}
END_TEST

START_TEST(a_permit_that_was_given_back_can_be_taken_again)
{
    for (uint32_t n = 0; n < MAX; n++)
        ck_assert_int_eq(take(MAX), 0);
    health_release(health, SERVER, PROCESS);
    ck_assert_uint_eq(health_connections(health, SERVER), MAX - 1);
    ck_assert_int_eq(take(MAX), 0);
    ck_assert_int_eq(take(MAX), -1);
}
END_TEST

START_TEST(permits_of_all_processes_count_together)
{
    for (size_t process = 0; process < MAX; process++)
        ck_assert_int_eq(health_take(health, SERVER, process * 200, MAX, CLOCK_SECOND), 0);
    ck_assert_int_eq(take(MAX), -1);
    ck_assert_int_eq(health_take(health, SERVER, PROCESS_SLOT_MAX - 1, MAX, CLOCK_SECOND), -1);
}
END_TEST

START_TEST(permits_of_one_server_are_not_those_of_another)
{
    ck_assert_int_eq(take(1), 0);
    ck_assert_int_eq(take(1), -1);
    ck_assert_int_eq(health_take(health, OTHER, PROCESS, 1, CLOCK_SECOND), 0);
    ck_assert_uint_eq(health_connections(health, OTHER), 1);
}
END_TEST

START_TEST(none_are_allowed_where_the_most_is_none)
{
    ck_assert_int_eq(take(0), -1);
    ck_assert_uint_eq(health_connections(health, SERVER), 0);
}
END_TEST

START_TEST(what_a_dead_process_held_is_given_back_on_all_servers)
{
    for (int n = 0; n < 3; n++)
        ck_assert_int_eq(take(MAX), 0);
    ck_assert_int_eq(health_take(health, OTHER, PROCESS, MAX, CLOCK_SECOND), 0);
    ck_assert_int_eq(health_take(health, SERVER, PROCESS + 1, MAX, CLOCK_SECOND), 0);
    health_release_all(health, PROCESS);
    ck_assert_uint_eq(health_connections(health, SERVER), 1);
    ck_assert_uint_eq(health_connections(health, OTHER), 0);
    ck_assert_int_eq(take(2), 0);
    ck_assert_int_eq(take(2), -1);
}
END_TEST

/* Comes and goes in the process's own slot; never may more than the most be there. */
static bool takes_and_gives_back(size_t process)
{
    while (atomic_load(&told->go) == 0)
        continue;
    for (int i = 0; i < 3000; i++) {
        if (health_take(health, SERVER, process, MAX, CLOCK_SECOND) < 0)
            continue;
        atomic_fetch_add(&told->taken, 1);
        if (atomic_fetch_add(&told->in_use, 1) >= MAX)
            return false;
        if (i % 7 == 0 && health_take(health, SERVER, process, MAX, CLOCK_SECOND) == 0) {
            if (atomic_fetch_add(&told->in_use, 1) >= MAX)
                return false;
            atomic_fetch_sub(&told->in_use, 1);
            health_release(health, SERVER, process);
        }
        atomic_fetch_sub(&told->in_use, 1);
        health_release(health, SERVER, process);
    }
    return true;
}

static bool takes_in_0(void)
{
    return takes_and_gives_back(0);
}

static bool takes_in_1(void)
{
    return takes_and_gives_back(1);
}

static bool takes_in_500(void)
{
    return takes_and_gives_back(500);
}

static bool takes_in_1023(void)
{
    return takes_and_gives_back(1023);
}

START_TEST(four_processes_that_come_and_go_never_have_more_than_are_allowed)
{
    bool (*const run[TAKERS])(void) = {takes_in_0, takes_in_1, takes_in_500, takes_in_1023};
    pid_t children[TAKERS];
    for (int i = 0; i < TAKERS; i++)
        children[i] = child_start(run[i]);
    atomic_store(&told->go, 1);
    for (int i = 0; i < TAKERS; i++)
        child_succeeds(children[i]);
    ck_assert_uint_gt(atomic_load(&told->taken), 0);
    ck_assert_uint_eq(health_connections(health, SERVER), 0);
}
END_TEST

static bool takes_three_and_stays(void)
{
    for (int i = 0; i < 3; i++)
        if (health_take(health, SERVER, 42, MAX, CLOCK_SECOND) < 0)
            return false;
    atomic_store(&told->taken, 3);
    for (;;)
        (void)pause(); /* until it is killed */
}

START_TEST(a_killed_process_leaves_its_own_count_alone)
{
    ck_assert_int_eq(take(MAX), 0);
    pid_t child = child_start(takes_three_and_stays);
    while (atomic_load(&told->taken) < 3)
        continue;
    child_kill(child);
    ck_assert_uint_eq(health_connections(health, SERVER), 4);
    health_release_all(health, 42);
    ck_assert_uint_eq(health_connections(health, SERVER), 1);
}
END_TEST

/* ---- a server that says 421 ---- */

START_TEST(a_server_that_is_full_gets_no_more_than_it_has_for_a_minute)
{
    const int64_t now_ns = 100 * CLOCK_SECOND, minute_ns = 60 * CLOCK_SECOND;
    for (int n = 0; n < 4; n++)
        ck_assert_int_eq(health_take(health, SERVER, PROCESS, 10, now_ns), 0);
    health_lower(health, SERVER, now_ns); /* the fourth was refused */
    health_release(health, SERVER, PROCESS);
    ck_assert_int_eq(health_take(health, SERVER, PROCESS, 10, now_ns), -1);
    health_release(health, SERVER, PROCESS);
    ck_assert_int_eq(health_take(health, SERVER, PROCESS, 10, now_ns + 1), 0);
    ck_assert_int_eq(health_take(health, SERVER, PROCESS, 10, now_ns + minute_ns - 1), -1);
    ck_assert_int_eq(health_take(health, SERVER, PROCESS, 10, now_ns + minute_ns + 1), 0);
}
END_TEST

START_TEST(a_server_that_is_full_with_others_clients_is_still_asked_by_one)
{
    ck_assert_int_eq(take(10), 0);
    health_lower(health, SERVER, CLOCK_SECOND);
    health_release(health, SERVER, PROCESS);
    ck_assert_int_eq(take(10), 0);
    ck_assert_int_eq(take(10), -1);
}
END_TEST

START_TEST(a_lower_limit_of_the_configuration_stays_the_lower_one)
{
    for (int n = 0; n < 4; n++)
        ck_assert_int_eq(take(10), 0);
    health_lower(health, SERVER, CLOCK_SECOND);
    health_release_all(health, PROCESS);
    ck_assert_int_eq(take(1), 0);
    ck_assert_int_eq(take(1), -1);
}
END_TEST

/* ---- who waits ---- */

START_TEST(a_permit_is_wanted_while_another_process_waits)
{
    ck_assert(!health_is_wanted(health, SERVER, PROCESS));
    health_set_waiting(health, SERVER, PROCESS + 1, 2);
    ck_assert(health_is_wanted(health, SERVER, PROCESS));
    ck_assert(health_is_wanted(health, SERVER, PROCESS));
    ck_assert(!health_is_wanted(health, OTHER, PROCESS));
    health_set_waiting(health, SERVER, PROCESS + 1, 1);
    ck_assert(health_is_wanted(health, SERVER, PROCESS));
    health_set_waiting(health, SERVER, PROCESS + 1, 0);
    ck_assert(!health_is_wanted(health, SERVER, PROCESS));
}
END_TEST

START_TEST(who_waits_himself_is_nobody_else)
{
    health_set_waiting(health, SERVER, PROCESS, 3);
    ck_assert(!health_is_wanted(health, SERVER, PROCESS));
    ck_assert(health_is_wanted(health, SERVER, PROCESS + 1));
}
END_TEST

START_TEST(who_has_died_waits_no_more)
{
    health_set_waiting(health, SERVER, PROCESS, 3);
    health_release_all(health, PROCESS);
    ck_assert(!health_is_wanted(health, SERVER, PROCESS + 1));
}
END_TEST

START_TEST(it_is_full_when_all_permits_are_in_use)
{
    ck_assert(!health_is_full(health, SERVER, 1, 0));
    ck_assert_int_eq(take(1), 0);
    ck_assert(health_is_full(health, SERVER, 1, 0));
    ck_assert(!health_is_full(health, SERVER, 2, 0));
}
END_TEST

/* ---- what is known of it ---- */

START_TEST(a_change_of_state_is_news_once)
{
    ck_assert_uint_eq(health_state(health, SERVER), SERVER_UNKNOWN);
    ck_assert(health_set_state(health, SERVER, SERVER_DOWN));
    ck_assert(!health_set_state(health, SERVER, SERVER_DOWN));
    ck_assert_uint_eq(health_state(health, SERVER), SERVER_DOWN);
    ck_assert(health_set_state(health, SERVER, SERVER_UP));
    ck_assert_uint_eq(health_state(health, OTHER), SERVER_UNKNOWN);
}
END_TEST

static bool hears_of_it(void)
{
    return health_set_state(health, SERVER, SERVER_DOWN);
}

START_TEST(a_change_of_state_is_news_in_one_process)
{
    child_succeeds(child_start(hears_of_it));
    ck_assert(!health_set_state(health, SERVER, SERVER_DOWN));
}
END_TEST

START_TEST(an_offer_is_read_as_it_was_told)
{
    uint32_t extensions = 1;
    uint64_t size = 1;
    health_offer(health, SERVER, &extensions, &size);
    ck_assert_uint_eq(extensions, 0);
    ck_assert_uint_eq(size, 0);
    health_set_offer(health, SERVER, HEALTH_PROBED | 5, UINT64_MAX);
    health_offer(health, SERVER, &extensions, &size);
    ck_assert_uint_eq(extensions, HEALTH_PROBED | 5);
    ck_assert_uint_eq(size, UINT64_MAX);
}
END_TEST

START_TEST(a_row_with_a_new_name_knows_nothing_of_the_old_one)
{
    uint32_t extensions;
    uint64_t size;
    for (int n = 0; n < 4; n++)
        ck_assert_int_eq(take(10), 0);
    health_set_state(health, SERVER, SERVER_DOWN);
    health_set_offer(health, SERVER, HEALTH_PROBED, 1000);
    health_lower(health, SERVER, CLOCK_SECOND);
    health_clear(health, SERVER);
    ck_assert_uint_eq(health_state(health, SERVER), SERVER_UNKNOWN);
    health_offer(health, SERVER, &extensions, &size);
    ck_assert_uint_eq(extensions + size, 0);
    ck_assert_int_eq(take(10), 0); /* not lowered any more */
}
END_TEST

/* ---- whose recipients it takes ---- */

enum { ANA = 1, BEA, EVA };

static uint64_t hash_of(int account)
{
    return (uint64_t)account << 40 | 77;
}

static void taken(int account, int64_t second)
{
    health_recipient_taken(health, SERVER, hash_of(account), second * CLOCK_SECOND);
}

static bool is_taken_from_others(int account, int64_t second)
{
    return health_takes_from_others(health, SERVER, hash_of(account), second * CLOCK_SECOND);
}

START_TEST(a_server_takes_from_others_for_a_minute_after_it_has)
{
    ck_assert(!is_taken_from_others(ANA, 1000));
    taken(ANA, 1000);
    ck_assert(!is_taken_from_others(ANA, 1000));
    ck_assert(is_taken_from_others(BEA, 1060));
    ck_assert(!is_taken_from_others(BEA, 1061));
    ck_assert(!health_takes_from_others(health, OTHER, hash_of(BEA), 1000 * CLOCK_SECOND));
}
END_TEST

START_TEST(whoever_took_last_the_others_before_are_not_forgotten)
{
    taken(ANA, 1000);
    taken(BEA, 1010);
    taken(BEA, 1030);
    ck_assert(is_taken_from_others(ANA, 1090));
    ck_assert(is_taken_from_others(BEA, 1060));
    ck_assert(!is_taken_from_others(BEA, 1061)); /* that was its own */
    taken(EVA, 1040);
    ck_assert(is_taken_from_others(EVA, 1090));
    ck_assert(!is_taken_from_others(EVA, 1091));
}
END_TEST

START_TEST(seconds_may_begin_anew_meanwhile)
{
    const int64_t round = 1 << 20;
    taken(ANA, round - 10);
    ck_assert(is_taken_from_others(BEA, round + 50));
    ck_assert(!is_taken_from_others(BEA, round + 51));
    taken(ANA, 5 * round);
    ck_assert(!is_taken_from_others(ANA, 5 * round));
}
END_TEST

/* ---- a mapping that a worker has spoiled ---- */

START_TEST(what_a_hostile_mapping_says_is_within_bounds)
{
    static const int fills[] = {0xff, 0xfe, 0x80, 0x7f, 1};
    health = mapping_hostile(health_size(), fills[_i]);
    for (size_t server = 0; server < LABEL_SERVER_MAX; server++) {
        ck_assert_uint_le(health_state(health, server), SERVER_DOWN);
        (void)health_connections(health, server);
        (void)health_take(health, server, PROCESS, 10, CLOCK_SECOND);
        (void)health_is_wanted(health, server, PROCESS);
        (void)health_takes_from_others(health, server, 1, CLOCK_SECOND);
        health_recipient_taken(health, server, 1, CLOCK_SECOND);
        (void)health_login(health, server, 1, CLOCK_SECOND);
        (void)health_login_refused(health, server, 1, CLOCK_SECOND);
        ck_assert_uint_eq(health_login(health, server, 1, CLOCK_SECOND), LOGIN_HELD);
        ck_assert_uint_ne(health_login(health, server, 1, 3600 * CLOCK_SECOND), LOGIN_HELD);
    }
    ck_assert_uint_eq(health_state(health, LABEL_SERVER_MAX), SERVER_UNKNOWN);
    ck_assert_uint_eq(health_state(health, SIZE_MAX), SERVER_UNKNOWN);
    ck_assert_uint_eq(health_connections(health, LABEL_SERVER_MAX), 0);
    ck_assert_uint_eq(health_connections(health, SIZE_MAX), 0);
}
END_TEST

/* ---- the gateway's own login ---- */

static enum login_state login(uint32_t version, int64_t seconds)
{
    return health_login(health, SERVER, version, seconds * CLOCK_SECOND);
}

static bool refused(uint32_t version, int64_t seconds)
{
    return health_login_refused(health, SERVER, version, seconds * CLOCK_SECOND);
}

START_TEST(a_login_is_unproven_until_it_is_taken)
{
    ck_assert_uint_eq(login(5, 1), LOGIN_UNPROVEN);
    ck_assert(!health_login_taken(health, SERVER, 5)); /* no news: nobody had been refused */
    ck_assert_uint_eq(login(5, 1), LOGIN_PROVEN);
    ck_assert_uint_eq(login(6, 1), LOGIN_UNPROVEN);
    ck_assert_uint_eq(health_login(health, OTHER, 5, CLOCK_SECOND), LOGIN_UNPROVEN);
}
END_TEST

START_TEST(a_refused_login_is_news_once_and_held_back)
{
    ck_assert(refused(5, 100));
    ck_assert(!refused(5, 100)); /* of another that was under way */
    ck_assert_uint_eq(login(5, 100), LOGIN_HELD);
    ck_assert_uint_eq(login(5, 109), LOGIN_HELD);
    ck_assert_uint_eq(login(5, 110), LOGIN_UNPROVEN);
}
END_TEST

START_TEST(after_a_pause_one_tries_and_the_next_pause_is_longer)
{
    int64_t at = 100, pauses[] = {10, 20, 40, 80, 160, 320, 600, 600, 600};
    ck_assert(refused(5, at));
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        ck_assert_uint_eq(login(5, at + pauses[i] - 1), LOGIN_HELD);
        at += pauses[i];
        ck_assert_uint_eq(login(5, at), LOGIN_UNPROVEN);
        ck_assert_uint_eq(login(5, at), LOGIN_HELD); /* that one is trying */
        ck_assert(!refused(5, at));
    }
}
END_TEST

START_TEST(a_login_that_is_taken_again_is_news_and_forgets_the_refusals)
{
    ck_assert(refused(5, 100));
    ck_assert_uint_eq(login(5, 110), LOGIN_UNPROVEN);
    ck_assert(health_login_taken(health, SERVER, 5));
    ck_assert(!health_login_taken(health, SERVER, 5));
    ck_assert_uint_eq(login(5, 110), LOGIN_PROVEN);
    ck_assert(refused(5, 200));
    ck_assert_uint_eq(login(5, 209), LOGIN_HELD);
    ck_assert_uint_eq(login(5, 210), LOGIN_UNPROVEN);
}
END_TEST

START_TEST(another_secret_is_not_held_back_by_the_refusal_of_the_old_one)
{
    ck_assert(refused(5, 100));
    ck_assert_uint_eq(login(6, 100), LOGIN_UNPROVEN);
    ck_assert(refused(6, 100));
    ck_assert_uint_eq(login(6, 100), LOGIN_HELD);
}
END_TEST

SUITE(health)
{
    tcase_add_checked_fixture(tests, make_health, NULL);
    TEST(there_are_as_many_permits_as_are_allowed);
    TEST(a_permit_that_was_given_back_can_be_taken_again);
    TEST(permits_of_all_processes_count_together);
    TEST(permits_of_one_server_are_not_those_of_another);
    TEST(none_are_allowed_where_the_most_is_none);
    TEST(what_a_dead_process_held_is_given_back_on_all_servers);
    TEST(four_processes_that_come_and_go_never_have_more_than_are_allowed);
    TEST(a_killed_process_leaves_its_own_count_alone);
    TEST(a_server_that_is_full_gets_no_more_than_it_has_for_a_minute);
    TEST(a_server_that_is_full_with_others_clients_is_still_asked_by_one);
    TEST(a_lower_limit_of_the_configuration_stays_the_lower_one);
    TEST(a_permit_is_wanted_while_another_process_waits);
    TEST(who_waits_himself_is_nobody_else);
    TEST(who_has_died_waits_no_more);
    TEST(it_is_full_when_all_permits_are_in_use);
    TEST(a_change_of_state_is_news_once);
    TEST(a_change_of_state_is_news_in_one_process);
    TEST(an_offer_is_read_as_it_was_told);
    TEST(a_row_with_a_new_name_knows_nothing_of_the_old_one);
    TEST(a_server_takes_from_others_for_a_minute_after_it_has);
    TEST(whoever_took_last_the_others_before_are_not_forgotten);
    TEST(seconds_may_begin_anew_meanwhile);
    TEST(a_login_is_unproven_until_it_is_taken);
    TEST(a_refused_login_is_news_once_and_held_back);
    TEST(after_a_pause_one_tries_and_the_next_pause_is_longer);
    TEST(a_login_that_is_taken_again_is_news_and_forgets_the_refusals);
    TEST(another_secret_is_not_held_back_by_the_refusal_of_the_old_one);
    tcase_add_loop_test(tests, what_a_hostile_mapping_says_is_within_bounds, 0, 5);
}
