#include "decision/senders.h"

#include "policy/limit/siphash.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

enum { SETS = SENDERS_MAX / SENDER_WAYS };

/* Whole when its hash is that of the rest. */
struct entry {
    _Atomic uint64_t message, hash; /* ids grow with time */
    char account[SENDER_ACCOUNT_SIZE];
};

struct senders {
    struct entry entries[SENDERS_MAX];
};

static_assert(sizeof(struct entry) == 128, "two cache lines");

size_t senders_size(void)
{
    return sizeof(struct senders);
}

static size_t set_of(uint64_t message)
{
    return (message * UINT64_C(0x9e3779b97f4a7c15) >> 32) % SETS * SENDER_WAYS;
}

static uint64_t hash_of(uint64_t message, const char account[SENDER_ACCOUNT_SIZE])
{
    const uint64_t key[2] = {message, SENDERS_MAX};
    uint64_t hash[2];
    siphash(key, span_make(account, SENDER_ACCOUNT_SIZE), hash);
    return hash[0];
}

void senders_note(struct senders *s, uint64_t message, const char *account)
{
    struct entry *set = &s->entries[set_of(message)], *oldest = set;
    char padded[SENDER_ACCOUNT_SIZE] = "";
    if (message == 0 || strlen(account) >= sizeof padded)
        return;
    (void)span_copy(span_of(account), padded, sizeof padded); /* fits */
    for (size_t i = 1; i < SENDER_WAYS; i++)
        if (atomic_load(&set[i].message) < atomic_load(&oldest->message))
            oldest = &set[i];
    atomic_store(&oldest->message, message);
    memcpy(oldest->account, padded, sizeof padded);
    atomic_store(&oldest->hash, hash_of(message, padded));
}

int senders_find(const struct senders *s, uint64_t message, char out[SENDER_ACCOUNT_SIZE])
{
    const struct entry *set = &s->entries[set_of(message)];
    for (size_t i = 0; i < SENDER_WAYS && message != 0; i++) {
        uint64_t hash = atomic_load(&set[i].hash);
        if (atomic_load(&set[i].message) != message)
            continue;
        memcpy(out, set[i].account, SENDER_ACCOUNT_SIZE);
        if (hash == hash_of(message, out) && memchr(out, '\0', SENDER_ACCOUNT_SIZE) != NULL)
            return 0;
    }
    return -1;
}
