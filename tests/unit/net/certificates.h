/* Keys and certificates, made when a test needs them. */
#pragma once

#include "support/test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What is in a certificate. */
struct certificate {
    const char *names;  /* "DNS:mail.example.com, DNS:*.example.org" */
    const char *issuer; /* NULL: self-signed */
    long days;          /* it is valid; negative: it has expired so long ago */
    bool is_rsa;
};

static inline EVP_PKEY *certificate_key(bool is_rsa)
{
    EVP_PKEY *key = is_rsa ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
                           : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    ck_assert_ptr_nonnull(key);
    return key;
}

static inline void certificate_write_key(const char *file, const EVP_PKEY *key)
{
    FILE *stream = fopen(file, "we");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(PEM_write_PrivateKey(stream, key, NULL, NULL, 0, NULL, NULL), 1);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_int_eq(chmod(file, 0600), 0);
}

static inline void certificate_set_name(X509_NAME *name, const char *text)
{
    ck_assert_int_eq(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)text, -1, -1, 0),
                     1);
}

static inline void certificate_add_names(X509 *certificate, const char *names)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Writes both in PEM. */
static inline void certificate_make(const struct certificate *wish, const char *certificate_file,
                                    const char *key_file)
{
    EVP_PKEY *key = certificate_key(wish->is_rsa);
    X509 *made = X509_new();
    ck_assert_ptr_nonnull(made);
    long day = 24 * 60 * 60, start = wish->days < 0 ? 2 * wish->days * day : -day;
    ck_assert_int_eq(X509_set_version(made, X509_VERSION_3), 1);
    ck_assert_int_eq(ASN1_INTEGER_set(X509_get_serialNumber(made), 1), 1);
    ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notBefore(made), start));
    ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notAfter(made), wish->days * day));
    ck_assert_int_eq(X509_set_pubkey(made, key), 1);
    certificate_set_name(X509_get_subject_name(made), "porteiro-unit");
    certificate_set_name(X509_get_issuer_name(made),
                         wish->issuer == NULL ? "porteiro-unit" : wish->issuer);
    certificate_add_names(made, wish->names);
    ck_assert_int_gt(X509_sign(made, key, EVP_sha256()), 0);
    FILE *stream = fopen(certificate_file, "we");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(PEM_write_X509(stream, made), 1);
    ck_assert_int_eq(fclose(stream), 0);
    certificate_write_key(key_file, key);
    X509_free(made);
    EVP_PKEY_free(key);
}
