/* Questions of one moment to others than the store: all are asked together, and there is one answer
 * to all of them, when the last has come or its time is over. */
#pragma once

#include "decision/delegate.h"
#include "policy/rules/delegate.h"

enum { OUTSIDE_TEXT_MAX = 1024 }; /* of what an answer says; the rest is cut */

struct outside;

/* Writes what is asked about a subject. Returns 0, or -1: it doesn't fit. */
typedef int outside_write_fn(void *owner, void *subject, struct buffer *out);

/* All answers are there. It may destroy them. */
typedef void outside_fn(void *owner);

struct outside_options {
    struct delegates *delegates;
    outside_write_fn *write;
    outside_fn *fn;
    void *owner;
};

/* For at most `room` questions; NULL without memory. */
struct outside *outside_create(const struct outside_options *options, size_t room);

/* At any time: what isn't answered yet is asked no more. */
void outside_destroy(struct outside **x);

/* Adds one, if there is room, about whatever the owner says. Those about the same stand together.
 */
void outside_add(struct outside *x, const struct delegate_rule *rule, void *subject);

size_t outside_count(const struct outside *x);

/* Asks all of them: at least one was added. `fn` is called once, by the loop. */
void outside_run(struct outside *x);

/* What was said, from the `first` question on, about its subject: `count` answers. */
const struct delegate_told *outside_told(const struct outside *x, size_t first, size_t *count,
                                         void **subject);
