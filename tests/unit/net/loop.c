#include "net/loop.h"

#include "turns.h"

#include "telemetry/mapping.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* ---- timeouts ---- */

enum { ALARMS = 64 };

/* A timeout, and what came of it. */
struct alarm {
    struct timeout *timeout;
    int64_t due_ns, rang_ns;
    unsigned rings;
    int64_t again_ns; /* within its callback: set for so much later */
    bool goes;        /* within its callback: destroyed */
    struct alarm *clears, *ends;
};

static struct alarm alarms[ALARMS];

static void ring(void *owner)
{
    struct alarm *a = owner;
    a->rings++;
    a->rang_ns = clock_monotonic_ns();
    if (a->clears != NULL)
        timeout_clear(a->clears->timeout);
    if (a->ends != NULL)
        timeout_destroy(&a->ends->timeout);
    if (a->goes)
        timeout_destroy(&a->timeout);
    else if (a->again_ns != 0)
        timeout_set(a->timeout, loop_now(turns.loop) + a->again_ns);
}

static void set(struct alarm *a, int64_t at_ns)
{
    a->due_ns = at_ns;
    if (a->timeout == NULL)
        a->timeout = timeout_create(turns.loop, ring, a);
    ck_assert_ptr_nonnull(a->timeout);
    timeout_set(a->timeout, at_ns);
}

static int64_t in_ms(int64_t ms)
{
    return clock_monotonic_ns() + ms * CLOCK_MS;
}

static void begin(void)
{
    memset(alarms, 0, sizeof alarms);
    turns_begin();
}

static void end(void)
{
    for (size_t i = 0; i < ALARMS; i++)
        timeout_destroy(&alarms[i].timeout);
    turns_end();
}

START_TEST(a_timeout_comes_once_and_never_early)
{
    set(&alarms[0], in_ms(5));
    UNTIL(alarms[0].rings > 0);
    ck_assert_int_ge(alarms[0].rang_ns, alarms[0].due_ns);
    turns_for(15);
    ck_assert_uint_eq(alarms[0].rings, 1);
}
END_TEST

static unsigned rings(void)
{
    unsigned sum = 0;
    for (size_t i = 0; i < ALARMS; i++)
        sum += alarms[i].rings;
    return sum;
}

START_TEST(many_timeouts_come_each_in_its_own_time)
{
    for (size_t i = 0; i < ALARMS; i++)
        set(&alarms[i], clock_monotonic_ns() + (int64_t)(i * 37 % ALARMS) * 330127);
    UNTIL(rings() == ALARMS);
    for (size_t i = 0; i < ALARMS; i++) {
        ck_assert_uint_eq(alarms[i].rings, 1);
        ck_assert_int_ge(alarms[i].rang_ns, alarms[i].due_ns);
    }
}
END_TEST

START_TEST(a_time_that_has_passed_comes_in_the_next_turn)
{
    set(&alarms[0], in_ms(-1000));
    turn();
    ck_assert_uint_eq(alarms[0].rings, 1);
}
END_TEST

START_TEST(a_timeout_that_is_moved_later_comes_then)
{
    set(&alarms[0], in_ms(2));
    set(&alarms[0], in_ms(10));
    set(&alarms[0], in_ms(25));
    UNTIL(alarms[0].rings > 0);
    ck_assert_int_ge(alarms[0].rang_ns, alarms[0].due_ns);
    turns_for(10);
    ck_assert_uint_eq(alarms[0].rings, 1);
}
END_TEST

START_TEST(a_timeout_that_is_moved_later_again_and_again_comes_at_the_last_time_alone)
{
    int64_t began_ns = clock_monotonic_ns();
    for (int i = 0; i < 10; i++) {
        set(&alarms[0], began_ns + (200 + 2 * i) * CLOCK_MS);
        turns_for(2);
    }
    UNTIL(alarms[0].rings > 0);
    ck_assert_int_ge(alarms[0].rang_ns, alarms[0].due_ns);
    turns_for(25);
    ck_assert_uint_eq(alarms[0].rings, 1);
}
END_TEST

