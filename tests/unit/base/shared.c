#include "base/shared.h"

#include "support/test.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(regions_are_page_aligned_and_do_not_overlap)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 0, 100000, 7};
    struct shared_layout layout = {0};
    size_t page = (size_t)sysconf(_SC_PAGESIZE), end = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t offset = shared_reserve(&layout, sizes[i]);
        ck_assert_uint_eq(offset % page, 0);
        ck_assert_uint_ge(offset, end);
        end = offset + sizes[i];
        ck_assert_uint_ge(layout.size, end);
    }
}
END_TEST

START_TEST(a_mapping_is_all_zeros)
{
    struct shared_layout layout = {0};
    struct error why;
    (void)shared_reserve(&layout, 100000); /* the only region */
    const unsigned char *at = shared_map(&layout, &why);
    ck_assert_ptr_nonnull(at);
    for (size_t i = 0; i < layout.size; i++)
        if (at[i] != 0)
            ck_abort_msg("byte %zu", i);
}
END_TEST

START_TEST(what_a_child_writes_its_parent_reads)
{
    struct shared_layout layout = {0};
    struct error why;
    size_t first = shared_reserve(&layout, 100), second = shared_reserve(&layout, 100);
    char *at = shared_map(&layout, &why);
    ck_assert_ptr_nonnull(at);
    pid_t child = fork();
    if (child == 0) {
        memcpy(at + first, "first", 6);
        memcpy(at + second, "second", 7);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_str_eq(at + first, "first");
    ck_assert_str_eq(at + second, "second");
    ck_assert_int_eq(munmap(at, layout.size), 0);
}
END_TEST

START_TEST(pages_cost_nothing_until_they_are_used)
{
    struct shared_layout layout = {0};
    struct error why;
    size_t size = (size_t)64 << 20;
    (void)shared_reserve(&layout, size); /* the only region */
    char *at = shared_map(&layout, &why);
    ck_assert_ptr_nonnull(at);
    static unsigned char is_resident[(64 << 20) / 4096];
    ck_assert_int_eq(mincore(at, size, is_resident), 0);
    size_t resident = 0;
    for (size_t i = 0; i < size / (size_t)sysconf(_SC_PAGESIZE); i++)
        resident += is_resident[i] & 1;
    ck_assert_uint_eq(resident, 0);
    ck_assert_int_eq(munmap(at, size), 0);
}
END_TEST

START_TEST(a_mapping_that_can_not_be_is_null_and_says_why)
{
    static const size_t sizes[] = {0, SIZE_MAX / 4096 / 2 * 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct shared_layout layout = {0};
        struct error why = {.text = ""};
        (void)shared_reserve(&layout, sizes[i]); /* the only region */
        ck_assert_ptr_null(shared_map(&layout, &why));
        ck_assert_str_ne(why.text, "");
    }
}
END_TEST

SUITE(shared)
{
    TEST(regions_are_page_aligned_and_do_not_overlap);
    TEST(a_mapping_is_all_zeros);
    TEST(what_a_child_writes_its_parent_reads);
    TEST(pages_cost_nothing_until_they_are_used);
    TEST(a_mapping_that_can_not_be_is_null_and_says_why);
}
