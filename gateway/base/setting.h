/* The kinds of value that a configuration knows: read from text, checked, printed again.
 *
 * A struct of settings is described by a table; its defaults are text and parsed as the file is. */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_kind {
    SETTING_TEXT,      /* const char * */
    SETTING_CHOICE,    /* int: the index into `choices` */
    SETTING_INTEGER,   /* int64_t */
    SETTING_BOOLEAN,   /* bool */
    SETTING_DURATION,  /* int64_t, milliseconds: "250ms", "30s", "5min" or "5m", "1h", "2d", 0 */
    SETTING_SIZE,      /* int64_t, bytes: 512, "64K", "50M", "2G" */
    SETTING_TEXT_LIST, /* struct text_list */
    SETTING_SECRET     /* const char *, printed as "***" */
};

struct text_list {
    const char **items;
    size_t count;
};

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset;              /* of the member, whose type the kind says */
    const char *preset;         /* the default; items of a list are separated by spaces */
    int64_t min, max;           /* of numbers; for lists of how many; max = 0: no bound */
    const char *const *choices; /* of a choice; of each item of a list: ends with NULL */
    int (*check)(const char *text, struct error *why); /* of a text, of each item of a list */
    const char *help;                                  /* one line, for the manual */
    const char *example; /* a value for the manual, where the default says nothing */
    bool is_required;    /* there is no default that would do */
};

/* A value as it stands in the file. */
struct value {
    enum { VALUE_TEXT, VALUE_NUMBER, VALUE_BOOLEAN, VALUE_LIST, VALUE_OTHER } type;
    const char *text;      /* VALUE_TEXT */
    int64_t number;        /* VALUE_NUMBER, VALUE_BOOLEAN */
    struct text_list list; /* VALUE_LIST */
};

/* Stores `v` into the struct at `base`; copies go into `a`. Returns 0, or -1 and why: what stands
 * there and what would do. */
int setting_store(const struct setting *s, const struct value *v, void *base, struct arena *a,
                  struct error *why);

/* Stores the default. A default that does not parse is a mistake of ours. */
void setting_store_preset(const struct setting *s, void *base, struct arena *a);

/* Appends the value in the syntax of the file. */
int setting_print(const struct setting *s, const void *base, struct buffer *out);

/* Durations and sizes by themselves, for command lines. Return 0, or -1 and why. */
int setting_parse_duration(const char *text, int64_t *ms, struct error *why);
int setting_parse_size(const char *text, int64_t *bytes, struct error *why);

/* "1h": a duration in the largest unit that leaves no remainder. Returns `out`. */
enum { SETTING_DURATION_SIZE = 32 };
const char *setting_format_duration(int64_t ms, char out[SETTING_DURATION_SIZE]);

/* Is it an absolute path? As `check` of a text. */
int setting_check_path(const char *path, struct error *why);
