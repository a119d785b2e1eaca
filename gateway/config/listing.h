/* Watched files: a line "KEY: value value", or a name alone; '#' comments. */
#pragma once

#include "base/error.h"
#include "base/lookup.h"
#include "base/span.h"

#include <stdbool.h>

enum { LISTING_MAX = 128 * 1024 * 1024, LISTING_LINE_MAX = 4096 };

/* A line that says something; valid during the call. The key may have spaces in it: it ends at the
 * first colon with a blank behind it. */
struct listing_line {
    struct span key, value; /* neither has blanks at its ends */
    struct place at;
};

/* Reads the file, a regular one, from its begin, and hands each line to `take`. What is wrong is
 * added to `errors`, as FILE:LINE with `path`. */
void listing_read(int fd, const char *path,
                  void (*take)(void *owner, const struct listing_line *line), void *owner,
                  struct errors *errors);

/* The same for a file of names, one a line: the key is all of it, the value is empty. */
void listing_read_names(int fd, const char *path,
                        void (*take)(void *owner, const struct listing_line *line), void *owner,
                        struct errors *errors);

/* Its octets by themselves, whatever they are, `max` at most: the caller's to free. NULL, having
 * added to `errors` why not. */
char *listing_octets(int fd, const char *path, size_t max, size_t *size, struct errors *errors);

/* What was taken of it, as a sealed lookup called `title` in /proc, and how many lines count.
 * Returns the descriptor; or -1, having added to `errors` why not. */
int listing_seal(struct lookup_builder *b, const char *title, const char *path, size_t *count,
                 struct errors *errors);

/* A whole file on its way to a lookup: what `take` is handed it adds to `*builder`, which is there
 * meanwhile, as a rule in what `owner` points to. */
struct listing {
    int fd;
    const char *path, *title;
    bool is_of_names; /* as of listing_read_names */
    void (*take)(void *owner, const struct listing_line *line);
    void *owner;
    struct lookup_builder **builder;
};

/* Reads it and seals what was taken, as listing_seal; nothing where any line was wrong. */
int listing_make(const struct listing *l, size_t *count, struct errors *errors);
