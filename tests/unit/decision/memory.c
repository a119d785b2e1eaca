#include "decision/memory.h"

#include "base/clock.h"
#include "base/shared.h"
#include "telemetry/processes.h"

#include "support/store_vectors.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t key[2] = {3, 5};
static struct memory memory;
static struct counter_table *counters;

static void begin(void)
{
    struct shared_layout layout = {0};
    struct error why;
    size_t at = shared_reserve(&layout, memory_size());
    size_t counted = shared_reserve(&layout, counter_table_size());
    char *base = shared_map(&layout, &why);
    ck_assert_ptr_nonnull(base);
    counters = (void *)(base + counted);
    memory = memory_open((void *)(base + at), key, 0, counters_create(counters));
}

static void end(void)
{
    counters_destroy(&memory.counters);
}

static int64_t failures(void)
{
    counters_flush(memory.counters);
    return counter_read(counters, COUNTER_limit_failures, 0);
}

static char text[32];

static struct counter_take rate(unsigned long n, int64_t burst)
{
    int size = snprintf(text, sizeof text, "hour %lu", n); /* fits */
    return (struct counter_take){.kind = COUNTER_RATE,
                                 .needs = STORE_NO_GROUP,
                                 .key = span_make(text, (size_t)size),
                                 .rate = {VECTOR_HOUR, burst * VECTOR_HOUR, 0}};
}

static bool passes(unsigned long n, int64_t burst)
{
    const struct counter_take t = rate(n, burst);
    struct counter_answer a;
    ck_assert_int_eq(memory_take(&memory, &t, 1, &a), 0);
    return a.is_taken;
}

/* ---- as a store ---- */

static void take(const struct counter_take *takes, size_t count, struct counter_answer *answers)
{
    ck_assert_int_eq(memory_take(&memory, takes, count, answers), 0);
}

static void settle(const struct counter_settle *settles, size_t count)
{
    ck_assert_int_eq(memory_settle(&memory, settles, count), 0);
}

static void advance(int64_t us)
{
    (void)usleep((useconds_t)us); /* what is awaited is the clock itself */
}

START_TEST(it_answers_as_every_store_does)
{
    static const struct store_driver driver = {take, settle, advance};
    store_vectors_run(&driver);
    ck_assert_int_eq(failures(), 0);
}
END_TEST

START_TEST(its_clock_is_the_wall_clock_in_microseconds)
{
    const struct counter_take t = rate(1, 1);
    struct counter_answer a;
    int64_t before = clock_wall_ns() / 1000;
    take(&t, 1, &a);
    ck_assert_int_ge(a.now_us, before);
    ck_assert_int_le(a.now_us, clock_wall_ns() / 1000);
}
END_TEST

START_TEST(a_thousand_takes_are_one_call)
{
    static struct counter_take takes[STORE_TAKES_MAX];
    static struct counter_answer answers[STORE_TAKES_MAX];
    static char keys[STORE_TAKES_MAX][STORE_KEY_MAX];
    for (size_t i = 0; i < STORE_TAKES_MAX; i++) {
        memset(keys[i], 'x', sizeof keys[i]);
        (void)snprintf(keys[i], 10, "%zu", i); /* fits */
        takes[i] = rate(0, 1);
        takes[i].group = (uint16_t)(i / 4);
        takes[i].key = span_make(keys[i], sizeof keys[i]);
    }
    take(takes, STORE_TAKES_MAX, answers);
    for (size_t i = 0; i < STORE_TAKES_MAX; i++)
        ck_assert(answers[i].is_taken);
    take(takes, STORE_TAKES_MAX, answers);
    for (size_t i = 0; i < STORE_TAKES_MAX; i++)
        ck_assert(answers[i].is_refusing);
}
END_TEST

START_TEST(leases_of_the_dead_are_given_back_by_their_names)
{
    struct counter_take t = {.kind = COUNTER_AT_ONCE,
                             .needs = STORE_NO_GROUP,
                             .key = span_of("sessions ana"),
                             .at_once = {1, 1, 120 * VECTOR_HOUR / 3600}};
    struct counter_answer a;
    struct table_name name;
    memory_name(&memory, &t, &name);
    take(&t, 1, &a);
    ck_assert(a.is_taken);
    take(&t, 1, &a);
    ck_assert(a.is_refusing);
    ck_assert_int_eq(memory_release(&memory, &name, 1), 0);
    take(&t, 1, &a);
    ck_assert(a.is_taken);
}
END_TEST

START_TEST(a_rules_slot_that_is_cleared_is_empty)
{
    for (unsigned long i = 0; i < 500; i++)
        ck_assert(passes(i, 1));
    ck_assert_int_eq(memory_clear(&memory, 1), 0);
    ck_assert(!passes(7, 1));
    ck_assert_int_eq(memory_clear(&memory, 0), 0);
    for (unsigned long i = 0; i < 500; i++)
        ck_assert(passes(i, 1));
}
END_TEST

