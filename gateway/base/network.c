#include "base/network.h"

#include "base/span.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { V4_BEFORE = 96, ALL_BITS = 128 };

static struct in6_addr map_v4(struct in_addr v4)
{
    struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&mapped.s6_addr[12], &v4, sizeof v4);
    return mapped;
}

static struct in6_addr octets_of(const struct address *a)
{
    return a->any.sa_family == AF_INET6 ? a->v6.sin6_addr : map_v4(a->v4.sin_addr);
}

/* Is any bit of `a` set behind the first `bits`? */
static bool has_bits_behind(const struct in6_addr *a, unsigned bits)
{
    for (unsigned i = bits; i < ALL_BITS; i++)
        if ((a->s6_addr[i / 8] >> (7 - i % 8) & 1) != 0)
            return true;
    return false;
}

static int parse_host(struct span host, struct network *out)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    if (host.size >= sizeof text)
        return -1;
    (void)span_copy(host, text, sizeof text); /* fits */
    out->is_v6 = inet_pton(AF_INET6, text, &out->first) == 1;
    if (out->is_v6 && IN6_IS_ADDR_V4MAPPED(&out->first))
        return -1; /* to be written as IPv4 */
    if (out->is_v6)
        return 0;
    if (inet_pton(AF_INET, text, &v4) != 1)
        return -1;
    out->first = map_v4(v4);
    return 0;
}

int network_parse(const char *text, struct network *out, struct error *why)
{
    struct span bits = span_of(text), host = span_split(&bits, '/');
    bool has_bits = host.size < strlen(text);
    uint64_t number = ALL_BITS;
    if (parse_host(host, out) < 0)
        return error_set(why, "\"%s\" is no network; write 192.0.2.0/24 or 2001:db8::/32", text);
    unsigned before = out->is_v6 ? 0 : V4_BEFORE;
    if (has_bits && span_number(bits, ALL_BITS - before, &number) < 0)
        return error_set(why, "\"%s\": a number from 0 to %u stands behind the /", text,
                         ALL_BITS - before);
    out->bits = (has_bits ? before : 0) + (unsigned)number;
    if (has_bits_behind(&out->first, out->bits))
        return error_set(why,
                         "\"%s\" is an address within a network; write the network's first "
                         "address, or no /%u",
                         text, (unsigned)number);
    return 0;
}

int network_check(const char *text, struct error *why)
{
    struct network ignored;
    return network_parse(text, &ignored, why);
}

/* Are the first `bits` the same? */
static bool begin_alike(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->s6_addr, b->s6_addr, whole) != 0)
        return false;
    return rest == 0 || (a->s6_addr[whole] ^ b->s6_addr[whole]) >> (8 - rest) == 0;
}

bool network_holds(const struct network *n, const struct address *a)
{
    struct in6_addr is = octets_of(a);
    return n->is_v6 == address_is_v6(a) && begin_alike(&is, &n->first, n->bits);
}

bool networks_meet(const struct network *a, const struct network *b)
{
    return a->is_v6 == b->is_v6 &&
           begin_alike(&a->first, &b->first, a->bits < b->bits ? a->bits : b->bits);
}

struct network network_of(const struct address *a, unsigned v4_bits, unsigned v6_bits)
{
    struct network n = {.first = octets_of(a), .is_v6 = address_is_v6(a)};
    n.bits = n.is_v6 ? v6_bits : V4_BEFORE + v4_bits;
    for (unsigned i = n.bits; i < ALL_BITS; i++)
        n.first.s6_addr[i / 8] &= (unsigned char)~(0x80U >> i % 8);
    return n;
}

bool network_contains(const struct network *wide, const struct network *narrow)
{
    return wide->bits <= narrow->bits && networks_meet(wide, narrow);
}

void network_format(const struct network *n, char out[NETWORK_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "?";
    int family = n->is_v6 ? AF_INET6 : AF_INET;
    (void)inet_ntop(family, &n->first.s6_addr[n->is_v6 ? 0 : 12], host, sizeof host); /* fits */
    if (n->bits == ALL_BITS)
        (void)snprintf(out, NETWORK_TEXT_SIZE, "%s", host); /* fits */
    else
        (void)snprintf(out, NETWORK_TEXT_SIZE, "%s/%u", host,
                       n->bits - (n->is_v6 ? 0 : V4_BEFORE)); /* as above */
}

/* The numbers of IPv4, and of the /64 of loopback, are those of networks in ::/8, where nobody is.
 */
uint64_t network_number(const struct address *a)
{
    struct in6_addr is = octets_of(a);
    bool is_v6 = address_is_v6(a);
    uint64_t number = 0;
    for (size_t i = 0; i < (is_v6 ? 8 : 4); i++)
        number = number << 8 | is.s6_addr[is_v6 ? i : 12 + i];
    if (is_v6)
        return number == 0 ? UINT64_C(1) << 41 : number;
    return UINT64_C(1) << 40 | number;
}

bool networks_hold(const struct network_list *list, const struct address *a)
{
    for (size_t i = 0; i < list->count; i++)
        if (network_holds(&list->items[i], a))
            return true;
    return false;
}
