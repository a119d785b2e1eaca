#include "net/tls.h"

#include "net/client_certificate.h"
#include "net/tls_context.h"
#include "net/tls_socket.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAYS_LEFT_MIN = 14 };

/* Forward secrecy and authenticated encryption, nothing else (RFC 7525 section 4.2). */
static const char ciphers_1_2[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

/* The cheapest of equal standing first. */
static const char ciphers_1_3[] =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";

/* What a tls block says. */
struct block {
    SSL_CTX *ctx;
    const struct tls_config *config;
    X509 *leaves[TLS_CERTIFICATES_MAX];
    size_t leaf_count;
};

struct tls_contexts {
    struct tls_context *clients; /* one for each server behind, in the order of configuration */
    struct tls_context *doors;   /* one for each listener with TLS, in their order */
    struct block *blocks;        /* one for each of the configuration's, in its order */
    size_t client_count, door_count, block_count;
    struct ticket_keys tickets;
};

const char *tls_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text == NULL ? "unknown error" : text;
}

SSL_CTX *tls_ctx_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL)
        abort(); /* out of memory at the start */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* An end without close_notify is an end: no message is taken from what came before it. */
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE |
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(ctx, 1);
    return ctx;
}

/* Gives `ssl` its socket. Returns 0, or -1 without memory. */
static int join(SSL *ssl, struct tls_socket *socket)
{
    BIO *bio = tls_socket_bio(socket);
    if (bio == NULL)
        return -1;
    SSL_set_bio(ssl, bio, bio); /* which frees it */
    return 0;
}

/* Makes it a connection at that door. Returns 0, or -1 without memory. */
static int stand_at(const struct tls_context *door, SSL *ssl)
{
    SSL_set_accept_state(ssl);
    if (SSL_set_app_data(ssl, (void *)(uintptr_t)door) != 1 ||
        SSL_set_session_id_context(ssl, door->session_context, sizeof door->session_context) != 1)
        return -1;
    return door->authorities == NULL ? 0 : client_authorities_ask(door->authorities, ssl);
}

