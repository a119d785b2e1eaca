/* Writes the log: lines come as datagrams from every process, and go to where the configuration
 * says, those of its level. What can't be written is dropped and counted; nobody waits for it. */
#pragma once

#include "config/config.h"
#include "control/witness.h"
#include "net/loop.h"
#include "telemetry/counters.h"
#include "telemetry/event.h"

struct log_writer;

struct log_writer_options {
    struct loop *loop;
    const struct log_config *config;
    struct counters *counters;
    const struct event_log *log; /* says how many were dropped, once the target takes lines again */
    struct witness *witness;     /* hears each line, whatever its level; NULL: nobody does */
    loop_fn *on_lost; /* syslog has gone away: a new target is wanted; once a second at most */
    void *owner;
};

/* NULL without memory. */
struct log_writer *log_writer_create(const struct log_writer_options *options);

/* Writes what has come so far, and ends. */
void log_writer_destroy(struct log_writer **writer);

/* Takes over the descriptor to write to: a file, standard error's copy, or syslog's socket. */
void log_writer_set_target(struct log_writer *w, int fd);

/* Takes over a descriptor that lines come from. */
void log_writer_add(struct log_writer *w, int fd);
