/* Who sends most, and the last lines: control hears each line as it writes the log. What it keeps
 * is bounded, and outlives it: a reload or a crash begins with what is there. */
#pragma once

#include "base/network.h"
#include "config/config.h"

#include <jansson.h>

struct folding;
struct history;
struct record_line;
struct witness;

/* What is kept. It lies in a mapping that no process but those of control has: lines tell who has
 * written to whom. Two of them may write for a moment, while one takes over. */
struct witness_memory;

/* About 18 MiB, all zeros at first, used as it fills. */
size_t witness_memory_size(void);

/* The master's, of a control process that has ended. */
void witness_memory_release(struct witness_memory *m, size_t process);

struct witness_options {
    const struct config *config;
    struct witness_memory *memory;
    size_t process; /* this one's slot */
};

/* NULL without memory. */
struct witness *witness_create(const struct witness_options *options);
void witness_destroy(struct witness **w);

/* A line of the log. Less than 2 microseconds. */
void witness_hear(struct witness *w, struct span line);

/* A line and its fields; both are valid during the call. */
typedef void witness_fn(void *owner, const struct record_line *record, struct span line);

/* Who hears of each line that could be read, as well. */
void witness_tell(struct witness *w, witness_fn *fn, void *owner);

/* The last lines, or what commands of notify are still to be told, until they are given back; NULL:
 * another process doesn't let go of them. */
const struct history *witness_take_history(const struct witness *w);
struct folding *witness_take_folding(const struct witness *w);
void witness_give(const struct witness *w);

/* The last lines, while anything is taken. */
const struct history *witness_history(const struct witness *w);

/* The address of the client of a line, "192.0.2.7:4711" or "[2001:db8::1]:4711": without brackets.
 */
struct span client_host(struct span client);

/* By what the client of a line or a row, "192.0.2.7:4711" or "[2001:db8::1]:4711", is counted: its
 * IPv4 address, or the /64 of its IPv6 address. In `client` or in `out`; empty: it is none. */
struct span client_network(struct span client, char out[NETWORK_TEXT_SIZE]);

/* {"by": "account", "last": SECONDS}: an object with the figures since a minute that it names.
 * Returns it, the caller's; or NULL and why. */
json_t *witness_top(const struct witness *w, const json_t *request, struct error *why);
