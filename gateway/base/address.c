#include "base/address.h"

#include "base/span.h"

#include <arpa/inet.h>
#include <stdio.h>

/* Splits "HOST:PORT" and "[V6]:PORT". */
static int split(const char *text, struct span *host, uint16_t *port, struct error *why)
{
    const char *colon = strrchr(text, ':');
    uint64_t number;
    if (colon == NULL || span_number(span_of(colon + 1), 65535, &number) < 0 || number == 0)
        return error_set(why, "\"%s\" has no port; write HOST:PORT, as 192.0.2.1:25", text);
    *port = (uint16_t)number;
    *host = span_make(text, (size_t)(colon - text));
    if (host->size >= 2 && host->data[0] == '[' && host->data[host->size - 1] == ']')
        *host = span_make(host->data + 1, host->size - 2);
    else if (host->size > 0 && memchr(host->data, ':', host->size) != NULL)
        return error_set(why, "\"%s\": write an IPv6 address in brackets, as [2001:db8::1]:25",
                         text);
    return 0;
}

static void make_v4(struct address *out, struct in_addr host, uint16_t port)
{
    *out = (struct address){.size = sizeof out->v4};
    out->v4.sin_family = AF_INET;
    out->v4.sin_addr = host;
    out->v4.sin_port = htons(port);
}

static void make_v6(struct address *out, struct in6_addr host, uint16_t port)
{
    *out = (struct address){.size = sizeof out->v6};
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_addr = host;
    out->v6.sin6_port = htons(port);
}

int address_make(const char *host, uint16_t port, struct address *out)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        make_v4(out, v4, port);
    else if (inet_pton(AF_INET6, host, &v6) == 1)
        make_v6(out, v6, port);
    else
        return -1;
    return 0;
}

int address_parse(const char *text, struct address *out, struct error *why)
{
    struct span host;
    uint16_t port;
    char name[INET6_ADDRSTRLEN];
    if (strncmp(text, "unix:", 5) == 0)
        return error_set(why, "\"%s\": a unix socket can't be used here; write HOST:PORT", text);
    if (split(text, &host, &port, why) < 0)
        return -1;
    if (span_equals(host, "localhost"))
        host = span_of("127.0.0.1");
    if (host.size < sizeof name) {
        (void)span_copy(host, name, sizeof name); /* fits */
        if (address_make(name, port, out) == 0)
            return 0;
    }
    return error_set(why,
                     "\"%s\": names are not looked up; write a numeric address or localhost, as "
                     "192.0.2.1:%u or [2001:db8::1]:%u",
                     text, port, port);
}

int address_parse_listen(const char *text, struct address out[ADDRESS_LISTEN_MAX],
                         struct error *why)
{
    struct span host;
    uint16_t port;
    if (strncmp(text, "unix:", 5) != 0 && split(text, &host, &port, NULL) == 0 &&
        span_equals(host, "*")) {
        make_v4(&out[0], (struct in_addr){htonl(INADDR_ANY)}, port);
        make_v6(&out[1], in6addr_any, port);
        return 2;
    }
    return address_parse(text, &out[0], why) < 0 ? -1 : 1;
}

int address_check_listen(const char *text, struct error *why)
{
    struct address ignored[ADDRESS_LISTEN_MAX];
    return address_parse_listen(text, ignored, why) < 0 ? -1 : 0;
}

int address_check(const char *text, struct error *why)
{
    struct address ignored;
    return address_parse(text, &ignored, why);
}

/* The IPv4 address, its own or the one within IPv6. */
static bool get_v4(const struct address *a, struct in_addr *v4)
{
    if (a->any.sa_family == AF_INET)
        *v4 = a->v4.sin_addr;
    else if (a->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        memcpy(v4, &a->v6.sin6_addr.s6_addr[12], sizeof *v4);
    else
        return false;
    return true;
}

bool address_is_v6(const struct address *a)
{
    struct in_addr ignored;
    return a->any.sa_family == AF_INET6 && !get_v4(a, &ignored);
}

uint16_t address_port(const struct address *a)
{
    return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

void address_format_host(const struct address *a, char out[ADDRESS_TEXT_SIZE])
{
    struct in_addr v4;
    const char *text = get_v4(a, &v4)
                           ? inet_ntop(AF_INET, &v4, out, ADDRESS_TEXT_SIZE)
                           : inet_ntop(AF_INET6, &a->v6.sin6_addr, out, ADDRESS_TEXT_SIZE);
    if (text == NULL)
        out[0] = '\0';
}

void address_format(const struct address *a, char out[ADDRESS_TEXT_SIZE])
{
    char host[ADDRESS_TEXT_SIZE];
    address_format_host(a, host);
    (void)snprintf(out, ADDRESS_TEXT_SIZE, address_is_v6(a) ? "[%.46s]:%u" : "%.46s:%u", host,
                   address_port(a)); /* fits */
}

static bool is_wildcard(const struct address *a)
{
    return a->any.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr)
                                        : a->v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

static bool same_host(const struct address *a, const struct address *b)
{
    struct in_addr x, y;
    if (get_v4(a, &x) && get_v4(b, &y))
        return x.s_addr == y.s_addr;
    if (a->any.sa_family == AF_INET6)
        return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
    return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

bool address_is_same(const struct address *a, const struct address *b)
{
    return a->size > 0 && b->size > 0 && address_is_v6(a) == address_is_v6(b) &&
           address_port(a) == address_port(b) && same_host(a, b);
}

bool address_reaches(const struct address *to, const struct address *bound,
                     bool (*is_local)(const struct address *))
{
    if (address_is_v6(to) != address_is_v6(bound) || address_port(to) != address_port(bound))
        return false;
    return same_host(to, bound) || (is_wildcard(bound) && is_local(to));
}

bool address_is_private(const struct address *a)
{
    struct in_addr v4;
    if (get_v4(a, &v4)) {
        uint32_t host = ntohl(v4.s_addr);
        return host >> 24 == 127 || host >> 24 == 10 || host >> 20 == 0xac1 ||
               host >> 16 == 0xc0a8 || host >> 16 == 0xa9fe;
    }
    const unsigned char *b = a->v6.sin6_addr.s6_addr;
    return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&a->v6.sin6_addr) ||
           (b[0] & 0xfe) == 0xfc;
}
