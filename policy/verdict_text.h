/* A verdict that refuses, as people are told of it. Pure. */
#pragma once

#include "policy/policy.h"

/* "account-hour: at most 600 recipients in 1h, 100 at once; try again in 3 minutes". Returns `out`.
 */
enum { VERDICT_TEXT_SIZE = 320 };
const char *verdict_text(const struct verdict *v, char out[VERDICT_TEXT_SIZE]);
