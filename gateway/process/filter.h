/* porteiro-milter's process: one, without a master. Its thread runs the loop, in which everything
 * is decided; libmilter's threads come to the desk. */
#pragma once

#include "process/prepare.h"

/* Serves until it is told to end; takes over `prepared`. Returns the exit status. */
int filter_run(const char *file, struct prepared *prepared);
