/* TLS to the servers behind: what is spoken, and whose certificate is right. */
#include "net/tls.h"
#include "net/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- is it the right server? ---- */

/* "AB:CD:..." of the certificate in DER, as openssl x509 -fingerprint -sha256 writes it. */
static void format_fingerprint(const X509 *leaf, char out[TLS_FINGERPRINT_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    out[0] = '\0';
    if (X509_digest(leaf, EVP_sha256(), digest, &size) == 1)
        tls_format_digest(digest, size, out);
}

void tls_format_digest(const unsigned char *digest, size_t size, char out[TLS_FINGERPRINT_SIZE])
{
    for (size_t i = 0; i < size; i++)
        (void)snprintf(out + 3 * i, 4, i + 1 < size ? "%02X:" : "%02X", digest[i]); /* fits */
}

void tls_peer_fingerprint(const SSL *ssl, char out[TLS_FINGERPRINT_SIZE])
{
    const X509 *leaf = SSL_get0_peer_certificate(ssl);
    out[0] = '\0';
    if (leaf != NULL)
        format_fingerprint(leaf, out);
}

/* The same digits, with colons or without, in either case. */
static bool is_same_fingerprint(const char *a, const char *b)
{
    for (;; a++, b++) {
        a += *a == ':';
        b += *b == ':';
        if (ascii_lower(*a) != ascii_lower(*b))
            return false;
        if (*a == '\0')
            return true;
    }
}

/* Its chain leads to a CA that is trusted, and it is for this host (tls_client_begin). Returns
 * X509_V_OK or why not. */
static int check_chain(X509_STORE_CTX *store)
{
    if (X509_verify_cert(store) == 1)
        return X509_V_OK;
    int error = X509_STORE_CTX_get_error(store);
    return error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
}

static int check(const struct tls_context *c, X509_STORE_CTX *store, const char *fingerprint)
{
    if (c->fingerprint[0] == '\0')
        return check_chain(store);
    return is_same_fingerprint(c->fingerprint, fingerprint) ? X509_V_OK : X509_V_ERR_CERT_REJECTED;
}

/* In place of OpenSSL's own look at the server's certificate. What it says of a wrong one goes with
 * the error, so that the log can name the certificate. */
static int on_certificate(X509_STORE_CTX *store, void *owner)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_context *c = SSL_get_app_data(ssl);
    char fingerprint[TLS_FINGERPRINT_SIZE];
    (void)owner;
    if (!c->is_checked)
        return 1;
    format_fingerprint(X509_STORE_CTX_get0_cert(store), fingerprint);
    int outcome = check(c, store, fingerprint);
    X509_STORE_CTX_set_error(store, outcome);
    if (outcome == X509_V_OK)
        return 1;
    ERR_clear_error();
    ERR_raise_data(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED, "%s; its fingerprint is %s",
                   outcome == X509_V_ERR_CERT_REJECTED ? "it is not the one of the configuration"
                                                       : X509_verify_cert_error_string(outcome),
                   fingerprint);
    return 0;
}

/* ---- sessions ---- */

/* What a server gives is kept for the next connection to it, which costs both half as much. Copies
 * are: a connection that breaks off spoils its own. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_context *c = SSL_get_app_data(ssl);
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy != NULL) {
        SSL_SESSION_free(*c->session);
        *c->session = copy;
    }
    return 0; /* the other stays OpenSSL's */
}

int tls_client_begin(const struct tls_context *context, SSL *ssl, const struct address *peer)
{
    char host[ADDRESS_TEXT_SIZE];
    address_format_host(peer, host);
    SSL_set_connect_state(ssl);
    if (SSL_set_app_data(ssl, (void *)(uintptr_t)context) != 1 ||
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1)
        return -1;
    SSL_SESSION *copy = *context->session == NULL ? NULL : SSL_SESSION_dup(*context->session);
    if (copy != NULL)
        (void)SSL_set_session(ssl, copy); /* else the handshake is a whole one */
    SSL_SESSION_free(copy);
    return 0;
}

