/* Files of overrides: "account: LIMIT RATE [BURST]", one or several of them a line; of a limit by
 * max "account: LIMIT MAX". "@example.com" is all of a domain. */
#pragma once

#include "base/span.h"
#include "config/config.h"

/* One of a file's, or of an order. */
struct override_words {
    const char *name; /* of an account, or "@DOMAIN" */
    struct span limit, figure, burst;
};

/* Its figure, if that may stand for all limits of that name: of the policies that have the file at
 * `path`, or of all (NULL). One that is dropped says nothing against it. Returns 0, or -1 and why
 * not. */
int overrides_parse(const struct config *c, const char *path, const struct override_words *w,
                    struct rate *out, struct error *why);

/* Parses the file in `fd`, called `path`, of the policies that have it. Returns a sealed descriptor
 * of a lookup as policy/overrides reads it, and how many overrides there are; or -1, having added
 * what is wrong to `errors`. */
int overrides_build(const struct config *config, int fd, const char *path, size_t *count,
                    struct errors *errors);