/* ---- held by others ---- */

/* Stays in the middle of reading a shard out, with that shard held. */
static void stay(void *owner, const struct table_row *row)
{
    (void)row;
    ck_assert_int_eq(write(*(int *)owner, "", 1), 1);
    for (;;)
        (void)pause();
}

/* A process in `slot` that holds the shard of "hour 1", until it is killed. */
static pid_t holder(size_t slot)
{
    const struct counter_take t = rate(1, 2);
    struct table_name name;
    int ready[2];
    char byte;
    memory_name(&memory, &t, &name);
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        memory.slot = slot;
        (void)memory_each(&memory, name.shard, stay, &ready[1]); /* never ends */
        _exit(1);
    }
    (void)close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]); /* was only read */
    return pid;
}

static void end_process(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(a_shard_that_is_held_is_an_answer_that_is_not_there_and_counted)
{
    struct counter_take t = rate(1, 2);
    struct counter_answer a;
    t.key = span_of("hour 1"); /* `text` is written over */
    ck_assert(passes(1, 2));
    pid_t pid = holder(7);
    int64_t before = clock_monotonic_ns();
    ck_assert_int_eq(memory_take(&memory, &t, 1, &a), -1);
    ck_assert_int_ge(clock_monotonic_ns() - before, MEMORY_WAIT_MS * CLOCK_MS);
    ck_assert_int_eq(failures(), 1);
    ck_assert(passes(2, 2) || passes(3, 2)); /* other shards are nobody's trouble */
    end_process(pid);
    ck_assert_int_eq(memory_take(&memory, &t, 1, &a), -1); /* until it has been reaped */
    memory_free(memory.region, 6);
    ck_assert_int_eq(memory_take(&memory, &t, 1, &a), -1); /* that was another's */
    memory_free(memory.region, 7);
    ck_assert(passes(1, 2));
    ck_assert(!passes(1, 2));
    ck_assert_int_eq(failures(), 3);
}
END_TEST

START_TEST(what_could_not_be_held_together_is_not_held)
{
    struct counter_take takes[64];
    static char keys[64][32];
    struct counter_answer answers[64];
    ck_assert(passes(1, 2));
    for (size_t i = 0; i < 64; i++) {
        takes[i] = rate(i + 1, 2);
        takes[i].group = (uint16_t)i;
        memcpy(keys[i], text, sizeof text);
        takes[i].key.data = keys[i];
    }
    pid_t pid = holder(7);
    ck_assert_int_eq(memory_take(&memory, takes, 64, answers), -1);
    end_process(pid);
    memory_free(memory.region, 7);
    take(takes, 64, answers);
    for (size_t i = 0; i < 64; i++)
        ck_assert(answers[i].is_taken);
}
END_TEST

START_TEST(a_word_that_names_no_process_holds_nobody_up)
{
    ck_assert(passes(1, 2));
    memset(memory.region, 0xff, (size_t)64 * TABLE_SHARDS);
    ck_assert(passes(1, 2));
    ck_assert_int_eq(failures(), 0);
}
END_TEST

/* ---- killed ---- */

enum { WORKERS = 3, KEYS = 300, BURST = 40, KILLS = 400 };

/* What the workers know to have taken. */
static _Atomic uint32_t *taken;

static uint32_t random_below(uint32_t *seed, uint32_t below)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return (*seed >> 8) % below;
}

/* Takes, adds, gives back nothing, as fast as it can: until it is killed. */
static void work(size_t slot, uint32_t seed)
{
    memory.slot = slot;
    memory.counters = NULL; /* the test's */
    for (;;) {
        uint32_t n = random_below(&seed, KEYS);
        char keys[3][32];
        struct counter_answer answers[3];
        struct counter_take takes[3] = {rate(n, BURST), rate(seed, 1), rate(seed, 1)};
        takes[1].slot = 1; /* keys that nobody comes to again: they push one another out */
        takes[1].group = 1;
        takes[2] = (struct counter_take){.kind = COUNTER_AT_ONCE,
                                         .group = 2,
                                         .needs = STORE_NO_GROUP,
                                         .slot = 2,
                                         .at_once = {1000000, 1, VECTOR_HOUR}};
        for (size_t i = 0; i < 3; i++)
            takes[i].key = span_make(
                keys[i], (size_t)snprintf(keys[i], 32, "%zu %u", i, i == 1 ? seed : n)); /* fits */
        if (memory_take(&memory, takes, 3, answers) == 0 && answers[0].is_taken)
            atomic_fetch_add(&taken[n], 1);
        const struct counter_settle settles[] = {
            {SETTLE_RELEASE, COUNTER_AT_ONCE, 2, takes[2].key, .at_once = {1, VECTOR_HOUR}},
            {SETTLE_ADD, COUNTER_DISTINCT, 3, takes[0].key, .distinct = {seed % 100, VECTOR_HOUR}},
            {SETTLE_COUNT, COUNTER_RATIO, 4, takes[0].key, .ratio = {1, 1, VECTOR_HOUR}},
        };
        (void)memory_settle(&memory, settles, 3); /* as many as can be */
    }
}