/* ---- loading ---- */

/* What a group of the configuration says of it. */
struct group {
    const char *path; /* "upstreams.smtp" */
    const struct place *place;
    int min_version; /* enum upstream_tls_version */
    const char *ciphers, *fingerprint, *ca, *client_certificate, *client_key;
    bool is_checked;
};

struct loader {
    const struct group *group;
    struct errors *errors;
    SSL_CTX *ctx;
};

static void complain(const struct loader *l, const char *key, const char *what, const char *why)
{
    errors_add_at(l->errors, l->group->place, "%s.%s: %s: %s", l->group->path, key, what, why);
}

/* OpenSSL calls a missing file "system lib". */
static bool can_read(const struct loader *l, const char *key, const char *file)
{
    if (access(file, R_OK) == 0)
        return true;
    complain(l, key, file, strerror(errno));
    return false;
}

/* Its folders can't be read from an empty root: only a file with all of them will do. */
static const char *system_store(void)
{
    const char *const files[] = {getenv(X509_get_default_cert_file_env()),
                                 X509_get_default_cert_file(), "/etc/ssl/certs/ca-certificates.crt",
                                 "/etc/pki/tls/certs/ca-bundle.crt"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] != NULL && access(files[i], R_OK) == 0)
            return files[i];
    return NULL;
}

static void load_authorities(const struct loader *l)
{
    const struct group *g = l->group;
    const char *file = g->ca[0] != '\0' ? g->ca : system_store();
    if (file == NULL)
        errors_add_at(l->errors, g->place,
                      "%s.ca: the system has no file of CAs; install ca-certificates, or name the "
                      "server's own",
                      g->path);
    else if (can_read(l, "ca", file) && SSL_CTX_load_verify_file(l->ctx, file) != 1)
        complain(l, "ca", file, tls_reason());
}

static void load_own_certificate(const struct loader *l)
{
    const char *certificate = l->group->client_certificate, *key = l->group->client_key;
    struct stat s;
    bool is_there = can_read(l, "client_certificate", certificate);
    if (!can_read(l, "client_key", key) || !is_there)
        return;
    if (SSL_CTX_use_certificate_chain_file(l->ctx, certificate) != 1)
        complain(l, "client_certificate", certificate, tls_reason());
    else if (SSL_CTX_use_PrivateKey_file(l->ctx, key, SSL_FILETYPE_PEM) != 1)
        complain(l, "client_key", key, tls_reason());
    else if (SSL_CTX_check_private_key(l->ctx) != 1)
        complain(l, "client_key", key, "it does not belong to client_certificate");
    if (stat(key, &s) == 0 && (s.st_mode & S_IROTH) != 0)
        errors_warn_at(l->errors, l->group->place,
                       "%s.client_key: %s can be read by everybody; chmod 600 it", l->group->path,
                       key);
}

/* An old server on a private network: what is older than TLS 1.2 is spoken at security level 0
 * alone, and often by servers that don't know RFC 5746. */
static void set_versions(const struct loader *l)
{
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
    const struct group *g = l->group;
    int min = versions[g->min_version];
    if (SSL_CTX_set_min_proto_version(l->ctx, min) != 1)
        complain(l, "tls_min_version", "not taken", tls_reason());
    if (g->ciphers[0] != '\0' && SSL_CTX_set_cipher_list(l->ctx, g->ciphers) != 1)
        errors_add_at(l->errors, g->place,
                      "%s.tls_ciphers: \"%s\" names no cipher (see openssl ciphers)", g->path,
                      g->ciphers);
    if (min >= TLS1_2_VERSION)
        return;
    (void)SSL_CTX_set_options(l->ctx, SSL_OP_LEGACY_SERVER_CONNECT);
    if (SSL_CTX_get_security_level(l->ctx) > 0)
        errors_add_at(l->errors, g->place,
                      "%s.tls_min_version: what is older than TLSv1.2 is spoken only with "
                      "tls_ciphers = \"DEFAULT@SECLEVEL=0\"",
                      g->path);
}

