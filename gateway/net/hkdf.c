#include "net/hkdf.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

void hkdf_derive(struct span secret, const char *purpose, void *out, size_t size)
{
    char digest[] = "SHA256";
    OSSL_PARAM with[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                         OSSL_PARAM_construct_octet_string(
                             OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.data, secret.size),
                         OSSL_PARAM_construct_octet_string(
                             OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)purpose, strlen(purpose)),
                         OSSL_PARAM_construct_end()};
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(hkdf);
    if (context == NULL || EVP_KDF_derive(context, out, size, with) != 1)
        abort(); /* out of memory in the master */
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(hkdf);
}
