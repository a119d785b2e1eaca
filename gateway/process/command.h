/* One of the admin's commands while it runs: without a shell, without a descriptor of ours, in a
 * group of processes that ends with it, bounded in time and in what it says. */
#pragma once

#include "base/error.h"
#include "base/span.h"
#include "net/loop.h"

struct command;

struct command_options {
    struct loop *loop;
    const char *line;   /* words, parted by spaces; the first is the program's absolute path */
    struct span input;  /* for its standard input, copied; empty: it finds an end */
    size_t output_max;  /* of its standard output: past it, it is killed */
    int64_t timeout_ns; /* likewise */
};

struct command_result {
    bool is_good;          /* it has ended with status 0 */
    struct span output;    /* only then; overwritten after the call */
    struct span complaint; /* the last line of its standard error; valid during the call */
    const char *reason;    /* else: why not, with the last line of its standard error */
};

typedef void command_fn(void *owner, const struct command_result *result);

/* Starts it; `fn` is called once, from the loop. NULL and why when it can't be started. */
struct command *command_run(const struct command_options *options, command_fn *fn, void *owner,
                            struct error *why);

/* Kills it, with all that it has started; `fn` won't be called. */
void command_stop(struct command **command);
