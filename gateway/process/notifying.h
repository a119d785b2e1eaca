/* The helper's part of notify: runs the commands as control asks, with what they are told on their
 * standard input, and logs how they end. */
#pragma once

#include "config/config.h"
#include "net/loop.h"
#include "telemetry/event.h"

struct notifying;

struct notifying_options {
    struct loop *loop;
    const struct config *config;
    const struct event_log *log;
    loop_fn *on_rest; /* the last one that ran has ended */
    void *owner;
};

/* Out of memory ends the program. */
struct notifying *notifying_create(const struct notifying_options *options);

/* Kills what still runs. */
void notifying_destroy(struct notifying **n);

/* Takes over the way to control, or to the one that was started in its place. */
void notifying_set_control(struct notifying *n, int fd);

/* Does any command run? */
bool notifying_is_busy(const struct notifying *n);
