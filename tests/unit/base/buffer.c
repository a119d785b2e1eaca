#include "base/buffer.h"

#include "support/test.h"

#include <stdio.h>

enum { LIMIT = 1000 };

/* The model: bytes in a row, moved down when some are taken from the front. */
struct naive {
    char bytes[LIMIT];
    size_t size;
};

static void naive_consume(struct naive *n, size_t count)
{
    n->size -= count;
    memmove(n->bytes, n->bytes + count, n->size);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return *seed >> 16;
}

static bool holds(const struct buffer *b, const char *bytes, size_t size)
{
    return b->size == size && (size == 0 || memcmp(buffer_bytes(b).data, bytes, size) == 0);
}

/* As ck_assert, which itself allocates: for what runs while an allocation is to fail. */
static void must(bool is_kept, const char *promise)
{
    if (!is_kept)
        ck_abort_msg("%s", promise);
}

START_TEST(what_is_appended_comes_out_in_order_whatever_is_taken_in_between)
{
    struct buffer b = {.limit = LIMIT};
    static struct naive n;
    char piece[LIMIT + 100];
    uint32_t seed = 1;
    for (int step = 0; step < 20000; step++) {
        size_t size = next_random(&seed) % (step % 7 == 0 ? sizeof piece : 60);
        uint32_t deed = next_random(&seed) % 5;
        if (deed <= 1) {
            for (size_t i = 0; i < size; i++)
                piece[i] = (char)next_random(&seed);
            ck_assert_int_eq(buffer_append(&b, span_make(piece, size)),
                             n.size + size <= LIMIT ? 0 : -1);
            if (n.size + size <= LIMIT) {
                memcpy(n.bytes + n.size, piece, size);
                n.size += size;
            }
        } else if (deed == 2 && n.size + 5 < LIMIT) {
            ck_assert_int_eq(buffer_printf(&b, "%05d", step), 0);
            (void)snprintf(piece, sizeof piece, "%05d", step); /* fits */
            memcpy(n.bytes + n.size, piece, 5);
            n.size += 5;
        } else if (deed == 3) {
            size_t count = size < n.size ? size : n.size;
            buffer_consume(&b, count);
            naive_consume(&n, count);
        } else if (step % 100 == 0) {
            buffer_clear(&b);
            n.size = 0;
        }
        ck_assert_msg(holds(&b, n.bytes, n.size), "step %d", step);
        ck_assert_uint_eq(buffer_room(&b), LIMIT - n.size);
    }
    buffer_clear(&b);
}
END_TEST

START_TEST(bytes_up_to_the_limit_are_taken)
{
    struct buffer b = {.limit = 5};
    ck_assert_int_eq(buffer_append(&b, span_of("hello")), 0);
    ck_assert(holds(&b, "hello", 5));
    ck_assert_uint_eq(buffer_room(&b), 0);
    buffer_clear(&b);
}
END_TEST

START_TEST(bytes_past_the_limit_are_refused_as_a_whole)
{
    struct buffer b = {.limit = 5};
    ck_assert_int_eq(buffer_append(&b, span_of("abc")), 0);
    ck_assert_int_eq(buffer_append(&b, span_of("def")), -1);
    ck_assert_int_eq(buffer_printf(&b, "%s", "def"), -1);
    ck_assert(holds(&b, "abc", 3));
    buffer_clear(&b);
}
END_TEST

START_TEST(a_formatted_text_up_to_the_limit_is_taken)
{
    struct buffer b = {.limit = 5};
    ck_assert_int_eq(buffer_printf(&b, "%s", "hello"), 0);
    ck_assert(holds(&b, "hello", 5));
    buffer_clear(&b);
}
END_TEST

START_TEST(a_formatted_text_comes_behind_what_is_there)
{
    struct buffer b = {.limit = 100};
    ck_assert_int_eq(buffer_append(&b, span_of("SIZE ")), 0);
    ck_assert_int_eq(buffer_printf(&b, "%d%s", 42, "K"), 0);
    ck_assert(holds(&b, "SIZE 42K", 8));
    buffer_clear(&b);
}
END_TEST

START_TEST(a_formatted_text_of_any_length_is_whole)
{
    struct buffer b = {.limit = 100000};
    ck_assert_int_eq(buffer_printf(&b, "%*s", 70000, "x"), 0);
    ck_assert_uint_eq(b.size, 70000);
    ck_assert_int_eq(buffer_bytes(&b).data[69999], 'x');
    buffer_clear(&b);
}
END_TEST

