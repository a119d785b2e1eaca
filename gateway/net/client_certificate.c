#include "net/client_certificate.h"

#include "base/utf8.h"
#include "net/tls_texts.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum { DEPTH_MAX = 8 };

struct client_authorities {
    X509_STORE *store;
    STACK_OF(X509_NAME) * names; /* sent to clients, who choose by them */
    int mode;
};

/* ---- loading ---- */

struct loader {
    const struct listener_config *listener;
    const struct tls_texts *texts; /* of client_ca, of client_crl */
    struct errors *errors;
    struct client_authorities *made;
};

/* NULL: it could not be read, and that was told. */
static BIO *open_text(const struct loader *l, size_t i)
{
    const struct tls_text *text = &l->texts->texts[i];
    BIO *in = text->bytes == NULL ? NULL : BIO_new_mem_buf(text->bytes, (int)text->size);
    if (in == NULL && text->bytes != NULL)
        abort(); /* out of memory at the start */
    return in;
}

/* What ended the reading of a PEM file, if it wasn't its end; else NULL. */
static const char *trouble(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(code);
    bool is_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return is_end ? NULL : text == NULL ? "unknown error" : text;
}

static void complain(const struct loader *l, const char *key, const char *file, const char *what)
{
    errors_add_at(l->errors, &l->listener->place, "listeners.%s.%s: %s %s", l->listener->name, key,
                  file, what);
}

static void add_authority(const struct loader *l, X509 *certificate)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));
    if (name == NULL || sk_X509_NAME_push(l->made->names, name) == 0 ||
        X509_STORE_add_cert(l->made->store, certificate) != 1)
        abort(); /* out of memory at the start */
}

