#include "net/tls_memory.h"

#include "support/test.h"

#include <stdbool.h>
#include <stdint.h>

enum { READING = 16712, WRITING = 16584, MANY = 200 }; /* what a record's buffers take */

static void *take(size_t size)
{
    return tls_memory_take(size, __FILE__, __LINE__);
}

static void *resize(void *at, size_t size)
{
    return tls_memory_resize(at, size, __FILE__, __LINE__);
}

static void give_back(void *at)
{
    tls_memory_give_back(at, __FILE__, __LINE__);
}

static unsigned char *filled(size_t size, int byte)
{
    unsigned char *at = take(size);
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq((uintptr_t)at % 16, 0);
    return memset(at, byte, size);
}

static bool is_filled(const unsigned char *at, size_t size, int byte)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != (unsigned char)byte)
            return false;
    return true;
}

START_TEST(the_buffer_given_back_last_is_taken_next)
{
    void *reading = take(READING), *writing = take(WRITING);
    ck_assert_ptr_ne(reading, writing);
    give_back(reading);
    give_back(writing);
    ck_assert_ptr_eq(take(READING), writing);
    ck_assert_ptr_eq(take(WRITING), reading);
    give_back(writing);
    give_back(reading);
}
END_TEST

START_TEST(buffers_without_number_are_each_their_own)
{
    unsigned char *all[MANY];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++)
            all[i] = filled(i % 3 == 0 ? READING : WRITING, i + round);
        for (int i = 0; i < MANY; i++)
            ck_assert_msg(is_filled(all[i], WRITING, i + round), "buffer %d", i);
        for (int i = 0; i < MANY; i++)
            give_back(all[i * 7 % MANY]);
    }
}
END_TEST

START_TEST(what_grows_or_shrinks_keeps_its_bytes)
{
    static const size_t sizes[] = {10, READING, 100000, WRITING, READING, 20, 16384, 16383, 17000};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (size_t i = 0; i < SIZES; i++)
        for (size_t j = 0; j < SIZES; j++) {
            size_t least = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
            unsigned char *at = resize(filled(sizes[i], 'x'), sizes[j]);
            ck_assert_ptr_nonnull(at);
            ck_assert_msg(is_filled(at, least, 'x'), "%zu to %zu", sizes[i], sizes[j]);
            memset(at, 'y', sizes[j]);
            give_back(at);
        }
    ck_assert_ptr_null(resize(filled(READING, 'x'), 0));
    give_back(NULL);
}
END_TEST

SUITE(tls_memory)
{
    TEST(the_buffer_given_back_last_is_taken_next);
    TEST(buffers_without_number_are_each_their_own);
    TEST(what_grows_or_shrinks_keeps_its_bytes);
}
