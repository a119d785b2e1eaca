/* porteirod -t --live: what the servers behind really do. */
#pragma once

#include "process/prepare.h"

/* Asks them, as the user of the workers, and prints what they do to standard output. Returns 0, or
 * -1: one of them can't serve as it is configured, or nothing could be asked (then standard error
 * says why). */
int live_run(const struct prepared *p);
