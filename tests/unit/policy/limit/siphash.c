#include "policy/limit/siphash.h"

#include "support/test.h"

/* The key, 00 01 .. 0f, and the input, 00 01 .., of the authors; the results are OpenSSL's too. */
static const struct {
    size_t size;
    uint64_t hash[2];
} known[] = {
    {0, {UINT64_C(0xe6a825ba047f81a3), UINT64_C(0x930255c71472f66d)}},
    {8, {UINT64_C(0x61f55862baa9623b), UINT64_C(0xb49714f364e2830f)}},
    {63, {UINT64_C(0x4a83502f77d15051), UINT64_C(0x7cbd3f979a063e50)}},
    {14, {UINT64_C(0x9cded766aceffc31), UINT64_C(0x024949e45f48c77e)}},
};

START_TEST(it_is_the_hash_that_its_authors_published)
{
    static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    char bytes[64];
    uint64_t hash[2];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    siphash(key, span_make(bytes, known[_i].size), hash);
    ck_assert_uint_eq(hash[0], known[_i].hash[0]);
    ck_assert_uint_eq(hash[1], known[_i].hash[1]);
}
END_TEST

SUITE(siphash)
{
    LOOP_TEST(it_is_the_hash_that_its_authors_published, known);
}
