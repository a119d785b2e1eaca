#include "decision/leases.h"

#include "base/shared.h"

#include "support/test.h"

#include <stdlib.h>

static const uint64_t key[2] = {3, 5};
static struct memory memory;
static char long_key[STORE_KEY_MAX];

static void begin(void)
{
    struct shared_layout layout = {0};
    struct error why;
    size_t at = shared_reserve(&layout, memory_size());
    char *base = shared_map(&layout, &why);
    ck_assert_ptr_nonnull(base);
    memory = memory_open((void *)(base + at), key, 0, NULL);
    memset(long_key, 'x', sizeof long_key);
}

static struct counter_take place(const char *name)
{
    return (struct counter_take){.kind = COUNTER_AT_ONCE,
                                 .needs = STORE_NO_GROUP,
                                 .key = span_of(name),
                                 .at_once = {1, 1, POLICY_LEASE_US}};
}

static bool is_taken(const char *name)
{
    const struct counter_take t = place(name);
    struct counter_answer a;
    ck_assert_int_eq(memory_take(&memory, &t, 1, &a), 0);
    return a.is_taken;
}

static struct receipt in_memory(const char *name, struct receipt *next)
{
    const struct counter_take t = place(name);
    struct receipt r = {.next = next, .kind = COUNTER_AT_ONCE, .key = t.key, .lease = 1};
    ck_assert(is_taken(name));
    memory_name(&memory, &t, &r.name);
    return r;
}

static struct receipt in_redis(struct span name, uint64_t lease, struct receipt *next)
{
    return (struct receipt){
        .next = next, .is_in_redis = true, .kind = COUNTER_AT_ONCE, .key = name, .lease = lease};
}

static struct span text_of(const struct lease_text *t)
{
    return span_make(t->octets, t->size);
}

START_TEST(each_is_given_back_where_it_lies)
{
    struct counter_settle lease;
    struct lease_text held;
    struct receipt rate = {.kind = COUNTER_RATE, .is_in_redis = true, .key = span_of("hour ana")};
    struct receipt a = in_memory("doors 192.0.2.7", &rate);
    struct receipt b = in_redis(span_of("sessions ana"), 4711, &a);
    struct receipt c = in_memory("sessions bob", NULL);
    struct receipt d = in_redis(span_of("doors 192.0.2.8"), UINT64_MAX, &c);
    const struct receipt *const lists[] = {&b, &d};
    leases_write(lists, 2, &held);
    ck_assert(!is_taken("doors 192.0.2.7"));
    struct span rest = leases_release(text_of(&held), &memory);
    ck_assert(is_taken("doors 192.0.2.7"));
    ck_assert(is_taken("sessions bob"));
    ck_assert(leases_next(&rest, &lease));
    ck_assert_int_eq(lease.kind, SETTLE_RELEASE);
    ck_assert_int_eq(lease.of, COUNTER_AT_ONCE);
    ck_assert(span_equals(lease.key, "sessions ana"));
    ck_assert_uint_eq(lease.at_once.lease, 4711);
    ck_assert(leases_next(&rest, &lease));
    ck_assert(span_equals(lease.key, "doors 192.0.2.8"));
    ck_assert_uint_eq(lease.at_once.lease, UINT64_MAX);
    ck_assert(!leases_next(&rest, &lease));
}
END_TEST

START_TEST(what_finds_no_room_is_left_out_and_the_rest_is_whole)
{
    struct counter_settle lease;
    struct lease_text held;
    struct receipt a = in_redis(span_of("sessions ana"), 1, NULL);
    struct receipt b = in_redis(span_make(long_key, sizeof long_key), 2, &a);
    const struct receipt *const lists[] = {&b};
    leases_write(lists, 1, &held);
    struct span rest = leases_release(text_of(&held), &memory);
    ck_assert(leases_next(&rest, &lease));
    ck_assert(span_equals(lease.key, "sessions ana"));
    ck_assert(!leases_next(&rest, &lease));
}
END_TEST

/* A worker that was taken over can write anything: nothing is read behind the end. */
START_TEST(octets_that_say_anything_are_read_to_their_end_alone)
{
    for (unsigned seed = 0; seed < 20000; seed++) {
        char octets[SESSION_HELD_MAX];
        uint32_t state = seed * 2654435761u + 1;
        size_t size = seed % (sizeof octets + 1);
        char *copy = malloc(size + 1);
        struct counter_settle lease;
        ck_assert_ptr_nonnull(copy);
        for (size_t i = 0; i < size; i++) {
            state = state * 1664525 + 1013904223;
            octets[i] = (state >> 28) < 12 ? 0 : (char)(state >> 16);
        }
        memcpy(copy, octets, size);
        struct span rest = leases_release(span_make(copy, size), &memory);
        while (leases_next(&rest, &lease)) {
            ck_assert_uint_le(lease.key.size, STORE_KEY_MAX);
            ck_assert(lease.key.data >= copy && lease.key.data + lease.key.size <= copy + size);
        }
        free(copy);
    }
}
END_TEST

SUITE(leases)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    TEST(each_is_given_back_where_it_lies);
    TEST(what_finds_no_room_is_left_out_and_the_rest_is_whole);
    TEST(octets_that_say_anything_are_read_to_their_end_alone);
}
