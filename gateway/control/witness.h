/* Who sends most, and the last lines: control hears each line as it writes the log. What it keeps
 * is bounded, lies in memory, and begins anew with each control process. */
#pragma once

#include "base/network.h"
#include "config/config.h"

#include <jansson.h>

struct history;
struct witness;

/* NULL without memory. */
struct witness *witness_create(const struct config *config);
void witness_destroy(struct witness **w);

/* A line of the log. Less than 2 microseconds. */
void witness_hear(struct witness *w, struct span line);

/* The last lines. */
const struct history *witness_history(const struct witness *w);

/* By what the client of a line or a row, "192.0.2.7:4711" or "[2001:db8::1]:4711", is counted: its
 * IPv4 address, or the /64 of its IPv6 address. In `client` or in `out`; empty: it is none. */
struct span client_network(struct span client, char out[NETWORK_TEXT_SIZE]);

/* {"by": "account", "last": SECONDS}: an object with the figures since a minute that it names.
 * Returns it, the caller's; or NULL and why. */
json_t *witness_top(const struct witness *w, const json_t *request, struct error *why);
