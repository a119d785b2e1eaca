/* What our programs have in common before they start. */
#pragma once

#include "base/error.h"

/* Descriptors 0 to 2 are open from here on, so that no other becomes one of them. Nobody reads from
 * 0. */
void program_open_streams(void);

/* For errors_each, `is_test` being a bool: with -t all but errors go to standard output, and notes
 * are told too. */
void program_print_finding(void *is_test, enum finding kind, const char *text);
