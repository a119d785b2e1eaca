#include "control/history.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

static struct history *history;

static void begin(void)
{
    history = calloc(1, history_size());
    ck_assert_ptr_nonnull(history);
    history_begin(history, 1000);
}

static void end(void)
{
    free(history);
}

static size_t count(void)
{
    uint64_t at = 0;
    struct span line;
    size_t lines = 0;
    while (history_next(history, &at, &line))
        lines++;
    return lines;
}

START_TEST(lines_come_back_in_their_order)
{
    static const char *const lines[] = {"one", "", "a longer line, the third", "4"};
    uint64_t at = 0;
    struct span line;
    ck_assert_uint_eq(count(), 0);
    for (size_t i = 0; i < 4; i++)
        history_add(history, span_of(lines[i]), 1001);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(history_next(history, &at, &line));
        ck_assert(span_equals(line, lines[i]));
    }
    ck_assert(!history_next(history, &at, &line));
    history_add(history, span_of("late"), 1002);
    ck_assert(history_next(history, &at, &line) && span_equals(line, "late"));
    ck_assert_int_eq(history_since(history), 1000);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_left_out)
{
    static char line[HISTORY_LINE_MAX + 1];
    history_add(history, span_make(line, sizeof line), 1001);
    ck_assert_uint_eq(count(), 0);
    history_add(history, span_make(line, sizeof line - 1), 1001);
    ck_assert_uint_eq(count(), 1);
}
END_TEST

/* Lines of many lengths, each of which names its number, several times around. */
START_TEST(the_oldest_make_room_and_what_is_there_is_whole)
{
    static char text[HISTORY_LINE_MAX];
    uint32_t seed = (uint32_t)_i + 1;
    uint64_t added = 0, octets = 0;
    while (octets < UINT64_C(3) * HISTORY_SIZE) {
        seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
        size_t size = 8 + (seed >> 16) % (seed >> 31 == 0 ? 500 : HISTORY_LINE_MAX - 8);
        memset(text, (int)(added % 251), size);
        memcpy(text, &added, sizeof added);
        history_add(history, span_make(text, size), (int64_t)(1001 + added / 100));
        added++;
        octets += size;
    }
    uint64_t at = 0, number, kept = 0, first = 0;
    struct span line;
    bool is_whole = true;
    octets = 0;
    while (history_next(history, &at, &line)) {
        memcpy(&number, line.data, sizeof number);
        first = kept == 0 ? number : first;
        is_whole = is_whole && number == first + kept++;
        memset(text, (int)(number % 251), line.size);
        is_whole = is_whole && memcmp(text + sizeof number, line.data + sizeof number,
                                      line.size - sizeof number) == 0;
        octets += line.size;
    }
    ck_assert(is_whole);
    ck_assert_uint_eq(first + kept, added);
    ck_assert_uint_gt(octets, HISTORY_SIZE - 16 * kept - 2 * HISTORY_LINE_MAX);
    ck_assert_int_eq(history_since(history), (int64_t)(1001 + (first - 1) / 100));
}
END_TEST

SUITE(history)
{
    tcase_add_checked_fixture(tests, begin, end);
    TEST(lines_come_back_in_their_order);
    TEST(a_line_that_is_too_long_is_left_out);
    tcase_add_loop_test(tests, the_oldest_make_room_and_what_is_there_is_whole, 0, 3);
}
