#include "net/timeouts.h"

#include "support/test.h"

#include <stdbool.h>

enum { MANY = 500 };

static struct timeout all[MANY];
static struct timeout *top;

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return *seed >> 16;
}

static void add(size_t i, int64_t at_ns)
{
    all[i].armed_ns = at_ns;
    timeouts_add(&top, &all[i]);
}

static void drop(size_t i)
{
    timeouts_remove(&top, &all[i]);
    all[i].armed_ns = 0;
}

/* The least of those that are in; 0: none is. */
static int64_t least(void)
{
    int64_t found = 0;
    for (size_t i = 0; i < MANY; i++)
        if (all[i].armed_ns != 0 && (found == 0 || all[i].armed_ns < found))
            found = all[i].armed_ns;
    return found;
}

static void begin(void)
{
    memset(all, 0, sizeof all);
    top = NULL;
}

START_TEST(the_earliest_is_on_top_whoever_comes_and_goes)
{
    static const uint32_t spreads[] = {3, 100, 60000};
    uint32_t seed = (uint32_t)_i + 1;
    for (int step = 0; step < 20000; step++) {
        size_t i = next_random(&seed) % MANY;
        bool is_growing = step / 2000 % 2 == 0;
        if (all[i].armed_ns != 0)
            drop(i);
        else if (is_growing || next_random(&seed) % 4 == 0)
            add(i, 1 + next_random(&seed) % spreads[_i]);
        ASSERT_OFTEN((top == NULL ? 0 : top->armed_ns) == least(), "step %d", step);
    }
}
END_TEST

START_TEST(taken_from_the_top_they_come_in_order)
{
    uint32_t seed = 1;
    int64_t last = 0;
    for (size_t i = 0; i < MANY; i++)
        add(i, 1 + next_random(&seed));
    for (size_t n = 0; n < MANY; n++) {
        ck_assert_int_ge(top->armed_ns, last);
        last = top->armed_ns;
        drop((size_t)(top - all));
    }
    ck_assert_ptr_null(top);
}
END_TEST

SUITE(timeouts)
{
    tcase_add_checked_fixture(tests, begin, NULL);
    tcase_add_loop_test(tests, the_earliest_is_on_top_whoever_comes_and_goes, 0, 3);
    TEST(taken_from_the_top_they_come_in_order);
}
