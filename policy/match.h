/* when { } and except { }: whom a rule is for. Pure. */
#pragma once

#include "base/address.h"
#include "base/network.h"
#include "base/setting.h"

struct match {
    struct text_list accounts; /* "ana@example.com" or "@example.com" */
    struct text_list networks, listeners;
    struct network_list network_list; /* of `networks` */
};

/* The keys of the file, for base/setting: ends with a NULL name. */
extern const struct setting match_settings[];

/* Reads the networks into `a`. Returns 0, or -1 without memory; their text was checked. */
int match_prepare(struct match *m, struct arena *a);

/* Is nothing asked for? */
bool match_is_empty(const struct match *m);

/* Does all that is asked for hold? `account` NULL is none; an empty match holds for everybody. */
bool match_holds(const struct match *m, const char *account, const struct address *client,
                 const char *listener);
