#include "config/networks.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void networks_read(const struct text_list *texts, struct arena *a, struct network_list *out)
{
    *out = (struct network_list){.items = arena_alloc(a, texts->count * sizeof *out->items)};
    if (out->items == NULL && texts->count > 0)
        abort(); /* out of memory at the start */
    for (size_t i = 0; i < texts->count; i++)
        if (network_parse(texts->items[i], &out->items[out->count], NULL) == 0)
            out->count++;
}

static bool holds(const struct network *n, const struct address *a, const char *what,
                  const char *interface, char which[NETWORKS_NAT_SIZE])
{
    char host[ADDRESS_TEXT_SIZE];
    address_format_host(a, host);
    (void)snprintf(which, NETWORKS_NAT_SIZE, "%s, %s %s", host, what, interface); /* for people */
    return network_holds(n, a);
}

/* A line of /proc/net/route: name, destination and gateway in the host's order, flags. */
static bool parse_route(const char *line, struct address *router, char interface[32])
{
    unsigned destination, gateway, flags;
    if (sscanf(line, "%31s %x %x %x", interface, &destination, &gateway, &flags) != 4 ||
        destination != 0 || (flags & RTF_GATEWAY) == 0)
        return false;
    router->size = sizeof router->v4;
    router->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {gateway}};
    return true;
}

/* Of /proc/net/ipv6_route: destination and its length, source and its length, next hop, ... name.
 */
static bool parse_route_v6(const char *line, struct address *router, char interface[32])
{
    char destination[33], hop[33];
    unsigned bits, flags;
    if (sscanf(line, "%32s %x %*s %*s %32s %*s %*s %*s %x %31s", destination, &bits, hop, &flags,
               interface) != 5 ||
        bits != 0 || (flags & RTF_GATEWAY) == 0)
        return false;
    router->size = sizeof router->v6;
    router->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
    for (size_t i = 0; i < 16; i++) {
        unsigned octet;
        if (sscanf(hop + 2 * i, "%2x", &octet) != 1)
            return false;
        router->v6.sin6_addr.s6_addr[i] = (unsigned char)octet;
    }
    return true;
}

static bool holds_router(const struct network *n, const char *file,
                         bool (*parse)(const char *, struct address *, char[32]),
                         char which[NETWORKS_NAT_SIZE])
{
    char line[512], interface[32];
    struct address router;
    bool is_found = false;
    FILE *routes = fopen(file, "re");
    while (routes != NULL && !is_found && fgets(line, sizeof line, routes) != NULL)
        is_found = parse(line, &router, interface) &&
                   holds(n, &router, "the default router on", interface, which);
    if (routes != NULL)
        (void)fclose(routes); /* was only read */
    return is_found;
}

static bool is_bridge(const char *interface)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/sys/class/net/%.20s/bridge", interface); /* fits */
    return access(path, F_OK) == 0;
}

static bool holds_bridge(const struct network *n, char which[NETWORKS_NAT_SIZE])
{
    struct ifaddrs *all, *i;
    bool is_found = false;
    if (getifaddrs(&all) < 0)
        return false;
    for (i = all; i != NULL && !is_found; i = i->ifa_next) {
        struct address is = {.size = sizeof is.v6};
        if (i->ifa_addr == NULL || !is_bridge(i->ifa_name))
            continue;
        if (i->ifa_addr->sa_family == AF_INET)
            memcpy(&is.v4, i->ifa_addr, sizeof is.v4);
        else if (i->ifa_addr->sa_family == AF_INET6)
            memcpy(&is.v6, i->ifa_addr, sizeof is.v6);
        else
            continue;
        is_found = holds(n, &is, "the bridge", i->ifa_name, which);
    }
    freeifaddrs(all);
    return is_found;
}

bool network_holds_nat(const struct network *n, char which[NETWORKS_NAT_SIZE])
{
    return holds_router(n, "/proc/net/route", parse_route, which) ||
           holds_router(n, "/proc/net/ipv6_route", parse_route_v6, which) || holds_bridge(n, which);
}

bool network_holds_loopback(const struct network *n)
{
    struct network v4, v6;
    return (network_parse("127.0.0.0/8", &v4, NULL) == 0 && networks_meet(n, &v4)) ||
           (network_parse("::1", &v6, NULL) == 0 && networks_meet(n, &v6));
}