START_TEST(a_timeout_that_is_moved_earlier_comes_then)
{
    set(&alarms[0], in_ms(60000));
    set(&alarms[0], in_ms(5));
    UNTIL(alarms[0].rings > 0);
    ck_assert_int_ge(alarms[0].rang_ns, alarms[0].due_ns);
}
END_TEST

START_TEST(a_timeout_that_was_cleared_does_not_come)
{
    set(&alarms[0], in_ms(3));
    timeout_clear(alarms[0].timeout);
    turns_for(15);
    ck_assert_uint_eq(alarms[0].rings, 0);
}
END_TEST

START_TEST(a_timeout_that_was_cleared_can_be_set_again)
{
    set(&alarms[0], in_ms(3));
    timeout_clear(alarms[0].timeout);
    set(&alarms[0], in_ms(8));
    UNTIL(alarms[0].rings > 0);
    ck_assert_int_ge(alarms[0].rang_ns, alarms[0].due_ns);
    set(&alarms[0], in_ms(60000));
    timeout_clear(alarms[0].timeout);
    set(&alarms[0], in_ms(2));
    UNTIL(alarms[0].rings > 1);
    ck_assert_int_ge(alarms[0].rang_ns, alarms[0].due_ns);
}
END_TEST

START_TEST(a_timeout_can_be_set_again_within_its_callback)
{
    alarms[0].again_ns = 2 * CLOCK_MS;
    set(&alarms[0], in_ms(1));
    int64_t began_ns = clock_monotonic_ns();
    UNTIL(alarms[0].rings == 5);
    ck_assert_int_ge(alarms[0].rang_ns - began_ns, (1 + 4 * 2) * CLOCK_MS);
}
END_TEST

START_TEST(a_timeout_that_sets_itself_for_now_comes_once_a_turn)
{
    set(&alarms[0], in_ms(-1));
    alarms[0].again_ns = -CLOCK_MS;
    for (unsigned turns_made = 1; turns_made < 5; turns_made++) {
        turn();
        ck_assert_uint_eq(alarms[0].rings, turns_made);
    }
}
END_TEST

START_TEST(one_that_is_destroyed_by_another_of_the_same_moment_does_not_come)
{
    int64_t at_ns = in_ms(2);
    for (size_t i = 0; i < 8; i++)
        set(&alarms[i], at_ns);
    alarms[0].ends = &alarms[1];
    alarms[1].ends = &alarms[0];
    turns_for(10);
    ck_assert_uint_eq(alarms[0].rings + alarms[1].rings, 1);
    ck_assert_uint_eq(rings(), 7);
}
END_TEST

START_TEST(a_timeout_can_be_destroyed_within_its_callback)
{
    alarms[0].goes = true;
    set(&alarms[0], in_ms(1));
    UNTIL(alarms[0].rings > 0);
    ck_assert_ptr_null(alarms[0].timeout);
    turns_for(5);
    ck_assert_uint_eq(alarms[0].rings, 1);
}
END_TEST

START_TEST(a_timeout_cleared_by_another_of_the_same_moment_does_not_come)
{
    int64_t at_ns = in_ms(1);
    alarms[0].clears = &alarms[1];
    alarms[1].clears = &alarms[0];
    set(&alarms[0], at_ns);
    set(&alarms[1], at_ns);
    turns_for(10);
    ck_assert_uint_eq(alarms[0].rings + alarms[1].rings, 1);
}
END_TEST

START_TEST(a_destroyed_timeout_leaves_null_and_does_not_come)
{
    set(&alarms[0], in_ms(1));
    timeout_destroy(&alarms[0].timeout);
    ck_assert_ptr_null(alarms[0].timeout);
    timeout_destroy(&alarms[0].timeout);
    turns_for(5);
    ck_assert_uint_eq(alarms[0].rings, 0);
}
END_TEST

