#include "base/arena.h"

#include "support/test.h"

#include <stdalign.h>

static bool is_filled(const unsigned char *bytes, size_t size, unsigned char with)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != with)
            return false;
    return true;
}

/* As ck_assert, which itself allocates: for what runs while an allocation is to fail. */
static void must(bool is_kept, const char *promise)
{
    if (!is_kept)
        ck_abort_msg("%s", promise);
}

START_TEST(memory_is_zeroed_aligned_and_nobody_elses)
{
    enum { PIECES = 200 };
    static const size_t sizes[] = {1, 2, 3, 7, 8, 15, 16, 17, 100, 1000, 4095, 4096, 4097, 9000};
    struct arena *a = arena_create(1000000);
    unsigned char *pieces[PIECES];
    for (int i = 0; i < PIECES; i++) {
        size_t size = sizes[i % (int)(sizeof sizes / sizeof *sizes)];
        pieces[i] = arena_alloc(a, size);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        ck_assert(is_filled(pieces[i], size, 0));
        memset(pieces[i], i + 1, size);
    }
    for (int i = 0; i < PIECES; i++)
        ck_assert(is_filled(pieces[i], sizes[i % (int)(sizeof sizes / sizeof *sizes)],
                            (unsigned char)(i + 1)));
    arena_destroy(&a);
}
END_TEST

START_TEST(the_limit_can_be_used_up_and_not_passed)
{
    struct arena *a = arena_create(100);
    ck_assert_ptr_nonnull(arena_alloc(a, 60));
    ck_assert_ptr_null(arena_alloc(a, 41));
    ck_assert_ptr_nonnull(arena_alloc(a, 40));
    ck_assert_ptr_null(arena_alloc(a, 1));
    arena_destroy(&a);
}
END_TEST

START_TEST(no_size_is_too_large_to_be_refused)
{
    struct arena *a = arena_create(SIZE_MAX);
    bool is_refused = true;
    for (size_t less = 0; less < 128; less++)
        is_refused = is_refused && arena_alloc(a, SIZE_MAX - less) == NULL;
    arena_destroy(&a);
    ck_assert(is_refused);
}
END_TEST

START_TEST(a_reset_gives_back_all_that_was_taken)
{
    struct arena *a = arena_create(10000);
    for (int round = 0; round < 3; round++) {
        ck_assert_ptr_nonnull(arena_alloc(a, 5000));
        ck_assert_ptr_nonnull(arena_alloc(a, 5000));
        ck_assert_ptr_null(arena_alloc(a, 1));
        arena_reset(a);
    }
    arena_destroy(&a);
}
END_TEST

START_TEST(memory_after_a_reset_is_zeroed_again)
{
    struct arena *a = arena_create(100000);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            unsigned char *piece = arena_alloc(a, 1000);
            ck_assert(is_filled(piece, 1000, 0));
            memset(piece, 0xaa, 1000);
        }
        arena_reset(a);
    }
    arena_destroy(&a);
}
END_TEST

START_TEST(an_arena_that_was_never_used_can_be_reset)
{
    struct arena *a = arena_create(100);
    arena_reset(a);
    ck_assert_ptr_nonnull(arena_alloc(a, 100));
    arena_destroy(&a);
}
END_TEST

START_TEST(a_copy_is_closed_and_its_own)
{
    struct arena *a = arena_create(100);
    char text[] = {'a', 'b', 'c', 'd'};
    char *copy = arena_copy(a, span_make(text, 3));
    text[0] = 'x';
    ck_assert_str_eq(copy, "abc");
    ck_assert_str_eq(arena_copy(a, span_make(NULL, 0)), "");
    arena_destroy(&a);
}
END_TEST

START_TEST(a_copy_past_the_limit_is_null)
{
    struct arena *a = arena_create(8);
    ck_assert_ptr_null(arena_copy(a, span_of("too long for it")));
    ck_assert_str_eq(arena_copy(a, span_of("short")), "short");
    arena_destroy(&a);
}
END_TEST

START_TEST(a_formatted_text_of_any_length_is_whole)
{
    struct arena *a = arena_create(20000);
    ck_assert_str_eq(arena_printf(a, "%s:%d", "porteiro.conf", 31), "porteiro.conf:31");
    const char *text = arena_printf(a, "%*s", 10000, "x");
    ck_assert_uint_eq(strlen(text), 10000);
    ck_assert_int_eq(text[9999], 'x');
    arena_destroy(&a);
}
END_TEST

START_TEST(a_formatted_text_past_the_limit_is_null)
{
    struct arena *a = arena_create(8);
    ck_assert_ptr_null(arena_printf(a, "%s", "too long for it"));
    ck_assert_str_eq(arena_printf(a, "%s", "short"), "short");
    arena_destroy(&a);
}
END_TEST

START_TEST(destroying_leaves_null)
{
    struct arena *a = arena_create(100);
    arena_destroy(&a);
    ck_assert_ptr_null(a);
    arena_destroy(&a);
}
END_TEST

static void take_what_memory_there_is(void)
{
    struct arena *a = arena_create(20000);
    must((a == NULL) == failing_has_failed(), "no arena without memory alone");
    if (a == NULL)
        return;
    unsigned char *first = arena_alloc(a, 3000);
    if (first != NULL)
        memset(first, 1, 3000);
    unsigned char *second = arena_alloc(a, 5000);
    char *copy = second == NULL ? NULL : arena_copy(a, span_of("copy"));
    bool has_all = first != NULL && second != NULL && copy != NULL;
    must(has_all == !failing_has_failed(), "null without memory alone");
    must(first == NULL || is_filled(first, 3000, 1), "what was taken stays");
    if (failing_has_failed()) {
        size_t taken = first == NULL ? 0 : 3000;
        taken += second == NULL ? 0 : 5000;
        taken += copy == NULL ? 0 : sizeof "copy";
        must(arena_alloc(a, 20000 - taken) != NULL, "what failed does not count");
    }
    arena_destroy(&a);
}

START_TEST(an_allocation_that_fails_takes_nothing_from_the_arena)
{
    WITH_EACH_ALLOCATION_FAILING(take_what_memory_there_is());
}
END_TEST

static void print_what_memory_there_is(void)
{
    struct arena *a = arena_create(20000);
    const char *text = a == NULL ? NULL : arena_printf(a, "%*s", 5000, "x");
    must((text == NULL) == failing_has_failed(), "null without memory alone");
    must(text == NULL || strlen(text) == 5000, "a text is whole");
    must(a == NULL || !failing_has_failed() || arena_printf(a, "%*s", 5000, "x") != NULL,
         "usable after it");
    arena_destroy(&a);
}

START_TEST(a_formatted_text_that_finds_no_memory_is_null)
{
    WITH_EACH_ALLOCATION_FAILING(print_what_memory_there_is());
}
END_TEST

SUITE(arena)
{
    TEST(memory_is_zeroed_aligned_and_nobody_elses);
    TEST(the_limit_can_be_used_up_and_not_passed);
    TEST(no_size_is_too_large_to_be_refused);
    TEST(a_reset_gives_back_all_that_was_taken);
    TEST(memory_after_a_reset_is_zeroed_again);
    TEST(an_arena_that_was_never_used_can_be_reset);
    TEST(a_copy_is_closed_and_its_own);
    TEST(a_copy_past_the_limit_is_null);
    TEST(a_formatted_text_of_any_length_is_whole);
    TEST(a_formatted_text_past_the_limit_is_null);
    TEST(destroying_leaves_null);
    TEST(an_allocation_that_fails_takes_nothing_from_the_arena);
    TEST(a_formatted_text_that_finds_no_memory_is_null);
}
