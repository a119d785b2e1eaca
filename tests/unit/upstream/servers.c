#include "upstream/servers.h"

#include "upstream/health.h"

#include "behind.h"

#include "protocol/smtp/parameters.h"

#include <sys/eventfd.h>

enum { WAITERS = 4 };

static struct servers *servers;

/* Those who wait, and in which order they are woken. */
static struct sleeper {
    struct waiter waiter;
    unsigned wakes, lates;
    bool finds_nothing; /* and so waits again */
    struct sleeper *stops;
} sleepers[WAITERS];

static char order[64];

static void on_wake(void *owner, bool is_late)
{
    struct sleeper *s = owner;
    size_t used = strlen(order);
    ck_assert_uint_lt(used + 1, sizeof order);
    order[used] = (char)((is_late ? 'A' : 'a') + (s - sleepers));
    s->wakes += !is_late;
    s->lates += is_late;
    if (s->stops != NULL)
        waiter_stop(&s->stops->waiter);
    if (!is_late && s->finds_nothing)
        ck_assert_int_eq(waiter_wait(servers, &s->waiter), 0);
}

static void begin_with(size_t count)
{
    behind_begin(count, "");
    behind.context.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    servers = servers_create(&behind.context);
    ck_assert_ptr_nonnull(servers);
}

static void begin(void)
{
    begin_with(3);
}

static void end(void)
{
    for (size_t i = 0; i < WAITERS; i++)
        if (sleepers[i].waiter.servers != NULL)
            waiter_stop(&sleepers[i].waiter);
    servers_destroy(&servers);
    ck_assert_int_eq(close(behind.context.bell), 0);
    behind_end();
}

static void wait_for(size_t i)
{
    sleepers[i].waiter =
        (struct waiter){.wake = on_wake, .owner = &sleepers[i], .upstream = upstream()};
    ck_assert_int_eq(waiter_wait(servers, &sleepers[i].waiter), 0);
}

static struct server *server(size_t i)
{
    size_t count;
    struct server *all = servers_of(servers, upstream(), &count);
    ck_assert_uint_lt(i, count);
    return &all[i];
}

/* ---- which is next ---- */

/* The number of the server that is chosen, or -1. */
static int choose(uint64_t tried)
{
    const struct server *s = servers_choose(servers, upstream(), tried);
    return s == NULL ? -1 : (int)(s - server(0));
}

START_TEST(servers_take_turns)
{
    for (int n = 0; n < 9; n++)
        ck_assert_int_eq(choose(0), n % 3);
}
END_TEST

START_TEST(servers_that_were_tried_are_left_out)
{
    ck_assert_int_eq(choose(server_bit(server(0))), 1);
    ck_assert_int_eq(choose(server_bit(server(2))), 0);
    ck_assert_int_eq(choose(server_bit(server(0)) | server_bit(server(1))), 2);
    ck_assert_int_eq(choose(~UINT64_C(0)), -1);
}
END_TEST

START_TEST(servers_that_are_out_are_left_out_until_they_are_back)
{
    server_failed(servers, server(1), "on fire");
    for (int n = 0; n < 4; n++)
        ck_assert_int_eq(choose(0), n % 2 == 0 ? 0 : 2);
    server_failed(servers, server(0), "on fire");
    server_failed(servers, server(2), "on fire");
    ck_assert_int_eq(choose(0), -1);
    health_set_state(behind.context.health, server(1)->slot, SERVER_UP);
    ck_assert_int_eq(choose(0), 1);
}
END_TEST

START_TEST(a_server_is_known_by_its_bit_and_its_upstream)
{
    ck_assert_uint_ne(server_bit(server(0)), server_bit(server(1)));
    ck_assert_ptr_eq(server_upstream(server(2)), upstream());
    ck_assert_str_eq(server(2)->config->name, "smtp/s2");
    ck_assert_ptr_eq(servers_context(servers)->config, config);
}
END_TEST

/* ---- what is told of it ---- */

