#include "net/tls_tickets.h"

#include "base/clock.h"
#include "net/hkdf.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IV_SIZE = 16 };

int64_t ticket_period(int64_t wall_ns)
{
    return wall_ns / CLOCK_SECOND / TICKET_PERIOD_S;
}

static void derive_one(struct span secret, int64_t period, struct ticket_key *out)
{
    char purpose[64];
    (void)snprintf(purpose, sizeof purpose, "porteiro session tickets %lld",
                   (long long)period); /* fits */
    hkdf_derive(secret, purpose, out, sizeof *out);
}

void ticket_keys_derive(struct span secret, int64_t period, struct ticket_keys *out)
{
    out->period = period;
    derive_one(secret, period + 1, &out->keys[TICKET_KEY_NEXT]);
    derive_one(secret, period, &out->keys[TICKET_KEY_CURRENT]);
    derive_one(secret, period - 1, &out->keys[TICKET_KEY_PREVIOUS]);
}

/* ---- for OpenSSL ---- */

static int set_mac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM with[] = {OSSL_PARAM_construct_octet_string(
                             OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof key->mac),
                         OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                         OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, with);
}

static int encrypt(const struct ticket_key *key, unsigned char *name, unsigned char *iv,
                   EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    memcpy(name, key->name, sizeof key->name);
    if (RAND_bytes(iv, IV_SIZE) != 1 ||
        EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) != 1 ||
        set_mac(mac, key) != 1)
        return -1;
    return 1;
}

/* 0: no key of ours; the handshake is then a whole one. 2: good, and a new ticket is due: in
 * TLS 1.3 always, since each is to be used once (RFC 8446 section C.4). */
static int decrypt(const struct ticket_keys *keys, const SSL *ssl, const unsigned char *name,
                   const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    int i = 0;
    while (i < TICKET_KEYS && memcmp(keys->keys[i].name, name, sizeof keys->keys[i].name) != 0)
        i++;
    if (i == TICKET_KEYS)
        return 0;
    if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys->keys[i].cipher, iv) != 1 ||
        set_mac(mac, &keys->keys[i]) != 1)
        return -1;
    return i == TICKET_KEY_PREVIOUS || SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
}

/* All contexts of a configuration have the same keys, so it doesn't matter which one is asked. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_new)
{
    const struct ticket_keys *keys = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (is_new)
        return encrypt(&keys->keys[TICKET_KEY_CURRENT], name, iv, cipher, mac);
    return decrypt(keys, ssl, name, iv, cipher, mac);
}

void ticket_keys_use(const struct ticket_keys *keys, SSL_CTX *ctx)
{
    if (SSL_CTX_set_app_data(ctx, (void *)(uintptr_t)keys) != 1 ||
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) != 1)
        abort(); /* out of memory at the start */
    (void)SSL_CTX_set_timeout(ctx, TICKET_PERIOD_S);
}
