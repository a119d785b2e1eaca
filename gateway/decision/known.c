#include "decision/known.h"

#include "base/clock.h"
#include "base/span.h"
#include "policy/limit/siphash.h"

#include <stdatomic.h>
#include <stdio.h>

enum {
    SETS = KNOWN_MAX / KNOWN_WAYS,
    HOUR_BITS = 24,
    HOUR_MASK = (1 << HOUR_BITS) - 1,
    BLOCK = 512, /* words of a page */
};
#define HOUR_NS (3600 * CLOCK_SECOND)

/* A word: 40 bits of a hash, and the hour when it was seen last. Of an account's credentials, which
 * all lie in one set: 20 bits of the account's hash, and the credential. */
struct known {
    _Atomic uint64_t version;
    _Atomic bool is_used[KNOWN_MAX / BLOCK]; /* a page that is only read costs memory, too */
    _Atomic uint64_t words[KNOWN_MAX];
};

size_t known_size(void)
{
    return sizeof(struct known);
}

uint64_t known_version(const struct known *k)
{
    return atomic_load(&k->version);
}

static uint64_t hour_of(int64_t now_ns)
{
    return (uint64_t)(now_ns / HOUR_NS) & HOUR_MASK;
}

/* Where the entry belongs, and what its word begins with. `account` NULL: of anybody. */
struct seat {
    size_t set;
    uint64_t tag;
};

static struct seat seat_of(const uint64_t key[2], const char *account, const struct address *client)
{
    const struct network n = network_of(client, 24, 48);
    char text[NETWORK_TEXT_SIZE + 512], network[NETWORK_TEXT_SIZE];
    uint64_t hash[2];
    network_format(&n, network);
    (void)snprintf(text, sizeof text, "%s%s%s", network, account == NULL ? "" : " ",
                   account == NULL ? "" : account); /* no account is as long */
    siphash(key, span_of(text), hash);
    return (struct seat){.set = hash[0] % SETS * KNOWN_WAYS, .tag = hash[1] & ~(uint64_t)HOUR_MASK};
}

static void store(struct known *k, size_t place, uint64_t word)
{
    atomic_store_explicit(&k->is_used[place / BLOCK], true, memory_order_relaxed);
    atomic_store_explicit(&k->words[place], word, memory_order_relaxed);
}

static bool is_of(uint64_t word, uint64_t tag)
{
    return word != 0 && (word & ~(uint64_t)HOUR_MASK) == tag;
}

static void note(struct known *k, struct seat seat, uint64_t hour)
{
    size_t oldest = seat.set;
    uint64_t oldest_hour = UINT64_MAX;
    for (size_t place = seat.set; place < seat.set + KNOWN_WAYS; place++) {
        uint64_t word = known_read(k, place);
        if (is_of(word, seat.tag)) {
            if ((word & HOUR_MASK) != hour)
                store(k, place, seat.tag | hour);
            return;
        }
        if ((word & HOUR_MASK) < oldest_hour) {
            oldest_hour = word & HOUR_MASK;
            oldest = place;
        }
    }
    store(k, oldest, seat.tag | hour);
    atomic_fetch_add_explicit(&k->version, 1, memory_order_relaxed);
}

void known_note(struct known *k, const uint64_t key[2], const char *account,
                const struct address *client, int64_t now_ns)
{
    uint64_t hour = hour_of(now_ns);
    note(k, seat_of(key, account, client), hour);
    note(k, seat_of(key, NULL, client), hour);
}

/* ---- credentials ---- */

enum { CREDENTIAL_MASK = (1 << KNOWN_CREDENTIAL_BITS) - 1 };

uint32_t known_credential(uint64_t hash)
{
    const uint32_t first = KNOWN_UNSAID + 1;
    return first + (uint32_t)(hash % (CREDENTIAL_MASK + 1 - first));
}

/* Of credential 0, which is none. */
static struct seat credentials_of(const uint64_t key[2], const char *account)
{
    const uint64_t own[2] = {key[1], key[0]}; /* no account is a network's */
    uint64_t hash[2];
    siphash(own, span_of(account), hash);
    return (struct seat){.set = hash[0] % SETS * KNOWN_WAYS,
                         .tag = hash[1] & ~(((uint64_t)CREDENTIAL_MASK << HOUR_BITS) | HOUR_MASK)};
}

static uint32_t credential_of(uint64_t word)
{
    return (uint32_t)(word >> HOUR_BITS) & CREDENTIAL_MASK;
}

void known_note_credential(struct known *k, const uint64_t key[2], const char *account,
                           uint32_t credential, int64_t now_ns)
{
    struct seat seat = credentials_of(key, account);
    seat.tag |= (uint64_t)(credential & CREDENTIAL_MASK) << HOUR_BITS;
    note(k, seat, hour_of(now_ns));
}

size_t known_credentials(const struct known *k, const uint64_t key[2], const char *account,
                         int64_t lifetime_ns, int64_t now_ns, uint32_t out[KNOWN_WAYS])
{
    const struct seat seat = credentials_of(key, account);
    uint64_t hours = (uint64_t)(lifetime_ns / HOUR_NS), hour = hour_of(now_ns);
    size_t count = 0;
    for (size_t i = 0; i < KNOWN_WAYS; i++) {
        uint64_t word = known_read(k, seat.set + i);
        uint64_t tag = word & ~(((uint64_t)CREDENTIAL_MASK << HOUR_BITS) | HOUR_MASK);
        if (tag == seat.tag && credential_of(word) != 0 && (word & HOUR_MASK) + hours >= hour)
            out[count++] = credential_of(word);
    }
    return count;
}

/* ---- networks ---- */

bool known_has(const struct known *k, const uint64_t key[2], const char *account,
               const struct address *client, int64_t lifetime_ns, int64_t now_ns)
{
    const struct seat seat = seat_of(key, account, client);
    uint64_t hours = (uint64_t)(lifetime_ns / HOUR_NS), hour = hour_of(now_ns);
    for (size_t i = 0; i < KNOWN_WAYS && lifetime_ns > 0; i++) {
        uint64_t word = known_read(k, seat.set + i);
        if (is_of(word, seat.tag))
            return (word & HOUR_MASK) + hours >= hour;
    }
    return false;
}

uint64_t known_read(const struct known *k, size_t place)
{
    if (place >= KNOWN_MAX ||
        !atomic_load_explicit(&k->is_used[place / BLOCK], memory_order_relaxed))
        return 0;
    return atomic_load_explicit(&k->words[place], memory_order_relaxed);
}

void known_put(struct known *k, size_t place, uint64_t word)
{
    if (place < KNOWN_MAX)
        store(k, place, word);
}