/* ---- the turn ---- */

static void pass_a_millisecond(void)
{
    int64_t since = clock_monotonic_ns();
    while (clock_monotonic_ns() < since + CLOCK_MS)
        continue;
}

static void turn_at_once(void)
{
    set(&alarms[0], in_ms(0));
    turn();
}

START_TEST(the_time_is_read_once_a_turn)
{
    turn_at_once();
    int64_t now = loop_now(turns.loop);
    pass_a_millisecond();
    ck_assert_int_eq(loop_now(turns.loop), now);
    turn_at_once();
    ck_assert_int_ge(loop_now(turns.loop), now + CLOCK_MS);
    ck_assert_int_le(loop_now(turns.loop), clock_monotonic_ns());
}
END_TEST

START_TEST(the_first_turn_has_a_time_of_its_own)
{
    int64_t before = loop_now(turns.loop);
    pass_a_millisecond();
    turn_at_once();
    ck_assert_int_ge(loop_now(turns.loop), before + CLOCK_MS);
}
END_TEST

/* What is called in which order. */
static char order[32];

static void note(void *owner)
{
    const char *letter = owner;
    size_t used = strlen(order);
    ck_assert_uint_lt(used + 1, sizeof order);
    order[used] = *letter;
}

START_TEST(hooks_are_called_at_the_end_of_every_turn)
{
    char hook[] = "h";
    loop_at_turn_end(turns.loop, note, hook);
    for (size_t i = 0; i < 5; i++)
        turn_at_once();
    ck_assert_uint_ge(strlen(order), 4); /* the last turn's is still to come */
    ck_assert_uint_le(strlen(order), 5);
}
END_TEST

static void stop(void *owner)
{
    loop_stop(owner);
}

START_TEST(there_is_room_for_eight_hooks)
{
    struct error why;
    struct loop *other = loop_create(&why);
    char hook[] = "h";
    for (size_t i = 0; i < 8; i++)
        loop_at_turn_end(other, note, hook);
    struct timeout *timeout = timeout_create(other, stop, other);
    timeout_set(timeout, in_ms(0));
    ck_assert_int_eq(loop_run(other), 0);
    ck_assert_str_eq(order, "hhhhhhhh");
    timeout_destroy(&timeout);
    loop_destroy(&other);
}
END_TEST

/* Something that is put off within a callback, and that puts off another. */
static struct deferred first, second;

static void note_and_defer(void *owner)
{
    static char letter[] = "2";
    note(owner);
    loop_defer(turns.loop, &second, note, letter);
}

static void defer_and_note(void *owner)
{
    static char letter[] = "1", callback[] = "c";
    (void)owner;
    loop_defer(turns.loop, &first, note_and_defer, letter);
    note(callback);
}

START_TEST(what_is_deferred_is_called_once_at_the_end_of_this_turn)
{
    char hook[] = "h";
    struct timeout *timeout = timeout_create(turns.loop, defer_and_note, NULL);
    loop_at_turn_end(turns.loop, note, hook);
    timeout_set(timeout, in_ms(0));
    turns_for(5);
    timeout_destroy(&timeout);
    ck_assert_uint_eq(strspn(order, "h"), 0);
    order[3] = '\0';
    ck_assert_str_eq(order, "c12");
}
END_TEST

START_TEST(what_is_deferred_when_the_loop_ends_is_called)
{
    char letter[] = "1";
    struct error why;
    struct loop *other = loop_create(&why);
    loop_defer(other, &first, note, letter);
    loop_destroy(&other);
    ck_assert_str_eq(order, "1");
    ck_assert_ptr_null(other);
    loop_destroy(&other);
}
END_TEST

START_TEST(a_loop_stopped_before_it_runs_does_not_turn)
{
    struct error why;
    struct loop *other = loop_create(&why);
    loop_stop(other);
    ck_assert_int_eq(loop_run(other), 0);
    loop_destroy(&other);
}
END_TEST

