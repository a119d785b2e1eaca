/* One connection, TCP with or without TLS: everything that can happen to it is one of six events.
 *
 * Reading goes through the process's one scratch buffer; a connection on which nothing waits holds
 * no buffer at all. Writing is never waited for: what the peer doesn't take is kept, and whoever
 * writes stops until CONNECTION_DRAINED. */
#pragma once

#include "base/address.h"
#include "base/span.h"
#include "net/client_certificate.h"
#include "net/loop.h"
#include "net/tls.h"

struct connection;

enum connection_event {
    CONNECTION_READY,   /* connected; or, once asked for, the TLS handshake is done */
    CONNECTION_DATA,    /* bytes have come: take them off the front of `in`; the rest comes again */
    CONNECTION_DRAINED, /* all that was kept is written: go on */
    CONNECTION_EOF,     /* the peer sends no more (said again at each resume); it may still read */
    CONNECTION_TIMEOUT, /* the deadline has passed */
    CONNECTION_FAILED,  /* it is dead; connection_error says why. Nothing comes after it */
};

/* Called by the loop, never from within one of the functions below. It may close the connection. */
typedef void connection_fn(void *owner, enum connection_event event, struct span *in);

/* Takes over an accepted socket, non-blocking, and reads from it. NULL without memory: the socket
 * is then closed. */
struct connection *connection_accept(struct loop *loop, int fd, const struct address *peer,
                                     connection_fn *fn, void *owner);

/* Begins to connect; CONNECTION_READY or CONNECTION_FAILED follows. NULL and why when it can't for
 * a reason of this machine's own: no descriptors, ports or memory. */
struct connection *connection_connect(struct loop *loop, const struct address *to,
                                      connection_fn *fn, void *owner, struct error *why);

/* Hands it to another owner; what the old one left in `in` comes to the new one. */
void connection_set_owner(struct connection *c, connection_fn *fn, void *owner);

/* Starts TLS, as server or as client, after what was written before has gone. All that the peer has
 * sent so far and nobody took is thrown away. Returns 0, or -1 without memory. */
int connection_start_tls(struct connection *c, const struct tls_context *context);

/* Hot: writes the parts, one behind the other: one system call, or one a TLS record; no copy for
 * what the peer takes of a single part. What is left is copied. An error comes as an event. */
void connection_write(struct connection *c, const struct span *parts, size_t count);

/* The same for what may wait a fifth of a second for more: the kernel sends both together. */
void connection_write_more(struct connection *c, const struct span *parts, size_t count);

/* The same for the last words: connection_finish must follow in this turn. They and the end of TLS
 * go in one segment. */
void connection_write_last(struct connection *c, struct span bytes);

/* Is something kept that the peer has not taken? Then who can wait writes no more. */
bool connection_is_blocked(const struct connection *c);

/* Hot: stops and resumes CONNECTION_DATA; costs no system call unless the peer sends meanwhile. */
void connection_pause(struct connection *c);
void connection_resume(struct connection *c);

/* Acknowledges at once what was read, over TCP: a peer that writes piece by piece without
 * TCP_NODELAY waits for it before each, for 40 ms otherwise. Hot: one system call. */
void connection_acknowledge(struct connection *c);

/* CONNECTION_TIMEOUT at `at_ns` of the loop's clock; 0: none. Hot: a store when it moves later. */
void connection_set_deadline(struct connection *c, int64_t at_ns);

/* Closes at once. Takes the owner's pointer and leaves NULL. */
void connection_close(struct connection **c);

/* Sends what is kept, ends TLS and the stream, and reads until the peer has done the same, a few
 * seconds at most, so that what was last written arrives. The owner hears no more of it. */
void connection_finish(struct connection **c);

/* The other end's address, and ours. */
const struct address *connection_peer(const struct connection *c);
void connection_local(const struct connection *c, struct address *out);

/* "TLSv1.3", "TLS_AES_256_GCM_SHA384"; "" without TLS. */
const char *connection_tls_version(const struct connection *c);
const char *connection_tls_cipher(const struct connection *c);

/* How many bits of its key keep a secret; 0 without TLS. The name that the client has asked for in
 * the handshake (SNI, any octets but NUL); "": none. */
unsigned connection_tls_key_bits(const struct connection *c);
const char *connection_tls_server_name(const struct connection *c);

/* Has the client shown a certificate that was verified? */
bool connection_has_certificate(const struct connection *c);

/* Whose certificate the client has shown, and was verified: see client_certificate_name; "" without
 * one. `out` has room for CERTIFICATE_NAME_SIZE. Returns `out`. */
const char *connection_certificate_name(const struct connection *c, char *out);

/* What is told of it: all "" without one. */
void connection_certificate(const struct connection *c, struct client_certificate_texts *out);

/* The SHA-256 of the peer's certificate, as "AB:CD:..."; "" where it has shown none. */
void connection_tls_fingerprint(const struct connection *c, char out[TLS_FINGERPRINT_SIZE]);

/* What a login can be bound to this one TLS connection with. */
struct channel_binding {
    const char *name;
    size_t size;
    unsigned char bytes[64];
};

/* "tls-exporter" of TLS 1.3 (RFC 9266), "tls-unique" of TLS 1.2 (RFC 5929), the latter with the
 * extended master secret alone (RFC 7627: without it two connections could have the same). Returns
 * 0, or -1: it has none. */
int connection_channel_binding(const struct connection *c, struct channel_binding *out);

/* Why it failed. */
const char *connection_error(const struct connection *c);
