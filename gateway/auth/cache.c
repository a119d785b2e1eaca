/* Readers and writers of all workers meet without a lock: every word is written and read as one,
 * and an entry that is half of one write and half of another matches no password. */
#include "auth/cache.h"

#include "auth/aliases.h"
#include "auth/plain.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

enum { SETS = 2048, WAYS = 4, PLAIN_MAX = 2048 };

struct slot {
    _Atomic uint64_t account[4], password[4];
    _Atomic int64_t until_ns;
};

struct auth_cache_table {
    struct slot slots[SETS][WAYS];
};

size_t auth_cache_size(void)
{
    return sizeof(struct auth_cache_table);
}

static int mac(const struct auth_cache *c, const void *bytes, size_t size, uint64_t out[4])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned got = 0;
    if (HMAC(EVP_sha256(), c->key, AUTH_CACHE_KEY_SIZE, bytes, size, digest, &got) == NULL ||
        got < 32)
        return -1;
    memcpy(out, digest, 32);
    return 0;
}

static int mac_of_account(const struct auth_cache *c, const char *account,
                          struct auth_cache_entry *entry)
{
    struct {
        uint64_t generation;
        char text[ACCOUNT_SIZE];
    } said = {.generation = c->generation};
    size_t size = span_copy(span_of(account), said.text, sizeof said.text) + 1;
    return mac(c, &said, offsetof(__typeof__(said), text) + size, entry->account);
}

int auth_cache_entry_of(const struct auth_cache *c, struct span response, char *account,
                        struct auth_cache_entry *entry)
{
    struct {
        uint64_t generation;
        char text[2 * ACCOUNT_SIZE + PLAIN_MAX];
    } said = {.generation = c->generation};
    char told[ACCOUNT_SIZE];
    struct plain plain;
    if (c->lifetime_ns == 0 || response.size > PLAIN_MAX || plain_parse(response, &plain) < 0 ||
        plain.identity.size > 0) /* who names an identity to act for is asked about */
        return -1;
    if (aliases_account(c->aliases, plain.name, c->realm, account) < 0 ||
        account_login_name(c->login_name, plain.name, account, c->realm, told) < 0)
        return -1;
    size_t size = strlen(account) + 1;
    memcpy(said.text, account, size);
    memcpy(said.text + size, told, strlen(told) + 1);
    size += strlen(told) + 1;
    memcpy(said.text + size, plain.password.data, plain.password.size);
    const size_t head = offsetof(__typeof__(said), text);
    int failed = mac_of_account(c, account, entry) |
                 mac(c, &said, head + size + plain.password.size, entry->password);
    OPENSSL_cleanse(&said, sizeof said);
    return failed;
}

static struct slot *set_of(const struct auth_cache *c, const struct auth_cache_entry *e)
{
    return c->table->slots[e->account[0] % SETS];
}

/* In the same time, however much of it is the same. */
static bool is_same(const _Atomic uint64_t *kept, const uint64_t *wanted)
{
    uint64_t copy[4];
    for (int i = 0; i < 4; i++)
        copy[i] = atomic_load_explicit(&kept[i], memory_order_relaxed);
    return CRYPTO_memcmp(copy, wanted, sizeof copy) == 0;
}

static void store(_Atomic uint64_t *kept, const uint64_t *words)
{
    for (int i = 0; i < 4; i++)
        atomic_store_explicit(&kept[i], words[i], memory_order_relaxed);
}

bool auth_cache_knows(const struct auth_cache *c, const struct auth_cache_entry *entry,
                      int64_t now_ns)
{
    const struct slot *set = set_of(c, entry);
    for (int i = 0; i < WAYS; i++) {
        int64_t until_ns = atomic_load_explicit(&set[i].until_ns, memory_order_relaxed);
        if (now_ns < until_ns && until_ns <= now_ns + c->lifetime_ns &&
            is_same(set[i].account, entry->account) && is_same(set[i].password, entry->password))
            return true;
    }
    return false;
}

void auth_cache_keep(const struct auth_cache *c, const struct auth_cache_entry *entry,
                     int64_t now_ns)
{
    struct slot *set = set_of(c, entry), *place = &set[0];
    int64_t earliest_ns = INT64_MAX;
    for (int i = 0; i < WAYS; i++) {
        int64_t until_ns = atomic_load_explicit(&set[i].until_ns, memory_order_relaxed);
        if (is_same(set[i].account, entry->account)) {
            place = &set[i];
            break;
        }
        if (until_ns < earliest_ns) {
            earliest_ns = until_ns;
            place = &set[i];
        }
    }
    atomic_store_explicit(&place->until_ns, 0, memory_order_relaxed);
    store(place->account, entry->account);
    store(place->password, entry->password);
    atomic_store_explicit(&place->until_ns, now_ns + c->lifetime_ns, memory_order_release);
}

bool auth_cache_forget(const struct auth_cache *c, const char *account)
{
    struct auth_cache_entry entry;
    bool was_known = false;
    struct slot *set = mac_of_account(c, account, &entry) < 0 ? NULL : set_of(c, &entry);
    for (int i = 0; set != NULL && i < WAYS; i++)
        if (is_same(set[i].account, entry.account))
            was_known = atomic_exchange_explicit(&set[i].until_ns, 0, memory_order_relaxed) != 0 ||
                        was_known;
    return was_known;
}
