/* The helper: the admin's commands, which no other process runs. */
#pragma once

#include "base/privileges.h"
#include "config/config.h"

#include <stdbool.h>

/* Is there a command to run? */
bool helper_is_needed(const struct config *config);

/* Could `who` (NULL: as we are) run them? What can't be run is added to `errors`. */
void helper_prepare(const struct config *config, const struct identity *who, struct errors *errors);
