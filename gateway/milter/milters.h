/* The milters of a worker: connections kept for use again, and how each of them fares. */
#pragma once

#include "milter/link.h"

struct milters;
struct config;
struct counters;
struct event_log;
struct spools;

struct milters_options {
    struct loop *loop;
    const struct config *config;
    struct dialler *dialler;
    struct spools *spools; /* for bodies that filters put in place of others */
    const struct event_log *log;
    struct counters *counters;
};

/* NULL without memory. Chains are gone before it is. */
struct milters *milters_create(const struct milters_options *options);
void milters_destroy(struct milters **milters);

const struct milters_options *milters_options(const struct milters *m);

/* A number that names a client of a chain, and nobody else. */
uint64_t milters_new_whom(struct milters *m);

/* A connection: one that has been told of `whom`, else one that takes another client, else a new
 * one. What it was told its memory says; `*is_kept`: it was used before, and may be found dead.
 * NULL and why: it can't be had. */
struct milter_link *milters_take(struct milters *m, const struct milter_config *which,
                                 uint64_t whom, bool *is_kept, milter_link_fn *fn, void *owner,
                                 struct error *why);

/* Keeps it for a while: nothing is under way on it. */
void milters_keep(struct milters *m, const struct milter_config *which, struct milter_link **link);

/* This client is gone. */
void milters_forget(struct milters *m, uint64_t whom);

/* It has failed, or done what it is there for: said once, when that changes. */
void milters_failed(struct milters *m, const struct milter_config *which, const char *reason);
void milters_worked(struct milters *m, const struct milter_config *which);

/* Where frames are put together; empty between two turns. */
struct buffer *milters_scratch(struct milters *m);
