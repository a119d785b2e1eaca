/* Who sends most, as far as the log tells: control hears each line as it writes the log. What it
 * keeps is bounded, lies in memory, and begins anew with each control process. */
#pragma once

#include "config/config.h"

#include <jansson.h>

struct witness;

/* NULL without memory. */
struct witness *witness_create(const struct config *config);
void witness_destroy(struct witness **w);

/* A line of the log. Less than 2 microseconds. */
void witness_hear(struct witness *w, struct span line);

/* {"by": "account", "last": SECONDS}: an object with the figures since a minute that it names.
 * Returns it, the caller's; or NULL and why. */
json_t *witness_top(const struct witness *w, const json_t *request, struct error *why);
