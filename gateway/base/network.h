/* Networks in CIDR notation: "192.0.2.0/24", "2001:db8::/32", or one address alone. */
#pragma once

#include "base/address.h"

#include <stdint.h>

struct network {
    struct in6_addr first; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;         /* of 128 */
    bool is_v6;
};

struct network_list {
    struct network *items;
    size_t count;
};

/* Returns 0, or -1 and why. */
int network_parse(const char *text, struct network *out, struct error *why);

/* The same, for tables of settings: only whether it would do. */
int network_check(const char *text, struct error *why);

/* Does it hold the address? IPv4 ones, also those within IPv6, lie in IPv4 networks alone. */
bool network_holds(const struct network *n, const struct address *a);

/* Is there an address that both hold? */
bool networks_meet(const struct network *a, const struct network *b);

/* The network of so many bits that the address lies in; IPv4 has 32, IPv6 128. */
struct network network_of(const struct address *a, unsigned v4_bits, unsigned v6_bits);

/* Does `wide` hold all of `narrow`? */
bool network_contains(const struct network *wide, const struct network *narrow);

/* "192.0.2.0/24", "2001:db8::/64", or an address alone. */
enum { NETWORK_TEXT_SIZE = 56 };
void network_format(const struct network *n, char out[NETWORK_TEXT_SIZE]);

/* By what a client is counted: its IPv4 address, or the /64 of its IPv6 address. Never 0, and
 * another number for each. */
uint64_t network_number(const struct address *a);

/* Does one of them? */
bool networks_hold(const struct network_list *list, const struct address *a);