START_TEST(a_failure_is_counted_and_logged_when_it_is_news)
{
    server_failed(servers, server(1), "on fire");
    server_failed(servers, server(1), "on fire");
    ck_assert_uint_eq(state_of(1), SERVER_DOWN);
    ck_assert_uint_eq(lines_with("event=upstream_down upstream=smtp/s1 reason=\"on fire\""), 1);
    counters_flush(behind.context.counters);
    ck_assert_int_eq(counter_read(behind.table, COUNTER_upstream_failures, server(1)->slot), 2);
}
END_TEST

START_TEST(a_busy_server_is_not_out_and_has_fewer_permits)
{
    for (int n = 0; n < 3; n++)
        ck_assert_int_eq(server_permit(servers, server(0), 10), 0);
    server_is_busy(servers, server(0), "421 too many");
    ck_assert_uint_eq(state_of(0), SERVER_UNKNOWN);
    ck_assert_int_eq(choose(0), 0);
    ck_assert_int_eq(server_permit(servers, server(0), 10), -1);
    ck_assert_uint_eq(lines_with("event=upstream_busy upstream=smtp/s0"), 1);
}
END_TEST

START_TEST(an_offer_is_what_all_probed_servers_have_in_common)
{
    uint64_t size = 1;
    struct health *h = behind.context.health;
    ck_assert_uint_eq(servers_offer(servers, upstream(), &size), 0);
    ck_assert_uint_eq(size, 0);
    health_set_offer(h, server(0)->slot, HEALTH_PROBED | SMTP_SIZE | SMTP_DSN | SMTP_8BITMIME,
                     5000);
    unsigned offer = servers_offer(servers, upstream(), &size);
    ck_assert_uint_eq(offer & ~HEALTH_PROBED, SMTP_SIZE | SMTP_DSN | SMTP_8BITMIME);
    ck_assert_uint_eq(size, 5000);
    health_set_offer(h, server(2)->slot, HEALTH_PROBED | SMTP_SIZE | SMTP_DSN, 3000);
    offer = servers_offer(servers, upstream(), &size);
    ck_assert_uint_eq(offer & ~HEALTH_PROBED, SMTP_SIZE | SMTP_DSN);
    ck_assert_uint_eq(size, 3000);
    health_set_offer(h, server(1)->slot, HEALTH_PROBED, 0); /* HELO alone: no limit told */
    offer = servers_offer(servers, upstream(), &size);
    ck_assert_uint_eq(offer & ~HEALTH_PROBED, 0);
    ck_assert_uint_eq(size, 3000);
}
END_TEST

START_TEST(an_extension_is_had_when_one_probed_server_has_it)
{
    struct health *h = behind.context.health;
    ck_assert(!servers_have(servers, upstream(), SMTP_SMTPUTF8));
    health_set_offer(h, server(0)->slot, HEALTH_PROBED | SMTP_DSN, 0);
    ck_assert(!servers_have(servers, upstream(), SMTP_SMTPUTF8));
    health_set_offer(h, server(2)->slot, HEALTH_PROBED | SMTP_SMTPUTF8, 0);
    ck_assert(servers_have(servers, upstream(), SMTP_SMTPUTF8));
}
END_TEST

/* ---- waiting ---- */

START_TEST(those_who_wait_are_woken_in_the_order_in_which_they_came)
{
    for (size_t i = 0; i < WAITERS; i++)
        wait_for(i);
    ck_assert(servers_has_waiter(servers, upstream()));
    servers_wake(servers, upstream());
    ck_assert_str_eq(order, "abcd");
    ck_assert(!servers_has_waiter(servers, upstream()));
}
END_TEST

START_TEST(who_finds_nothing_waits_at_the_front_and_the_others_sleep_on)
{
    for (size_t i = 0; i < WAITERS; i++)
        wait_for(i);
    sleepers[1].finds_nothing = true;
    servers_wake(servers, upstream());
    ck_assert_str_eq(order, "ab");
    sleepers[1].finds_nothing = false;
    servers_wake(servers, upstream());
    ck_assert_str_eq(order, "abbcd");
}
END_TEST

