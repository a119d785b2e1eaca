/* What both sides of TLS are made of. For net/tls*.c alone. */
#pragma once

#include "config/config.h"

#include <openssl/ssl.h>

enum { TLS_CERTIFICATES_MAX = 4, TLS_DAYS_LEFT_MIN = 14 };

struct client_authorities;
struct tls_texts;

/* What a tls block says. */
struct tls_block {
    const struct tls_config *config;
    SSL_CTX *ctx;
    X509 *leaves[TLS_CERTIFICATES_MAX];
    size_t leaf_count;
};

struct tls_context {
    bool is_client;
    /* A door's: */
    const struct tls_block *block;
    const struct listener_config *listener;
    struct client_authorities *authorities; /* NULL: no certificate is asked for */
    unsigned char session_context[32];      /* a session of one listener is none at another */
    /* A server's behind: */
    SSL_CTX *ctx;
    const struct server_config *server; /* of an upstream; NULL for Redis, which is_redis */
    bool is_redis;
    bool is_checked;         /* its certificate must be the right one */
    const char *fingerprint; /* of that one; "": a CA that is trusted has issued it for the host */
    SSL_SESSION **session;   /* the last one, to be resumed; it points to NULL before the first */
};

/* A context with what holds for both sides. Out of memory ends the program. */
SSL_CTX *tls_ctx_new(const SSL_METHOD *method);

/* The reason of OpenSSL's last failure. */
const char *tls_reason(void);

/* For SSL_CTX_set_default_passwd_cb: a key behind a password would make the start wait at a
 * terminal. */
int tls_no_password(char *out, int room, int is_writing, void *owner);

/* Loads the block of `out->config` from the texts of its files. What is wrong or odd is added to
 * `errors`. */
void tls_block_load(struct tls_block *out, const struct config *config,
                    const struct tls_texts *texts, struct errors *errors);
void tls_block_free(struct tls_block *block);

/* The lowest version of a block, as OpenSSL has it. */
int tls_block_version(const struct tls_config *t);

/* Whole days until a certificate expires; negative: it has. */
int tls_days_left(const X509 *certificate);

/* One context for each server behind, those of an upstream with one SSL_CTX, in the order of the
 * configuration; and one for Redis, where it is spoken to with TLS. What is wrong is added to
 * `errors`. */
struct tls_context *tls_client_prepare(const struct config *config, struct errors *errors,
                                       size_t *count);
void tls_client_free(struct tls_context *contexts, size_t count);

/* Makes `ssl` ready to speak to the server behind, at that address. */
int tls_client_begin(const struct tls_context *context, SSL *ssl, const struct address *peer);