struct ssl_st *tls_new(const struct tls_context *context, struct tls_socket *socket)
{
    SSL *ssl = SSL_new(context->ctx);
    bool is_good =
        ssl != NULL && join(ssl, socket) == 0 &&
        (context->is_client ? tls_client_begin(context, ssl) : stand_at(context, ssl)) == 0;
    if (is_good)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

/* ---- which certificate ---- */

static bool name_matches(const char *pattern, const char *name)
{
    const char *dot = strchr(name, '.');
    if (pattern[0] == '*' && pattern[1] == '.')
        return dot != NULL && span_equals_nocase(span_of(pattern + 1), dot);
    return span_equals_nocase(span_of(pattern), name);
}

static bool serves(const struct block *block, const char *name)
{
    for (size_t i = 0; i < block->config->names.count; i++)
        if (name_matches(block->config->names.items[i], name))
            return true;
    if (block->config->names.count > 0)
        return false;
    for (size_t i = 0; i < block->leaf_count; i++)
        if (X509_check_host(block->leaves[i], name, 0, 0, NULL) == 1)
            return true;
    return false;
}

static int version_of(const struct tls_config *t)
{
    return t->min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

static int min_version(const struct tls_contexts *contexts, const SSL_CTX *ctx)
{
    size_t i = 0;
    while (i < contexts->block_count && contexts->blocks[i].ctx != ctx)
        i++;
    return i < contexts->block_count ? version_of(contexts->blocks[i].config) : TLS1_3_VERSION;
}

/* "default" after all others; NULL: none serves the name. */
static const struct block *find_block(const struct tls_contexts *contexts, const char *name)
{
    const struct block *found = NULL;
    for (size_t i = 0; i < contexts->block_count; i++) {
        const struct block *block = &contexts->blocks[i];
        bool is_default = strcmp(block->config->name, "default") == 0;
        if (!serves(block, name) || (is_default && found != NULL))
            continue;
        found = block;
        if (!is_default)
            break;
    }
    return found;
}

/* Shows another block's certificate; what the door asks of its clients stays. */
static int switch_to(SSL *ssl, const struct block *block)
{
    const struct tls_context *door = SSL_get_app_data(ssl);
    if (SSL_set_SSL_CTX(ssl, block->ctx) == NULL)
        return -1;
    return door->authorities == NULL ? 0 : client_authorities_keep(door->authorities, ssl);
}

/* The block that serves the name for which the client asked (RFC 6066 section 3). Without one the
 * listener's own stays. The version is chosen before the name is known, so that each context takes
 * what any block takes, and the block's own minimum is looked at here. */
static int on_server_name(SSL *ssl, int *alert, void *owner)
{
    const struct tls_contexts *contexts = owner;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct block *found = name == NULL ? NULL : find_block(contexts, name);
    if (found != NULL && found->ctx != SSL_get_SSL_CTX(ssl) && switch_to(ssl, found) < 0) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (SSL_version(ssl) >= min_version(contexts, SSL_get_SSL_CTX(ssl)))
        return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_PROTOCOL_VERSION;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* "smtp" or "pop3", where a client says what it is about to speak (RFC 7301). Who offers other
 * protocols alone was led here by somebody else (ALPACA), and is told so. */
static int on_protocols(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
                        const unsigned char *offered, unsigned size, void *owner)
{
    const struct tls_context *door = SSL_get_app_data(ssl);
    const char *own = door->listener->role == ROLE_POP3 ? "pop3" : "smtp";
    (void)owner;
    for (unsigned at = 0, next; at < size; at = next) {
        next = at + 1 + offered[at];
        if (next <= size &&
            span_equals(span_make((const char *)offered + at + 1, offered[at]), own)) {
            *chosen = offered + at + 1;
            *chosen_size = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- loading ---- */

struct loader {
    const struct config *config;
    struct errors *errors;
    struct block *block;
};

static void check_key_mode(const struct loader *l, const char *file)
{
    struct stat s;
    if (stat(file, &s) == 0 && (s.st_mode & S_IROTH) != 0)
        errors_warn_at(l->errors, &l->block->config->place,
                       "tls.%s.key: %s can be read by everybody; chmod 600 it",
                       l->block->config->name, file);
}

static void check_dates(const struct loader *l, const char *file, const X509 *leaf)
{
    int days, seconds;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(leaf)) != 1)
        return;
    if (days < 0 || seconds < 0)
        errors_warn_at(l->errors, &l->block->config->place,
                       "tls.%s.certificate: %s has expired; clients will refuse it",
                       l->block->config->name, file);
    else if (days < DAYS_LEFT_MIN)
        errors_warn_at(l->errors, &l->block->config->place,
                       "tls.%s.certificate: %s expires in %d days", l->block->config->name, file,
                       days);
}

static void check_certificate(const struct loader *l, const char *file, X509 *leaf)
{
    STACK_OF(X509) *chain = NULL;
    const struct tls_config *t = l->block->config;
    (void)SSL_CTX_get0_chain_certs(l->block->ctx, &chain); /* of the one loaded last */
    bool is_self_signed =
        X509_NAME_cmp(X509_get_subject_name(leaf), X509_get_issuer_name(leaf)) == 0;
    if (!is_self_signed && sk_X509_num(chain) <= 0)
        errors_warn_at(l->errors, &t->place,
                       "tls.%s.certificate: %s holds no chain; clients may not trust it; use the "
                       "file with the full chain (certbot: fullchain.pem)",
                       t->name, file);
    check_dates(l, file, leaf);
    if (strcmp(t->name, "default") == 0 &&
        X509_check_host(leaf, l->config->hostname, 0, 0, NULL) != 1)
        errors_warn_at(l->errors, &t->place,
                       "tls.default.certificate: %s is not for hostname \"%s\"", file,
                       l->config->hostname);
}

/* OpenSSL calls a missing file "system lib". */
static int cannot_read(const struct loader *l, const char *what, const char *file)
{
    const struct tls_config *t = l->block->config;
    if (access(file, R_OK) == 0)
        return 0;
    errors_add_at(l->errors, &t->place, "tls.%s.%s: %s: %s", t->name, what, file, strerror(errno));
    return 1;
}

static void load_pair(const struct loader *l, const char *certificate, const char *key)
{
    struct block *block = l->block;
    const struct tls_config *t = block->config;
    if (cannot_read(l, "certificate", certificate) | cannot_read(l, "key", key))
        return;
    if (SSL_CTX_use_certificate_chain_file(block->ctx, certificate) != 1) {
        errors_add_at(l->errors, &t->place, "tls.%s.certificate: %s: %s", t->name, certificate,
                      tls_reason());
        return;
    }
    X509 *leaf = SSL_CTX_get0_certificate(block->ctx);
    if (X509_up_ref(leaf) == 1)
        block->leaves[block->leaf_count++] = leaf;
    check_certificate(l, certificate, leaf);
    check_key_mode(l, key);
    if (SSL_CTX_use_PrivateKey_file(block->ctx, key, SSL_FILETYPE_PEM) != 1)
        errors_add_at(l->errors, &t->place, "tls.%s.key: %s: %s", t->name, key, tls_reason());
    else if (SSL_CTX_check_private_key(block->ctx) != 1)
        errors_add_at(l->errors, &t->place, "tls.%s.key: %s does not belong to %s", t->name, key,
                      certificate);
}

int tls_no_password(char *out, int room, int is_writing, void *owner)
{
    (void)out, (void)room, (void)is_writing, (void)owner;
    return -1;
}

static void load_block(const struct loader *l, struct tls_contexts *contexts)
{
    struct block *block = l->block;
    const struct tls_config *t = block->config;
    SSL_CTX *ctx = block->ctx = tls_ctx_new(TLS_server_method());
    int version = TLS1_3_VERSION;
    for (size_t i = 0; i < l->config->tls_count; i++)
        if (version_of(&l->config->tls[i]) < version)
            version = version_of(&l->config->tls[i]);
    /* P-256 too: without it TLS 1.2 with an ECDSA certificate finds no shared cipher. */
    char groups[] = "X25519:P-256";
    if (SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
        SSL_CTX_set1_groups_list(ctx, groups) != 1 || SSL_CTX_set_num_tickets(ctx, 1) != 1)
        errors_add_at(l->errors, &t->place, "tls.%s: %s", t->name, tls_reason());
    if (SSL_CTX_set_cipher_list(ctx, t->ciphers[0] == '\0' ? ciphers_1_2 : t->ciphers) != 1)
        errors_add_at(l->errors, &t->place,
                      "tls.%s.ciphers: no cipher of TLS 1.2 is named by \"%s\" (see openssl "
                      "ciphers)",
                      t->name, t->ciphers);
    if (SSL_CTX_set_ciphersuites(ctx, ciphers_1_3) != 1)
        errors_add_at(l->errors, &t->place, "tls.%s: %s", t->name, tls_reason());
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets instead */
    SSL_CTX_set_default_passwd_cb(ctx, tls_no_password);
    (void)SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    (void)SSL_CTX_set_tlsext_servername_arg(ctx, contexts);
    SSL_CTX_set_alpn_select_cb(ctx, on_protocols, NULL);
    for (size_t i = 0; i < t->certificate.count && i < t->key.count; i++)
        load_pair(l, t->certificate.items[i], t->key.items[i]);
}

static void load_doors(struct tls_contexts *contexts, const struct config *c, struct errors *errors)
{
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener_config *l = &c->listeners[i];
        if (l->tls_block == NULL)
            continue;
        struct tls_context *door = &contexts->doors[contexts->door_count++];
        door->listener = l;
        door->ctx = contexts->blocks[l->tls_block - c->tls].ctx;
        if (EVP_Q_digest(NULL, "SHA256", NULL, l->name, strlen(l->name), door->session_context,
                         NULL) != 1)
            abort(); /* out of memory at the start */
        if (l->client_certificate != CLIENT_CERTIFICATE_NONE)
            door->authorities = client_authorities_load(l, errors);
    }
}

struct tls_contexts *tls_prepare(const struct config *config, struct errors *errors)
{
    size_t before = errors_count(errors);
    struct tls_contexts *contexts = calloc(1, sizeof *contexts);
    if (contexts == NULL ||
        (contexts->blocks = calloc(config->tls_count + 1, sizeof *contexts->blocks)) == NULL ||
        (contexts->doors = calloc(config->listener_count + 1, sizeof *contexts->doors)) == NULL)
        abort(); /* out of memory at the start */
    contexts->clients = tls_client_prepare(config, errors, &contexts->client_count);
    contexts->block_count = config->tls_count;
    for (size_t i = 0; i < config->tls_count; i++) {
        const struct loader l = {config, errors, &contexts->blocks[i]};
        contexts->blocks[i].config = &config->tls[i];
        load_block(&l, contexts);
    }
    load_doors(contexts, config, errors);
    if (errors_count(errors) > before)
        tls_contexts_destroy(&contexts);
    return contexts;
}

void tls_contexts_set_tickets(struct tls_contexts *contexts, const struct ticket_keys *keys)
{
    contexts->tickets = *keys;
    for (size_t i = 0; i < contexts->block_count; i++)
        ticket_keys_use(&contexts->tickets, contexts->blocks[i].ctx);
}

void tls_contexts_forget_doors(struct tls_contexts *contexts)
{
    OPENSSL_cleanse(&contexts->tickets, sizeof contexts->tickets);
    for (size_t i = 0; i < contexts->block_count; i++) {
        for (size_t n = 0; n < contexts->blocks[i].leaf_count; n++)
            X509_free(contexts->blocks[i].leaves[n]);
        SSL_CTX_free(contexts->blocks[i].ctx);
    }
    for (size_t i = 0; i < contexts->door_count; i++)
        client_authorities_free(&contexts->doors[i].authorities);
    contexts->block_count = contexts->door_count = 0;
}

void tls_contexts_forget_keys(struct tls_contexts *contexts)
{
    tls_contexts_forget_doors(contexts);
    tls_client_free(contexts->clients, contexts->client_count);
    contexts->clients = NULL;
    contexts->client_count = 0;
}

void tls_contexts_destroy(struct tls_contexts **contexts)
{
    struct tls_contexts *all = *contexts;
    if (all == NULL)
        return;
    tls_contexts_forget_keys(all);
    free(all->blocks);
    free(all->doors);
    free(all);
    *contexts = NULL;
}

const struct tls_context *tls_server_context(const struct tls_contexts *contexts,
                                             const struct listener_config *listener)
{
    for (size_t i = 0; i < contexts->door_count; i++)
        if (contexts->doors[i].listener == listener)
            return &contexts->doors[i];
    return NULL;
}

const struct tls_context *tls_client_context(const struct tls_contexts *contexts,
                                             const struct server_config *server)
{
    for (size_t i = 0; i < contexts->client_count; i++)
        if (contexts->clients[i].server == server)
            return &contexts->clients[i];
    return NULL;
}
