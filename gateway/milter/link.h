/* One connection to a milter: made, its options agreed on; then frames in both directions. What
 * they mean is the owner's. */
#pragma once

#include "net/connection.h"
#include "protocol/milter/frames.h"
#include "protocol/milter/terms.h"

struct milter_link;
struct milter_config;
struct dialler;

enum milter_link_event_kind {
    MILTER_LINK_OPEN,    /* the options are agreed on */
    MILTER_LINK_FRAME,   /* `frame` has come */
    MILTER_LINK_DRAINED, /* it takes more */
    MILTER_LINK_LOST,    /* it is dead, `reason` says why; to be closed */
};

struct milter_link_event {
    enum milter_link_event_kind kind;
    struct milter_link *link;
    const struct milter_frame *frame; /* valid during the call */
    const char *reason;
    bool is_late; /* it was lost for a time-out */
};

/* Called by the loop, never from within a function below. It may close the link. */
typedef void milter_link_fn(void *owner, const struct milter_link_event *event);

struct milter_link_options {
    struct loop *loop;
    struct dialler *dialler; /* asks for unix sockets */
    const struct milter_config *config;
    size_t index; /* of it, among those of the configuration */
};

/* Begins to connect. NULL and why when it can't. */
struct milter_link *milter_link_open(const struct milter_link_options *options, milter_link_fn *fn,
                                     void *owner, struct error *why);

/* Closes at once. */
void milter_link_close(struct milter_link **l);

/* Says QUIT first. */
void milter_link_quit(struct milter_link **l);

void milter_link_set_owner(struct milter_link *l, milter_link_fn *fn, void *owner);

/* Are the options agreed on, and is it alive? */
bool milter_link_is_open(const struct milter_link *l);

/* Hot: one system call. Up to 128 KiB while nothing is kept. */
void milter_link_write(struct milter_link *l, const struct span *parts, size_t count);
bool milter_link_is_blocked(const struct milter_link *l);

/* Lost, as too slow, at `at_ns`; 0: never. */
void milter_link_set_deadline(struct milter_link *l, int64_t at_ns);

/* What was agreed on; once it is open. */
const struct milter_terms *milter_link_terms(const struct milter_link *l);

/* What its owners remember of it: whom it was told of, and by which name. */
struct milter_link_memory {
    uint64_t whom; /* 0: nobody */
    unsigned helo;
    bool takes_another; /* after QUIT_NC */
    struct milter_link *next;
};
struct milter_link_memory *milter_link_memory(struct milter_link *l);
