/* Runs every suite that the room's test files registered. */
#include "support/test.h"

#include <stdlib.h>

enum { SUITES_MAX = 64 };

static struct {
    const char *name;
    suite_fn *add;
} suites[SUITES_MAX];
static int count;

void suite_register(const char *name, suite_fn *add)
{
    if (count == SUITES_MAX)
        abort();
    suites[count].name = name;
    suites[count++].add = add;
}

#ifdef PORTEIRO_ASAN
/* Too large a size is refused, as by the real one. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#endif

int main(void)
{
    SRunner *runner = srunner_create(NULL);
    for (int i = 0; i < count; i++) {
        Suite *suite = suite_create(suites[i].name);
        TCase *tests = tcase_create(suites[i].name);
        tcase_set_timeout(tests, 60);
        suites[i].add(tests);
        suite_add_tcase(suite, tests);
        srunner_add_suite(runner, suite);
    }
    srunner_run_all(runner, CK_ENV);
    bool is_good = srunner_ntests_failed(runner) == 0 && srunner_ntests_run(runner) > 0;
    srunner_free(runner);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE; /* a suite that isn't there is no success */
}