static SSL_CTX *load_group(const struct group *g, struct errors *errors)
{
    const struct loader l = {g, errors, tls_ctx_new(TLS_client_method())};
    set_versions(&l);
    SSL_CTX_set_default_passwd_cb(l.ctx, tls_no_password);
    SSL_CTX_set_cert_verify_callback(l.ctx, on_certificate, NULL);
    (void)SSL_CTX_set_session_cache_mode(l.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(l.ctx, on_session);
    if (g->is_checked) {
        SSL_CTX_set_verify(l.ctx, SSL_VERIFY_PEER, NULL);
        if (g->fingerprint[0] == '\0')
            load_authorities(&l);
    }
    if (g->client_certificate[0] != '\0' && g->client_key[0] != '\0')
        load_own_certificate(&l);
    return l.ctx;
}

static struct tls_context make_context(const struct group *g, SSL_CTX *ctx)
{
    const struct tls_context made = {.ctx = ctx,
                                     .is_client = true,
                                     .fingerprint = g->fingerprint,
                                     .is_checked = g->is_checked,
                                     .session = calloc(1, sizeof *made.session)};
    if (made.session == NULL)
        abort();               /* out of memory at the start */
    (void)SSL_CTX_up_ref(ctx); /* it is there */
    return made;
}

/* One context a server. Returns what is behind them. */
static struct tls_context *add_upstream(const struct upstream_config *u, struct tls_context *next,
                                        struct errors *errors)
{
    struct error path;
    (void)error_set(&path, "upstreams.%s", u->name);
    const struct group g = {.path = path.text,
                            .place = &u->place,
                            .min_version = u->tls_min_version,
                            .ciphers = u->tls_ciphers,
                            .fingerprint = u->fingerprint,
                            .ca = u->ca,
                            .client_certificate = u->client_certificate,
                            .client_key = u->client_key,
                            .is_checked = upstream_is_checked(u)};
    SSL_CTX *ctx = load_group(&g, errors);
    for (size_t i = 0; i < u->server_count; i++) {
        *next = make_context(&g, ctx);
        next++->server = &u->servers[i];
    }
    SSL_CTX_free(ctx);
    return next;
}

/* One for all of Redis' servers, of which some are known only once others have named them. */
static struct tls_context *add_redis(const struct redis_config *r, struct tls_context *next,
                                     struct errors *errors)
{
    const struct group g = {.path = "redis",
                            .place = &r->place,
                            .min_version = UPSTREAM_TLS_VERSION_1_2,
                            .ciphers = "",
                            .fingerprint = "",
                            .ca = r->ca,
                            .client_certificate = "",
                            .client_key = "",
                            .is_checked = true};
    if (r->server_count == 0 || !r->tls)
        return next;
    SSL_CTX *ctx = load_group(&g, errors);
    *next = make_context(&g, ctx);
    next++->is_redis = true;
    SSL_CTX_free(ctx);
    return next;
}

struct tls_context *tls_client_prepare(const struct config *config, struct errors *errors,
                                       size_t *count)
{
    size_t total = 1;
    for (size_t i = 0; i < config->upstream_count; i++)
        total += config->upstreams[i].server_count;
    struct tls_context *all = calloc(total, sizeof *all), *next = all;
    if (all == NULL)
        abort(); /* out of memory at the start */
    for (size_t i = 0; i < config->upstream_count; i++)
        next = add_upstream(&config->upstreams[i], next, errors);
    next = add_redis(&config->redis, next, errors);
    *count = (size_t)(next - all);
    return all;
}

void tls_client_free(struct tls_context *contexts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        SSL_CTX_free(contexts[i].ctx);
        SSL_SESSION_free(*contexts[i].session);
        free(contexts[i].session);
    }
    free(contexts);
}
