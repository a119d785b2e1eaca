/* A tls block: its certificates and keys, and what is spoken with them. */
#include "net/tls_context.h"

#include "net/tls_texts.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

/* Forward secrecy and authenticated encryption, nothing else (RFC 7525 section 4.2). */
static const char ciphers_1_2[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

/* The cheapest of equal standing first. */
static const char ciphers_1_3[] =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";

struct loader {
    const struct config *config;
    struct errors *errors;
    struct tls_block *block;
};

/* ---- what is odd ---- */

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
    int days = tls_days_left(leaf);
    if (days < 0)
        errors_warn_at(l->errors, &l->block->config->place,
                       "tls.%s.certificate: %s has expired; clients will refuse it",
                       l->block->config->name, file);
    else if (days < TLS_DAYS_LEFT_MIN)
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

int tls_days_left(const X509 *certificate)
{
    int days, seconds;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1)
        return -1;
    return seconds < 0 && days == 0 ? -1 : days;
}

/* ---- loading ---- */

int tls_no_password(char *out, int room, int is_writing, void *owner)
{
    (void)out, (void)room, (void)is_writing, (void)owner;
    return -1;
}

/* The certificates behind the leaf, up to the end of the text. */
static int load_chain(SSL_CTX *ctx, BIO *in)
{
    X509 *next;
    while ((next = PEM_read_bio_X509(in, NULL, tls_no_password, NULL)) != NULL)
        if (SSL_CTX_add0_chain_cert(ctx, next) != 1) {
            X509_free(next);
            return -1;
        }
    unsigned long code = ERR_peek_last_error();
    bool is_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (is_end)
        ERR_clear_error();
    return is_end ? 0 : -1;
}

/* As SSL_CTX_use_certificate_chain_file. Returns the leaf, the block's, or NULL. */
static X509 *load_certificate(struct tls_block *block, const struct tls_text *text)
{
    BIO *in = BIO_new_mem_buf(text->bytes, (int)text->size);
    X509 *leaf = in == NULL ? NULL : PEM_read_bio_X509_AUX(in, NULL, tls_no_password, NULL);
    bool is_good = leaf != NULL && SSL_CTX_use_certificate(block->ctx, leaf) == 1 &&
                   SSL_CTX_clear_chain_certs(block->ctx) == 1 && load_chain(block->ctx, in) == 0;
    BIO_free(in);
    if (leaf != NULL)
        block->leaves[block->leaf_count++] = leaf;
    return is_good ? leaf : NULL;
}

static EVP_PKEY *load_key(const struct tls_text *text)
{
    BIO *in = BIO_new_mem_buf(text->bytes, (int)text->size);
    EVP_PKEY *key = in == NULL ? NULL : PEM_read_bio_PrivateKey(in, NULL, tls_no_password, NULL);
    BIO_free(in);
    return key;
}

/* The i-th pair. What could not be read was told. */
static void load_pair(const struct loader *l, size_t i, const struct tls_texts *texts)
{
    const struct tls_config *t = l->block->config;
    const char *certificate = t->certificate.items[i], *file = t->key.items[i];
    if (texts->texts[2 * i].bytes == NULL || texts->texts[2 * i + 1].bytes == NULL)
        return;
    X509 *leaf = load_certificate(l->block, &texts->texts[2 * i]);
    if (leaf == NULL) {
        errors_add_at(l->errors, &t->place, "tls.%s.certificate: %s: %s", t->name, certificate,
                      tls_reason());
        return;
    }
    check_certificate(l, certificate, leaf);
    check_key_mode(l, file);
    EVP_PKEY *key = load_key(&texts->texts[2 * i + 1]);
    if (key == NULL)
        errors_add_at(l->errors, &t->place, "tls.%s.key: %s: %s", t->name, file, tls_reason());
    else if (X509_check_private_key(leaf, key) != 1 ||
             SSL_CTX_use_PrivateKey(l->block->ctx, key) != 1)
        errors_add_at(l->errors, &t->place, "tls.%s.key: %s does not belong to %s", t->name, file,
                      certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
}

int tls_block_version(const struct tls_config *t)
{
    return t->min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

static void set_up(const struct loader *l)
{
    const struct tls_config *t = l->block->config;
    SSL_CTX *ctx = l->block->ctx;
    int version = TLS1_3_VERSION;
    for (size_t i = 0; i < l->config->tls_count; i++)
        if (tls_block_version(&l->config->tls[i]) < version)
            version = tls_block_version(&l->config->tls[i]);
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
}

void tls_block_load(struct tls_block *out, const struct config *config,
                    const struct tls_texts *texts, struct errors *errors)
{
    const struct loader l = {config, errors, out};
    out->ctx = tls_ctx_new(TLS_server_method());
    out->leaf_count = 0;
    set_up(&l);
    for (size_t i = 0; i < out->config->certificate.count && i < out->config->key.count; i++)
        load_pair(&l, i, texts);
}

void tls_block_free(struct tls_block *block)
{
    for (size_t i = 0; i < block->leaf_count; i++)
        X509_free(block->leaves[i]);
    SSL_CTX_free(block->ctx);
    block->leaf_count = 0;
    block->ctx = NULL;
}
