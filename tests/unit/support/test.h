/* How the unit tests are written: START_TEST(a_promise) ... END_TEST, and one list of them:
 *
 *     SUITE(span)
 *     {
 *         TEST(a_promise);
 *     }
 */
#pragma once

#include "support/failing.h"

#include <check.h>

typedef void suite_fn(TCase *tests);

/* Called before main by SUITE. */
void suite_register(const char *name, suite_fn *add);

#define SUITE(name)                                                \
    static void add_##name(TCase *tests);                          \
    __attribute__((constructor)) static void register_##name(void) \
    {                                                              \
        suite_register(#name, add_##name);                         \
    }                                                              \
    static void add_##name(TCase *tests)

#define TEST(name) tcase_add_test(tests, name)
#define LOOP_TEST(name, cases) \
    tcase_add_loop_test(tests, name, 0, (int)(sizeof(cases) / sizeof *(cases)))

/* For what is asked a million times: Check's own make a system call each, also where they hold. */
#define ASSERT_OFTEN(holds, ...)       \
    do {                               \
        if (!(holds))                  \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)
