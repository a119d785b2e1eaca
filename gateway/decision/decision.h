/* Carries the engine's questions to the store that can answer them, and settles afterwards: what
 * was taken is kept, or given back. One decider a worker; it outlives the decisions. */
#pragma once

#include "decision/memory.h"
#include "decision/redis_store.h"
#include "policy/policy.h"

struct arena;
struct decider;

struct decider_options {
    struct memory memory;              /* this process's way to the table of all workers */
    struct redis_store *redis;         /* not owned; NULL: memory alone is asked */
    const struct redis_config *config; /* where there is one */
};

/* NULL without memory. */
struct decider *decider_create(const struct decider_options *options);
void decider_destroy(struct decider **d);

enum decision_outcome {
    DECISION_PENDING,  /* the answer comes later */
    DECISION_ANSWERED, /* call.answers are filled in */
    DECISION_FAILED,   /* nobody could answer: what is asked for doesn't pass for now */
};
typedef void decision_fn(void *owner, enum decision_outcome outcome);

/* The questions of one moment: filled in by policy_ask, then run once. */
struct decision {
    struct policy_call call;
    bool is_in_redis; /* who has answered */
    struct decider *decider;
    struct decision *next; /* of those that nobody uses */
    struct arena *arena;   /* of the call */
    bool is_pending;
    decision_fn *fn;
    void *owner;
};

/* NULL without memory. */
struct decision *decision_create(struct decider *d);

/* At any time: where the answer is still to come, what it takes is given back. */
void decision_destroy(struct decision **x);

/* Asks Redis; or memory, where there is none, or where it is in trouble and `on_failure` says so
 * (as `accept` does without asking anybody: nothing is taken). Returns DECISION_PENDING: `fn` is
 * called once, by the loop, within the `timeout` of Redis; else it is not called. */
enum decision_outcome decision_run(struct decision *x, decision_fn *fn, void *owner);

/* Afterwards, in the store that has answered. */
void decision_settle(const struct decision *x, const struct counter_settle *settles, size_t count);

/* What nobody was asked about: in the store that would be asked now. */
void decider_settle(struct decider *d, const struct counter_settle *settles, size_t count);

/* Something that was taken, for as long as it may have to be given back. */
struct receipt {
    struct receipt *next;
    bool is_in_redis;
    enum counter_kind kind;
    uint16_t slot;
    struct span key;
    int64_t increment_us, tat_us;
    uint64_t lease;
    struct table_name name; /* of what is held at a time, in memory */
};

/* Puts what the takes from `first` up to `end` have taken in front of the list; it lies in `a`.
 * Returns 0; or -1 without memory: what is missing can't be given back. */
int decision_keep(const struct decision *x, size_t first, size_t end, struct arena *a,
                  struct receipt **list);

/* Says that what the list holds at a time is held still. Nothing is changed in the list. */
void decider_renew(struct decider *d, const struct receipt *list);

/* Gives all of it back, and leaves an empty list: one call of a store for each hundred. */
void decider_give_back(struct decider *d, struct receipt **list);