START_TEST(who_stops_is_not_woken)
{
    for (size_t i = 0; i < WAITERS; i++)
        wait_for(i);
    waiter_stop(&sleepers[0].waiter);
    waiter_stop(&sleepers[2].waiter);
    waiter_stop(&sleepers[2].waiter);
    servers_wake(servers, upstream());
    ck_assert_str_eq(order, "bd");
}
END_TEST

START_TEST(who_is_woken_can_stop_another)
{
    for (size_t i = 0; i < WAITERS; i++)
        wait_for(i);
    sleepers[0].stops = &sleepers[1];
    sleepers[2].stops = &sleepers[2];
    servers_wake(servers, upstream());
    ck_assert_str_eq(order, "acd");
}
END_TEST

START_TEST(those_who_wait_for_another_upstream_sleep_on)
{
    wait_for(0);
    servers_wake(servers, &config->upstreams[1]);
    ck_assert_str_eq(order, "");
    ck_assert(!servers_has_waiter(servers, &config->upstreams[1]));
}
END_TEST

START_TEST(who_waits_too_long_is_told_once_and_not_early)
{
    upstream()->wait_timeout_ms = 30;
    int64_t began_ns = clock_monotonic_ns();
    sleepers[0].finds_nothing = true;
    wait_for(0);
    UNTIL(sleepers[0].lates > 0);
    ck_assert_int_ge(clock_monotonic_ns() - began_ns, 30 * CLOCK_MS);
    ck_assert(!servers_has_waiter(servers, upstream()));
    turns_for(40);
    ck_assert_uint_eq(sleepers[0].lates, 1);
}
END_TEST

START_TEST(the_time_runs_since_he_first_waited)
{
    upstream()->wait_timeout_ms = 300;
    int64_t began_ns = clock_monotonic_ns();
    sleepers[0].finds_nothing = true;
    wait_for(0);
    for (int n = 0; n < 10; n++) {
        turns_for(20);
        servers_wake(servers, upstream());
    }
    UNTIL(sleepers[0].lates == 1);
    int64_t took_ns = clock_monotonic_ns() - began_ns;
    ck_assert_int_ge(took_ns, 300 * CLOCK_MS);
    ck_assert_int_le(took_ns, 450 * CLOCK_MS); /* not 300 ms since he was last woken */
}
END_TEST

START_TEST(who_was_woken_and_waits_no_more_is_not_late)
{
    upstream()->wait_timeout_ms = 20;
    wait_for(0);
    servers_wake(servers, upstream());
    turns_for(40);
    ck_assert_str_eq(order, "a");
}
END_TEST

/* ---- permits, and the bell ---- */

