/* Numeric addresses of sockets, as people write them and as the kernel wants them. */
#pragma once

#include "base/error.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t size;
};

/* Where to listen: "192.0.2.1:465", "[2001:db8::1]:465", "localhost:465", or "*:465" for both
 * families, which gives two. Returns how many, or -1 and why. */
enum { ADDRESS_LISTEN_MAX = 2 };
int address_parse_listen(const char *text, struct address out[ADDRESS_LISTEN_MAX],
                         struct error *why);

/* Whom to connect to: the same without "*". Returns 0, or -1 and why. */
int address_parse(const char *text, struct address *out, struct error *why);

/* A host alone, as "192.0.2.1" or "2001:db8::1", with a port from elsewhere. Returns 0, or -1. */
int address_make(const char *host, uint16_t port, struct address *out);

/* The same, for tables of settings: only whether it would do. */
int address_check_listen(const char *text, struct error *why);
int address_check(const char *text, struct error *why);

/* "192.0.2.1:465", "[2001:db8::1]:465"; an IPv4 address within IPv6 as the former. */
enum { ADDRESS_TEXT_SIZE = 56 };
void address_format(const struct address *a, char out[ADDRESS_TEXT_SIZE]);

/* The host alone: "192.0.2.1", "2001:db8::1". */
void address_format_host(const struct address *a, char out[ADDRESS_TEXT_SIZE]);

uint16_t address_port(const struct address *a);

/* The same host and port? */
bool address_is_same(const struct address *a, const struct address *b);

/* Is it an IPv6 address, and not an IPv4 one within it? */
bool address_is_v6(const struct address *a);

/* Would a connection to `to` reach a socket that is bound to `bound`, as far as addresses tell? The
 * wildcard is reached by every address of its family that `is_local` says is this machine's. */
bool address_reaches(const struct address *to, const struct address *bound,
                     bool (*is_local)(const struct address *));

/* Private (RFC 1918, RFC 4193), link-local or loopback. */
bool address_is_private(const struct address *a);
