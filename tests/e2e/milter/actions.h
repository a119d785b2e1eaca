/* What the filter can do at a stage, by the name that a script gives it. */
#ifndef E2E_MILTER_ACTIONS_H
#define E2E_MILTER_ACTIONS_H

#include "script.h"

#include <libmilter/mfapi.h>

enum { ACTION_GOES_ON = -1 };

/* Returns the answer (SMFIS_...) that the line gives, or ACTION_GOES_ON: it was no answer. What
 * libmilter refuses to do, and a name that there isn't, end the program with a word. */
int action_run(SMFICTX *ctx, const struct script_line *line);

#endif
