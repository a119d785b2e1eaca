/* A client of SCRAM-SHA-256 (RFC 5802, RFC 7677) as a test plays it. */
#pragma once

#include "base/base64.h"
#include "sasl/secrets.h"
#include "support/test.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

struct scram_client {
    const char *user, *password, *nonce;
    const char *header; /* "n,," and what else the first message may begin with */
    struct span binding;
    unsigned char salt[64];
    int salt_size, iterations;
    char first[512], final[2048], verifier[64];
};

static inline void scram_mac(const unsigned char *key, const char *text, unsigned char out[32])
{
    unsigned size;
    ck_assert_ptr_nonnull(
        HMAC(EVP_sha256(), key, 32, (const unsigned char *)text, strlen(text), out, &size));
}

/* Fills in `first`. */
static inline void scram_begin(struct scram_client *c)
{
    (void)snprintf(c->first, sizeof c->first, "%sn=%s,r=%s", c->header, c->user,
                   c->nonce); /* fits */
}

/* "i=4096" and the like, from the server's first message. */
static inline const char *scram_field(const char *challenge, const char *name, char out[600])
{
    const char *at = strstr(challenge, name);
    ck_assert_msg(at != NULL, "%s in %s", name, challenge);
    at += strlen(name);
    (void)span_copy(span_make(at, strcspn(at, ",")), out, 600);
    return out;
}

/* Fills in `final` and `verifier`. */
static inline void scram_answer(struct scram_client *c, struct span server_first)
{
    char challenge[600], field[600], encoded[800], without_proof[1000], said[3000];
    unsigned char salted[32], key[32], stored[32], signature[32], header[300];
    (void)span_copy(server_first, challenge, sizeof challenge); /* fits */
    c->salt_size = (int)base64_decode(span_of(scram_field(challenge, ",s=", field)),
                                      (char *)c->salt, sizeof c->salt);
    ck_assert_int_gt(c->salt_size, 0);
    c->iterations = (int)strtol(scram_field(challenge, ",i=", field), NULL, 10);
    memcpy(header, c->header, strlen(c->header));
    if (c->binding.size > 0)
        memcpy(header + strlen(c->header), c->binding.data, c->binding.size);
    (void)base64_encode(span_make((char *)header, strlen(c->header) + c->binding.size), encoded);
    (void)snprintf(without_proof, sizeof without_proof, "c=%s,r=%s", encoded,
                   scram_field(challenge, "r=", field)); /* fits */
    (void)snprintf(said, sizeof said, "%s,%s,%s", c->first + strlen(c->header), challenge,
                   without_proof); /* fits */
    ck_assert_int_eq(PKCS5_PBKDF2_HMAC(c->password, (int)strlen(c->password), c->salt, c->salt_size,
                                       c->iterations, EVP_sha256(), 32, salted),
                     1);
    scram_mac(salted, "Client Key", key);
    ck_assert_int_eq(EVP_Digest(key, 32, stored, NULL, EVP_sha256(), NULL), 1);
    scram_mac(stored, said, signature);
    for (int i = 0; i < 32; i++)
        key[i] ^= signature[i];
    (void)base64_encode(span_make((char *)key, 32), encoded);
    (void)snprintf(c->final, sizeof c->final, "%s,p=%s", without_proof, encoded); /* fits */
    scram_mac(salted, "Server Key", key);
    scram_mac(key, said, signature);
    (void)base64_encode(span_make((char *)signature, 32), encoded);
    (void)snprintf(c->verifier, sizeof c->verifier, "v=%s", encoded); /* fits */
}
