/* A process's ways to the policy servers of the configuration: who asks gets an answer, or hears
 * that there is none, within a time that is given. Connections are kept and used again; one that
 * was found dead at its next use is replaced once. */
#pragma once

#include "config/config.h"
#include "ipc/dialler.h"
#include "telemetry/counters.h"
#include "telemetry/event.h"

struct delegates;
struct delegate_query;

struct delegates_options {
    struct loop *loop;
    const struct config *config;
    struct dialler *dialler;
    const struct event_log *log;
    struct counters *counters;
};

/* NULL without memory. Outlives who asks. */
struct delegates *delegates_create(const struct delegates_options *options);
void delegates_destroy(struct delegates **d);

/* Writes what is asked, when there is somebody to ask; twice, where a connection was replaced.
 * Returns 0, or -1: it doesn't fit. */
typedef int delegate_write_fn(void *owner, struct buffer *out);

/* Called once, by the loop. `action` is what the server has answered, valid during the call; NULL:
 * nothing that could be used, and `why` says why. */
typedef void delegate_answer_fn(void *owner, const struct span *action, const char *why);

/* A question. It lies in its owner, all zero at first. */
struct delegate_query {
    struct delegate_query *next, **previous; /* of those that wait */
    struct delegate_server *server;          /* NULL: nothing is asked */
    struct delegate_link *link;              /* that carries it; NULL: it waits */
    delegate_write_fn *write;
    delegate_answer_fn *fn;
    void *owner;
    int64_t deadline_ns;
    bool is_repeated; /* its first connection was dead */
};

/* Asks the policy server of that place in the configuration; `write`, `fn` and `owner` of the query
 * are filled in. `timeout_ms` is for all of it. */
void delegate_ask(struct delegates *d, struct delegate_query *q, size_t server, int64_t timeout_ms);

/* Counts an answer that was no use to who asked. */
void delegate_count_useless(struct delegates *d);

/* Nobody wants the answer any more. */
void delegate_cancel(struct delegate_query *q);
