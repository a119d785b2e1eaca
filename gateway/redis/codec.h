/* What Redis says (RESP2), read by hiredis into values of a bounded size; and what is said to it.
 * Pure but for memory. */
#pragma once

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

enum redis_kind {
    REDIS_STRING,
    REDIS_STATUS, /* "OK" */
    REDIS_ERROR,  /* "NOSCRIPT No matching script..." */
    REDIS_INTEGER,
    REDIS_NIL,
    REDIS_ARRAY,
};

struct redis_value {
    enum redis_kind kind;
    int64_t integer;
    struct span text;          /* of the first three kinds */
    struct redis_value *items; /* of an array */
    size_t count;
};

enum {
    REDIS_VALUES_MAX = 4200,      /* of a reply: a script's answer to STORE_TAKES_MAX takes */
    REDIS_REPLY_MAX = 128 * 1024, /* octets of a reply */
};

struct redis_reader;

/* NULL without memory. */
struct redis_reader *redis_reader_create(void);
void redis_reader_destroy(struct redis_reader **reader);

/* Takes from the front of `in`. Returns 1: `*value` is whole, valid until the next call; 0: `in` is
 * used up, feed more; -1: no reply, or a larger one than we ever ask for; `why` says which: close.
 */
int redis_reader_take(struct redis_reader *r, struct span *in, const struct redis_value **value,
                      struct error *why);

/* Is it an error that begins with this word? */
bool redis_is_error(const struct redis_value *value, const char *word);

/* A command of these words, in memory of the caller's, or NULL without memory. To be freed by
 * redis_command_free. */
char *redis_command_format(size_t count, const char **words, const size_t *sizes, size_t *size);
void redis_command_free(char **command, size_t size);