START_TEST(a_permit_that_is_returned_wakes_who_waits_here)
{
    ck_assert_int_eq(server_permit(servers, server(0), 1), 0);
    ck_assert_int_eq(server_permit(servers, server(0), 1), -1);
    wait_for(0);
    ck_assert(!server_is_wanted(servers, server(0))); /* by nobody else */
    server_return(servers, server(0));
    ck_assert_str_eq(order, "a");
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

START_TEST(permits_are_counted_as_of_this_process)
{
    ck_assert_int_eq(server_permit(servers, server(0), 5), 0);
    ck_assert_int_eq(server_permit(servers, server(0), 5), 0);
    ck_assert_uint_eq(connections(0), 2);
    health_release_all(behind.context.health, behind.context.process);
    ck_assert_uint_eq(connections(0), 0);
}
END_TEST

static struct {
    _Atomic unsigned is_waiting;
} * said;

/* Another process that waits for the only permit of the first server. */
static bool waits_for_the_permit(void)
{
    behind_begin_in_child(2);
    servers = servers_create(&behind.context);
    if (servers == NULL || server_permit(servers, server(0), 1) == 0)
        return false;
    sleepers[0].finds_nothing = true;
    wait_for(0);
    UNTIL(sleepers[0].wakes == 1); /* who rings hears it too */
    said->is_waiting = 1;
    UNTIL(sleepers[0].wakes == 2);
    return server_permit(servers, server(0), 1) == 0;
}

START_TEST(a_permit_that_is_returned_wakes_who_waits_in_another_process)
{
    said = mapping_make(sizeof *said);
    upstream()->max_connections = 1;
    ck_assert_int_eq(server_permit(servers, server(0), 1), 0);
    pid_t child = child_start(waits_for_the_permit);
    while (said->is_waiting == 0)
        continue;
    ck_assert(server_is_wanted(servers, server(0)));
    server_return(servers, server(0));
    child_succeeds(child);
    ck_assert_uint_eq(connections(0), 1); /* the child's */
}
END_TEST

static unsigned bells;

static void on_bell(void *owner)
{
    ck_assert_ptr_eq(owner, &bells);
    bells++;
}

static bool waits(void)
{
    behind_begin_in_child(2);
    servers = servers_create(&behind.context);
    if (servers == NULL)
        return false;
    wait_for(0);
    return true;
}

START_TEST(who_begins_to_wait_rings_for_the_others)
{
    servers_on_bell(servers, on_bell, &bells);
    child_succeeds(child_start(waits));
    UNTIL(bells > 0);
    ck_assert(health_is_wanted(behind.context.health, server(0)->slot, behind.context.process));
    ck_assert(health_is_wanted(behind.context.health, server(2)->slot, behind.context.process));
    ck_assert(!server_is_wanted(servers, server(0))); /* there are permits left */
}
END_TEST

START_TEST(a_permit_that_nobody_wants_rings_no_bell)
{
    servers_on_bell(servers, on_bell, &bells);
    ck_assert_int_eq(server_permit(servers, server(0), 1), 0);
    server_return(servers, server(0));
    turns_for(5);
    ck_assert_uint_eq(bells, 0);
}
END_TEST

START_TEST(without_a_bell_permits_are_given_and_returned_all_the_same)
{
    struct upstream_context context = behind.context;
    context.bell = -1;
    struct servers *others = servers_create(&context);
    size_t count;
    ck_assert_ptr_nonnull(others);
    struct server *first = servers_of(others, upstream(), &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(server_permit(others, first, 1), 0);
    health_set_waiting(context.health, first->slot, 9, 1);
    server_return(others, first);
    servers_destroy(&others);
    ck_assert_ptr_null(others);
}
END_TEST

static void create_and_destroy(void)
{
    struct servers *s = servers_create(&behind.context);
    bool is_null = s == NULL;
    servers_destroy(&s);
    if (is_null != failing_has_failed())
        ck_abort_msg("null without memory alone");
}

START_TEST(without_memory_there_are_no_servers)
{
    WITH_EACH_ALLOCATION_FAILING(create_and_destroy());
}
END_TEST

SUITE(servers)
{
    behind_use(tests);
    tcase_add_checked_fixture(tests, begin, end);
    TEST(servers_take_turns);
    TEST(servers_that_were_tried_are_left_out);
    TEST(servers_that_are_out_are_left_out_until_they_are_back);
    TEST(a_server_is_known_by_its_bit_and_its_upstream);
    TEST(a_failure_is_counted_and_logged_when_it_is_news);
    TEST(a_busy_server_is_not_out_and_has_fewer_permits);
    TEST(an_offer_is_what_all_probed_servers_have_in_common);
    TEST(an_extension_is_had_when_one_probed_server_has_it);
    TEST(those_who_wait_are_woken_in_the_order_in_which_they_came);
    TEST(who_finds_nothing_waits_at_the_front_and_the_others_sleep_on);
    TEST(who_stops_is_not_woken);
    TEST(who_is_woken_can_stop_another);
    TEST(those_who_wait_for_another_upstream_sleep_on);
    TEST(who_waits_too_long_is_told_once_and_not_early);
    TEST(the_time_runs_since_he_first_waited);
    TEST(who_was_woken_and_waits_no_more_is_not_late);
    TEST(a_permit_that_is_returned_wakes_who_waits_here);
    TEST(permits_are_counted_as_of_this_process);
    TEST(a_permit_that_is_returned_wakes_who_waits_in_another_process);
    TEST(who_begins_to_wait_rings_for_the_others);
    TEST(a_permit_that_nobody_wants_rings_no_bell);
    TEST(without_a_bell_permits_are_given_and_returned_all_the_same);
    TEST(without_memory_there_are_no_servers);
}
