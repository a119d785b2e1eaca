/* Makes one allocation of the code under test fail: the first, then the second, and so on. */
#pragma once

#include <stdbool.h>

/* From now on the `n`th allocation (from 1) returns NULL; 0: none does. */
void failing_at(unsigned n);

/* Has the chosen allocation been reached and failed? */
bool failing_has_failed(void);

/* Runs the statement once with each allocation failing in turn, until it runs through with none
 * failing; that last run is a normal one. */
#define WITH_EACH_ALLOCATION_FAILING(statement)                                 \
    for (unsigned failing_n = 1, failing_more = 1; failing_more; failing_n++) { \
        failing_at(failing_n);                                                  \
        statement;                                                              \
        failing_more = failing_has_failed();                                    \
        failing_at(0);                                                          \
    }
