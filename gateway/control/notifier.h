/* Tells the commands of notify what happens: hears each line of the log as it passes, folds what
 * repeats itself, and has the helper run the commands. Nothing waits for it. */
#pragma once

#include "base/sealed.h"
#include "config/config.h"
#include "net/loop.h"
#include "policy/record.h"
#include "telemetry/event.h"

struct notifier;
struct witness;

struct notifier_options {
    struct loop *loop;
    const struct config *config;
    const struct event_log *log;
    const struct witness *witness; /* keeps what is folded */
    const struct sealed *contacts; /* NULL: there are none */
};

/* NULL without memory. */
struct notifier *notifier_create(const struct notifier_options *options);
void notifier_destroy(struct notifier **n);

/* A line of the log and its fields: as witness_fn. */
void notifier_hear(void *owner, const struct record_line *record, struct span line);

/* Takes over the way to the helper, or to the one that was started in its place. */
void notifier_set_helper(struct notifier *n, int fd);

/* Another process tells from now on; what is heard here it finds. */
void notifier_retire(struct notifier *n);
