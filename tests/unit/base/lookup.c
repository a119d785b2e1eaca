#include "base/lookup.h"

#include "support/failing.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

enum { MANY = 2000 };

static struct lookup_builder *builder;
static struct buffer octets;
static unsigned lines[2];

static void begin(void)
{
    builder = lookup_builder_create();
    ck_assert_ptr_nonnull(builder);
    octets = (struct buffer){.limit = 1 << 20};
}

static void end(void)
{
    lookup_builder_destroy(&builder);
    buffer_clear(&octets);
}

static void add(const char *key, const char *value, unsigned line)
{
    ck_assert_int_eq(lookup_add(builder, span_of(key), span_of(value), line), 0);
}

static struct lookup build(void)
{
    ck_assert_int_eq(lookup_build(builder, &octets, lines), 0);
    return (struct lookup){buffer_bytes(&octets).data, octets.size};
}

static void finds(struct lookup l, const char *key, const char *value)
{
    struct span found;
    bool is_there = lookup_find(l, span_of(key), &found);
    ck_assert_msg(is_there == (value != NULL), "%s", key);
    if (value != NULL)
        ck_assert_msg(span_equals(found, value), "%s: %.*s", key, (int)found.size, found.data);
}

START_TEST(each_key_is_found_with_its_value_and_no_other)
{
    for (unsigned i = 0; i < MANY; i++) {
        char key[32], value[32];
        unsigned number = i * 7919 % MANY;              /* in no order */
        (void)snprintf(key, sizeof key, "k%u", number); /* fits */
        (void)snprintf(value, sizeof value, "value %u", number);
        add(key, value, i + 1);
    }
    struct lookup l = build();
    ck_assert(lookup_is_valid(l));
    ck_assert_uint_eq(lookup_count(l), MANY);
    for (unsigned i = 0; i < MANY; i++) {
        char key[32], value[32];
        (void)snprintf(key, sizeof key, "k%u", i); /* fits */
        (void)snprintf(value, sizeof value, "value %u", i);
        finds(l, key, value);
        (void)snprintf(key, sizeof key, "k%ux", i);
        finds(l, key, NULL);
    }
    finds(l, "", NULL);
    finds(l, "K1", NULL);
}
END_TEST

START_TEST(keys_may_have_any_octets_and_begin_one_another)
{
    struct span found;
    ck_assert_int_eq(lookup_add(builder, span_make("a\0b", 3), span_of("nul"), 1), 0);
    add("a", "one", 2);
    add("", "empty", 3);
    add("\xff", "high", 4);
    struct lookup l = build();
    finds(l, "a", "one");
    finds(l, "", "empty");
    finds(l, "\xff", "high");
    ck_assert(lookup_find(l, span_make("a\0b", 3), &found));
    ck_assert(span_equals(found, "nul"));
}
END_TEST

START_TEST(a_key_that_comes_twice_is_told_with_both_lines)
{
    add("b", "1", 1);
    add("a", "2", 2);
    add("b", "3", 7);
    ck_assert_int_eq(lookup_build(builder, &octets, lines), -1);
    ck_assert_uint_eq(lines[0], 1);
    ck_assert_uint_eq(lines[1], 7);
}
END_TEST

START_TEST(patterns_keep_their_order_and_are_not_found_as_keys)
{
    struct span key, value;
    ck_assert_int_eq(lookup_add_pattern(builder, span_of("z*"), span_of("1")), 0);
    ck_assert_int_eq(lookup_add_pattern(builder, span_of("a*"), span_of("2")), 0);
    add("m", "3", 1);
    struct lookup l = build();
    ck_assert_uint_eq(lookup_pattern_count(l), 2);
    lookup_pattern(l, 0, &key, &value);
    ck_assert(span_equals(key, "z*") && span_equals(value, "1"));
    lookup_pattern(l, 1, &key, &value);
    ck_assert(span_equals(key, "a*") && span_equals(value, "2"));
    finds(l, "z*", NULL);
    finds(l, "m", "3");
}
END_TEST

START_TEST(nothing_is_found_in_none)
{
    finds((struct lookup){NULL, 0}, "a", NULL);
    ck_assert_uint_eq(lookup_pattern_count((struct lookup){NULL, 0}), 0);
    ck_assert(!lookup_is_valid((struct lookup){NULL, 0}));
    finds(build(), "a", NULL);
}
END_TEST

/* Whoever has built it may have been taken over: nothing outside is read (ASan watches). */
START_TEST(garbled_octets_lead_nowhere)
{
    add("alpha", "1", 1);
    add("beta", "2", 2);
    ck_assert_int_eq(lookup_add_pattern(builder, span_of("g*"), span_of("3")), 0);
    struct lookup l = build();
    for (size_t size = 0; size <= l.size; size++)
        for (size_t at = 0; at < size; at++) {
            char *copy = malloc(size); /* which ends where it ends */
            struct span key, value;
            memcpy(copy, l.base, size);
            copy[at] = (char)0xff;
            const struct lookup garbled = {copy, size};
            (void)lookup_find(garbled, span_of("beta"), &value); /* whatever it says */
            for (size_t i = 0; i < lookup_pattern_count(garbled) && i < 9; i++)
                lookup_pattern(garbled, i, &key, &value);
            free(copy);
        }
}
END_TEST

static void build_all(void)
{
    struct lookup_builder *b = lookup_builder_create();
    struct buffer out = {.limit = 1000};
    if (b != NULL && lookup_add(b, span_of("key"), span_of("value"), 1) == 0)
        (void)lookup_build(b, &out, lines); /* it may fail */
    lookup_builder_destroy(&b);
    buffer_clear(&out);
}

START_TEST(without_memory_it_fails_and_leaks_nothing)
{
    WITH_EACH_ALLOCATION_FAILING(build_all());
}
END_TEST

SUITE(lookup)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(each_key_is_found_with_its_value_and_no_other);
    TEST(keys_may_have_any_octets_and_begin_one_another);
    TEST(a_key_that_comes_twice_is_told_with_both_lines);
    TEST(patterns_keep_their_order_and_are_not_found_as_keys);
    TEST(nothing_is_found_in_none);
    TEST(garbled_octets_lead_nowhere);
    TEST(without_memory_it_fails_and_leaks_nothing);
}