static void load_authorities(const struct loader *l)
{
    const char *file = l->listener->client_ca;
    BIO *in = file[0] == '\0' ? NULL : open_text(l, 0); /* that it is missing was said */
    bool has_root = false;
    X509 *one;
    if (in == NULL)
        return;
    while ((one = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
        has_root = has_root || (X509_get_extension_flags(one) & EXFLAG_SS) != 0;
        add_authority(l, one);
        X509_free(one);
    }
    const char *why = trouble();
    BIO_free(in);
    if (why != NULL)
        complain(l, "client_ca", file, why);
    else if (sk_X509_NAME_num(l->made->names) == 0)
        complain(l, "client_ca", file, "holds no certificate (PEM)");
    else if (!has_root)
        errors_warn_at(l->errors, &l->listener->place,
                       "listeners.%s.client_ca: %s holds no self-signed authority; no certificate "
                       "will verify",
                       l->listener->name, file);
}

static void check_date(const struct loader *l, const X509_CRL *crl)
{
    const ASN1_TIME *until = X509_CRL_get0_nextUpdate(crl);
    if (until != NULL && X509_cmp_current_time(until) < 0)
        errors_warn_at(l->errors, &l->listener->place,
                       "listeners.%s.client_crl: %s has expired; every certificate of its "
                       "authority is refused until there is a new one",
                       l->listener->name, l->listener->client_crl);
}

/* All authorities of a chain must have a list: a revoked one in the middle counts too. */
static void load_revoked(const struct loader *l)
{
    const char *file = l->listener->client_crl;
    BIO *in = open_text(l, 1);
    size_t count = 0;
    X509_CRL *one;
    if (in == NULL)
        return;
    for (; (one = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)) != NULL; count++) {
        check_date(l, one);
        if (X509_STORE_add_crl(l->made->store, one) != 1)
            abort(); /* out of memory at the start */
        X509_CRL_free(one);
    }
    const char *why = trouble();
    BIO_free(in);
    if (why != NULL)
        complain(l, "client_crl", file, why);
    else if (count == 0)
        complain(l, "client_crl", file, "holds no revocation list (PEM)");
    (void)X509_STORE_set_flags(l->made->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

struct client_authorities *client_authorities_load(const struct listener_config *listener,
                                                   const struct tls_texts *texts,
                                                   struct errors *errors)
{
    size_t before = errors_count(errors);
    struct client_authorities *a = calloc(1, sizeof *a);
    if (a == NULL || (a->store = X509_STORE_new()) == NULL ||
        (a->names = sk_X509_NAME_new_null()) == NULL)
        abort(); /* out of memory at the start */
    a->mode = SSL_VERIFY_PEER;
    if (listener->client_certificate == CLIENT_CERTIFICATE_REQUIRED)
        a->mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    const struct loader l = {listener, texts, errors, a};
    load_authorities(&l);
    if (listener->client_crl[0] != '\0')
        load_revoked(&l);
    bool is_whole = texts->texts[0].bytes != NULL &&
                    (listener->client_crl[0] == '\0' || texts->texts[1].bytes != NULL);
    if (errors_count(errors) > before || !is_whole)
        client_authorities_free(&a);
    return a;
}

void client_authorities_free(struct client_authorities **authorities)
{
    struct client_authorities *a = *authorities;
    if (a == NULL)
        return;
    X509_STORE_free(a->store);
    sk_X509_NAME_pop_free(a->names, X509_NAME_free);
    free(a);
    *authorities = NULL;
}

/* ---- asking ---- */

int client_authorities_keep(const struct client_authorities *a, struct ssl_st *ssl)
{
    return SSL_set1_verify_cert_store(ssl, a->store) == 1 ? 0 : -1;
}

int client_authorities_ask(const struct client_authorities *a, struct ssl_st *ssl)
{
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(a->names);
    if (names == NULL)
        return -1;
    SSL_set_client_CA_list(ssl, names);
    SSL_set_verify(ssl, a->mode, NULL);
    SSL_set_verify_depth(ssl, DEPTH_MAX);
    (void)SSL_set_options(ssl, SSL_OP_NO_TICKET);
    if (SSL_set_num_tickets(ssl, 0) != 1)
        return -1;
    return client_authorities_keep(a, ssl);
}

/* ---- the name ---- */

/* Copies what can be a name. Returns 0, or -1. */
static int copy(const unsigned char *bytes, int size, char *out)
{
    if (bytes == NULL || size <= 0 || size >= CERTIFICATE_NAME_SIZE)
        return -1;
    for (int i = 0; i < size; i++)
        if (bytes[i] < ' ' || bytes[i] == 0x7f)
            return -1;
    struct span name = span_make((const char *)bytes, (size_t)size);
    if (!utf8_is_valid(name))
        return -1;
    (void)span_copy(name, out, CERTIFICATE_NAME_SIZE); /* fits */
    return 0;
}

/* Returns 1 when there is an rfc822Name, 0 when there is none; -1 when there is one that can't be
 * a name, or when the extension can't be read. */
static int copy_mailbox(const X509 *certificate, char *out)
{
    int outcome = 0, critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
    if (names == NULL)
        return critical == -1 ? 0 : -1; /* -1: there is no such extension */
    for (int i = 0; outcome == 0 && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        if (one->type == GEN_EMAIL)
            outcome = copy(ASN1_STRING_get0_data(one->d.rfc822Name),
                           ASN1_STRING_length(one->d.rfc822Name), out) < 0
                          ? -1
                          : 1;
    }
    GENERAL_NAMES_free(names);
    return outcome;
}

static int copy_common_name(const X509_NAME *whose, char *out)
{
    int at = X509_NAME_get_index_by_NID(whose, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(whose, NID_commonName, at) >= 0)
        return -1; /* none, or nobody can say which */
    unsigned char *text = NULL;
    int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(whose, at)));
    int outcome = copy(text, size, out);
    OPENSSL_free(text);
    return outcome;
}

/* As Postfix has it: of the key with its algorithm, in DER. */
static void key_fingerprint(const X509 *certificate, char out[TLS_FINGERPRINT_SIZE])
{
    unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (size > 0 && EVP_Digest(der, (size_t)size, digest, &digest_size, EVP_sha256(), NULL) == 1)
        tls_format_digest(digest, digest_size, out);
    OPENSSL_free(der);
}

void client_certificate_describe(const struct x509_st *certificate,
                                 struct client_certificate_texts *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    *out = (struct client_certificate_texts){.subject = ""};
    if (copy_common_name(X509_get_subject_name(certificate), out->subject) < 0)
        out->subject[0] = '\0';
    if (copy_common_name(X509_get_issuer_name(certificate), out->issuer) < 0)
        out->issuer[0] = '\0';
    if (X509_digest(certificate, EVP_sha256(), digest, &size) == 1)
        tls_format_digest(digest, size, out->fingerprint);
    key_fingerprint(certificate, out->key_fingerprint);
    ERR_clear_error();
}

const char *client_certificate_name(const struct x509_st *certificate, char *out)
{
    int mailbox = copy_mailbox(certificate, out);
    if (mailbox < 0 ||
        (mailbox == 0 && copy_common_name(X509_get_subject_name(certificate), out) < 0))
        out[0] = '\0';
    ERR_clear_error();
    return out;
}