START_TEST(appending_nothing_to_a_full_buffer_succeeds)
{
    struct buffer b = {.limit = 3};
    ck_assert_int_eq(buffer_append(&b, span_of("abc")), 0);
    ck_assert_int_eq(buffer_append(&b, span_of("")), 0);
    ck_assert(holds(&b, "abc", 3));
    buffer_clear(&b);
}
END_TEST

START_TEST(no_memory_is_held_when_the_last_byte_is_taken)
{
    struct buffer b = {.limit = 100};
    ck_assert_int_eq(buffer_append(&b, span_of("abc")), 0);
    buffer_consume(&b, 2);
    ck_assert_ptr_nonnull(b.data);
    buffer_consume(&b, 1);
    ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(no_memory_is_held_for_an_empty_text)
{
    struct buffer b = {.limit = 100};
    ck_assert_int_eq(buffer_append(&b, span_of("")), 0);
    ck_assert_ptr_null(b.data);
    ck_assert_int_eq(buffer_printf(&b, "%s", ""), 0);
    bool is_held = b.data != NULL;
    buffer_clear(&b);
    ck_assert(!is_held);
}
END_TEST

START_TEST(clearing_keeps_the_limit_alone)
{
    struct buffer b = {.limit = 100};
    ck_assert_int_eq(buffer_append(&b, span_of("abc")), 0);
    buffer_clear(&b);
    ck_assert_ptr_null(b.data);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_eq(b.limit, 100);
    ck_assert_uint_eq(buffer_bytes(&b).size, 0);
}
END_TEST

static void append_and_append_again(void)
{
    char big[3000];
    memset(big, 'x', sizeof big);
    struct buffer b = {.limit = 10000};
    bool has_first = buffer_append(&b, span_of("first")) == 0;
    must(holds(&b, "first", has_first ? 5 : 0), "nothing or all of the first");
    bool has_big = buffer_append(&b, span_make(big, sizeof big)) == 0;
    must(b.size == (has_first ? 5 : 0) + (has_big ? sizeof big : 0),
         "nothing or all of the second");
    must(!has_first || memcmp(buffer_bytes(&b).data, "first", 5) == 0, "what was there stays");
    must((has_first && has_big) == !failing_has_failed(), "fails without memory alone");
    must(buffer_append(&b, span_of("last")) == 0 || failing_has_failed(), "usable after it");
    buffer_clear(&b);
}

START_TEST(bytes_that_find_no_memory_change_nothing)
{
    WITH_EACH_ALLOCATION_FAILING(append_and_append_again());
}
END_TEST

static void print_and_print_again(void)
{
    struct buffer b = {.limit = 10000};
    bool has_first = buffer_printf(&b, "%s", "first") == 0;
    must(holds(&b, "first", has_first ? 5 : 0), "nothing or all of the first");
    bool has_big = buffer_printf(&b, "%*s", 3000, "x") == 0;
    must(b.size == (has_first ? 5U : 0) + (has_big ? 3000U : 0), "nothing or all of the second");
    must(!has_first || memcmp(buffer_bytes(&b).data, "first", 5) == 0, "what was there stays");
    must((has_first && has_big) == !failing_has_failed(), "fails without memory alone");
    buffer_clear(&b);
}

START_TEST(a_formatted_text_that_finds_no_memory_changes_nothing)
{
    WITH_EACH_ALLOCATION_FAILING(print_and_print_again());
}
END_TEST

SUITE(buffer)
{
    TEST(what_is_appended_comes_out_in_order_whatever_is_taken_in_between);
    TEST(bytes_up_to_the_limit_are_taken);
    TEST(bytes_past_the_limit_are_refused_as_a_whole);
    TEST(a_formatted_text_up_to_the_limit_is_taken);
    TEST(a_formatted_text_comes_behind_what_is_there);
    TEST(a_formatted_text_of_any_length_is_whole);
    TEST(appending_nothing_to_a_full_buffer_succeeds);
    TEST(no_memory_is_held_when_the_last_byte_is_taken);
    TEST(no_memory_is_held_for_an_empty_text);
    TEST(clearing_keeps_the_limit_alone);
    TEST(bytes_that_find_no_memory_change_nothing);
    TEST(a_formatted_text_that_finds_no_memory_changes_nothing);
}
