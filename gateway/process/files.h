/* Watched files: opened and watched by the master, parsed by control, read by all. */
#pragma once

#include "base/buffer.h"
#include "base/sealed.h"
#include "config/config.h"

struct file_watch;
struct generation;
struct message;

/* One of the configuration's `watched`. */
struct watched {
    struct sealed list; /* what is in force */
    size_t count;       /* how many of its lines are */
    bool is_due;        /* the file has changed since control was asked */
    bool is_asked;      /* control parses it */
    bool is_meant;      /* as it is now, however much of it is gone */
};

/* Of a generation: who waits for its files to be taken. */
struct files_asker {
    bool is_waiting;
    uint32_t request; /* of its control */
    unsigned refused;
    struct buffer text; /* why */
};

/* All of the configuration, opened and parsed here, and watched from then on; what is wrong is
 * added to `errors`. */
struct watched *files_prepare(const struct config *config, struct file_watch *watch,
                              struct errors *errors);
void files_destroy(struct watched **watched, size_t count);

/* Has a file of which a part may be missing lost half of what is in force, unmeant? */
bool files_is_half(const struct watched *w, enum watched_kind kind, size_t count);

/* The list of that kind, for who reads it as long as the process lives; NULL: none. */
const struct sealed *files_list(const struct watched *watched, const struct config *config,
                                enum watched_kind kind);

/* The master's: looks whether a file has changed, once a second. */
void files_look(struct generation *g);

/* The master's: takes all files as they are now, and answers control's request then. */
void files_reload(struct generation *g, uint32_t request);

/* The master's: one generation takes the place of another, whose files may have changed since it
 * has looked: they are parsed once more. */
void files_hand_over(const struct generation *from, struct generation *to);

/* The master's: control's answer. All processes of the generation are given the new list, and those
 * of older ones, where the file means the same to them. */
void files_take(struct generation *g, const struct message *m);

/* The master's: another control answers nothing that the one before was asked, and nobody waits
 * behind it. */
void files_ask_again(struct generation *g);

/* Everybody else's: the master has a new list. */
void files_replace(struct watched *watched, const struct config *config, const struct message *m);
