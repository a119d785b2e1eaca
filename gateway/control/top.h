/* Who sends most: what each account, login, script, address and domain of senders has sent in the
 * last hour, minute by minute. So many names of a kind are kept; when all of them have been busy
 * within the hour, the one that has done least makes room. Plain data without pointers; pure: time
 * is an argument. */
#pragma once

#include "base/span.h"

enum top_kind { TOP_ACCOUNT, TOP_LOGIN, TOP_SCRIPT, TOP_IP, TOP_SENDER_DOMAIN, TOP_KINDS };

/* "account", "login", ..., then NULL. */
extern const char *const top_kind_names[];

enum { TOP_MINUTES = 60, TOP_NAMES = 1000, TOP_NAME_SIZE = 128, TOP_ROWS_MAX = 20 };

struct top_counts {
    uint32_t messages, recipients; /* that a server behind has taken */
    uint32_t refused;              /* messages, and recipients one by one */
};

struct top;

/* Octets of memory, all zeros at first. About 4.5 MiB, used as it fills. */
size_t top_size(void);

/* Counting begins now. */
void top_begin(struct top *t, int64_t now_s);

/* About 0.1 microseconds. An empty name isn't counted; of a long one, in UTF-8, the front is kept
 * and a number. */
void top_add(struct top *t, enum top_kind kind, struct span name, struct top_counts counts,
             int64_t now_s);

struct top_row {
    char name[TOP_NAME_SIZE];
    struct top_counts counts;
};

struct top_list {
    int64_t since_s; /* a whole minute, or when counting began */
    uint64_t
        hidden; /* who has done no more than this within the hour may be missing; 0: nobody is */
    size_t count;
    struct top_row rows[TOP_ROWS_MAX]; /* by recipients, refused ones too; the most first */
};

/* Of the present minute and those before it, 1 to TOP_MINUTES together. */
void top_list(const struct top *t, enum top_kind kind, unsigned minutes, int64_t now_s,
              struct top_list *out);