START_TEST(the_scratch_buffers_are_of_the_sizes_that_their_names_say_and_lie_apart)
{
    char *scratch = loop_scratch(turns.loop), *spare = loop_spare(turns.loop);
    memset(scratch, 'a', LOOP_SCRATCH_SIZE);
    memset(spare, 'b', LOOP_SPARE_SIZE);
    ck_assert_int_eq(scratch[0], 'a');
    ck_assert_int_eq(scratch[LOOP_SCRATCH_SIZE - 1], 'a');
}
END_TEST

static struct entry adopted[1000];

/* As its owner frees it. */
static void let_go(void *owner)
{
    struct entry *e = owner;
    loop_disown(turns.loop, e);
}

START_TEST(a_thousand_are_adopted_and_no_more)
{
    static struct entry one_more;
    bool is_alone = false;
    loop_on_alone(turns.loop, turns_set_flag, &is_alone);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_int_eq(loop_adopt(turns.loop, &adopted[i], let_go, &adopted[i]), 0);
    ck_assert_int_eq(loop_adopt(turns.loop, &one_more, let_go, &one_more), -1);
    loop_disown(turns.loop, &adopted[500]);
    ck_assert_int_eq(loop_adopt(turns.loop, &one_more, let_go, &one_more), 0);
    ck_assert_uint_eq(loop_adopted(turns.loop), 1000);
    for (size_t i = 0; i < 1000; i++)
        loop_disown(turns.loop, &adopted[i]);
    ck_assert(!is_alone);
    loop_disown(turns.loop, &one_more);
    ck_assert(is_alone);
}
END_TEST

START_TEST(what_is_adopted_goes_before_the_loop)
{
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(loop_adopt(turns.loop, &adopted[i], let_go, &adopted[i]), 0);
    turns_end();
    for (size_t i = 0; i < 3; i++)
        ck_assert_ptr_null(adopted[i].next);
    turns_begin();
}
END_TEST

/* ---- descriptors ---- */

/* A watch, and what it has seen. */
static struct {
    struct watch *watch;
    unsigned readable, writable;
    bool goes;
} seen;

static void see(void *owner, bool is_readable, bool is_writable)
{
    (void)owner;
    seen.readable += is_readable;
    seen.writable += is_writable;
    if (seen.goes)
        watch_destroy(&seen.watch);
}

static void watch_it(int fd)
{
    memset(&seen, 0, sizeof seen);
    seen.watch = watch_create(turns.loop, fd, see, NULL);
    ck_assert_ptr_nonnull(seen.watch);
}

