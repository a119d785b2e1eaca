#include "policy/limit/hyperloglog.h"

#include "support/test.h"

static unsigned char sketch[HYPERLOGLOG_SIZE];

/* splitmix64: what a good hash of 0, 1, 2 ... looks like. */
static uint64_t hash_of(uint64_t n)
{
    uint64_t z = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t count_of(uint64_t from, uint64_t n)
{
    memset(sketch, 0, sizeof sketch);
    for (uint64_t i = 0; i < n; i++)
        hyperloglog_add(sketch, hash_of(from + i));
    return hyperloglog_count(sketch);
}

START_TEST(an_empty_one_has_none_and_the_first_is_one)
{
    ck_assert_uint_eq(count_of(0, 0), 0);
    ck_assert_uint_eq(count_of(0, 1), 1);
    hyperloglog_add(sketch, hash_of(0));
    ck_assert_uint_eq(hyperloglog_count(sketch), 1);
}
END_TEST

static const uint64_t sizes[] = {10, 33, 64, 100, 300, 640, 800, 1300, 5000, 100000, 1000000};

START_TEST(the_count_is_right_within_four_standard_errors)
{
    uint64_t n = sizes[_i];
    double sum = 0;
    unsigned rounds = n > 50000 ? 8 : 64;
    for (uint64_t round = 0; round < rounds; round++) {
        double error = ((double)count_of(round << 32, n) - (double)n) / (double)n;
        ck_assert_msg(error > -0.28 && error < 0.28, "%llu: off by %f", (unsigned long long)n,
                      error);
        sum += error;
    }
    ck_assert_msg(sum / rounds > -0.07 && sum / rounds < 0.07, "%llu: biased by %f",
                  (unsigned long long)n, sum / rounds);
}
END_TEST

START_TEST(what_was_added_to_either_is_in_both_together)
{
    unsigned char other[HYPERLOGLOG_SIZE];
    (void)count_of(0, 700);
    memcpy(other, sketch, sizeof other);
    (void)count_of(300, 700);
    hyperloglog_merge(other, sketch);
    (void)count_of(0, 1000);
    ck_assert_mem_eq(other, sketch, sizeof other);
}
END_TEST

START_TEST(any_octets_have_a_count)
{
    for (unsigned octet = 0; octet < 256; octet++) {
        memset(sketch, (int)octet, sizeof sketch);
        ck_assert_uint_le(hyperloglog_count(sketch), UINT64_C(1) << 60);
    }
    hyperloglog_add(sketch, 0);
    hyperloglog_add(sketch, UINT64_MAX);
}
END_TEST

SUITE(hyperloglog)
{
    TEST(an_empty_one_has_none_and_the_first_is_one);
    LOOP_TEST(the_count_is_right_within_four_standard_errors, sizes);
    TEST(what_was_added_to_either_is_in_both_together);
    TEST(any_octets_have_a_count);
}
