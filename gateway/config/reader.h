/* What the files that read porteiro.conf share: from the parser's tree to structs, by the tables of
 * grammar.c. Whatever is wrong is told, with its FILE:LINE, and left out. */
#pragma once

#include "config/config.h"
#include "config/grammar.h"
#include "config/source.h"

#include <libconfig.h>

struct reader {
    struct config *config;
    const struct source *source;
    struct errors *errors;
};

/* Zeroed memory of the configuration's own. Out of memory at the start ends the program. */
void *reader_take(struct reader *r, size_t size);

struct place reader_place(struct reader *r, const config_setting_t *at);

/* "FILE:LINE: path.key: what". */
void reader_complain(struct reader *r, const config_setting_t *at, const char *path,
                     const char *what);
void reader_complain_missing(struct reader *r, const config_setting_t *group, const char *path,
                             const struct setting *key);

/* Fills `base` with the defaults of its table. */
void reader_presets(struct reader *r, const struct section *s, void *base);

/* Puts what stands in `group` over it. Groups named in `groups` are left to the caller. Returns a
 * bit for each setting of the table that was set. */
uint64_t reader_apply(struct reader *r, const struct section *s, const config_setting_t *group,
                      const char *path, const char *const *groups, void *base);

/* The member of that name if it is a group, else NULL, complaining when it is something else. */
const config_setting_t *reader_group(struct reader *r, const config_setting_t *parent,
                                     const char *path, const char *name);

/* How many members a group has; 0 for NULL. */
size_t reader_members(const config_setting_t *group);

/* The i-th member if it is a group with a name of reasonable length, else NULL, having complained.
 * `name` is a copy. */
const config_setting_t *reader_named_group(struct reader *r, const config_setting_t *parent,
                                           size_t i, const char *path, const char **name);

/* `when` or `except`, which is `s`, of a rule or a milter, over the defaults of `m`. */
void reader_match(struct reader *r, const config_setting_t *rule, const char *path,
                  const struct section *s, struct match *m);

/* The groups `groups` and `policies`. */
void reader_policies(struct reader *r, const config_setting_t *root);

/* The group `milters`; `groups` was read. */
void reader_milters(struct reader *r, const config_setting_t *root);