static void open_pair(int ends[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
}

static void close_pair(const int ends[2])
{
    watch_destroy(&seen.watch);
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_int_eq(close(ends[1]), 0);
}

START_TEST(a_watch_waits_for_nothing_at_first)
{
    int ends[2];
    open_pair(ends);
    watch_it(ends[0]);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    turns_for(5);
    ck_assert_uint_eq(seen.readable + seen.writable, 0);
    close_pair(ends);
}
END_TEST

START_TEST(a_watch_sees_what_it_wants_until_it_wants_it_no_more)
{
    int ends[2];
    open_pair(ends);
    watch_it(ends[0]);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(watch_want(seen.watch, true, false), 0);
    UNTIL(seen.readable > 2); /* it is a level: nobody reads */
    ck_assert_uint_eq(seen.writable, 0);
    ck_assert_int_eq(watch_want(seen.watch, false, true), 0);
    unsigned before = seen.readable;
    UNTIL(seen.writable > 2);
    ck_assert_uint_eq(seen.readable, before);
    ck_assert_int_eq(watch_want(seen.watch, false, false), 0);
    before = seen.writable;
    turns_for(5);
    ck_assert_uint_eq(seen.writable, before);
    close_pair(ends);
}
END_TEST

static void note_soon(void *owner)
{
    *(unsigned *)owner = seen.readable;
}

START_TEST(a_turn_ends_although_there_is_always_something_to_read)
{
    int ends[2];
    unsigned read_before = 0;
    struct entry soon = {.next = NULL};
    open_pair(ends);
    watch_it(ends[0]);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(watch_want(seen.watch, true, false), 0);
    loop_soon(turns.loop, &soon, note_soon, &read_before);
    UNTIL(seen.readable > 2);
    ck_assert_uint_eq(read_before, 1);
    close_pair(ends);
}
END_TEST

START_TEST(a_watch_can_be_destroyed_within_its_callback)
{
    int ends[2];
    open_pair(ends);
    watch_it(ends[0]);
    seen.goes = true;
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(watch_want(seen.watch, true, true), 0);
    UNTIL(seen.watch == NULL);
    turns_for(5);
    ck_assert_uint_eq(seen.readable, 1);
    close_pair(ends);
}
END_TEST

START_TEST(what_can_not_be_watched_is_told_each_time)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* epoll takes no regular file */
    ck_assert_int_ge(fd, 0);
    watch_it(fd);
    ck_assert_int_eq(watch_want(seen.watch, true, false), -1);
    ck_assert_int_eq(watch_want(seen.watch, true, false), -1);
    watch_destroy(&seen.watch);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* ---- the bell of several processes ---- */

static int bell;

static struct {
    _Atomic unsigned heard, is_listening;
} * told;

static void press(void)
{
    const uint64_t one = 1;
    ck_assert_int_eq(write(bell, &one, sizeof one), sizeof one);
}

/* Another process, with a loop of its own, which hears three rings. */
static bool hears_three(void)
{
    turns_begin();
    watch_it(bell);
    if (watch_want_edges(seen.watch) < 0)
        return false;
    told->is_listening++;
    for (unsigned n = 1; n <= 3; n++) {
        UNTIL(seen.readable >= n);
        told->heard++;
    }
    return true;
}

START_TEST(each_process_that_shares_an_eventfd_has_an_edge_for_each_write)
{
    pid_t children[2];
    bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    told = mapping_make(sizeof *told);
    for (int i = 0; i < 2; i++)
        children[i] = child_start(hears_three);
    watch_it(bell);
    ck_assert_int_eq(watch_want_edges(seen.watch), 0);
    while (told->is_listening < 2)
        continue;
    for (unsigned n = 1; n <= 3; n++) {
        press();
        UNTIL(seen.readable >= n);
        while (told->heard < 2 * n)
            continue;
    }
    for (int i = 0; i < 2; i++)
        child_succeeds(children[i]);
    turns_for(5);
    ck_assert_uint_eq(seen.readable, 3); /* an edge, not a level */
    watch_destroy(&seen.watch);
    ck_assert_int_eq(close(bell), 0);
}
END_TEST

START_TEST(who_writes_to_a_shared_eventfd_has_an_edge_too)
{
    bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch_it(bell);
    ck_assert_int_eq(watch_want_edges(seen.watch), 0);
    for (unsigned n = 1; n <= 3; n++) {
        press();
        UNTIL(seen.readable >= n);
    }
    watch_destroy(&seen.watch);
    ck_assert_int_eq(close(bell), 0);
}
END_TEST

/* ---- fork and signals ---- */

static bool forgets_the_loop(void)
{
    loop_forget(&turns.loop);
    return turns.loop == NULL;
}

START_TEST(a_child_that_forgets_the_loop_leaves_its_parents_watches_alone)
{
    int ends[2];
    open_pair(ends);
    watch_it(ends[0]);
    ck_assert_int_eq(watch_want(seen.watch, true, false), 0);
    set(&alarms[0], in_ms(20));
    child_succeeds(child_start(forgets_the_loop));
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    UNTIL(seen.readable > 0);
    UNTIL(alarms[0].rings > 0);
    close_pair(ends);
}
END_TEST

static int caught[2]; /* SIGUSR1, SIGUSR2 */

static void on_signal(void *owner, int signal)
{
    ck_assert_ptr_eq(owner, caught);
    caught[signal == SIGUSR2]++;
}

START_TEST(a_signal_is_told_within_the_loop)
{
    ck_assert_int_eq(loop_on_signal(turns.loop, SIGUSR1, on_signal, caught), 0);
    ck_assert_int_eq(loop_on_signal(turns.loop, SIGUSR2, on_signal, caught), 0);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert_int_eq(caught[0], 0);
    UNTIL(caught[0] == 1);
    ck_assert_int_eq(raise(SIGUSR2), 0);
    UNTIL(caught[1] == 1);
    ck_assert_int_eq(caught[0], 1);
}
END_TEST

/* ---- without memory ---- */

static void make_all(void)
{
    struct error why = {.text = ""};
    struct loop *other = loop_create(&why);
    struct watch *watch = watch_create(turns.loop, STDIN_FILENO, see, NULL);
    struct timeout *timeout = timeout_create(turns.loop, note, NULL);
    int failures = (other == NULL) + (watch == NULL) + (timeout == NULL);
    bool is_told = (other == NULL) == (why.text[0] != '\0');
    timeout_destroy(&timeout);
    watch_destroy(&watch);
    loop_destroy(&other);
    if (failures != failing_has_failed() || !is_told)
        ck_abort_msg("null, and told, without memory alone");
}

START_TEST(without_memory_each_of_them_is_null)
{
    WITH_EACH_ALLOCATION_FAILING(make_all());
}
END_TEST

SUITE(loop)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(a_timeout_comes_once_and_never_early);
    TEST(many_timeouts_come_each_in_its_own_time);
    TEST(a_time_that_has_passed_comes_in_the_next_turn);
    TEST(a_timeout_that_is_moved_later_comes_then);
    TEST(a_timeout_that_is_moved_later_again_and_again_comes_at_the_last_time_alone);
    TEST(a_timeout_that_is_moved_earlier_comes_then);
    TEST(a_timeout_that_was_cleared_does_not_come);
    TEST(a_timeout_that_was_cleared_can_be_set_again);
    TEST(a_timeout_can_be_set_again_within_its_callback);
    TEST(a_timeout_that_sets_itself_for_now_comes_once_a_turn);
    TEST(one_that_is_destroyed_by_another_of_the_same_moment_does_not_come);
    TEST(a_timeout_can_be_destroyed_within_its_callback);
    TEST(a_timeout_cleared_by_another_of_the_same_moment_does_not_come);
    TEST(a_destroyed_timeout_leaves_null_and_does_not_come);
    TEST(the_time_is_read_once_a_turn);
    TEST(the_first_turn_has_a_time_of_its_own);
    TEST(hooks_are_called_at_the_end_of_every_turn);
    TEST(there_is_room_for_eight_hooks);
    TEST(what_is_deferred_is_called_once_at_the_end_of_this_turn);
    TEST(what_is_deferred_when_the_loop_ends_is_called);
    TEST(a_loop_stopped_before_it_runs_does_not_turn);
    TEST(the_scratch_buffers_are_of_the_sizes_that_their_names_say_and_lie_apart);
    TEST(a_thousand_are_adopted_and_no_more);
    TEST(what_is_adopted_goes_before_the_loop);
    TEST(a_watch_waits_for_nothing_at_first);
    TEST(a_watch_sees_what_it_wants_until_it_wants_it_no_more);
    TEST(a_turn_ends_although_there_is_always_something_to_read);
    TEST(a_watch_can_be_destroyed_within_its_callback);
    TEST(what_can_not_be_watched_is_told_each_time);
    TEST(each_process_that_shares_an_eventfd_has_an_edge_for_each_write);
    TEST(who_writes_to_a_shared_eventfd_has_an_edge_too);
    TEST(a_child_that_forgets_the_loop_leaves_its_parents_watches_alone);
    TEST(a_signal_is_told_within_the_loop);
    TEST(without_memory_each_of_them_is_null);
}
