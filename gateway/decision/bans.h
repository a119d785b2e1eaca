/* Who is refused before anything else is heard of him: networks, each until a given time; and which
 * accounts are suspended. One table for all workers and generations, in the shared mapping.
 *
 * A ban is of a network (IPv4 of 0 to 32 bits, IPv6 of 0 to 64), or of one account within it, where
 * many people share an address. An exemption is kept like a ban, and wins over all that cover the
 * same address. No ban stays for ever: BAN_MAX_NS is the longest. Times are of the wall clock, so
 * that they hold over a restart.
 *
 * A suspension is of an account, wherever it is: it is found by the account alone, and no look-up
 * of an address finds it. One that was lifted stays as that as long as it would have held, so that
 * who hears of both knows which came later.
 *
 * There is room for BANS_MAX. Where a ban's place is taken by BAN_WAYS others, the one of a rule
 * that ends first makes room; what people have ordered never does, nor a suspension in force, so
 * that past it a ban by a person is refused and said so, and one by a rule is not made.
 *
 * Readers take no lock, and skip a ban that is just being written. Writers hold one over a few
 * stores; what a killed one was writing is dropped by the master. */
#pragma once

#include "base/error.h"
#include "base/network.h"

enum {
    BANS_MAX = 32768,
    BAN_WAYS = 8,
    BAN_V6_BITS = 64,
    BAN_RULE_SIZE = 64,
    BAN_REASON_SIZE = 128,
    BAN_ACCOUNT_SIZE = 128,
    BAN_TEXT_SIZE = 112,
    BAN_END_SIZE = 32,
    SUSPENSION_TEXT_SIZE = 256,
    BAN_CREDENTIALS_MAX = 9,
};
#define BAN_MAX_NS       (INT64_C(366) * 86400 * 1000000000)
#define BAN_UNTIL_LIFTED INT64_MAX /* of a suspension alone */

enum ban_kind { BAN_OF_CLIENT, BAN_EXEMPTION, BAN_SUSPENSION };

/* What a suspended account may not do. */
enum suspension { SUSPENSION_LIFTED, SUSPENSION_SENDING, SUSPENSION_ALL, SUSPENSION_COUNT };

/* Who has made it: a store that gateways share replaces its own alone. */
enum ban_origin { BAN_OF_GATEWAY, BAN_OF_STORE };

/* Plain data, also as it is kept in a file. Texts end in NUL. */
struct ban {
    struct network network; /* ::/0 of a suspension */
    uint64_t account;       /* a hash that the caller makes; 0: everybody there */
    int64_t since_ns, until_ns;
    uint32_t tries;              /* that have led to it */
    uint32_t uid;                /* of who has ordered it, where no rule did */
    uint32_t origin;             /* enum ban_origin */
    uint32_t kind;               /* enum ban_kind */
    uint32_t spares_nobody;      /* by a rule: not even whoever has logged in there lately */
    uint32_t scope;              /* of a suspension: enum suspension */
    char rule[BAN_RULE_SIZE];    /* that has made it; "": a person did */
    char name[BAN_ACCOUNT_SIZE]; /* of the account, for people; may be cut */
    char reason[BAN_REASON_SIZE];
    /* Of a suspension: what had logged in before, as `known` has it; 0: none. */
    uint64_t credentials[BAN_CREDENTIALS_MAX];
};

struct bans; /* in the shared mapping */

size_t bans_size(void);

/* The master's, before anybody else: `seed` is random, so that nobody can choose where his bans
 * lie. */
void bans_begin(struct bans *b, uint64_t seed);

/* The master's: what a process that has ended was writing. */
void bans_release(struct bans *b, size_t process);

/* Makes a ban, or changes the one of the same network and account: a rule never changes what a
 * person has ordered, nor makes a ban shorter, or a suspension narrower. Of what people order of an
 * account's suspension, and where it was lifted, the later holds, whichever comes first. Returns 0;
 * or -1 and why: it is malformed, has ended or is too long, there is no room, or another process
 * doesn't let go of the table. */
int bans_put(struct bans *b, size_t process, const struct ban *ban, int64_t now_ns,
             struct error *why);

/* What holds for an address. */
struct ban_verdict {
    int64_t until_ns;
    bool spares_known; /* it isn't for whoever has logged in there lately */
};

/* Is it banned as a whole (`account` 0), or that account within it? False where it is exempt.
 * Hot: a look at BAN_WAYS entries for each length of network that was ever banned. */
bool bans_hold(const struct bans *b, const struct address *a, uint64_t account, int64_t now_ns,
               struct ban_verdict *out);
bool bans_exempt(const struct bans *b, const struct address *a, int64_t now_ns);

/* Hot: was any account ever suspended? Where none was, none need be looked for. */
bool bans_have_suspensions(const struct bans *b);

/* What an account may not do. `out`, unless it is NULL, becomes the suspension that is there,
 * lifted or not; with until_ns 0: there is none. Hot: a look at BAN_WAYS entries. */
enum suspension bans_suspension(const struct bans *b, uint64_t account, int64_t now_ns,
                                struct ban *out);

/* How many accounts the rule has suspended since then. Looks through all of the table. */
size_t bans_suspended_by(const struct bans *b, const char *rule, int64_t since_ns, int64_t now_ns);

/* May it be told that there were too many? True once in a period, for whoever asks first. */
bool bans_tell_flood(struct bans *b, int64_t period_ns, int64_t now_ns);

/* Copies the ban in a place below BANS_MAX. Returns 0, or -1: there is none in force. */
int bans_read(const struct bans *b, size_t place, int64_t now_ns, struct ban *out);

/* The one in force of the same network and account. Returns its place, or -1: there is none. */
int bans_find(const struct bans *b, const struct ban *like, int64_t now_ns, struct ban *out);

/* Lifts it, if it still is the one that was read there. Returns 0, or -1: another process doesn't
 * let go of the table. */
int bans_lift(struct bans *b, size_t process, size_t place, const struct ban *was);

/* Another number after each change. */
uint64_t bans_version(const struct bans *b);

/* For people: "2026-11-27 18:45 UTC", and "192.0.2.7 until 2026-11-27 18:45 UTC". */
void ban_format_end(int64_t until_ns, char out[BAN_END_SIZE]);
void ban_format(const struct address *a, int64_t until_ns, char out[BAN_TEXT_SIZE]);

/* " until 2026-11-27 18:45 UTC: rule: sends spam": what is told to whoever may not send, in the
 * ASCII that a reply may have. */
void suspension_format(const struct ban *b, char out[SUSPENSION_TEXT_SIZE]);
