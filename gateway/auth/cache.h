/* The passwords that were right a short while ago: who comes again with one of them is let in by
 * the worker, without a question to an auth process.
 *
 * The table lies in the shared mapping and holds no password: an entry is a MAC of the account and
 * one of account and password, under a key that processes inherit and that never lies in the
 * mapping. An account has one entry, the last password that was right. */
#pragma once

#include "auth/account.h"

#include <stdbool.h>
#include <stdint.h>

enum { AUTH_CACHE_KEY_SIZE = 32 };

struct auth_cache_table;

/* A process's way to the table. */
struct auth_cache {
    struct auth_cache_table *table; /* in the shared mapping */
    const unsigned char *key;       /* AUTH_CACHE_KEY_SIZE octets */
    unsigned generation;            /* one knows nothing of another: its store may be another */
    const char *realm;
    const struct sealed *aliases; /* NULL: none */
    enum login_name login_name; /* what the store was told: another user there, another password */
    int64_t lifetime_ns;        /* 0: nothing is known, nothing is kept */
};

/* What PLAIN says (RFC 4616), as far as the cache is concerned. */
struct auth_cache_entry {
    uint64_t account[4], password[4]; /* MACs */
};

/* The table's size. */
size_t auth_cache_size(void);

/* Of a client's response to PLAIN: the canonical account it wants to be, NUL-ended, in `account`,
 * of ACCOUNT_SIZE octets, and what an entry for it would be. Returns 0; or -1 where the cache is of
 * no use: it is off, the response is malformed, or would act for another. */
int auth_cache_entry_of(const struct auth_cache *c, struct span response, char *account,
                        struct auth_cache_entry *entry);

/* Hot: was exactly this right, less than the cache's lifetime before `now_ns`? */
bool auth_cache_knows(const struct auth_cache *c, const struct auth_cache_entry *entry,
                      int64_t now_ns);

/* It was right just now: takes the place of what was known of the account. */
void auth_cache_keep(const struct auth_cache *c, const struct auth_cache_entry *entry,
                     int64_t now_ns);

/* Nothing is known any more of the account, by its canonical name, in this generation. Returns
 * whether something was. */
bool auth_cache_forget(const struct auth_cache *c, const char *account);
