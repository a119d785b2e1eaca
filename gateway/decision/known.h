/* Networks from which accounts have logged in lately (auth.remember_networks), and with which
 * passwords: what strangers do there never shuts an account out that is known there, and only
 * another password lifts a suspension. One table for all workers and generations,
 * in the shared mapping.
 *
 * A network is an IPv4 /24 or an IPv6 /48. The table holds no name and no address, but hashes under
 * a key that isn't in it. There is room for KNOWN_MAX; where KNOWN_WAYS others have taken a place,
 * the one that was seen longest ago makes room. Readers and writers take no lock: an entry is one
 * word. What two write at once, one of them writes again at the next login. */
#pragma once

#include "base/network.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KNOWN_MAX = 1 << 20, KNOWN_WAYS = 8 };

struct known; /* in the shared mapping; zeros are an empty one */

size_t known_size(void);

/* The account (canonical) has logged in from there. Hot: a hash or two, a few loads and stores.
 * Times are of the wall clock, and kept in hours. */
void known_note(struct known *k, const uint64_t key[2], const char *account,
                const struct address *client, int64_t now_ns);

/* Has it, within `lifetime_ns`? NULL: has anybody? */
bool known_has(const struct known *k, const uint64_t key[2], const char *account,
               const struct address *client, int64_t lifetime_ns, int64_t now_ns);

/* What accounts have logged in with: 20 bits of a hash, enough to tell a new password from the few
 * that were there before. KNOWN_UNSAID: it was not said here, as in SCRAM, where a certificate or a
 * trusted client has spoken, or where another's login sends for the account. */
enum { KNOWN_CREDENTIAL_BITS = 20, KNOWN_UNSAID = 1 };

/* By a hash of account and password. Never 0 or KNOWN_UNSAID. */
uint32_t known_credential(uint64_t hash);

/* As known_note. */
void known_note_credential(struct known *k, const uint64_t key[2], const char *account,
                           uint32_t credential, int64_t now_ns);

/* Those within `lifetime_ns`, up to KNOWN_WAYS. Returns how many. */
size_t known_credentials(const struct known *k, const uint64_t key[2], const char *account,
                         int64_t lifetime_ns, int64_t now_ns, uint32_t out[KNOWN_WAYS]);

/* The word in a place below KNOWN_MAX, for a file; 0: there is none. And back. */
uint64_t known_read(const struct known *k, size_t place);
void known_put(struct known *k, size_t place, uint64_t word);

/* Another number after each entry that is new; one that was seen again is none. */
uint64_t known_version(const struct known *k);
