/* Two SSL over a pair of sockets that don't block, brought together. */
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>

/* One step; is it over? `outcome` is then 1 or -1. */
static inline bool handshake_step(SSL *ssl, int *outcome)
{
    if (*outcome != 0)
        return true;
    ERR_clear_error();
    int done = SSL_do_handshake(ssl);
    int error = done == 1 ? 0 : SSL_get_error(ssl, done);
    if (done == 1)
        *outcome = 1;
    else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        *outcome = -1;
    return *outcome != 0;
}

/* Do both sides agree? After a failure of `a`, OpenSSL's errors are its. */
static inline bool handshake(SSL *a, SSL *b)
{
    int of_a = 0, of_b = 0;
    for (int step = 0; step < 20 && of_a >= 0; step++) {
        if (of_b == 0)
            (void)handshake_step(b, &of_b);
        if (handshake_step(a, &of_a) && of_b != 0)
            break;
    }
    return of_a == 1 && of_b == 1;
}
