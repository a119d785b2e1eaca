/* Rules that count get their slots, by which counters know them. */
#pragma once

#include "process/limits.h"

/* Those of the configuration, of this generation: rules of the same name in several policies share
 * one. What a slot that is new to a name had, comes to an end. Returns 0, or -1: there are too many
 * names. */
int rules_claim(struct labels *labels, struct limits *limits, struct config *c, unsigned number);