static pid_t start(size_t slot, uint32_t seed)
{
    pid_t pid = fork();
    if (pid == 0)
        work(slot, seed);
    return pid;
}

/* Those of the first rule, once the workers are gone. */
static void check_taken(unsigned long kills)
{
    unsigned long all = 0;
    for (unsigned long n = 0; n < KEYS; n++) {
        struct counter_take t = rate(0, BURST);
        char name[32];
        struct counter_answer a;
        t.key = span_make(name, (size_t)snprintf(name, sizeof name, "0 %lu", n)); /* fits */
        while (take(&t, 1, &a), a.is_taken)
            atomic_fetch_add(&taken[n], 1);
        ck_assert_msg(taken[n] <= BURST, "key %lu: %u", n, taken[n]);
        all += taken[n];
    }
    ck_assert_uint_ge(all + kills, (unsigned long)KEYS * BURST); /* a kill hides one at most */
    for (unsigned long n = 0; n < 20000; n++) { /* nothing was left in anybody's way */
        struct counter_take t = rate(1000000 + n, 1);
        struct counter_answer a;
        t.slot = 1;
        take(&t, 1, &a);
        ck_assert(a.is_taken);
    }
}

START_TEST(processes_that_are_killed_at_any_moment_hurt_nobody)
{
    pid_t pids[WORKERS];
    uint32_t seed = 1;
    taken =
        mmap(NULL, KEYS * sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(taken, MAP_FAILED);
    memory.table.cells = 60; /* so that much is pushed out and mended */
    memory.table.blocks = 6;
    for (size_t i = 0; i < WORKERS; i++)
        pids[i] = start(i + 1, (uint32_t)i);
    for (uint32_t kills = 0; kills < KILLS; kills++) {
        size_t i = random_below(&seed, WORKERS);
        (void)usleep(random_below(&seed, 4000)); /* any moment */
        end_process(pids[i]);
        memory_free(memory.region, i + 1);
        pids[i] = start(i + 1, kills + 10);
    }
    for (size_t i = 0; i < WORKERS; i++) {
        end_process(pids[i]);
        memory_free(memory.region, i + 1);
    }
    check_taken(KILLS + WORKERS);
    ck_assert_int_eq(failures(), 0);
    struct table_usage u;
    table_usage(&memory.table, 1, &u);
    ck_assert_uint_gt(u.evictions, 1000);
}
END_TEST

/* ---- the clock ---- */

START_TEST(the_clock_of_the_counters_goes_on_where_that_of_the_wall_is_set_back)
{
    const int64_t hour = 3600 * INT64_C(1000000);
    int64_t before = clock_wall_ns() / 1000;
    ck_assert_int_ge(memory_now_us(&memory), before);
    memory_not_before(&memory, before + 2 * hour);
    int64_t now = memory_now_us(&memory);
    ck_assert_int_ge(now, before + 2 * hour);
    ck_assert_int_lt(now, before + 3 * hour);
    ck_assert_int_ge(memory_now_us(&memory), now);
    memory_not_before(&memory, before);
    ck_assert_int_ge(memory_now_us(&memory), now);
}
END_TEST

START_TEST(what_can_be_no_time_is_none)
{
    static const int64_t spoiled[] = {INT64_MAX, INT64_MIN, -1};
    int64_t before = clock_wall_ns() / 1000;
    for (size_t i = 0; i < sizeof spoiled / sizeof *spoiled; i++) {
        memory_not_before(&memory, spoiled[i]);
        ck_assert_int_ge(memory_now_us(&memory), before);
        ck_assert_int_lt(memory_now_us(&memory), before + 60 * INT64_C(1000000));
    }
}
END_TEST

SUITE(memory)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(it_answers_as_every_store_does);
    TEST(its_clock_is_the_wall_clock_in_microseconds);
    TEST(a_thousand_takes_are_one_call);
    TEST(leases_of_the_dead_are_given_back_by_their_names);
    TEST(a_rules_slot_that_is_cleared_is_empty);
    TEST(a_shard_that_is_held_is_an_answer_that_is_not_there_and_counted);
    TEST(what_could_not_be_held_together_is_not_held);
    TEST(a_word_that_names_no_process_holds_nobody_up);
    TEST(processes_that_are_killed_at_any_moment_hurt_nobody);
    TEST(the_clock_of_the_counters_goes_on_where_that_of_the_wall_is_set_back);
    TEST(what_can_be_no_time_is_none);
}
