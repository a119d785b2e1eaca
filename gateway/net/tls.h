/* TLS contexts: which certificates are shown to whom, which are asked for, and which versions and
 * suites are spoken. */
#pragma once

#include "config/config.h"
#include "net/tls_tickets.h"

struct tls_context;  /* what one side of a connection speaks */
struct tls_contexts; /* those of a configuration */
struct tls_texts;
struct tls_socket;
struct ssl_st;

/* Loads all certificates and keys of the configuration, whose clients' certificates are taken, and
 * what upstreams need. Whatever is wrong or odd is added to `errors`; NULL when something is wrong.
 */
struct tls_contexts *tls_prepare(const struct config *config, struct errors *errors);

/* Takes new texts of a unit (net/tls_units.h): handshakes from now on see them, connections that
 * stand keep what they have. Returns 0; or -1, and the old stay: what is wrong is added to
 * `errors`. */
int tls_contexts_take(struct tls_contexts *contexts, size_t unit, const struct tls_texts *texts,
                      struct errors *errors);

/* Calls `fn` with each certificate's file, and for how many whole days it is still good; negative:
 * it has expired. */
typedef void certificate_fn(void *owner, const char *file, int days);
void tls_contexts_each_certificate(const struct tls_contexts *contexts, certificate_fn *fn,
                                   void *owner);

/* Frees them, keys overwritten. */
void tls_contexts_destroy(struct tls_contexts **contexts);

/* Session tickets are encrypted with these keys from now on; before the first call, with some that
 * are known to this process and those forked from it. */
void tls_contexts_set_tickets(struct tls_contexts *contexts, const struct ticket_keys *keys);

/* In a process that has no business with the doors' keys: the contexts for servers behind stay. */
void tls_contexts_forget_doors(struct tls_contexts *contexts);

/* In one that has no business with any. */
void tls_contexts_forget_keys(struct tls_contexts *contexts);

/* The server's context of a listener: its block's certificates, or those of the block that serves
 * the host that a client names; its own rules on clients' certificates, whatever that name. NULL
 * for one without TLS. */
const struct tls_context *tls_server_context(const struct tls_contexts *contexts,
                                             const struct listener_config *listener);

/* The client's, to speak to a server of the configuration's upstreams: whose certificate is taken,
 * and what is shown, is the upstream's. NULL where they are forgotten. */
const struct tls_context *tls_client_context(const struct tls_contexts *contexts,
                                             const struct server_config *server);

/* The client's, to speak to any server of Redis, or to a Sentinel; NULL: in clear. */
const struct tls_context *tls_redis_context(const struct tls_contexts *contexts);

/* The SHA-256 of the certificate in DER that the peer has shown, "AB:CD:..."; "": it has shown
 * none. */
enum { TLS_FINGERPRINT_SIZE = 3 * 32 };
void tls_peer_fingerprint(const struct ssl_st *ssl, char out[TLS_FINGERPRINT_SIZE]);

/* A digest of up to 32 octets, written so. */
void tls_format_digest(const unsigned char *digest, size_t size, char out[TLS_FINGERPRINT_SIZE]);

/* An SSL on `socket`, which must outlive it, ready for its handshake with who is at that address,
 * or NULL without memory. For net/connection. */
struct ssl_st *tls_new(const struct tls_context *context, struct tls_socket *socket,
                       const struct address *peer);
