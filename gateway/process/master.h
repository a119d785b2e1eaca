/* The master: binds, forks, watches, reloads. It reads no byte from the network. */
#pragma once

#include "process/prepare.h"

/* Runs the gateway in the foreground until it is told to end. Takes over `prepared`, made from
 * `file`, which reloads read again. Returns the exit status. */
int master_run(const char *file, struct prepared *prepared);
