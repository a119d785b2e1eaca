#include "policy/limit/hyperloglog.h"

#include <stddef.h>

enum { M = HYPERLOGLOG_SIZE, RANK_MAX = HYPERLOGLOG_BITS - 8 + 1 };

void hyperloglog_add(unsigned char sketch[HYPERLOGLOG_SIZE], uint64_t hash)
{
    uint64_t rest = hash >> 8 | UINT64_C(1) << (RANK_MAX - 1);
    unsigned char rank = (unsigned char)(__builtin_ctzll(rest) + 1);
    size_t place = hash % M;
    if (sketch[place] < rank)
        sketch[place] = rank;
}

void hyperloglog_merge(unsigned char into[HYPERLOGLOG_SIZE],
                       const unsigned char from[HYPERLOGLOG_SIZE])
{
    for (size_t i = 0; i < M; i++)
        if (into[i] < from[i])
            into[i] = from[i];
}

/* How many it takes on average until only `empty` of all places are: drawn one by one, the coupon
 * collector's sum. The same as the logarithm of linear counting, without a logarithm. */
static double drawn_until(unsigned empty)
{
    double sum = 0;
    for (unsigned left = M; left > empty; left--)
        sum += (double)M / left;
    return sum;
}

uint64_t hyperloglog_count(const unsigned char sketch[HYPERLOGLOG_SIZE])
{
    const double alpha = 0.7213 / (1 + 1.079 / M); /* for 128 places and more */
    double sum = 0;
    unsigned empty = 0;
    for (size_t i = 0; i < M; i++) {
        unsigned rank = sketch[i] > RANK_MAX ? RANK_MAX : sketch[i];
        empty += rank == 0;
        sum += 1 / (double)(UINT64_C(1) << rank);
    }
    double estimate = alpha * M * M / sum;
    if (estimate <= 2.5 * M && empty > 0)
        estimate = drawn_until(empty);
    return (uint64_t)(estimate + 0.5);
}
